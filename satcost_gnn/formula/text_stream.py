"""Text from wherever it comes: files, pipes, standard input and streams, packed or not, under limits of size and time.

Every reader of the package gets its text here. A pipe is waited for no longer than the deadline, whether or not anybody
writes into it, and a file that inflates to more than the limit is left at the limit.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from satcost_gnn.errors import FormulaError, FormulaTooLargeError, ReadingTimeoutError
from satcost_gnn.formula.compressed import PIECE, Readable, compression_of, inflated

__all__ = [
    "LONGEST_WAIT_S",
    "STANDARD_LIMITS",
    "ReadLimits",
    "TextPieces",
    "is_regular",
    "open_bytes",
    "read_text_bytes",
    "system_errors",
]

_FOREIGN: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x9d", "an old compress (.Z) file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Bytes of the header of the first file of a tar archive, and where in it the format has its name.
_TAR_HEADER, _TAR_MAGIC = 512, slice(257, 262)
_DESCRIPTOR: Final = re.compile(r"/dev/fd/(\d+)|/proc/(?:self|thread-self|\d+)/fd/(\d+)|/dev/(stdin)")


@dataclass(frozen=True)
class ReadLimits:
    """What a reader accepts: how much, beyond which there is a FormulaTooLargeError, and how strictly.

    Parameters
    ----------
    max_bytes
        Bytes of text, after decompression.
    max_vars
        Variables, whether announced by the header or found in a clause.
    max_literals
        Literal occurrences over all clauses.
    relaxed
        Whether a text with fewer clauses than its header announces is read, with a warning. It may be a part of a
        file whose rest got lost, and so is an error otherwise.
    """

    max_bytes: int = 4 << 30
    max_vars: int = 50_000_000
    max_literals: int = 500_000_000
    relaxed: bool = False


STANDARD_LIMITS: Final = ReadLimits()
#: Seconds that a pipe is waited for where nothing else says how long.
LONGEST_WAIT_S: Final = 300.0


@contextmanager
def system_errors(source: str, expected: str = "a DIMACS CNF file") -> Iterator[None]:
    """Turn what the operating system refuses into FormulaError."""
    try:
        yield
    except FileNotFoundError:
        raise FormulaError(f"no such file; expected {expected}", source) from None
    except IsADirectoryError:
        raise FormulaError(f"found a directory; expected {expected}", source) from None
    except PermissionError:
        raise FormulaError("no permission to read this file; make it readable for this user", source) from None
    except OSError as error:
        raise FormulaError(f"cannot be read: {error.strerror or error}", source) from error
    except ValueError as error:
        if "null" not in str(error):  # a file name with a NUL byte
            raise
        raise FormulaError("the file name has a NUL byte in it", source) from None


class _Descriptor:
    """A file descriptor that is read no longer than until a deadline."""

    def __init__(self, fd: int, source: str, deadline: float | None, *, owned: bool = True) -> None:
        self._fd, self._source, self._deadline, self._owned = fd, source, deadline, owned
        # Regular files are always ready.
        self._waits = not stat.S_ISREG(os.fstat(fd).st_mode)

    def read(self, size: int = PIECE, /) -> bytes:
        """Return at most so many bytes, none only at the end."""
        while True:
            if self._waits:
                self._wait()
            try:
                return os.read(self._fd, size)
            except BlockingIOError:
                # Another reader of the same pipe was faster.
                continue

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        if not poll.poll(None if left is None else int(1000 * left) + 1):
            raise out_of_time(self._source)

    def close(self) -> None:
        """Close it."""
        if self._owned:
            os.close(self._fd)


def out_of_time(source: str) -> ReadingTimeoutError:
    """Return the error for an input that has not ended by the deadline."""
    return ReadingTimeoutError("reading ran out of time; expected input that ends within the time limit", source)


def _opened(name: str) -> int:
    try:
        # Without O_NONBLOCK the opening of a named pipe would wait for somebody to write, however long that takes.
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        found = _DESCRIPTOR.fullmatch(name)
        if error.errno != errno.ENXIO or found is None:
            raise
        # A socket can't be opened a second time.
        return os.dup(int(found[1] or found[2] or 0))
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return fd


@contextmanager
def open_bytes(name: str, deadline: float | None = None, expected: str = "a DIMACS CNF file") -> Iterator[Readable]:
    """Open whatever this process can open by a name, ``-`` being its standard input.

    Parameters
    ----------
    name
        File, named pipe, ``/dev/stdin``, ``/dev/fd/N`` or ``-``.
    deadline
        On the clock of :func:`time.monotonic`; None to wait for ever.
    expected
        What is to be read, for messages.

    Raises
    ------
    FormulaError
        If it can't be opened or read, or has not ended by the deadline.
    """
    if not name:
        raise FormulaError(f"found an empty file name; expected that of {expected}", "''")
    source = "<stdin>" if name == "-" else name
    with system_errors(source, expected):
        if name != "-":
            descriptor = _Descriptor(_opened(name), source, deadline)
            try:
                yield descriptor
            finally:
                descriptor.close()
            return
        if sys.stdin is None:
            raise FormulaError(f"standard input is closed; expected {expected} on it", source)
        try:
            fd = sys.stdin.fileno()
        except OSError:
            # Not the process's own: something that stands for it.
            yield sys.stdin.buffer
            return
        yield _Descriptor(fd, source, deadline, owned=False)


class _Rejoined:
    """A stream whose first bytes have been read already, put back in front."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = PIECE, /) -> bytes:
        if not self._head:
            return self._stream.read(size)
        head, self._head = self._head[:size], self._head[size:]
        return head


