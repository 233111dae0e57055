"""The helper process behind :class:`satcost_gnn.runtime.sandbox.Sandbox`: forks, limits, watches and reaps children.

Started by :mod:`satcost_gnn.runtime.interpreter`; reads requests on standard input, answers on standard output. It is
two processes: a small one that does nothing but wait, and the helper proper below it. Whichever of them is killed, the
other one ends all that runs below and removes the temporary files.
Linux only: it relies on ``/proc`` and ``prctl``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import resource
import select
import shutil
import signal
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn

from satcost_gnn.runtime import process_limits, sandbox
from satcost_gnn.runtime.process_tree import (
    Descendants,
    adopt_orphans,
    below,
    die_with_parent,
    end_all_below,
    proportional_mb,
    signal_all,
    usage,
)
from satcost_gnn.runtime.sandbox import PAUSE, REFUSED, STAGE, Limits, Outcome, Status, read_frame, write_frame
from satcost_gnn.runtime.scratch_space import ScratchSpace, remove_abandoned

_PAGE = os.sysconf("SC_PAGE_SIZE")
# How often a running child's CPU time and memory are read, in the beginning and later: a look is not free.
_POLL_S, _LATER_POLL_S, _LATER_S = 0.05, 0.1, 5.0
# Marks of an exhausted memory in what a dying solver prints.
_MEMORY_MARKS = ("bad_alloc", "out of memory", "out-of-memory", "cannot allocate memory", "memory exhausted")
# Where no process can be started just now (a limit on their number), it is tried again so many times.
_FORK_TRIES, _FORK_PAUSE_S = 10, 0.05


def _held_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20


@dataclass(frozen=True)
class _Bounds:
    """The limits that count: those that were asked for, or what was inherited if that is less."""

    cpu_s: float
    wall_s: float
    memory_mb: int
    cpu_text: str

    @classmethod
    def of(cls, limits: Limits) -> _Bounds:
        inherited = process_limits.inherited_cpu_s()
        text = f"CPU limit of {min(limits.cpu_s, inherited):g} s"
        if inherited < limits.cpu_s:
            text += " (inherited: `ulimit -t`)"
        return cls(min(limits.cpu_s, inherited), limits.wall_s, limits.memory_mb, text)

    @property
    def wall_text(self) -> str:
        return f"wall-clock limit of {self.wall_s:g} s"

    @property
    def memory_text(self) -> str:
        return f"memory limit of {self.memory_mb} MiB"

    @property
    def refused_text(self) -> str:
        """What is said of a child that was refused memory although it held less than its limit."""
        inherited = process_limits.inherited_address_space_mb()
        if inherited < float("inf"):
            return f"address space limit of {inherited:.0f} MiB (inherited: `ulimit -v`)"
        return f"asked for much more than its {self.memory_text} at once"


def _child(function: str, kwargs: dict[str, Any], limits: Limits, fd: int, log: IO[bytes], scratch: Path) -> NoReturn:
    code = 1
    try:
        os.setsid()
        die_with_parent(signal.SIGKILL)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        process_limits.lower(resource.RLIMIT_CORE, 0)
        process_limits.limit_cpu(limits.cpu_s)
        held = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
        process_limits.limit_address_space(held, limits.memory_mb)
        sandbox._report_fd = fd
        with contextlib.suppress(OSError):
            scratch.mkdir(mode=0o700)
            sandbox._scratch = scratch
            # Whatever temporary files are made, by programs too, are gone with the child.
            tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
        module, _, name = function.partition(":")
        target = getattr(importlib.import_module(module), name)
        arguments = kwargs.pop("args", ())
        write_frame(fd, ("value", target(*arguments, **kwargs)))
        code = 0
    except MemoryError as error:
        write_frame(fd, ("memory", str(error)))
    except BaseException as error:
        write_frame(fd, ("error", type(error).__name__, str(error)))
    finally:
        # No clean-up of inherited Python state: it belongs to the helper.
        os._exit(code)


class _Frames:
    """What a child has written so far."""

    def __init__(self, answers: int | None, as_they_come: bool) -> None:
        self.partial: Any = None
        self.closing: Any = None
        self._answers, self._as_they_come = answers, as_they_come
        self._data = bytearray()
        self._position = 0

    def feed(self, piece: bytes) -> None:
        """Take in the next bytes; partial values are handed on as they come if that is wanted, stages in any case."""
        self._data += piece
        while self._position + 8 <= len(self._data):
            (size,) = struct.unpack_from("<Q", self._data, self._position)
            end = self._position + 8 + size
            if end > len(self._data):
                break
            frame = pickle.loads(bytes(self._data[self._position + 8 : end]))
            self._position = end
            if frame[0] not in ("report", STAGE):
                self.closing = frame
                continue
            if frame[0] == "report":
                self.partial = frame[1]
            if self._answers is not None and (self._as_they_come or frame[0] == STAGE):
                write_frame(self._answers, frame)
        if self._position > 1 << 20:
            del self._data[: self._position]
            self._position = 0


@dataclass
class _Seen:
    """What the processes of a run have used when they were last looked at."""

    cpu_s: float = 0.0
    memory_mb: float = 0.0


def _end_child(pid: int) -> None:
    # One that was forked just now has no group of its own yet.
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def _look(processes: Descendants, bounds: _Bounds, held_mb: float, seen: _Seen) -> tuple[Status, str] | None:
    """Return the limit that the processes of a run have passed, if any."""
    pids = processes.look()
    seen.cpu_s, resident_mb = usage(pids)
    if seen.cpu_s > bounds.cpu_s:
        return "TIMEOUT", bounds.cpu_text
    # Pages that are shared with this process, and between them, were counted more than once.
    if resident_mb - held_mb > bounds.memory_mb and (proportional := proportional_mb(pids)) > bounds.memory_mb:
        seen.memory_mb = max(seen.memory_mb, proportional)
        return "MEMOUT", bounds.memory_text
    return None


def _watch(
    pid: int, processes: Descendants, reader: int, bounds: _Bounds, frames: _Frames, held_mb: float, seen: _Seen
) -> tuple[Status, str] | None:
    """Wait for a child's end; return the limit that it, or what runs below it, has passed, if any."""
    start = time.monotonic()
    next_look = start + _POLL_S
    sources = [reader, 0]
    while True:
        now = time.monotonic()
        remaining = start + bounds.wall_s - now
        if remaining <= 0:
            return "TIMEOUT", bounds.wall_text
        # A child that has closed its pipe is about to end; one that has ended may have left it to others.
        pause = _POLL_S if reader in sources else 0.002
        ready, _, _ = select.select(sources, [], [], min(remaining, pause))
        if reader in ready:
            piece = os.read(reader, 1 << 20)
            if piece:
                frames.feed(piece)
            else:
                sources.remove(reader)
        elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return None
        if 0 in ready:
            # No request comes while one is running, but a word on it may.
            try:
                word = read_frame(0)
            except EOFError:
                # The caller has gone.
                _leave()
            signal_all(below(os.getpid()), signal.SIGSTOP if word == PAUSE else signal.SIGCONT)
        if time.monotonic() >= next_look:
            over = _look(processes, bounds, held_mb, seen)
            if over is not None:
                return over
            now = time.monotonic()
            next_look = now + (_POLL_S if now - start < _LATER_S else _LATER_POLL_S)


