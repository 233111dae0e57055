"""Standard streams as the caller left them: closed, full, of an encoding that lacks characters, or read no further."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import IO, Any


class _Raw(io.FileIO):
    """A descriptor that remembers that it couldn't be written to, and then takes everything in silence."""

    def __init__(self, descriptor: int, forgiving: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._forgiving = forgiving
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, unless that has failed before."""
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
                if not self._forgiving:
                    raise
        return memoryview(data).nbytes


def _hold_places() -> None:
    """Open what is closed of the descriptors 0 to 2: files opened later must not be taken for a standard stream."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Written to, a closed standard output is an error, as for other programs; messages get lost.
            place = os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
            if place != descriptor:
                os.dup2(place, descriptor)
                os.close(place)
            os.set_inheritable(descriptor, True)


def _opened(descriptor: int, former: IO[str] | None, forgiving: bool) -> tuple[IO[str], _Raw]:
    raw = _Raw(descriptor, forgiving)
    stream = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(former, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=forgiving or raw.isatty(),
        write_through=forgiving,
    )
    return stream, raw


def with_standard_streams(run: Callable[[], int]) -> int:
    """Run a command; return its exit code, or 1 if its output couldn't be written.

    Characters that the encoding of a stream lacks are escaped. What can't be written to standard error is lost. That
    standard output can't be written is told there, unless it is a pipe whose reader has had enough. Streams that a
    caller has put in place of Python's own are left as they are.
    """
    _hold_places()
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is sys.__stderr__:
        sys.stderr, _ = _opened(2, sys.stderr, True)
    raw: _Raw | None = None
    if sys.stdout is sys.__stdout__:
        sys.stdout, raw = _opened(1, sys.stdout, False)
    try:
        code = run()
        sys.stdout.flush()
    except OSError as error:
        if raw is None or raw.error is None:
            if isinstance(error, BrokenPipeError):
                return 1
            raise
        code = 1
    if raw is not None and raw.error is not None:
        if not isinstance(raw.error, BrokenPipeError):
            print(f"satcost: standard output cannot be written: {raw.error.strerror}", file=sys.stderr)
        return 1
    return code
