"""Where runs are made: what one run is, the contract of an executor, and the executor of this machine.

An executor takes runs to make from an iterator, when it has room for one, and yields them as they end, in any order. It
keeps no record: that is the business of :mod:`satcost_gnn.data.collect`.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from satcost_gnn.data.schema import Run, RunStatus
from satcost_gnn.formula.sources import FormulaFile
from satcost_gnn.formula.text_stream import ReadLimits
from satcost_gnn.runtime.file_names import one_line
from satcost_gnn.runtime.process_limits import inherited_address_space_mb, inherited_cpu_s
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.sandbox_pool import SandboxPool
from satcost_gnn.search.solver_run import run_solver
from satcost_gnn.search.solvers import solver_spec

# Wall-clock limit of a run where none is named, from its CPU limit.
WALL_FACTOR = 20.0
WALL_EXTRA_S = 300.0


@dataclass(frozen=True)
class CollectLimits:
    """Limits of each run.

    Parameters
    ----------
    cpu_s
        CPU seconds for loading the clauses and solving.
    wall_s
        Wall-clock seconds, None for :data:`WALL_FACTOR` times the CPU limit and :data:`WALL_EXTRA_S`: a safety net for
        runs that wait for nothing. On a busy machine a run may get a small share of a processor.
    memory_mb
        Mebibytes of resident memory, of all processes of the run together.
    relaxed
        Whether files with fewer clauses than their header announces are read.
    """

    cpu_s: float = 10.0
    wall_s: float | None = None
    memory_mb: int = 4096
    relaxed: bool = False

    @property
    def wall_limit_s(self) -> float:
        """The wall-clock limit in force, in seconds."""
        return self.wall_s if self.wall_s is not None else WALL_FACTOR * self.cpu_s + WALL_EXTRA_S

    def lowered(self) -> CollectLimits:
        """Return those that count here: limits that this process has inherited may be lower (``ulimit``)."""
        memory_mb = min(self.memory_mb, inherited_address_space_mb())
        return replace(self, cpu_s=min(self.cpu_s, inherited_cpu_s()), memory_mb=int(memory_mb))


@dataclass(frozen=True)
class Request:
    """One run to make.

    Parameters
    ----------
    instance
        Identity of the instance.
    path
        Its file.
    solver, seed
        What runs on it.
    cpu_s
        CPU limit of this run in seconds, None for that of all runs.
    """

    instance: str
    path: Path
    solver: str
    seed: int = 0
    cpu_s: float | None = None

    def limits(self, common: CollectLimits) -> CollectLimits:
        """Return the limits of this run, from those that all runs have in common."""
        return common if self.cpu_s is None else replace(common, cpu_s=self.cpu_s)


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

    def execute(self, requests: Iterator[Request | None], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        """Make runs and yield them as they end, each request once.

        Closing the returned iterator early abandons the runs under way.

        Parameters
        ----------
        requests
            Runs to make; the next is taken when there is room for it.
            None where what comes next depends on a run under way: to be asked again when one has ended and what
            was yielded has been dealt with, that is, when the next one is asked for.
        limits
            Limits of each run, but for a CPU limit of its own.

        Raises
        ------
        SatcostError
            If nothing more can be run here.
        """
        ...


@functools.cache
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


def make_run(sandbox: Sandbox, request: Request, limits: CollectLimits, machine: str) -> Run | Unmade:
    """Make one run in a limited child, if its file can be read.

    Parameters
    ----------
    sandbox
        Where the child is forked.
    request
        The run.
    limits
        Limits of all runs.
    machine
        Description of this machine.

    Raises
    ------
    SolverError
        If the solver is unknown, or is a program that can't be started.
    """
    limits = request.limits(limits.lowered())
    result = run_solver(
        sandbox,
        request.solver,
        FormulaFile(str(request.path), str(request.path), ReadLimits(relaxed=limits.relaxed)),
        seed=request.seed,
        cpu_s=limits.cpu_s,
        wall_s=limits.wall_limit_s,
        memory_mb=limits.memory_mb,
    )
    if result.unread:
        return Unmade(request, f"{result.unread}; its runs with {request.solver} are left out")
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
        wall_limit_s=limits.wall_limit_s,
        memory_limit_mb=limits.memory_mb,
        solver_version=solver_spec(request.solver).version,
        machine=machine,
        detail=one_line(result.detail),
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

    def execute(self, requests: Iterator[Request | None], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        """Make runs and yield them as they end; see :class:`Executor`."""
        machine = machine_description()

        def call(request: Request) -> Callable[[Sandbox], Run | Unmade]:
            return lambda sandbox: make_run(sandbox, request, limits, machine)

        with SandboxPool[Run | Unmade](self.jobs) as pool:

            def fill() -> None:
                # None: what comes next depends on runs that have not been dealt with.
                while pool.pending < pool.size and (request := next(requests, None)) is not None:
                    pool.submit(call(request))

            fill()
            while pool.pending:
                found = pool.next()
                fill()
                yield found
                fill()
