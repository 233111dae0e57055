"""Text that fits the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import IO

# Width of text that goes to a file or a pipe.
_NO_TERMINAL = 120


def columns(stream: IO[str] | None = None) -> int:
    """Return how many characters fit on a line of a stream, standard output by default; COLUMNS overrides."""
    stream = sys.stdout if stream is None else stream
    if "COLUMNS" not in os.environ:
        try:
            # Of this stream: standard output may be a pipe while standard error is a terminal.
            return os.get_terminal_size(stream.fileno()).columns or _NO_TERMINAL
        except (AttributeError, OSError, ValueError):
            # One that a caller has put in place may have no descriptor, or not know of any.
            return _NO_TERMINAL
    return shutil.get_terminal_size((_NO_TERMINAL, 24)).columns


def shortened(text: str, width: int) -> str:
    """Return a text that is cut, with a mark, to a width."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def end_of(text: str, width: int) -> str:
    """Return the end of a text that is cut, with a mark, to a width: of a path its name matters most."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


def wrapped(text: str, indent: str = "  ") -> str:
    """Return a text broken between words into lines that fit, all but the first with more indentation."""
    return _filled(text, columns(), indent, indent + "  ")


def beside(head: str, text: str) -> str:
    """Return a head and a text beside it, whose further lines stand under its first one."""
    return _filled(text, max(columns(), len(head) + 20), head, " " * len(head))


def _filled(text: str, width: int, first: str, further: str) -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False, break_long_words=False
    )
