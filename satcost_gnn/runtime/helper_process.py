"""How the helper process of a sandbox is started: as an interpreter of its own, or forked from a command's process.

An interpreter of its own has to import again what the caller has imported, which takes most of the CPU time of a
command on one small file. Where the caller's process is a command of ours and nothing else, it has a single thread and
has loaded neither torch nor a solver, a fork is as safe: the helper closes all files but its pipes, forgets the
caller's signal handlers and log handlers, and never returns into the caller's code.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn, TypeAlias

from satcost_gnn.runtime import interpreter
from satcost_gnn.runtime.logs import log

_SERVER = "satcost_gnn.runtime.sandbox_server"
# Libraries that must not be forked: of torch for its threads, of PySAT because gbdc has to be loaded before it.
_NOT_TO_BE_FORKED = ("torch", "pysolvers")
_may_fork = False


class ForkedHelper:
    """A forked process with a pipe to it and one from it.

    Parameters
    ----------
    main
        What it does; the process ends with it.
    """

    def __init__(self, main: Callable[[], None]) -> None:
        request, to_helper = os.pipe()
        from_helper, answer = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            # What is still to be written is ours to write.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        try:
            self.pid = os.fork()
        except OSError:
            for fd in (request, to_helper, from_helper, answer):
                os.close(fd)
            raise
        if self.pid == 0:
            _become_helper(request, answer, main)
        os.close(request)
        os.close(answer)
        self.stdin: IO[bytes] | None = os.fdopen(to_helper, "wb", buffering=0)
        self.stdout: IO[bytes] | None = os.fdopen(from_helper, "rb", buffering=0)
        self.returncode: int | None = None
        self._waiting = threading.Lock()

    def poll(self) -> int | None:
        """Return how it has ended, as :class:`subprocess.Popen` tells it; None while it runs."""
        with self._waiting:
            if self.returncode is None:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:
                    # Whoever has waited for it has not told how it ended.
                    self.returncode = 0
                else:
                    self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises
        ------
        subprocess.TimeoutExpired
            If it has not ended within so many seconds.
        """
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(self.pid)
                try:
                    select.select([handle], [], [], timeout)
                finally:
                    os.close(handle)
        ended = self.poll()
        if ended is None:
            raise subprocess.TimeoutExpired("a forked helper", timeout or 0.0)
        return ended

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended: its number may be another process's then."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)


def _become_helper(request: int, answer: int, main: Callable[[], None]) -> NoReturn:
    """Turn a freshly forked process into a helper; see the head of the module."""
    try:
        # What the caller holds is never to be cleaned up here.
        gc.freeze()
        os.setsid()
        os.dup2(request, 0)
        os.dup2(answer, 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log.handlers[:] = []
        main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


#: What is used of either: ``pid``, ``stdin``, ``stdout``, ``returncode``, ``poll``, ``wait`` and ``send_signal``.
Helper: TypeAlias = "ForkedHelper | subprocess.Popen[bytes]"


@contextlib.contextmanager
def may_be_forked() -> Iterator[None]:
    """Within the block, helpers may be forked: this process is a command of ours."""
    global _may_fork
    before, _may_fork = _may_fork, True
    try:
        yield
    finally:
        _may_fork = before


def can_be_forked() -> bool:
    """Whether a helper that is started now is forked from this process."""
    return (
        _may_fork
        and threading.active_count() == 1
        and sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
        and not any(name in sys.modules for name in _NOT_TO_BE_FORKED)
        # What the helper imports is never looked for in the current directory.
        and not any(part in ("", ".") or Path(part) == Path.cwd() for part in sys.path)
    )


def start_helper() -> Helper:
    """Start a helper process, forked if that can be.

    Raises
    ------
    OSError
        If no process can be started.
    """
    if can_be_forked():
        from satcost_gnn.runtime import sandbox_server

        return ForkedHelper(sandbox_server.main)
    # A session of its own: Ctrl-C in the terminal reaches us, and we decide what becomes of the children.
    # Unbuffered: a forked process can close its copies whoever was reading.
    return subprocess.Popen(
        interpreter.command(_SERVER),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=interpreter.environment(),
    )
