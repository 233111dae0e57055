"""One process writes an output at a time: a lock beside it that names its holder and ends with it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.output_files import target_of


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of an output.

    The system frees it when its holder ends, however that happens: what a killed process leaves is taken over.

    Parameters
    ----------
    path
        The file or directory that is written.
    wait
        Wait for another holder instead of refusing.

    Raises
    ------
    OutputError
        If another process holds it; the message names it.
    """
    target = target_of(path)
    place = target.with_name(f".{target.name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle = _acquired(place, path, wait)
    except OSError as error:
        raise OutputError(f"{place}: cannot be written ({error.strerror}); name another place") from error
    try:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S %z")
            about = {"pid": os.getpid(), "host": platform.node(), "since": since}
            os.pwrite(handle, json.dumps(about).encode() + b"\n", 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            place.unlink()
        os.close(handle)


def _acquired(place: Path, path: Path, wait: bool) -> int:
    while True:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise OutputError(
                f"{path} is being written by {holder}; wait for it to end, or name another output"
            ) from None
        except OSError:
            # A file system without locks.
            return handle
        # Its former holder may have removed the file between our opening and locking it.
        with contextlib.suppress(FileNotFoundError):
            if place.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)


def _holder(handle: int) -> str:
    # Its holder may just be writing down who it is.
    for _ in range(20):
        try:
            about = json.loads(os.pread(handle, 4096, 0))
            return f"process {about['pid']} on {about['host']} since {about['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.01)
    return "another process"
