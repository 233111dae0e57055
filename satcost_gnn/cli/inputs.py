"""Names on the command line to CNF files: files, directories, globs and list files, without holding their contents.

Whatever can't be looked into (a directory without permission, a list that can't be read) becomes a name that says why,
and so a row of its own with an error: nothing is left out in silence.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from satcost_gnn.errors import ConfigError, FormulaError
from satcost_gnn.formula.sources import UnreadableName
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, read_text_bytes
from satcost_gnn.runtime.file_names import is_cnf_name

_LONGEST_LIST = 1 << 30
# Names that the file system is asked about only to tell the time that is left.
_MOST_ASKED = 20_000


def read_list(path: str | os.PathLike[str], expected: str) -> list[tuple[int, str]]:
    """Read a list with an entry a line: blank lines and those that start with ``#`` are passed over.

    Parameters
    ----------
    path
        File, packed or not, pipe, or ``-`` for standard input.
    expected
        What it is to hold, for messages.

    Returns
    -------
    list of (int, str)
        Number of the line, and the entry; bytes that are no UTF-8 are kept as Python keeps them in file names. Entries
        that end in NUL bytes (``find -print0``) are taken whole.

    Raises
    ------
    FormulaError
        If it can't be read.
    """
    deadline = time.monotonic() + LONGEST_WAIT_S
    text = read_text_bytes(path, expected, max_bytes=_LONGEST_LIST, deadline=deadline)
    if b"\0" in text:
        return [(number, os.fsdecode(entry)) for number, entry in enumerate(text.split(b"\0"), start=1) if entry]
    lines = ((number, line.strip()) for number, line in enumerate(text.split(b"\n"), start=1))
    return [(number, os.fsdecode(line)) for number, line in lines if line and not line.startswith(b"#")]


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the files that the arguments name, each once, in a stable order.

    A directory stands for the CNFs below it, a pattern for what it matches, ``@FILE`` for the paths in that file. A
    path that doesn't exist is yielded as it is: reading it gives an error row of its own.

    Raises
    ------
    ConfigError
        If an argument is empty.
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
        If there is none, or an argument is empty.
    """
    names = list(expand(arguments))
    if not names:
        raise ConfigError(
            f"found no CNF files in {', '.join(arguments)}; expected *.cnf or *.dimacs, compressed or not"
        )
    return names


def _expand_one(argument: str) -> Iterator[str]:
    if argument in ("", "@"):
        raise ConfigError(
            f"found an empty file name ({argument!r}) among the inputs; expected a file, directory, glob, @LIST or -"
        )
    if argument == "-":
        yield argument
    elif argument.startswith("@"):
        try:
            entries = read_list(argument[1:], "a list of files, one a line")
        except FormulaError as error:
            yield UnreadableName(argument, str(error))
            return
        for _, entry in entries:
            yield entry
    # Not Path.is_dir and Path.exists: they raise for names that are too long, or in a directory without permission.
    elif glob.has_magic(argument) and not os.path.lexists(argument):
        yield from _matching(argument)
    else:
        yield from _below(argument)


def _below(path: str) -> Iterator[str]:
    """Yield the CNFs below a directory; anything else as it is."""
    if not os.path.isdir(path):  # noqa: PTH112
        yield path
        return
    found: list[str] = []

    def failed(error: OSError) -> None:
        found.append(_unreadable_directory(os.fsdecode(error.filename), error.strerror or str(error)))

    for place, _, files in os.walk(path, onerror=failed):
        found += [str(Path(place, name)) for name in files if is_cnf_name(name)]
    yield from sorted(found)


def _unreadable_directory(path: str, reason: str) -> UnreadableName:
    return UnreadableName(path, f"this directory cannot be read ({reason}); make it readable for this user")


def _matching(pattern: str) -> Iterator[str]:
    """Yield what a pattern matches, and the directories that could not be looked into for it."""
    # Python's glob passes over those in silence.
    parts = pattern.split("/")
    closed: set[str] = set()
    for end in range(1, len(parts)):
        prefix = "/".join(parts[:end]) + "/"
        places = glob.glob(prefix, recursive=True) if glob.has_magic(prefix) else [prefix]  # noqa: PTH207
        readable = {"effective_ids": os.access in os.supports_effective_ids}
        closed.update(place for place in places if os.path.isdir(place) and not os.access(place, os.R_OK, **readable))  # noqa: PTH112
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    for match in matches:
        if match not in closed:
            yield from _below(match)
    for place in sorted(closed):
        yield _unreadable_directory(place, "Permission denied")
    if not matches and not closed:
        yield pattern


def sizes_of(names: Sequence[str]) -> dict[str, int]:
    """Return the bytes of the files among the names; of very many names none, which would take a while to ask for."""
    found: dict[str, int] = {}
    for name in names if len(names) <= _MOST_ASKED else ():
        with contextlib.suppress(OSError, ValueError):
            found[name] = Path(name).stat().st_size
    return found
