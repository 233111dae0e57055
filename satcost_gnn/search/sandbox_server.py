"""The helper process behind :class:`satcost_gnn.search.sandbox.Sandbox`: forks, limits, watches and reaps children.

Run as ``python -m satcost_gnn.search.sandbox_server``; reads requests on standard input, answers on standard output.
Linux only: it relies on ``/proc`` and ``prctl``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import math
import os
import pickle
import resource
import secrets
import select
import shutil
import signal
import struct
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn

from satcost_gnn.search import sandbox
from satcost_gnn.search.process_tree import descendants, process_table
from satcost_gnn.search.sandbox import PAUSE, Limits, Outcome, Status, read_frame, write_frame

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
# How often a running child's CPU time is read; the kernel's own RLIMIT_CPU stands behind it with whole seconds.
_POLL_S = 0.05
# Marks of an exhausted memory in what a dying solver prints.
_MEMORY_MARKS = ("bad_alloc", "out of memory", "out-of-memory", "cannot allocate memory", "memory exhausted")


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _kill_descendants(include: int | None = None) -> None:
    """Kill every process below this one (orphans of a child come to us, the subreaper), and ``include``'s group."""
    if include is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(include, signal.SIGKILL)
    for _ in range(20):
        below = descendants(os.getpid(), process_table())[1:]
        alive = [pid for pid in below if pid != include]
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in alive:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.005)


