"""Names on the command line to CNF files: files, directories, globs and list files, without holding their contents."""

from __future__ import annotations

import codecs
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from satcost_gnn.errors import ConfigError

_SUFFIXES = (".cnf", ".dimacs")
_COMPRESSED = ("", ".gz", ".bz2", ".xz", ".zst")
_ENDINGS = tuple(plain + packed for plain in _SUFFIXES for packed in _COMPRESSED)


def is_cnf_name(name: str) -> bool:
    """Whether a file's name ends like that of a CNF: ``.cnf`` or ``.dimacs``, compressed or not."""
    return name.lower().endswith(_ENDINGS)


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the files that the arguments name, each once, in a stable order.

    A directory stands for the CNFs below it, a pattern for what it matches, ``@FILE`` for the paths in that file. A
    path that doesn't exist is yielded as it is: reading it gives an error row of its own.
    """
    seen: set[str] = set()
    for argument in arguments:
        for name in _expand_one(argument):
            if name not in seen:
                seen.add(name)
                yield name


def expand_all(arguments: Sequence[str]) -> list[str]:
    """Return all files that the arguments of a command name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    names = list(expand(arguments))
    if not names:
        raise ConfigError(
            f"found no CNF files in {', '.join(arguments)}; expected *.cnf or *.dimacs, compressed or not"
        )
    return names


def _expand_one(argument: str) -> Iterator[str]:
    if argument == "-":
        yield argument
    elif argument.startswith("@"):
        listing = Path(argument[1:])
        if not listing.is_file():
            yield argument
            return
        # Names are bytes: those that are no UTF-8 are held as those of directories are. A byte order mark is none.
        text = listing.read_bytes().removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")
        for line in text.replace("\r\n", "\n").split("\n"):
            if line.strip() and not line.startswith("#"):
                yield line.strip()
    elif Path(argument).is_dir():
        yield from sorted(str(path) for path in Path(argument).rglob("*") if is_cnf_name(path.name))
    elif glob.has_magic(argument) and not Path(argument).exists():
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
        yield from matches or [argument]
    else:
        yield argument
