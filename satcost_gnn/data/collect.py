"""Measure what instances cost: instances x solvers x seeds, each run in a limited child, none lost.

Every finished run is appended to a journal of this collector's own and flushed to disk as soon as it has ended;
``runs.parquet`` is rebuilt from the journals now and then, atomically. A collector that is killed at any point leaves a
journal that the next one reads, so starting the same command again continues it. Several collectors may share a
directory: a run is claimed by a record lock that the system releases when its holder dies. Where runs are made, on this
machine or on a cluster, is the executor's business (:mod:`satcost_gnn.data.execution`); the journal is kept here, so a
run that an executor has to start twice is still counted once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from satcost_gnn.data.execution import CollectLimits, Executor, LocalExecutor, Request, Unmade
from satcost_gnn.data.schema import Run, read_runs, write_runs
from satcost_gnn.errors import DatasetError
from satcost_gnn.search.solvers import solver_spec

Key = tuple[str, str, int, float]


@dataclass(frozen=True)
class Progress:
    """State of a collection, handed to the progress callback after every run.

    Parameters
    ----------
    done, total
        Runs finished by this collector or found finished, and runs asked for.
    fresh
        Runs made by this collector.
    elapsed_s
        Seconds since this collector started.
    last
        The run just finished, None before the first.
    """

    done: int
    total: int
    fresh: int
    elapsed_s: float
    last: Run | None

    @property
    def remaining_s(self) -> float | None:
        """Estimate of the seconds left at the mean rate so far, None before the first run."""
        return self.elapsed_s / self.fresh * (self.total - self.done) if self.fresh else None


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
        self._guard = threading.Lock()
        self._runs: dict[Key, Run] = {}
        self._read_table()
        self.refresh()

    def _read_table(self) -> None:
        if self.table.exists():
            for run in read_runs(self.table):
                self._runs.setdefault(run.key, run)

    def refresh(self) -> None:
        """Take in what other collectors have written since the last look."""
        with self._guard:
            for path in sorted(self._journals.glob("*.jsonl")):
                if path == self._own_path:
                    continue
                try:
                    with path.open("rb") as stream:
                        stream.seek(self._positions.get(path, 0))
                        data = stream.read()
                except FileNotFoundError:
                    # Merged into the table by another collector between the listing and now.
                    self._read_table()
                    continue
                whole = data.rfind(b"\n") + 1
                self._positions[path] = self._positions.get(path, 0) + whole
                for line in data[:whole].splitlines():
                    try:
                        run = Run.from_dict(json.loads(line))
                    except (ValueError, KeyError, TypeError, DatasetError):
                        # A line torn by a full disk or a power cut: that run is made again.
                        continue
                    self._runs.setdefault(run.key, run)

    def __contains__(self, key: Key) -> bool:
        return key in self._runs

    def runs(self) -> list[Run]:
        """Return all runs known, sorted by their key so that the table doesn't depend on who ran what when."""
        with self._guard:
            return [self._runs[key] for key in sorted(self._runs)]

    def claim(self, key: Key) -> bool:
        """Claim a run for this process; False if another collector holds it. Freed by the system when we die."""
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
        with self._guard:
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
            self._runs[run.key] = run

    def merge(self) -> None:
        """Rebuild ``runs.parquet`` from all journals and drop those whose collectors have ended."""
        with (self._journals / "merge.lock").open("a+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._guard:
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


def collect(
    requests: Sequence[Request],
    directory: Path,
    *,
    limits: CollectLimits | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_problem: Callable[[str], None] | None = None,
    merge_every_s: float = 120.0,
) -> list[Run]:
    """Make the runs that are not there yet and return all of the directory's runs.

    Parameters
    ----------
    requests
        Runs to make, in this order.
    directory
        Data set directory: ``runs.parquet`` and the journals.
    limits
        Limits of each run; a run under other limits is another run.
    jobs
        Runs at a time on this machine.
    executor
        Where runs are made, if not on this machine.
    on_progress
        Called after every run, from one thread at a time.
    on_problem
        Called with a message for a run that can't be made, because its file has vanished for example; it is left out,
        the rest goes on.
    merge_every_s
        Seconds between rebuilds of ``runs.parquet``.

    Raises
    ------
    DatasetError
        If the directory can't be written.
    SolverError
        If a solver is unknown, or is a program that can no longer be started.
    SatcostError
        If the executor can make no more runs.
    """
    bounds = limits or CollectLimits()
    for name in {request.solver for request in requests}:
        solver_spec(name)
    store = RunStore(directory)
    start, merged = time.monotonic(), time.monotonic()
    lock = threading.Lock()
    done = fresh = 0

    def step(run: Run | None) -> None:
        nonlocal done, fresh
        with lock:
            done += 1
            fresh += run is not None
            if on_progress is not None:
                on_progress(Progress(done, len(requests), fresh, time.monotonic() - start, run))

    def problem(text: str) -> None:
        if on_problem is not None:
            on_problem(text)
        step(None)

    def missing() -> Iterator[Request]:
        for request in requests:
            key = (request.instance, request.solver, request.seed, bounds.cpu_s)
            if key in store or not store.claim(key):
                step(None)
                continue
            # Another collector may have finished it between our last look and the claim.
            store.refresh()
            if key in store:
                step(None)
            elif not request.path.is_file():
                problem(f"{request.path}: the file has vanished; its runs are left out")
            else:
                yield request

    failed = True
    try:
        with contextlib.closing((executor or LocalExecutor(jobs)).execute(missing(), bounds)) as ended:
            for found in ended:
                if isinstance(found, Unmade):
                    problem(found.reason)
                    continue
                store.add(found)
                step(found)
                if time.monotonic() - merged > merge_every_s:
                    store.merge()
                    merged = time.monotonic()
        failed = False
    finally:
        try:
            store.close()
        except DatasetError:
            # What stopped the runs comes first; the journal is still there for the next collector.
            if not failed:
                raise
    return store.runs()


def plan(
    instances: Iterable[tuple[str, Path]], solvers: Sequence[str], seeds: Sequence[int] = (0,)
) -> Iterator[Request]:
    """Yield the runs of instances x solvers x seeds, instance by instance, so that a stop leaves whole rows."""
    for instance, path in instances:
        for seed in seeds:
            for solver in solvers:
                yield Request(instance, path, solver, seed)