def _fork() -> int:
    for attempt in range(_FORK_TRIES):
        try:
            return os.fork()
        except BlockingIOError:
            if attempt == _FORK_TRIES - 1:
                raise
            time.sleep(_FORK_PAUSE_S)
    raise AssertionError("unreachable")


def _log() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:
        # No room for temporary files; what is printed is little, as a rule.
        return os.fdopen(os.memfd_create("satcost-log"), "w+b")


# Modules that functions have been called from.
_called: set[str] = set()


def _import_for(name: str) -> None:
    """Import a function's module here once rather than in every child; if that fails, the child reports the error.

    What the module names in ``CHILDREN_IMPORT`` is what its functions import in some cases only. It is imported here
    once they are called again: one call alone pays for what it needs itself.
    """
    with contextlib.suppress(Exception):
        module = importlib.import_module(name)
        if name in _called:
            for one in getattr(module, "CHILDREN_IMPORT", ()):
                importlib.import_module(one)
        _called.add(name)


def _run(
    function: str,
    kwargs: dict[str, Any],
    limits: Limits,
    scratch: Path,
    answers: int | None = None,
    as_they_come: bool = False,
) -> Outcome:
    """Run one request; stages are written to ``answers``, if it is given, and partial values if they are wanted."""
    _import_for(function.partition(":")[0])
    bounds = _Bounds.of(limits)
    frames, seen = _Frames(answers, as_they_come), _Seen()
    held_mb = _held_mb()
    # All that runs below this process belongs to the run: orphans of the child come to it.
    processes = Descendants(os.getpid())
    reader, writer = os.pipe()
    with _log() as log:
        start = time.monotonic()
        try:
            pid = _fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if pid == 0:
            os.close(reader)
            _child(function, kwargs, limits, writer, log, scratch)
        os.close(writer)
        over = _watch(pid, processes, reader, bounds, frames, held_mb, seen)
        os.close(reader)
        if over is not None:
            _end_child(pid)
        _, code, spent = os.wait4(pid, 0)
        wall = time.monotonic() - start
        end_all_below()
        shutil.rmtree(scratch, ignore_errors=True)
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 4096))
        printed = log.read().decode("utf-8", "replace").strip()
    # What orphans of the child had used when they were last seen is not in its own account.
    cpu = max(seen.cpu_s, spent.ru_utime + spent.ru_stime)
    peak = max(seen.memory_mb, spent.ru_maxrss / 1024)
    status, detail, error_type = _conclude(bounds, frames.closing, over, code, cpu, peak - held_mb, printed)
    value = frames.closing[1] if status == "OK" else frames.partial
    return Outcome(status, value, cpu, wall, peak, detail, error_type)


