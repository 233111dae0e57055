"""Limits that the kernel keeps, of which the smaller one always counts: ours or that which was inherited.

Batch systems, ``ulimit`` and runsolver set limits before we are started; a process may lower them, but not raise them.
"""

from __future__ import annotations

import math
import resource

# Address space is no memory: allocators, Java and sanitizers reserve far more than they use. The limit on it only
# stands behind the one on resident memory, for what is asked for all at once.
_BACKSTOP_FACTOR, _BACKSTOP_MB = 4, 8192
# CPU seconds between the end of a run and that of its process by the kernel.
_BEFORE_KERNEL_S = 0.3


def in_force(kind: int) -> float:
    """Return the limit of this process for one of the ``resource.RLIMIT_*``; infinite for none."""
    known = [float(value) for value in resource.getrlimit(kind) if value != resource.RLIM_INFINITY]
    return min(known, default=math.inf)


def inherited_cpu_s() -> float:
    """Return the CPU seconds that a process started from here may use (``ulimit -t``); infinite for any number."""
    return in_force(resource.RLIMIT_CPU)


def before_kernels_limit(cpu_s: float, used_s: float = 0.0) -> float:
    """Return a limit of CPU seconds, lowered so that it is met before the kernel ends a process that has used some."""
    return min(cpu_s, max(inherited_cpu_s() - used_s - _BEFORE_KERNEL_S, _BEFORE_KERNEL_S))


# The limit of address space before it was lowered here, in a sandboxed child.
_address_space: list[tuple[int, int]] = []


def inherited_address_space_mb() -> float:
    """Return the mebibytes of address space that a process may take (``ulimit -v``); infinite for any number."""
    known = _address_space[0] if _address_space else resource.getrlimit(resource.RLIMIT_AS)
    return min((value / 2**20 for value in known if value != resource.RLIM_INFINITY), default=math.inf)


def lower(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit (``resource.RLIMIT_*``) of this process, or leave what is lower; ``hard`` is ``soft`` if None."""
    ceiling = in_force(kind)
    wanted = (soft, soft if hard is None else hard)
    resource.setrlimit(kind, (int(min(wanted[0], ceiling)), int(min(wanted[1], ceiling))))


def limit_cpu(cpu_s: float) -> None:
    """Have the kernel end this process a second or two after its CPU limit."""
    seconds = math.ceil(cpu_s) + 1
    lower(resource.RLIMIT_CPU, seconds, seconds + 1)


def limit_address_space(held_bytes: int, memory_mb: int) -> None:
    """Have the kernel refuse this process what is out of all proportion to a limit of resident memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    _address_space[:] = [(soft, hard)]
    ceiling = held_bytes + (_BACKSTOP_FACTOR * memory_mb + _BACKSTOP_MB) * 2**20
    # The hard limit stays, so that programs can be given back what was there.
    resource.setrlimit(resource.RLIMIT_AS, (int(min(ceiling, in_force(resource.RLIMIT_AS))), hard))


def lift_address_space() -> None:
    """Take :func:`limit_address_space` back, for a program that this process is about to become."""
    if _address_space:
        resource.setrlimit(resource.RLIMIT_AS, _address_space[0])
