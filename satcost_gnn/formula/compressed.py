"""Decompression that accepts nothing unverified: every member of a file is read to its end and its check sum compared.

Python's own file objects for bzip2 and xz take an error at the start of a later member for the end of the file, and so
lose what follows in silence. Here bytes behind a complete member are the next member, padding, or rubbish: rubbish is a
warning, unless it looks like the start of a damaged member.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import zstandard

from satcost_gnn.errors import FormulaError

__all__ = ["PIECE", "Readable", "compression_of", "inflated"]

#: Bytes of text in a piece, about. Pieces of this size keep the temporary arrays of a parser in the processor's cache.
PIECE: Final = 1 << 18

_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    *((bytes([0x50 + i, 0x2A, 0x4D, 0x18]), "zstandard") for i in range(16)),
)
# What a member starts with: longer than what a file is recognised by, so that damage to it is told from rubbish.
_MEMBER: Final = {"gzip": b"\x1f\x8b\x08", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00", "zstandard": b"\x28\xb5\x2f\xfd"}
# Memory for the dictionary of an xz file; `xz -9` takes 65 MiB.
_LZMA_MEMORY: Final = 1 << 30


class Readable(Protocol):
    """Something to read bytes from."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most so many bytes, none only at the end."""


class _Decompressor(Protocol):
    """What the decompressors of Python's ``bz2`` and ``lzma`` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, /, max_length: int = ...) -> bytes: ...


class _Gzip:
    """One member of a gzip file, in the form of Python's other decompressors."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        text = self._inflate.decompress(self._inflate.unconsumed_tail + data, max(max_length, 0))
        # With its output at the limit it may hold more, even if it has consumed all of its input.
        self.needs_input = not self._inflate.unconsumed_tail and len(text) < max_length
        return text


class _Zstandard:
    """One frame, fed a block at a time: a block of 4 bytes can stand for 128 KiB of text, but none for more.

    Where a block ends is read from its header (RFC 8878), as the decompressor does.
    """

    # Bytes fed at once behind the last block, where a frame should end.
    _STEP = 256

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._held = b""
        self._left = 0  # bytes of a unit, the frame's header or a block, that are still to be fed
        self._in_blocks = self._is_behind = False
        self.head = b""

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._frame.unused_data) + self._held

    @property
    def needs_input(self) -> bool:
        return not self._held or (not self._left and not self._unit(self._held))

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        held = self._held + data
        if len(self.head) < 18:
            self.head = (self.head + data)[:18]
        ready, size, position = [], 0, 0
        while position < len(held) and size < max_length and not self._frame.eof:
            if not self._left:
                self._left = self._begun(held[position : position + 18])
                if not self._left:
                    break
            part = held[position : position + self._left]
            text = self._frame.decompress(part)
            position += len(part)
            self._left -= len(part)
            ready.append(text)
            size += len(text)
        self._held = held[position:]
        return b"".join(ready)

    def _begun(self, head: bytes) -> int:
        """Begin a unit that starts with these bytes: return its size, 0 if more of them have to be known."""
        size = self._unit(head)
        if size:
            self._is_behind = self._is_behind or (self._in_blocks and bool(head[0] & 1))
            self._in_blocks = True
        return size

    def _unit(self, head: bytes) -> int:
        if self._is_behind:
            return self._STEP
        if self._in_blocks:
            header = int.from_bytes(head[:3], "little")
            # One byte that is repeated, or so many.
            return 0 if len(head) < 3 else 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
        if len(head) < 8:
            return 0
        if head[1:4] == b"\x2a\x4d\x18":
            # Nothing of it is text.
            return 8 + int.from_bytes(head[4:8], "little")
        about = head[4]
        one_segment = about >> 5 & 1
        return 5 + (1 - one_segment) + (0, 1, 2, 4)[about & 3] + (one_segment, 2, 4, 8)[about >> 6]

    @property
    def is_checked(self) -> bool:
        """Whether the end of the frame is known to be its end: by a check sum, or the size in its header."""
        if self.head[1:4] == b"\x2a\x4d\x18":
            return True
        found: Any = zstandard.get_frame_parameters(self.head)
        return bool(found.has_checksum) or found.content_size != zstandard.CONTENTSIZE_UNKNOWN


_NEW: Final[dict[str, Callable[[], _Decompressor]]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY),
    "zstandard": _Zstandard,
}


def compression_of(head: bytes) -> str | None:
    """Return how a file is compressed that starts with these bytes (8 are enough), None if it isn't."""
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def inflated(raw: Readable, kind: str, source: str, warn: Callable[[str], None]) -> Iterator[bytes]:
    """Yield the text of a compressed stream in pieces of bounded size.

    Parameters
    ----------
    raw
        The compressed bytes.
    kind
        As :func:`compression_of` names it.
    source
        Name of the input, for messages.
    warn
        Told of rubbish behind the last member.

    Raises
    ------
    FormulaError
        If the data end early, or are damaged in whichever member.
    """
    produced = 0
    try:
        for piece in _members(raw, kind, source, warn):
            produced += len(piece)
            yield piece
    except EOFError:
        raise FormulaError(
            f"the {kind} data end early, after {produced} bytes of text; expected a complete file: fetch it again",
            source,
        ) from None
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FormulaError(
            f"the {kind} data are damaged after {produced} bytes of text ({error}); expected a complete file: fetch it "
            "again",
            source,
        ) from error


def _members(raw: Readable, kind: str, source: str, warn: Callable[[str], None]) -> Iterator[bytes]:
    data = raw.read(PIECE)
    while True:
        member = _NEW[kind]()
        while not member.eof:
            if member.needs_input and not data:
                data = raw.read(PIECE)
                if not data:
                    raise EOFError
            text = member.decompress(data, PIECE)
            data = b""
            if text:
                yield text
        data = _behind_padding(raw, member.unused_data)
        if not data:
            return
        if kind == "lzma" or compression_of(data) != kind:
            _judge_rubbish(data, kind, member, source, warn)
            return


def _behind_padding(raw: Readable, data: bytes) -> bytes:
    """Return what follows zero bytes (which xz's format allows, and tapes add): 8 bytes at least, if there are any."""
    data = data.lstrip(b"\0")
    while len(data) < 8:
        more = raw.read(PIECE)
        if not more:
            break
        data = (data + more).lstrip(b"\0")
    return data


def _judge_rubbish(data: bytes, kind: str, member: object, source: str, warn: Callable[[str], None]) -> None:
    shown = data[:12].decode("ascii", "backslashreplace")
    expected = _MEMBER.get(kind, b"")
    if expected.startswith(data):
        raise EOFError
    n_bits = sum((a ^ b).bit_count() for a, b in zip(data, expected, strict=False))
    # The next part itself, a little behind: a header that is wrong about the check sum leaves it over.
    near = len(data) >= len(expected) > 0 and (n_bits <= 2 or expected in data[:64])
    if near or (isinstance(member, _Zstandard) and not member.is_checked):
        raise FormulaError(
            f"behind a complete part of the {kind} data there is what may be a damaged one ({shown!r}…); expected the "
            "next part or the end: fetch the file again",
            source,
        )
    warn(f"behind the end of the {kind} data there is something else ({shown!r}…), which is not read")