def _conclude(
    bounds: _Bounds, closing: Any, over: tuple[Status, str] | None, code: int, cpu_s: float, own_mb: float, printed: str
) -> tuple[Status, str, str]:
    """Return status, detail and type of the error."""
    if closing is not None and closing[0] == "value":
        return "OK", "", ""
    full = own_mb > 0.8 * bounds.memory_mb
    if closing is not None and closing[0] == "memory":
        return "MEMOUT", bounds.memory_text if full else bounds.refused_text, ""
    if closing is not None:
        return "ERROR", closing[2], closing[1]
    if over is not None:
        return *over, ""
    number = os.WTERMSIG(code) if os.WIFSIGNALED(code) else 0
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_s >= bounds.cpu_s - 0.1):
        return "TIMEOUT", bounds.cpu_text, ""
    tail = printed.splitlines()[-1] if printed else ""
    if any(mark in printed.lower() for mark in _MEMORY_MARKS) or (number and full):
        return "MEMOUT", f"{bounds.memory_text if full else bounds.refused_text} ({tail or 'no message'})", ""
    if number == signal.SIGKILL:
        return "MEMOUT", "killed from outside, most likely by the kernel for want of memory", ""
    how = f"died by signal {signal.Signals(number).name}" if number else f"exited with code {os.WEXITSTATUS(code)}"
    return "CRASHED", f"{how} ({tail})" if tail else how, ""


# The directory of this helper, if there was room for one.
_space: list[ScratchSpace] = []


def _leave(_: int = 0, __: FrameType | None = None) -> NoReturn:
    """End all that runs below and this process: nobody wants an answer any more."""
    end_all_below()
    for space in _space:
        space.remove()
    os._exit(0)


def _serve(warden: int) -> NoReturn:
    """Answer requests until standard input closes, or a SIGTERM."""
    die_with_parent(signal.SIGTERM)
    if os.getppid() != warden:
        _leave()
    adopt_orphans()
    # What a library prints on file descriptor 1 must not mix with the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    number = 0
    base = _space[0].path if _space else Path(os.devnull)
    # A helper that was forked may never be asked for anything.
    select.select([0], [], [])
    # gbdc before PySAT: in the other order its isohash2 dies by a segmentation fault.
    for module in ("numpy", "gbdc", "pysat.solvers"):
        importlib.import_module(module)
    while True:
        try:
            request = read_frame(0)
        except EOFError:
            _leave()
        if isinstance(request, str):
            # A word on a run that has ended meanwhile.
            continue
        function, kwargs, limits, as_they_come = request
        number += 1
        try:
            answer: Any = _run(function, kwargs, limits, base / str(number), answers, as_they_come)
        except BrokenPipeError:
            _leave()
        except OSError as error:
            answer = (REFUSED, f"cannot start a process: {error.strerror} (`ulimit -u` limits their number)")
        try:
            write_frame(answers, answer)
        except BrokenPipeError:
            _leave()


def main() -> None:
    """Start the helper proper, and clean up after it however it ends."""
    signal.signal(signal.SIGTERM, _leave)
    adopt_orphans()
    with contextlib.suppress(OSError):
        _space.append(ScratchSpace.make())
    warden = os.getpid()
    try:
        server = _fork()
    except OSError:
        _serve(os.getppid())
    if server == 0:
        _serve(warden)
    # The caller's pipes are the helper's.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    remove_abandoned()
    while True:
        pid, _ = os.waitpid(-1, 0)
        if pid == server:
            _leave()
