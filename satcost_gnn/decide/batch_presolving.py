"""Presolving of a batch: what the single best solver answers in about the time of a prediction needs none.

What it leaves open is shown to ``parity`` (see :mod:`satcost_gnn.decide.turns`), and predicted if that declines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from satcost_gnn.decide.turns import PARITY, parity_s
from satcost_gnn.features.early_budget import presolving
from satcost_gnn.features.preprocessing import Preprocessed, as_it_is
from satcost_gnn.features.presolving import presolve_many
from satcost_gnn.formula.sources import FormulaFile, FormulaSource, UnreadableName
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.plain_run import PlainRun, PlainStage, PlainStatus
from satcost_gnn.search.solver_run import run_solver
from satcost_gnn.serve.predictor import Predictor

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster

_ANSWERS: dict[str, PlainStatus] = {"SAT": "SAT", "UNSAT": "UNSAT"}


def left_open(
    predictor: Predictor,
    sources: Iterable[FormulaFile | UnreadableName],
    limit_s: float,
    jobs: int,
    finish: Callable[[dict[str, Any]], None],
    memory_mb: int,
    cluster: RayCluster | None,
) -> Iterator[tuple[int, Preprocessed] | None]:
    """Preprocess the files of a batch, and yield those that presolving has not answered.

    No estimator is asked, and none is loaded, for those that it has.

    Parameters
    ----------
    limit_s
        CPU seconds of an instance.
    jobs
        Files at a time, each in a helper process of its own; small ones share a child until one is not answered.
    finish
        Called with the row of each instance that has been answered.
    memory_mb
        Mebibytes of the run of ``parity``.
    cluster
        Where it is all done, instead of this machine.

    Yields
    ------
    (int, Preprocessed) or None
        As :func:`~satcost_gnn.features.presolving.presolve_many` does.
    """
    config = predictor.checkpoint.config
    settings = presolving(predictor.settings, limit_s, config.probe_solver)
    # Where the user has named the solvers, no other one runs.
    parity = set(predictor.solvers) == set(config.solvers) and PARITY not in config.solvers

    then = partial(_ask_parity, limit_s=limit_s, memory_mb=memory_mb) if parity else as_it_is
    if cluster is None:
        items = presolve_many(enumerate(sources), settings, jobs=jobs, then=then)
    else:
        from satcost_gnn.features.ray_preprocessing import preprocess_on_cluster

        items = preprocess_on_cluster(enumerate(sources), settings, cluster, then=then)
    for item in items:
        instance = item[1].instance if item is not None else None
        if item is None or instance is None or instance.plain is None or not instance.plain.solved:
            yield item
            continue
        for warning in item[1].warnings:
            if predictor.on_warning is not None:
                predictor.on_warning(instance.path, warning)
        finish(
            {
                "path": instance.path,
                "gbdhash": instance.gbdhash,
                "status": instance.plain.status,
                "solver": instance.plain.solver,
                "cpu_s": instance.plain.spent_s,
                "runs": 0,
                "source": "search",
                "in_distribution": None,
                "error": "",
                "warnings": "; ".join(item[1].warnings),
            }
        )


def _ask_parity(
    source: FormulaSource, found: Preprocessed, sandbox: Sandbox, limit_s: float, memory_mb: int
) -> Preprocessed:
    """Run ``parity`` on what is open; its answer stands for that of the plain run, and its time counts in any case."""
    instance = found.instance
    if instance is None or any(run is not None and run.solved for run in (instance.plain, instance.probe)):
        return found
    seconds = min(parity_s(limit_s), limit_s - sum(instance.timings.values()))
    if seconds <= 0 or not isinstance(source, FormulaFile):
        return found
    run = run_solver(sandbox, PARITY, source, cpu_s=seconds, memory_mb=memory_mb)
    instance = replace(instance, timings={**instance.timings, PARITY: run.cpu_s})
    if (answer := _ANSWERS.get(run.status)) is not None:
        instance = replace(instance, plain=PlainRun(PARITY, (PlainStage(0, answer, cpu_s=run.cpu_s),), run.cpu_s))
    return replace(found, instance=instance)
