"""Where the runs of a batch are made: by helper processes on this machine, or on the nodes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from satcost_gnn.formula.sources import FormulaFile
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.sandbox_pool import SandboxPool
from satcost_gnn.search.solver_run import SolverRun, run_solver
from satcost_gnn.search.solvers import solver_spec

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster, Task
    from satcost_gnn.search.external import ExternalSpec

Key = TypeVar("Key")


@dataclass(frozen=True)
class RunOrder:
    """One run that is to be made, of a solver or a registered program; CPU seconds and mebibytes are its limits."""

    file: FormulaFile
    solver: str
    cpu_s: float
    memory_mb: int

    def made_in(self, sandbox: Sandbox) -> SolverRun:
        """Make the run in a child of this sandbox."""
        return run_solver(sandbox, self.solver, self.file, cpu_s=self.cpu_s, memory_mb=self.memory_mb)


def runs_here(wanted: Callable[[], tuple[Key, RunOrder] | None], cores: int) -> Iterator[tuple[Key, SolverRun]]:
    """Make runs on this machine, so many at a time, and yield each when it has ended.

    ``wanted`` returns the next run; None where there is none before another one has ended.
    """

    def call(key: Key, order: RunOrder) -> Callable[[Sandbox], tuple[Key, SolverRun]]:
        return lambda sandbox: (key, order.made_in(sandbox))

    with SandboxPool[tuple[Key, SolverRun]](cores) as pool:
        while True:
            while pool.pending < pool.size and (waiting := wanted()) is not None:
                pool.submit(call(*waiting))
            if not pool.pending:
                return
            yield pool.next()


def run_on_node(place: Path, order: RunOrder, program: ExternalSpec | None) -> SolverRun:
    """Make one run on a node of a cluster.

    Parameters
    ----------
    place
        Where the node can read the file.
    program
        The solver's definition if it is a program, which is at the same path on every node.
    """
    from satcost_gnn.data.ray_executor import register_once
    from satcost_gnn.runtime.ray_cluster import node_sandbox

    if program is not None:
        register_once(program)
    run = replace(order, file=replace(order.file, path=str(place))).made_in(node_sandbox())
    # The user knows the file by its own name.
    return replace(run, detail=run.detail.replace(str(place), order.file.name))


def runs_on_cluster(
    wanted: Callable[[], tuple[Key, RunOrder] | None], cluster: RayCluster, memory_mb: int
) -> Iterator[tuple[Key, SolverRun]]:
    """Make runs on a cluster, as :func:`runs_here` does; a node sets some mebibytes aside for each.

    What the cluster has given up counts as a run that crashed.

    Raises
    ------
    ExecutorError
        See :meth:`~satcost_gnn.runtime.ray_cluster.RayCluster.run`.
    """
    from satcost_gnn.runtime.ray_cluster import Lost, Task
    from satcost_gnn.search.external import ExternalSpec

    def tasks() -> Iterator[Task[Key] | None]:
        while True:
            waiting = wanted()
            if waiting is None:
                yield None
                continue
            key, order = waiting
            spec = solver_spec(order.solver)
            program = spec if isinstance(spec, ExternalSpec) else None
            yield Task(key, Path(order.file.path), (order, program))

    for item in cluster.run(run_on_node, tasks(), memory_mb=memory_mb):
        if item is not None:
            key, found = item
            if isinstance(found, Lost):
                found = SolverRun("CRASHED", None, None, None, None, 0.0, 0.0, 0.0, f"not run: {found.reason}")
            yield key, found