class TextPieces:
    """The text of a stream, unpacked, without a byte order mark, in pieces.

    Parameters
    ----------
    stream
        Gives bytes; gzip, bzip2, xz, lzma and zstandard are recognised by the first of them.
    source
        Name for messages.
    max_bytes
        Bytes of text accepted.
    deadline
        On the clock of :func:`time.monotonic`; None for none.
    expected
        What is to be read, for messages.

    Attributes
    ----------
    size
        Bytes so far, the mark not counted.
    warnings
        What was odd so far.
    """

    def __init__(
        self,
        stream: Readable,
        source: str,
        max_bytes: int,
        deadline: float | None = None,
        expected: str = "DIMACS text",
    ) -> None:
        self._stream, self._source, self._max_bytes, self._deadline = stream, source, max_bytes, deadline
        self._expected = expected
        self.size = 0
        self.warnings: list[str] = []
        self._kind: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        head = b""
        while len(head) < 8:
            part = self._stream.read(8 - len(head))
            if not isinstance(part, bytes):
                raise FormulaError("found a text stream; expected one opened in binary mode", self._source)
            if not part:
                break
            head += part
        for magic, what in _FOREIGN:
            if head.startswith(magic):
                raise FormulaError(
                    f"found {what}; expected {self._expected}, plain or as .gz, .bz2, .xz or .zst", self._source
                )
        raw = _Rejoined(head, self._stream)
        self._kind = kind = compression_of(head)
        pieces = (
            iter(lambda: raw.read(PIECE), b"")
            if kind is None
            else inflated(raw, kind, self._source, self.warnings.append)
        )
        start: bytes | None = b""
        for piece in chain(pieces, (b"",)):
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise out_of_time(self._source)
            if start is not None:
                # The mark may come in parts.
                start += piece
                if piece and len(start) < _TAR_HEADER:
                    continue
                if start[_TAR_MAGIC] == b"ustar":
                    # If its first name begins with a c, its header would be taken for a comment.
                    raise FormulaError(
                        f"found a tar archive; expected {self._expected}, plain or packed by gzip or the like",
                        self._source,
                    )
                piece, start = start.removeprefix(_BYTE_ORDER_MARK), None
            if not piece:
                continue
            self.size += len(piece)
            if self.size > self._max_bytes:
                raise FormulaTooLargeError(
                    f"more than {self._max_bytes} bytes of text"
                    f"{'' if kind is None else f' after {kind} decompression'}; raise max_bytes to read it",
                    self._source,
                )
            yield piece

    def verify_rest(self, pieces: Iterator[bytes]) -> None:
        """Read on to the end of what is compressed, so that its check sums are compared; no word of it matters."""
        if self._kind is not None:
            for _ in pieces:
                pass


def read_text_bytes(
    path: str | os.PathLike[str] | BinaryIO,
    expected: str,
    *,
    max_bytes: int = 1 << 30,
    deadline: float | None = None,
    warnings: list[str] | None = None,
) -> bytes:
    """Return the text of a file, pipe, ``-`` or binary stream at once, with line ends ``\\n``.

    What is odd about it is added to ``warnings``; the other parameters are those of :class:`TextPieces`.

    Raises
    ------
    FormulaError
        If it can't be read, is damaged, or passes a limit.
    """

    def joined(stream: Readable | BinaryIO, name: str) -> bytes:
        pieces = TextPieces(stream, name, max_bytes, deadline, expected)
        text = b"".join(pieces)
        if warnings is not None:
            warnings.extend(pieces.warnings)
        return text.replace(b"\r\n", b"\n")

    if not isinstance(path, str | os.PathLike):
        return joined(path, str(getattr(path, "name", "<stream>")))
    name = os.fsdecode(path)
    with open_bytes(name, deadline, expected) as stream:
        return joined(stream, "<stdin>" if name == "-" else name)


def is_regular(name: str) -> bool:
    """Whether every process finds the same under a name: neither a pipe or device, nor a descriptor of this process."""
    path = Path(name)
    try:
        for _ in range(40):
            # /dev/fd itself is a link to /proc/self/fd.
            path = Path(os.path.realpath(path.parent), path.name)
            if _DESCRIPTOR.fullmatch(str(path)):
                return False
            if not path.is_symlink():
                break
            path = path.parent / path.readlink()
        mode = path.stat().st_mode
    except (OSError, ValueError):
        # Reading it says what is wrong.
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
