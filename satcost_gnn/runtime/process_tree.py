"""Which processes run below another one, what they use, and how they are ended (Linux only)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _fields(pid: int) -> list[str]:
    # The command name may hold blanks and parentheses: fields are counted from its last ')'.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def adopt_orphans() -> None:
    """Become the parent of every process below whose own parent ends, so that none gets out of reach."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send a signal to this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _kernel_lists_children() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _below_by_parents(root: int) -> list[int]:
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parents[int(entry.name)] = int(_fields(int(entry.name))[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found[1:]


def below(root: int) -> list[int]:
    """Return every process below ``root``, without reading the whole table where the kernel lists children.

    One that is just being forked or reparented may be missing.
    """
    if not _kernel_lists_children():
        return _below_by_parents(root)
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    children = [int(word) for word in (task / "children").read_text().split()]
                    found += children
                    waiting += children
    return found


class Descendants:
    """The processes below one, for whoever looks again and again.

    Where the kernel doesn't list children, the table of all processes has to be read for that. But whoever is not below
    a process never gets there, and whoever was there before it started anything is not below it: only those that have
    appeared since the last look are read. A process that has been seen below counts until its end, whoever its parent
    is by then.

    Parameters
    ----------
    root
        A process that has none below it yet, and no others will be given to it.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._listed = _kernel_lists_children()
        self._others: set[int] = set() if self._listed else self._all()
        self._members: set[int] = set()

    @staticmethod
    def _all() -> set[int]:
        with os.scandir("/proc") as entries:
            return {int(entry.name) for entry in entries if entry.name.isdigit()}

    def look(self) -> list[int]:
        """Return those that are there now; one that is just being forked may be missing."""
        if self._listed:
            return below(self._root)
        there = self._all()
        self._others &= there
        self._members &= there
        parents: dict[int, int] = {}
        for pid in there - self._others - self._members:
            # One that has ended meanwhile is read no more.
            with contextlib.suppress(OSError, ValueError, IndexError):
                parents[pid] = int(_fields(pid)[1])
        before = -1
        while len(self._members) > before:
            before = len(self._members)
            self._members |= {pid for pid, parent in parents.items() if parent == self._root or parent in self._members}
        self._others |= parents.keys() - self._members
        return sorted(self._members)


def usage(pids: list[int]) -> tuple[float, float]:
    """Return CPU seconds (with those of children that they reaped) and mebibytes resident of processes."""
    cpu_s = resident = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _fields(pid)
            cpu_s += sum(map(int, fields[11:15])) * _TICK_S
            resident += int(fields[21]) * _PAGE
    return cpu_s, resident / 2**20


def proportional_mb(pids: list[int]) -> float:
    """Return the mebibytes of processes, each shared page divided among those that share it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def process_start() -> float:
    """Return the value that ``time.monotonic()`` had when this process was started."""
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(_fields(os.getpid())[19]) * _TICK_S
    return time.monotonic() - age_s


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to those of the processes that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all_below(on_reaped: Callable[[resource.struct_rusage], None] | None = None) -> None:
    """Kill and reap every process below this one, which :func:`adopt_orphans`.

    ``on_reaped`` is called with what each process that was reaped has used.
    """
    # A process that the kernel doesn't end by then is given up.
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        try:
            while True:
                pid, _, spent = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    break
                if on_reaped is not None:
                    on_reaped(spent)
        except ChildProcessError:
            # Whoever is below somebody else has become ours with that one's end.
            return
        signal_all(below(os.getpid()), signal.SIGKILL)
        time.sleep(0.002)
