"""Read and write ARFF files: the dense subset that ASlib scenarios are made of.

Attributes are ``numeric`` (also ``real``, ``integer``), ``string`` or nominal ``{a, b}``. Names and values may be
quoted with either quote, with a backslash before a quote inside, and may then hold commas; ``?`` without quotes is a
missing value; ``%`` starts a comment line. Sparse rows and dates are not supported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import DatasetError
from satcost_gnn.output_files import write_text

NUMERIC = "numeric"
STRING = "string"

Column: TypeAlias = NDArray[np.float64] | list[str | None]

_PIECE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ATTRIBUTE = re.compile(rf"@attribute\s+({_PIECE}|[^\s{{]+)\s*(.*)", re.IGNORECASE)
# A value between commas: quoted, or anything without quotes; spaces around it don't count.
_VALUE = re.compile(rf"\s*({_PIECE}|[^,'\"]*?)\s*(?:,|$)")
_PLAIN = re.compile(r"[^\s,'\"%{}?\\]+")
_NAMES = {"numeric": NUMERIC, "real": NUMERIC, "integer": NUMERIC, "string": STRING}


@dataclass(frozen=True)
class Attribute:
    """A column: its name, ``numeric``, ``string`` or ``nominal``, and the values that a nominal one may take."""

    name: str
    kind: str
    choices: tuple[str, ...] = ()

    @classmethod
    def nominal(cls, name: str, choices: Iterable[str]) -> Attribute:
        """Return a nominal attribute."""
        return cls(name, "nominal", tuple(choices))


@dataclass(frozen=True, eq=False)
class ArffTable:
    """The content of an ARFF file.

    Parameters
    ----------
    source
        Path or name of it.
    relation
        Its name.
    attributes
        Its columns.
    columns
        For each attribute ``float64[n]`` (numeric, missing is NaN) or a list of texts (missing is None).
    """

    source: str
    relation: str
    attributes: tuple[Attribute, ...]
    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(attribute.name for attribute in self.attributes)

    def position(self, name: str) -> int:
        """Return the position of a column; names are compared without regard to case.

        Raises
        ------
        DatasetError
            If there is none.
        """
        for k, attribute in enumerate(self.attributes):
            if attribute.name.lower() == name.lower():
                return k
        raise DatasetError(f"{self.source}: found no attribute {name!r}, expected it besides {', '.join(self.names)}")

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a numeric column, ``float64[n]`` with NaN for missing values.

        Raises
        ------
        DatasetError
            If there is no such column or it is not numeric.
        """
        column = self.columns[self.position(name)]
        if isinstance(column, list):
            raise DatasetError(f"{self.source}: attribute {name!r}: found a text column, expected a numeric one")
        return column

    def texts(self, name: str) -> list[str]:
        """Return a string or nominal column without missing values (numbers as texts).

        Raises
        ------
        DatasetError
            If there is no such column or a value is missing.
        """
        column = self.columns[self.position(name)]
        if not isinstance(column, list):
            return [f"{value:g}" for value in column]
        for row, value in enumerate(column):
            if value is None:
                raise DatasetError(f"{self.source}: data row {row + 1}: {name}: found '?', expected a value")
        return [value for value in column if value is not None]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _split(line: str, source: str, number: int) -> list[str]:
    """Return the values of a data line, still quoted."""
    if "'" not in line and '"' not in line:
        return [value.strip() for value in line.split(",")]
    values, position = [], 0
    while True:
        match = _VALUE.match(line, position)
        if match is None:
            raise DatasetError(f"{source}:{number}: found a quote out of place in {line[:60]!r}, expected it closed")
        values.append(match.group(1))
        if match.end() == len(line) and not match.group(0).endswith(","):
            return values
        position = match.end()


def _attribute(line: str, source: str, number: int) -> Attribute:
    match = _ATTRIBUTE.fullmatch(line)
    if match is None:
        raise DatasetError(f"{source}:{number}: found {line[:80]!r}, expected @attribute NAME TYPE")
    name, kind = _unquoted(match.group(1)), match.group(2).strip()
    if kind.startswith("{") and kind.endswith("}"):
        choices = [_unquoted(value) for value in _split(kind[1:-1].strip(), source, number)]
        return Attribute.nominal(name, choices)
    if kind.lower() not in _NAMES:
        raise DatasetError(
            f"{source}:{number}: attribute {name!r}: found type {kind!r}, expected numeric, string or {{a, b}}"
        )
    return Attribute(name, _NAMES[kind.lower()])


