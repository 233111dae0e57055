"""Run a function in a child process under CPU, wall-clock and memory limits, and survive whatever it does.

Solvers are C and C++ code in our process: an abort, a segmentation fault or an exhausted memory takes the interpreter
along. A :class:`Sandbox` therefore keeps one light helper interpreter (``satcost_gnn.runtime.sandbox_server``) that has
PySAT, gbdc and numpy loaded and forks one limited child for each call. Forking from the helper costs milliseconds, the
caller's process may hold threads, torch or CUDA without any of it being forked, and user scripts need no
``if __name__ == "__main__"`` guard. A process that is forked from the caller's gets helpers of its own.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from satcost_gnn.errors import SandboxError
from satcost_gnn.runtime.helper_process import Helper, can_be_forked, start_helper
from satcost_gnn.runtime.process_tree import below, proportional_mb, usage
from satcost_gnn.runtime.progress import doing

#: Words on a running request, between :class:`Sandbox` and its helper.
PAUSE, RESUME = "pause", "resume"
#: First word of an answer that is no outcome: no child could be started.
REFUSED = "refused"
#: First word of what is no answer either: the child says what it does next.
STAGE = "stage"

# A thread whose helper has been told to end is done in milliseconds, unless the machine has stopped.
_JOIN_S = 5.0

Status = Literal["OK", "TIMEOUT", "MEMOUT", "CRASHED", "ERROR", "CANCELLED"]


@dataclass(frozen=True)
class Limits:
    """Limits on one child process.

    Parameters
    ----------
    cpu_s
        CPU seconds (user and system, the child and all its descendants).
    wall_s
        Wall-clock seconds.
    memory_mb
        Mebibytes of resident memory of the child and all its descendants, beyond what the helper already holds. Address
        space that is reserved and not used doesn't count.

    Notes
    -----
    Of these and the limits that the helper has inherited (``ulimit``, a batch system's), the smaller ones count.
    """

    cpu_s: float = 10.0
    wall_s: float = 60.0
    memory_mb: int = 4096

    def __post_init__(self) -> None:
        """Reject limits that could never be met."""
        for name in ("cpu_s", "wall_s", "memory_mb"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Limits.{name} must be positive; got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Outcome:
    """What became of a limited child.

    Parameters
    ----------
    status
        ``OK``: returned a value. ``TIMEOUT``: CPU or wall limit. ``MEMOUT``: memory limit (or killed by the kernel for
        memory). ``CRASHED``: died by a signal or an exit of its own. ``ERROR``: raised a Python exception.
        ``CANCELLED``: ended by :meth:`Sandbox.cancel`.
    value
        The returned value; for other statuses the last value handed to :func:`report`, else None.
    cpu_s, wall_s
        Seconds used by the child and its descendants.
    peak_memory_mb
        Largest resident set in mebibytes.
    detail
        What happened, in words; the exception's text for ``ERROR``.
    error_type
        Class name of the exception for ``ERROR``.
    """

    status: Status
    value: Any
    cpu_s: float
    wall_s: float
    peak_memory_mb: float
    detail: str = ""
    error_type: str = ""


# Set in the child only: the file descriptor that partial values are written to, and the name of its scratch directory.
_report_fd: int | None = None
_scratch: Path | None = None


def in_child() -> bool:
    """Whether this process is a sandboxed child."""
    return _report_fd is not None


def report(value: Any) -> None:
    """Hand a partial value to the caller, from inside a sandboxed function.

    It becomes :attr:`Outcome.value` if the child dies or times out later. Outside a sandbox it does nothing.
    """
    if _report_fd is not None:
        write_frame(_report_fd, ("report", value))


def report_stage(what: str) -> None:
    """Tell the caller's progress line what is done next, from inside a sandboxed function; outside a sandbox nobody."""
    if _report_fd is not None:
        write_frame(_report_fd, (STAGE, what))


def scratch() -> Path:
    """Return a directory of this call's own, from inside a sandboxed function; :mod:`tempfile` uses it, too.

    It is removed with all that is in it when the child has ended, however it ends.

    Raises
    ------
    SandboxError
        Outside a sandbox, or if there is no room for it.
    """
    if _scratch is None:
        if in_child():
            raise SandboxError("there is no room for temporary files; make some, or set TMPDIR to another directory")
        raise SandboxError("scratch() was called outside a sandboxed function, which alone has a directory")
    return _scratch


def write_frame(fd: int, value: Any) -> None:
    """Write one length-prefixed pickled value to a file descriptor (between processes of ours only)."""
    payload = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    data = memoryview(struct.pack("<Q", len(payload)) + payload)
    while data:
        data = data[os.write(fd, data) :]


def read_frame(fd: int) -> Any:
    """Read one value written by :func:`write_frame`, and no byte more, so that none is held back from select.

    Raises
    ------
    EOFError
        If the other side has gone.
    """
    (size,) = struct.unpack("<Q", _read_exactly(fd, 8))
    return pickle.loads(_read_exactly(fd, size))


def _read_exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        piece = os.read(fd, min(size, 1 << 20))
        if not piece:
            raise EOFError
        parts.append(piece)
        size -= len(piece)
    return b"".join(parts)


# Those of this process, so that a forked one can let go of them.
_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_sandboxes):
        one._let_go()


