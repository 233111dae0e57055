"""Runs on a Ray cluster: one task a run, made again elsewhere if its node dies; the journal stays with the driver."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from satcost_gnn.data.execution import CollectLimits, Request, Unmade, machine_description, make_run
from satcost_gnn.data.schema import Run
from satcost_gnn.runtime.ray_cluster import Lost, RayCluster, Task, node_sandbox
from satcost_gnn.search.external import ExternalSpec, register_here
from satcost_gnn.search.solvers import solver_spec

# Programs of the user's that this Ray worker has looked at.
_known_programs: dict[str, ExternalSpec] = {}


def register_once(program: ExternalSpec) -> None:
    """Make a program of the user's known to this Ray worker."""
    if _known_programs.get(program.name) != program:
        register_here(program)
        _known_programs[program.name] = program


def run_on_node(place: Path, request: Request, program: ExternalSpec | None, limits: CollectLimits) -> Run | Unmade:
    """Make one run on a node of a cluster.

    Parameters
    ----------
    place
        The instance's file, or a copy of it.
    request
        The run.
    program
        The solver's definition if it is a program.
    limits
        Limits of the run.
    """
    if program is not None:
        register_once(program)
    found = make_run(node_sandbox(), replace(request, path=place), limits, machine_description())
    # The user knows the file by its own name.
    if isinstance(found, Unmade):
        return Unmade(request, found.reason.replace(str(place), str(request.path)))
    return replace(found, detail=found.detail.replace(str(place), str(request.path)))


@dataclass(frozen=True)
class RayExecutor:
    """Makes runs on a Ray cluster.

    Each run is a task that takes one processor and the memory of its limit. Programs of the user's must be at the same
    path on every node.

    Parameters
    ----------
    cluster
        Where.
    """

    cluster: RayCluster

    def execute(self, requests: Iterator[Request | None], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        """Make runs and yield them as they end; see :class:`~satcost_gnn.data.execution.Executor`.

        Raises
        ------
        ExecutorError
            See :meth:`~satcost_gnn.runtime.ray_cluster.RayCluster.run`.
        """

        def tasks() -> Iterator[Task[Request] | None]:
            for request in requests:
                if request is None:
                    yield None
                    continue
                spec = solver_spec(request.solver)
                program = spec if isinstance(spec, ExternalSpec) else None
                yield Task(request, request.path, (replace(request, path=request.path.absolute()), program, limits))

        for item in self.cluster.run(run_on_node, tasks(), memory_mb=limits.memory_mb):
            if item is None:
                continue
            request, found = item
            if isinstance(found, Lost):
                reason = f"{request.path} with {request.solver}: not run: {found.reason}; start the same command again"
                yield Unmade(request, reason)
            else:
                yield found if isinstance(found, Run) else Unmade(request, found.reason)
