"""Where runs are made: what one run is, the contract of an executor, and the executor of this machine.

An executor takes runs to make from an iterator, when it has room for one, and yields them as they end, in any order. It
keeps no record: that is the business of :mod:`satcost_gnn.data.collect`.
"""

from __future__ import annotations

import os
import platform
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from satcost_gnn.data.schema import Run, RunStatus
from satcost_gnn.search.sandbox import Sandbox
from satcost_gnn.search.solvers import default_wall_s, run_solver, solver_spec


@dataclass(frozen=True)
class CollectLimits:
    """Limits of each run.

    Parameters
    ----------
    cpu_s
        CPU seconds for loading the clauses and solving.
    wall_s
        Wall-clock seconds, None for three times the CPU limit and a minute.
    memory_mb
        Mebibytes of address space.
    """

    cpu_s: float = 10.0
    wall_s: float | None = None
    memory_mb: int = 4096


@dataclass(frozen=True)
class Request:
    """One run to make: an instance (by identity), its file, a solver and a seed."""

    instance: str
    path: Path
    solver: str
    seed: int = 0


@dataclass(frozen=True)
class Unmade:
    """A run that could not be made, through no fault of the solver: it has no outcome, and may be tried again later.

    Parameters
    ----------
    request
        The run.
    reason
        What came in between, as a line for the user.
    """

    request: Request
    reason: str


class Executor(Protocol):
    """Makes runs."""

    def execute(self, requests: Iterator[Request], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        """Make runs and yield them as they end, each request once.

        Closing the returned iterator early abandons the runs under way.

        Parameters
        ----------
        requests
            Runs to make; the next is taken when there is room for it, by one thread at a time but not always the same.
        limits
            Limits of each run.

        Raises
        ------
        SatcostError
            If nothing more can be run here.
        """
        ...


def machine_description() -> str:
    """Return the processor, its number of cores, the memory and the system of this machine, in one line."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as stream:
            model = next(line.split(":", 1)[1].strip() for line in stream if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def make_run(sandbox: Sandbox, request: Request, limits: CollectLimits, machine: str) -> Run:
    """Make one run in a limited child.

    Parameters
    ----------
    sandbox
        Where the child is forked.
    request
        The run.
    limits
        Its limits.
    machine
        Description of this machine.

    Raises
    ------
    SolverError
        If the solver is unknown, or is a program that can't be started.
    """
    result = run_solver(
        sandbox,
        request.solver,
        str(request.path),
        seed=request.seed,
        cpu_s=limits.cpu_s,
        wall_s=limits.wall_s,
        memory_mb=limits.memory_mb,
    )
    return Run(
        instance=request.instance,
        solver=request.solver,
        seed=request.seed,
        status=RunStatus(result.status),
        conflicts=result.conflicts,
        decisions=result.decisions,
        propagations=result.propagations,
        restarts=result.restarts,
        cpu_s=result.cpu_s,
        wall_s=result.wall_s,
        peak_memory_mb=result.peak_memory_mb,
        cpu_limit_s=limits.cpu_s,
        wall_limit_s=limits.wall_s if limits.wall_s is not None else default_wall_s(limits.cpu_s),
        memory_limit_mb=limits.memory_mb,
        solver_version=solver_spec(request.solver).version,
        machine=machine,
        detail=result.detail,
    )


@dataclass(frozen=True)
class LocalExecutor:
    """Makes runs on this machine.

    Parameters
    ----------
    jobs
        Runs at a time, each with a helper process of its own.
    """

    jobs: int = 1

    def execute(self, requests: Iterator[Request], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        """Make runs and yield them as they end; see :class:`Executor`."""
        machine = machine_description()
        taking, stop = threading.Lock(), threading.Event()
        # None from a worker that has nothing left to do.
        ended: queue.SimpleQueue[Run | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                with Sandbox() as sandbox:
                    while True:
                        with taking:
                            request = None if stop.is_set() else next(requests, None)
                        if request is None:
                            break
                        ended.put(make_run(sandbox, request, limits, machine))
            except BaseException as error:
                ended.put(error)
            else:
                ended.put(None)

        workers = max(1, self.jobs)
        try:
            for number in range(workers):
                threading.Thread(target=work, daemon=True, name=f"collect-{number}").start()
            while workers:
                found = ended.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    workers -= 1
                else:
                    yield found
        finally:
            stop.set()