def parse_arff(text: str, source: str = "<memory>") -> ArffTable:
    """Parse the text of an ARFF file.

    Raises
    ------
    DatasetError
        If it is malformed, sparse, or a value doesn't fit its attribute; the message has source and line.
    """
    relation = ""
    attributes: list[Attribute] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    data = False
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("%"):
            continue
        if data:
            if line.startswith("{"):
                raise DatasetError(f"{source}:{number}: found a sparse row, expected one value for each attribute")
            values = _split(line, source, number)
            if len(values) != len(attributes):
                raise DatasetError(f"{source}:{number}: found {len(values)} values, expected {len(attributes)}")
            rows.append(values)
            numbers.append(number)
            continue
        keyword = line.split(None, 1)[0].lower()
        if keyword == "@relation":
            relation = _unquoted(line[len(keyword) :].strip())
        elif keyword == "@attribute":
            attributes.append(_attribute(line, source, number))
        elif keyword == "@data":
            data = True
        else:
            raise DatasetError(f"{source}:{number}: found {line[:60]!r}, expected @relation, @attribute or @data")
    if not data or not attributes:
        raise DatasetError(f"{source}: found no {'@data' if attributes else '@attribute'}, expected an ARFF file")
    columns = tuple(
        _column(attribute, [row[k] for row in rows], source, numbers) for k, attribute in enumerate(attributes)
    )
    return ArffTable(source, relation, tuple(attributes), columns)


def _column(attribute: Attribute, values: Sequence[str], source: str, numbers: Sequence[int]) -> Column:
    if attribute.kind != NUMERIC:
        texts = [None if value == "?" else _unquoted(value) for value in values]
        if attribute.kind != STRING:
            allowed = {*attribute.choices, None}
            for value, number in zip(texts, numbers, strict=True):
                if value not in allowed:
                    raise DatasetError(
                        f"{source}:{number}: {attribute.name}: found {value!r}, expected one of "
                        + ", ".join(attribute.choices)
                    )
        return texts
    column = np.empty(len(values), dtype=np.float64)
    for k, value in enumerate(values):
        try:
            column[k] = math.nan if value == "?" else float(_unquoted(value))
        except ValueError:
            raise DatasetError(
                f"{source}:{numbers[k]}: {attribute.name}: found {value!r}, expected a number or ?"
            ) from None
    return column


def read_arff(path: Path | str) -> ArffTable:
    """Read an ARFF file.

    Raises
    ------
    DatasetError
        If it is missing, not UTF-8, malformed or sparse.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DatasetError(f"{path}: found no such file, expected an ARFF file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_arff(text, str(path))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _number(value: float) -> str:
    if math.isnan(value):
        return "?"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def format_arff(relation: str, attributes: Sequence[Attribute], columns: Sequence[Column]) -> str:
    """Return the text of an ARFF file; reading it gives the same columns back.

    Raises
    ------
    DatasetError
        If a text has a line break, or a number is infinite: ARFF can't hold them.
    """
    lines = [f"@RELATION {_quoted(relation)}", ""]
    for attribute in attributes:
        kind = attribute.kind.upper()
        if attribute.kind not in (NUMERIC, STRING):
            kind = "{" + ", ".join(_quoted(choice) for choice in attribute.choices) + "}"
        lines.append(f"@ATTRIBUTE {_quoted(attribute.name)} {kind}")
    lines += ["", "@DATA"]
    written = []
    for attribute, column in zip(attributes, columns, strict=True):
        if isinstance(column, list):
            written.append(["?" if value is None else _quoted(value) for value in column])
        else:
            if np.isinf(column).any():
                raise DatasetError(f"{relation}: {attribute.name}: found an infinite number, expected finite or NaN")
            written.append([_number(value) for value in column.tolist()])
    lines += [",".join(values) for values in zip(*written, strict=True)]
    for line in lines:
        if "\n" in line or "\r" in line:
            raise DatasetError(f"{relation}: found a line break in {line[:60]!r}, expected names and values without")
    return "\n".join(lines) + "\n"


def write_arff(path: Path | str, relation: str, attributes: Sequence[Attribute], columns: Sequence[Column]) -> None:
    """Write an ARFF file atomically.

    Raises
    ------
    DatasetError
        If a value doesn't fit into ARFF or the file can't be written.
    """
    text = format_arff(relation, attributes, columns)
    write_text(Path(path), text)
