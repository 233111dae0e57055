"""``description.txt`` of an ASlib scenario: YAML, as its publishers write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import yaml

from satcost_gnn.errors import DatasetError

Description: TypeAlias = "str | int | float | bool | list[Description] | dict[str, Description] | None"

# Publishers write a bare question mark for what they don't know, which is no YAML.
_UNKNOWN = re.compile(r"^(\s*(?:-|[^#'\"\n]*?:)[ \t]+)\?[ \t]*$", re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once in a mapping, and every scalar is the text that it is written as.

    Names of algorithms, features and steps may look like numbers, dates or truth values: ``007`` is another than ``7``.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else str(loader.construct_object(key, deep=True))
        if name in found:
            raise yaml.MarkedYAMLError(
                problem=f"found {name!r} twice, expected each key once", problem_mark=key.start_mark
            )
        found[name] = loader.construct_object(value, deep=True)
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_description(path: Path | str) -> dict[str, Description]:
    """Read ``description.txt``; every scalar is the text that it is written as.

    Raises
    ------
    DatasetError
        If it can't be read or is no mapping in YAML; the message has file and line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_description(text, str(path))


def parse_description(text: str, source: str = "<memory>") -> dict[str, Description]:
    """Parse the text of a description; see :func:`read_description`.

    Raises
    ------
    DatasetError
        If it is no mapping in YAML; the message has source and line.
    """
    # YAML takes no tabs for indentation.
    spaced = "\n".join(
        line[: len(line) - len(line.lstrip())].expandtabs(8) + line.lstrip() for line in text.splitlines()
    )
    try:
        found = yaml.load(_UNKNOWN.sub(r"\1'?'", spaced), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = source if mark is None else f"{source}:{mark.line + 1}"
        raise DatasetError(
            f"{place}: found no YAML ({error.problem}), expected the description of a scenario"
        ) from None
    except yaml.YAMLError as error:
        raise DatasetError(f"{source}: found no YAML ({error}), expected the description of a scenario") from None
    except RecursionError:
        raise DatasetError(f"{source}: found too many levels, expected the description of a scenario") from None
    if not isinstance(found, dict):
        raise DatasetError(
            f"{source}: found {'nothing' if found in (None, '') else type(found).__name__}, expected KEY: VALUE"
        )
    return found


def format_description(description: Mapping[str, Description]) -> str:
    """Return the text of a description; reading it gives the same values back.

    Raises
    ------
    DatasetError
        If a value is none that YAML can hold.
    """
    try:
        return str(yaml.safe_dump(dict(description), sort_keys=False, allow_unicode=True, width=1_000_000))
    except yaml.YAMLError as error:
        raise DatasetError(f"description: cannot be written as YAML: {error}") from error
