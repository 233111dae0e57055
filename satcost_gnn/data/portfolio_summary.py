"""What a portfolio of the solvers could gain, and how much run times vary between equal runs."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import PortfolioBounds, par, virtual_best
from satcost_gnn.data.dataset import SHORTEST_S, CostUnit, Dataset
from satcost_gnn.data.run_outcome import outcome_within


@dataclass(frozen=True)
class PortfolioSummary:
    """How solvers complement each other within a CPU limit, on the instances that all of them were run on.

    Parameters
    ----------
    scope
        ``all``, or ``mid-range``: instances that some solver solves within the limit and that take the reference
        solver 10^3 to 10^6 conflicts or run into its limit. (To ask that the reference solver solves them would
        favour it.)
    cutoff_s
        CPU limit in seconds.
    instances
        Instances that count.
    par2
        Solver -> mean CPU seconds with twice the limit for no answer.
    solved
        Solver -> instances solved.
    single_best
        Solver with the lowest mean.
    sbs, vbs
        PAR2 of the single best solver, and of a choice that is right for every instance.
    gain
        ``1 - vbs / sbs``.
    vbs_solved
        Instances that some solver solves.
    marginal
        Solver -> seconds by which the VBS is worse without it.
    only
        Solver -> instances that only it solves.
    picks
        Solver -> share of the solved instances that it is the fastest on (of equals, the first).
    """

    scope: str
    cutoff_s: float
    instances: int
    par2: dict[str, float]
    solved: dict[str, int]
    single_best: str
    sbs: float
    vbs: float
    gain: float
    vbs_solved: int
    marginal: dict[str, float]
    only: dict[str, int]
    picks: dict[str, float]


@dataclass(frozen=True)
class NoiseSummary:
    """How much a cost changes with the seed alone: the floor of the error of any prediction.

    Parameters
    ----------
    solver, unit, answer
        Whose cost, counted in what, on instances that are ``SAT``, ``UNSAT``, or ``any``.
    instances
        Instances that were solved with at least two seeds.
    sd_log10
        Standard deviation of log10 cost within an instance (root of the mean variance).
    median_ratio
        Median over pairs of seeds of larger over smaller cost.
    within_2, within_10
        Share of pairs that differ by less than these factors.
    """

    solver: str
    unit: str
    answer: str
    instances: int
    sd_log10: float
    median_ratio: float
    within_2: float
    within_10: float


def par_scores(dataset: Dataset, solvers: Sequence[str], cutoff_s: float) -> tuple[list[str], NDArray[np.float64]]:
    """Return the instances on which all solvers' runs with seed 0 tell, and ``float64[n, s]`` their PAR2 scores.

    A score is CPU seconds, or twice the cutoff for no answer within it.
    """
    instances, scores = [], []
    for instance in dataset.instances:
        by_solver = defaultdict(list)
        for run in dataset.runs_of.get(instance, ()):
            if run.seed == 0:
                by_solver[run.solver].append(run)
        outcomes = [outcome_within(by_solver[solver], cutoff_s) for solver in solvers]
        told = [outcome for outcome in outcomes if outcome is not None]
        if len(told) == len(solvers):
            instances.append(instance)
            scores.append([max(run.cpu_s, SHORTEST_S) if status.solved else np.inf for run, status in told])
    cost = np.array(scores, dtype=np.float64).reshape(len(instances), len(solvers))
    return instances, par(cost, np.isfinite(cost), cutoff_s)


def portfolio_summary(
    dataset: Dataset, solvers: Sequence[str], cutoff_s: float, scope: str = "all", among: Iterable[str] | None = None
) -> PortfolioSummary | None:
    """Return how solvers complement each other; None if no instance is left.

    Parameters
    ----------
    dataset, solvers, cutoff_s
        Whose runs, and the CPU limit in seconds.
    scope
        Name of what is counted.
    among
        Instances that count, if some solver solves them within the limit; all by default, also those that none solves.
    """
    instances, scores = par_scores(dataset, solvers, cutoff_s)
    if among is not None and len(scores):
        wanted = frozenset(among)
        scores = scores[np.array([name in wanted for name in instances]) & (scores <= cutoff_s).any(axis=1)]
    if not len(scores) or not solvers:
        return None
    answered = scores <= cutoff_s
    best, bounds = virtual_best(scores), PortfolioBounds.of(scores)
    some = answered.any(axis=1)
    picks = np.bincount(np.argmin(scores[some], axis=1), minlength=len(solvers)) / max(1, some.sum())
    marginal, only = {}, {}
    for j, solver in enumerate(solvers):
        others = np.delete(scores, j, axis=1)
        without = virtual_best(others) if others.shape[1] else par(best, False, cutoff_s)
        marginal[solver] = float((without - best).mean())
        only[solver] = int((answered[:, j] & (without > cutoff_s)).sum())
    return PortfolioSummary(
        scope=scope,
        cutoff_s=cutoff_s,
        instances=len(scores),
        par2=dict(zip(solvers, scores.mean(axis=0).tolist(), strict=True)),
        solved=dict(zip(solvers, answered.sum(axis=0).tolist(), strict=True)),
        single_best=solvers[bounds.single],
        sbs=bounds.sbs,
        vbs=bounds.vbs,
        gain=1 - bounds.vbs / bounds.sbs,
        vbs_solved=int(some.sum()),
        marginal=marginal,
        only=only,
        picks=dict(zip(solvers, picks.tolist(), strict=True)),
    )


def noise_summaries(dataset: Dataset) -> tuple[NoiseSummary, ...]:
    """Return, for each solver with several seeds, how much its conflicts change with the seed alone."""
    answers = dict(zip(dataset.instances, dataset.satisfiable().tolist(), strict=True))
    made = {(run.solver, run.seed) for run in dataset.runs}
    found = []
    for solver in dataset.solvers:
        seeds = sorted(seed for name, seed in made if name == solver)
        if len(seeds) < 2:
            continue
        columns = [dataset.cost_matrix([solver], CostUnit.CONFLICTS, seed) for seed in seeds]
        cost = np.hstack([matrix.cost for matrix in columns])
        solved = np.hstack([matrix.known & ~matrix.censored for matrix in columns])
        for answer, code in (("any", None), ("SAT", 1), ("UNSAT", 0)):
            rows = [
                cost[i, solved[i]]
                for i, instance in enumerate(dataset.instances)
                if solved[i].sum() >= 2 and code in (None, answers[instance])
            ]
            if not rows:
                continue
            gaps = np.array([abs(a - b) for row in rows for a, b in itertools.combinations(row.tolist(), 2)])
            found.append(
                NoiseSummary(
                    solver=solver,
                    unit=str(CostUnit.CONFLICTS),
                    answer=answer,
                    instances=len(rows),
                    sd_log10=float(np.sqrt(np.mean([row.var(ddof=1) for row in rows]))),
                    median_ratio=float(10 ** np.median(gaps)),
                    within_2=float((gaps < np.log10(2)).mean()),
                    within_10=float((gaps < 1).mean()),
                )
            )
    return tuple(found)
