"""The runs of a data set directory while collectors extend it: a journal each, and the table made of them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import uuid
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from satcost_gnn.data.schema import Run, RunKey, RunStatus, read_runs, write_runs
from satcost_gnn.errors import DatasetError

# What Python said where a limit was inherited that is lower than the one to be set; tables of former versions have it.
_REFUSED_LIMIT = "not allowed to raise maximum limit"


class RunStore:
    """The runs of a data set directory, as seen and extended by one collector.

    Parameters
    ----------
    directory
        Data set directory; created if missing.

    Raises
    ------
    DatasetError
        If the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.table = directory / "runs.parquet"
        self._journals = directory / "journal"
        try:
            self._journals.mkdir(parents=True, exist_ok=True)
            self._claims = (self._journals / "claims.lock").open("a+b")
            self._own_path = self._journals / f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            # Not buffered: a line is on its way to the disk as a whole, or it is taken back.
            self._own = self._own_path.open("ab", buffering=0)
        except OSError as error:
            raise DatasetError(f"{directory}: cannot write the collector's journal: {error}") from error
        # Held while this collector lives: others leave the journal alone.
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self._positions: dict[Path, int] = {}
        self._runs: dict[RunKey, Run] = {}
        self._of: dict[tuple[str, int], list[Run]] = defaultdict(list)
        self._seen: tuple[int, int] | None = None
        self._read_table()
        self.refresh()

    def _state_of_table(self) -> tuple[int, int] | None:
        try:
            found = self.table.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _read_table(self) -> None:
        self._seen = self._state_of_table()
        if self._seen is not None:
            for run in read_runs(self.table):
                self._take(run)

    def _take(self, run: Run) -> None:
        # Made again: what a limit of this process came in the way of is no outcome of the solver.
        if run.key not in self._runs and not (run.status == RunStatus.CRASHED and _REFUSED_LIMIT in run.detail):
            self._runs[run.key] = run
            self._of[run.instance, run.seed].append(run)

    def refresh(self) -> None:
        """Take in what other collectors have written since the last look."""
        for path in sorted(self._journals.glob("*.jsonl")):
            if path == self._own_path:
                continue
            try:
                with path.open("rb") as stream:
                    stream.seek(self._positions.get(path, 0))
                    data = stream.read()
            except FileNotFoundError:
                # Merged into the table by another collector between the listing and now; see below.
                continue
            whole = data.rfind(b"\n") + 1
            self._positions[path] = self._positions.get(path, 0) + whole
            for line in data[:whole].splitlines():
                try:
                    run = Run.from_dict(json.loads(line))
                except (ValueError, KeyError, TypeError, DatasetError):
                    # A line torn by a full disk or a power cut: that run is made again.
                    continue
                self._take(run)
        # A journal that has ended since the last look is in the table, whether it was listed just now or not.
        if self._state_of_table() != self._seen:
            self._read_table()

    def __contains__(self, key: RunKey) -> bool:
        return key in self._runs

    def runs(self) -> list[Run]:
        """Return all runs known, sorted by their key so that the table doesn't depend on who ran what when."""
        return [self._runs[key] for key in sorted(self._runs)]

    def runs_of(self, instance: str, seed: int) -> list[Run]:
        """Return the runs known of an instance with a seed, of all solvers under all limits."""
        return list(self._of.get((instance, seed), ()))

    def claim(self, key: tuple[object, ...]) -> bool:
        """Claim a run, or whatever the key names, for this process; False if another collector holds it.

        The system frees it when we die.
        """
        digest = hashlib.blake2b(repr(key).encode(), digest_size=7).digest()
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int.from_bytes(digest, "big"))
        except OSError:
            return False
        return True

    def add(self, run: Run) -> None:
        """Write a finished run to the journal and to the disk.

        Raises
        ------
        DatasetError
            If it can't be written, for example because the disk is full; the run will be made again on resuming.
        """
        line = json.dumps(asdict(run), separators=(",", ":")).encode() + b"\n"
        journal = self._own.fileno()
        before = os.fstat(journal).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(journal, rest) :]
            os.fsync(journal)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(journal, before)
            raise DatasetError(
                f"{self._own_path}: cannot write a finished run: {error.strerror}; make room and start the same "
                "command again: what was finished before is kept"
            ) from error
        self._take(run)

    def merge(self) -> None:
        """Rebuild ``runs.parquet`` from all journals and drop those whose collectors have ended."""
        with (self._journals / "merge.lock").open("a+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read_table()
            self.refresh()
            ended = []
            for path in self._journals.glob("*.jsonl"):
                if path != self._own_path:
                    with path.open("ab") as stream:
                        try:
                            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        except OSError:
                            continue
                        ended.append(path)
            # Once more: a collector may have ended between the reading and the look at its lock.
            self.refresh()
            write_runs(self.table, self.runs())
            for path in ended:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Merge, and drop this collector's own journal."""
        self.merge()
        self._own.close()
        self._own_path.unlink(missing_ok=True)
        self._claims.close()
