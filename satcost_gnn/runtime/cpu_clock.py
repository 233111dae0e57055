"""The clock of whatever is charged to a decision: CPU seconds, as the costs of solvers are measured."""

from __future__ import annotations

import resource
import time


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, all its threads and the children that it has waited for."""
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + below.ru_utime + below.ru_stime
