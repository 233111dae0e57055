r"""File names as text that every table, terminal and encoding can hold.

A name on Unix is bytes. Python holds those that are no UTF-8 as lone surrogates, which neither Parquet nor a terminal
takes. In what is written they stand as ``\xNN``, like control characters; a backslash that would be read as the
beginning of such an escape is written ``\x5c``. Other names stay as they are, and :func:`unescaped` undoes it.
"""

from __future__ import annotations

import os
import re

_SUFFIXES = (".cnf", ".dimacs")
_COMPRESSED = ("", ".gz", ".bz2", ".xz", ".zst")
_ENDINGS = tuple(plain + packed for plain in _SUFFIXES for packed in _COMPRESSED)


def is_cnf_name(name: str) -> bool:
    """Whether a file's name ends like that of a CNF: ``.cnf`` or ``.dimacs``, compressed or not."""
    return name.lower().endswith(_ENDINGS)


_TO_ESCAPE = re.compile(r"[\udc80-\udcff]|[\x00-\x1f\x7f]|\\(?=x[0-9a-f]{2})")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_NOT_TEXT = re.compile(r"[\ud800-\udfff]|[\x00-\x08\x0b-\x1f\x7f]")


def escaped(name: str) -> str:
    r"""Return a file name with ``\xNN`` for the bytes that are no UTF-8 and for control characters."""
    return _TO_ESCAPE.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in os.fsencode(found[0])), name)


def unescaped(text: str) -> str:
    """Return the file name, as the operating system takes it, that :func:`escaped` has made a text of."""

    def byte(found: re.Match[str]) -> bytes:
        return bytes([int(found[1], 16)])

    data, end = b"", 0
    for found in _ESCAPED.finditer(text):
        data += os.fsencode(text[end : found.start()]) + byte(found)
        end = found.end()
    return os.fsdecode(data + os.fsencode(text[end:]))


def one_line(text: str) -> str:
    r"""Return a message on one line, with ``\xNN`` for what is no text."""
    joined = " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
    return _NOT_TEXT.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in _bytes_of(found[0])), joined)


def _bytes_of(character: str) -> bytes:
    return character.encode("utf-8", errors="surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")
