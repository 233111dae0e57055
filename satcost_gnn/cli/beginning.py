"""When a command began: with its process where the process is nothing but the command, else when it was called."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from satcost_gnn.runtime.process_tree import process_start

_process_is_the_command = False


@contextmanager
def process_of_the_command() -> Iterator[None]:
    """Within it, this process was started for one command: what Python took to start counts for its limits, too."""
    global _process_is_the_command
    _process_is_the_command = True
    try:
        yield
    finally:
        _process_is_the_command = False


def command_began() -> float:
    """Return the value that ``time.monotonic()`` had when the command began; asked for when it begins its work."""
    return process_start() if _process_is_the_command else time.monotonic()
