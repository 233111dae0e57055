"""Which processes run below another one, and what they use, as told by ``/proc`` (Linux only)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _fields(pid: int) -> list[str]:
    # The command name may hold blanks and parentheses: fields are counted from its last ')'.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(fields: list[str]) -> float:
    return sum(map(int, fields[11:15])) * _TICK_S


def process_table() -> dict[int, tuple[int, float]]:
    """Return ``pid -> (parent pid, CPU seconds with those of its reaped children)`` of every process here."""
    table = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = _fields(int(entry.name))
                table[int(entry.name)] = (int(fields[1]), _cpu_s(fields))
    return table


def descendants(root: int, table: dict[int, tuple[int, float]]) -> list[int]:
    """Return ``root`` and every process below it."""
    found = [root]
    for pid in found:
        found.extend(child for child, (parent, _) in table.items() if parent == pid)
    return found


def below(root: int) -> list[int]:
    """Return every process below ``root``, without reading the whole table where the kernel lists children.

    One that is just being forked or reparented may be missing.
    """
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return descendants(root, process_table())[1:]
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


def usage(pids: list[int]) -> tuple[float, float]:
    """Return CPU seconds (with those of children that they reaped) and mebibytes resident of processes."""
    cpu_s = resident = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _fields(pid)
            cpu_s += _cpu_s(fields)
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
