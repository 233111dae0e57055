"""Directories for temporary files that are gone when their owner is, however it has ended.

A directory holds a file that its owner keeps locked; the kernel frees the lock when the owner dies. Whoever makes the
next directory removes those that nobody holds any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

PREFIX = "satcost-run-"
_OWNER = "owner"


class ScratchSpace:
    """A directory of this process's own below ``TMPDIR``; see :meth:`make`.

    Processes forked from this one hold it, too: it is in use as long as one of them lives.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls) -> Self:
        """Make one.

        Raises
        ------
        OSError
            If there is no room for it.
        """
        parent = Path(tempfile.gettempdir())
        # Under another name until it is locked: nobody must take it for one that was left behind.
        path = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
        try:
            lock = os.open(path / _OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # Some network file systems know no locks: there it is nobody's to remove.
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            final = parent / path.name[1:]
            path.rename(final)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return cls(final, lock)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def remove_abandoned() -> None:
    """Remove the directories below ``TMPDIR`` that are ours for certain, and whose owner has died."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(entry)


def _remove_if_abandoned(entry: os.DirEntry[str]) -> None:
    if not entry.is_dir(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
        return
    lock = os.open(Path(entry.path, _OWNER), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(entry.path, ignore_errors=True)
    finally:
        os.close(lock)


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """Yield a directory that is removed at the end of the block, or at the next start of ours if this process dies.

    Raises
    ------
    OSError
        If there is no room for it.
    """
    space = ScratchSpace.make()
    try:
        yield space.path
    finally:
        space.remove()
