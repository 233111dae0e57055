"""Measure what instances cost: instances x solvers x seeds, each run in a limited child, none lost.

Every finished run is appended to a journal of this collector's own and flushed to disk as soon as it has ended;
``runs.parquet`` is rebuilt from the journals now and then, atomically. A collector that is killed at any point leaves a
journal that the next one reads, so starting the same command again continues it. Several collectors may share a
directory: a run is claimed by a record lock that the system releases when its holder dies (all of this is in
:mod:`satcost_gnn.data.run_store`). Where runs are made, on this
machine or on a cluster, is the executor's business (:mod:`satcost_gnn.data.execution`); the journal is kept here, so a
run that an executor has to start twice is still counted once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from satcost_gnn.data.execution import CollectLimits, Executor, LocalExecutor, Request, Unmade
from satcost_gnn.data.race import Race, RaceRules
from satcost_gnn.data.run_store import RunStore
from satcost_gnn.data.schema import Run
from satcost_gnn.errors import DatasetError, OutputError
from satcost_gnn.runtime.process_limits import inherited_cpu_s
from satcost_gnn.search.solvers import solver_spec


def collect(
    requests: Sequence[Request],
    directory: Path,
    *,
    limits: CollectLimits | None = None,
    race: RaceRules | None = None,
    executor: Executor | None = None,
    on_progress: Callable[[Run | None], None] | None = None,
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
    race
        Rules of a race on each instance (:mod:`satcost_gnn.data.race`), whose limits take the place of the CPU limit.
        None for no race.
    executor
        Where runs are made; by default on this machine, one at a time.
    on_progress
        Called with every run that has ended, or None for one that was found finished or can't
        be made; of a race with the last run of every instance, or None if none was made.
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
    executor = executor or LocalExecutor()
    bounds = limits or CollectLimits()
    if isinstance(executor, LocalExecutor):
        # Lower limits that this process has inherited count; the nodes of a cluster have limits of their own.
        bounds = bounds.lowered()
        race = race and race.within(inherited_cpu_s())
    for name in {request.solver for request in requests}:
        solver_spec(name)
    store = RunStore(directory)
    merged = time.monotonic()

    def step(run: Run | None) -> None:
        if on_progress is not None:
            on_progress(run)

    def problem(text: str) -> None:
        if on_problem is not None:
            on_problem(text)
        step(None)

    def vanished(request: Request) -> None:
        problem(f"{request.path}: the file has vanished; its runs are left out")

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
                vanished(request)
            else:
                yield request

    racing = Race(requests, race, store, on_over=step, on_missing=vanished) if race is not None else None
    failed = True
    try:
        with contextlib.closing(executor.execute(iter(racing) if racing is not None else missing(), bounds)) as ended:
            for found in ended:
                if isinstance(found, Unmade):
                    problem(found.reason)
                else:
                    store.add(found)
                if racing is not None:
                    racing.ended(found)
                elif isinstance(found, Run):
                    step(found)
                if time.monotonic() - merged > merge_every_s:
                    store.merge()
                    merged = time.monotonic()
        failed = False
    finally:
        try:
            store.close()
        except (DatasetError, OutputError):
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
