"""Processes by what stands on their command lines."""

import os
import time
from pathlib import Path


def processes_with(marker: str) -> list[str]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if marker.encode() in Path(entry.path, "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


def left_running(marker: str, within_s: float = 30.0) -> list[str]:
    """Wait until none of the processes is left, or so long; return those that are."""
    deadline = time.monotonic() + within_s
    while (found := processes_with(marker)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