os.register_at_fork(after_in_child=_after_fork)


class Sandbox:
    """A helper process that runs one limited child at a time.

    For several children at once use several sandboxes, one a thread. Calls from several threads are serialised.

    Examples
    --------
    >>> with Sandbox() as sandbox:
    ...     sandbox.run("math:sqrt", {"args": (4.0,)}, Limits(cpu_s=1, wall_s=5, memory_mb=256)).value
    2.0
    """

    def __init__(self) -> None:
        self._server: Helper | None = None
        self._cancelled = threading.Event()
        self._cancelled_s = 0.0
        self._make_locks()
        _sandboxes.add(self)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        # A word must not get into the middle of a request.
        self._sending = threading.Lock()

    def _let_go(self) -> None:
        """In a forked process: the helper is the parent's, and so is whoever holds the locks."""
        server, self._server = self._server, None
        self._make_locks()
        if server is not None:
            # The helper is to notice when the parent has gone, not when we have.
            for stream in (server.stdin, server.stdout):
                if stream is not None:
                    stream.close()
            # Not our child: nothing to wait for.
            server.returncode = 0

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        # In another process it has a helper of its own: what holds one can be sent there, and be copied.
        return type(self), ()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_by_fork(self) -> None:
        """Start the helper now if it can be forked, which it can't once this process has a second thread."""
        if self._server is None and can_be_forked():
            self._start()

    def _start(self) -> Helper:
        if self._server is not None and self._server.poll() is not None:
            self._discard()
        if self._server is None:
            try:
                self._server = start_helper()
            except OSError as error:
                raise SandboxError(f"cannot start the process that runs limited children: {error}") from error
        return self._server

    def run(
        self,
        function: str,
        kwargs: Mapping[str, Any],
        limits: Limits,
        on_report: Callable[[Any], None] | None = None,
    ) -> Outcome:
        """Call ``module:function`` in a limited child.

        Parameters
        ----------
        function
            Importable name, ``"package.module:name"``.
        kwargs
            Keyword arguments; the key ``args`` holds positional ones.
        limits
            CPU, wall-clock and memory limits.
        on_report
            Called in this thread with each value that the child hands to :func:`report`, as it comes.

        Returns
        -------
        Outcome
            Never raises for what the child does.

        Raises
        ------
        SandboxError
            If the helper process itself cannot be used.
        """
        with self._lock:
            for attempt in (1, 2):
                if self._cancelled.is_set():
                    return self._cancelled_outcome()
                server = self._start()
                assert server.stdin is not None and server.stdout is not None
                try:
                    with self._sending:
                        if self._cancelled.is_set():
                            # After the look above, when there was no helper yet.
                            self._discard()
                            return self._cancelled_outcome()
                        write_frame(server.stdin.fileno(), (function, dict(kwargs), limits, on_report is not None))
                    while not isinstance(outcome := read_frame(server.stdout.fileno()), Outcome):
                        if outcome[0] == REFUSED:
                            raise SandboxError(outcome[1])
                        if outcome[0] == STAGE:
                            doing(outcome[1])
                        elif on_report is not None:
                            on_report(outcome[1])
                except (EOFError, OSError) as error:
                    self._discard()
                    if self._cancelled.is_set():
                        return self._cancelled_outcome()
                    if attempt == 2:
                        raise SandboxError(
                            "the process that runs limited children died twice; is the machine out of memory?"
                        ) from error
                except BaseException:
                    # An interrupt left a request in flight: its answer must not be taken for the next one's.
                    self._discard()
                    raise
                else:
                    return outcome
        raise AssertionError("unreachable")

    def spent_s(self) -> float:
        """Return the CPU seconds of the helper and of all below it so far; 0 before it has started."""
        server = self._server
        return usage(below(server.pid))[0] if server is not None else 0.0

    def used_by_child(self, *, shared_once: bool = False) -> tuple[float, float]:
        """Return the CPU seconds that the running child and all below it have used, and the mebibytes that they hold.

        Parameters
        ----------
        shared_once
            Whether pages that processes share are divided among them, which takes longer to find out; else they count
            for each.
        """
        server = self._server
        # The first process below ours is the helper, which has used and holds something of its own.
        pids = below(server.pid)[1:] if server is not None else []
        cpu_s, memory_mb = usage(pids)
        return cpu_s, proportional_mb(pids) if shared_once else memory_mb

    def cancel(self) -> None:
        """End the running call from another thread, and refuse further ones: they return as ``CANCELLED``.

        It returns at once; the child is dead when the cancelled :meth:`run` has returned.
        """
        server = self._server
        if server is not None and not self._cancelled.is_set():
            # What was used counts, though there is no answer.
            self._cancelled_s = usage(below(server.pid))[0]
        self._cancelled.set()
        if server is not None:
            # Upon which the helper ends its child and itself.
            with contextlib.suppress(ProcessLookupError):
                server.send_signal(signal.SIGTERM)

    def _cancelled_outcome(self) -> Outcome:
        return Outcome("CANCELLED", None, self._cancelled_s, 0.0, 0.0, "cancelled by the caller")

    def pause(self) -> None:
        """Stop the running child, and all below it, where they are, until :meth:`resume`; nothing if none runs.

        They use no CPU time meanwhile and keep their memory; the wall-clock limit goes on.
        """
        self._tell(PAUSE)

    def resume(self) -> None:
        """Let a paused child go on."""
        self._tell(RESUME)

    def _tell(self, what: str) -> None:
        """Send a word on the running request; the helper passes over it if that has ended."""
        with self._sending:
            server = self._server
            if server is not None and server.stdin is not None:
                with contextlib.suppress(OSError, ValueError):
                    write_frame(server.stdin.fileno(), what)

    def _discard(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            for stream in (server.stdin, server.stdout):
                if stream is not None:
                    stream.close()
            # It ends what runs below, removes its files, and itself.
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.send_signal(signal.SIGKILL)
                server.wait()

    def close(self) -> None:
        """Stop the helper and whatever child it runs."""
        self._discard()

    def __del__(self) -> None:
        if getattr(self, "_server", None) is not None:
            self._discard()


def cancel_all(sandboxes: Iterable[Sandbox], threads: Iterable[threading.Thread]) -> None:
    """End what runs in sandboxes, all at once, and wait for the threads that use them and have nothing left to do."""
    for sandbox in sandboxes:
        sandbox.cancel()
    for thread in threads:
        if thread.ident is not None:
            thread.join(timeout=_JOIN_S)
