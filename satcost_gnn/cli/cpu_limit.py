"""An inherited limit on CPU time (``ulimit -t``, a batch system's) interrupts a command before the kernel kills it."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from satcost_gnn.runtime.process_limits import inherited_cpu_s

# CPU seconds before the limit: a command stops between two steps of Python, and has children to end.
_MARGIN_S, _MARGIN_SHARE = 1.0, 0.3


@contextmanager
def interrupted_before_cpu_limit() -> Iterator[Event]:
    """Within it, this process is interrupted as by Ctrl-C shortly before its CPU time is used up, and says so.

    What commands keep when they are interrupted is kept then, too. Without a limit nothing is changed.

    Yields
    ------
    threading.Event
        Set once that has happened.
    """
    happened = Event()
    limit = inherited_cpu_s()
    if math.isinf(limit):
        yield happened
        return

    def interrupt(_: int, __: FrameType | None) -> None:
        print(
            f"satcost: the CPU limit of {limit:g} s for this process (inherited: `ulimit -t`) is nearly used up; raise "
            "it, or do less at a time",
            file=sys.stderr,
            flush=True,
        )
        happened.set()
        raise KeyboardInterrupt

    left = limit - time.process_time() - min(_MARGIN_S, _MARGIN_SHARE * limit)
    before = signal.signal(signal.SIGPROF, interrupt)
    # Processes that are started have no such timer.
    signal.setitimer(signal.ITIMER_PROF, max(left, 0.01))
    try:
        yield happened
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