def _send_below(number: signal.Signals) -> None:
    for pid in descendants(os.getpid(), process_table())[1:]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _child(function: str, kwargs: dict[str, Any], limits: Limits, fd: int, log: IO[bytes], scratch: Path) -> NoReturn:
    code = 1
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        seconds = math.ceil(limits.cpu_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        held = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
        ceiling = held + limits.memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
        sandbox._report_fd = fd
        sandbox._scratch = scratch
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


def _last_frames(data: bytearray) -> tuple[Any, Any]:
    """Return the last partial value and the closing frame of what a child wrote, None where missing."""
    partial, closing, position = None, None, 0
    while position + 8 <= len(data):
        (size,) = struct.unpack_from("<Q", data, position)
        if position + 8 + size > len(data):
            break
        frame = pickle.loads(bytes(data[position + 8 : position + 8 + size]))
        if frame[0] == "report":
            partial = frame[1]
        else:
            closing = frame
        position += 8 + size
    return partial, closing


def _forward_reports(data: bytearray, position: int, answers: int) -> int:
    """Hand on the partial values that are whole from a position on; return the position behind them."""
    while position + 8 <= len(data):
        (size,) = struct.unpack_from("<Q", data, position)
        if position + 8 + size > len(data):
            break
        frame = pickle.loads(bytes(data[position + 8 : position + 8 + size]))
        if frame[0] == "report":
            write_frame(answers, frame)
        position += 8 + size
    return position


def _run(function: str, kwargs: dict[str, Any], limits: Limits, answers: int | None = None) -> Outcome:
    """Run one request; partial values are written to ``answers`` as they come, if it is given."""
    # Imported here once rather than in every child; if it fails, the child reports the error.
    with contextlib.suppress(Exception):
        importlib.import_module(function.partition(":")[0])
    reader, writer = os.pipe()
    # Only a name, which nobody else knows; the directory is made by a child that asks for it.
    scratch = Path(tempfile.gettempdir(), f"satcost-run-{os.getpid()}-{secrets.token_hex(8)}")
    with tempfile.TemporaryFile() as log:
        start = time.monotonic()
        # From here on SIGTERM has a directory to remove.
        _to_remove[:] = [scratch]
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _child(function, kwargs, limits, writer, log, scratch)
        os.close(writer)
        data = bytearray()
        forwarded = 0
        over: str | None = None
        used = 0.0
        next_look = start + _POLL_S
        while True:
            now = time.monotonic()
            remaining = start + limits.wall_s - now
            if remaining <= 0:
                over = f"wall-clock limit of {limits.wall_s:g} s"
                break
            ready, _, _ = select.select([reader, 0], [], [], min(remaining, _POLL_S))
            if reader in ready:
                piece = os.read(reader, 1 << 20)
                if not piece:
                    break
                data += piece
                if answers is not None:
                    forwarded = _forward_reports(data, forwarded, answers)
            if 0 in ready:
                # No request comes while one is running, but a word on it may.
                try:
                    word = read_frame(_Exact(0))
                except EOFError:
                    # The caller has gone. A child that was forked just now has no group of its own yet.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    _kill_descendants(pid)
                    shutil.rmtree(scratch, ignore_errors=True)
                    os._exit(0)
                _send_below(signal.SIGSTOP if word == PAUSE else signal.SIGCONT)
            if time.monotonic() >= next_look:
                table = process_table()
                used = sum(table[p][1] for p in descendants(pid, table) if p in table)
                if used > limits.cpu_s:
                    over = f"CPU limit of {limits.cpu_s:g} s"
                    break
                # A long run is looked at less often: reading the process table is not free.
                next_look = time.monotonic() + max(_POLL_S, min(0.5, 0.02 * limits.cpu_s))
        os.close(reader)
        if over is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, code, usage = os.wait4(pid, 0)
        wall = time.monotonic() - start
        _kill_descendants(pid)
        shutil.rmtree(scratch, ignore_errors=True)
        # What orphans of the child had used when they were last seen is not in its own account.
        cpu = max(used, usage.ru_utime + usage.ru_stime)
        peak = usage.ru_maxrss / 1024
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 4096))
        printed = log.read().decode("utf-8", "replace").strip()
    partial, closing = _last_frames(data)

    def outcome(status: Status, value: Any, detail: str = "", error_type: str = "") -> Outcome:
        return Outcome(status, value, cpu, wall, peak, detail, error_type)

    if closing is not None and closing[0] == "value":
        return outcome("OK", closing[1])
    if closing is not None and closing[0] == "memory":
        return outcome("MEMOUT", partial, f"memory limit of {limits.memory_mb} MiB")
    if closing is not None:
        return outcome("ERROR", partial, closing[2], closing[1])
    if over is not None:
        return outcome("TIMEOUT", partial, over)
    number = os.WTERMSIG(code) if os.WIFSIGNALED(code) else 0
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu >= limits.cpu_s):
        return outcome("TIMEOUT", partial, f"CPU limit of {limits.cpu_s:g} s")
    tail = printed.splitlines()[-1] if printed else ""
    if any(mark in printed.lower() for mark in _MEMORY_MARKS) or (number and peak > 0.8 * limits.memory_mb):
        return outcome("MEMOUT", partial, f"memory limit of {limits.memory_mb} MiB ({tail or 'no message'})")
    if number == signal.SIGKILL:
        return outcome("MEMOUT", partial, "killed from outside, most likely by the kernel for want of memory")
    how = f"died by signal {signal.Signals(number).name}" if number else f"exited with code {os.WEXITSTATUS(code)}"
    return outcome("CRASHED", partial, f"{how} ({tail})" if tail else how)


# Scratch directory of the running child.
_to_remove: list[Path] = []


def _cancelled(_: int, __: FrameType | None) -> NoReturn:
    """End the child and this process: the caller wants no answer any more."""
    _kill_descendants()
    for path in _to_remove:
        shutil.rmtree(path, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Serve requests until standard input closes, or a SIGTERM."""
    signal.signal(signal.SIGTERM, _cancelled)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # What a library prints on file descriptor 1 must not mix with the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    # gbdc before PySAT: in the other order its isohash2 dies by a segmentation fault.
    for module in ("numpy", "gbdc", "pysat.solvers"):
        importlib.import_module(module)
    requests = _Exact(0)
    while True:
        try:
            request = read_frame(requests)
        except EOFError:
            return
        if isinstance(request, str):
            # A word on a run that has ended meanwhile.
            continue
        function, kwargs, limits, as_they_come = request
        write_frame(answers, _run(function, kwargs, limits, answers if as_they_come else None))


class _Exact:
    """Reads exactly as many bytes as asked for from a file descriptor, so that none is held back from select."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end of the stream."""
        parts = []
        while size:
            piece = os.read(self._fd, min(size, 1 << 20))
            if not piece:
                break
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)


if __name__ == "__main__":
    main()
