"""What a solver says in ``c`` lines: its name, what was run, and the resources used; on SIGTERM too."""

from __future__ import annotations

import contextlib
import resource
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from satcost_gnn import __version__
from satcost_gnn.decide.run import Progress, Solution

#: What a program that SIGTERM has ended is said to have returned.
TERMINATED = 128 + signal.SIGTERM


class Terminated(BaseException):
    """A SIGTERM has come; no error, so that nothing that goes on after errors keeps it."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` at a SIGTERM, so that what is running is ended and what has been done is told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ended(_: int, __: FrameType | None) -> None:
        # A second one ends the process as it always does.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _resources() -> list[str]:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(used.ru_utime + used.ru_stime for used in (own, children))
    return [
        f"c process-time: {cpu:.2f} seconds",
        f"c maximum-resident-set-size: {max(own.ru_maxrss, children.ru_maxrss) / 1024:.2f} MB",
    ]


def comments(solution: Solution) -> list[str]:
    """Return the ``c`` lines of a solution."""
    lines = [f"c satcost {__version__}"]
    lines += [f"c {one.solver}: {one.status} after {one.cpu_s:.2f} CPU seconds" for one in solution.attempts]
    if solution.solver:
        lines.append(f"c answered by {solution.solver}")
    if solution.proof is not None:
        lines.append(f"c proof written to {solution.proof}")
    return [*lines, f"c wall-clock-time: {solution.wall_s:.2f} seconds", *_resources()]


def comments_when_terminated(progress: Progress | None, began: float) -> list[str]:
    """Return the ``c`` lines of a search that SIGTERM has ended, begun when :func:`time.monotonic` said ``began``."""
    lines = [f"c satcost {__version__}", "c caught signal SIGTERM"]
    if progress is not None:
        lines.append(f"c phase: {progress.phase}")
        for solver, seen in progress.running.items():
            done = "" if seen is None else f" {seen.cpu_s:.2f} CPU seconds, {seen.conflicts} conflicts"
            lines.append(f"c running: {solver}{done}")
    return [*lines, f"c wall-clock-time: {time.monotonic() - began:.2f} seconds", *_resources()]
