"""Which solvers to run for how long, in turn or on several cores, computed from the predicted distributions.

Each solver runs at most once, from its beginning, for a slice of time. What the predictions leave open is how the
solvers' costs hang together on one instance. Given a common factor they are taken as independent: the hidden hardness
z, standard normal, shifts all of them (a one-factor Gaussian copula, Li 2000, "On default correlation"):

    P(cost_s <= t | z) = Phi((Phi^-1(F_s(t)) - sqrt(r) z) / sqrt(1 - r)),

with F_s the predicted distribution and r the copula correlation; r = 0 is plain independence. A set of instances is
treated alike: costs are independent given the instance.

Under plain independence a failed slice says nothing about the solvers that are left, so that the best schedule from a
time on depends on that time and on these solvers only: dynamic programming finds it. With correlated costs, or for a
set, the schedule of the averaged distributions, the greedy one (Streeter and Golovin 2008, "An online algorithm for
maximizing submodular functions", which is within a factor of four of the least expected time) and every solver alone
are compared under the full model, and the best is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from satcost_gnn.core.distribution import CostDistribution, Floats, grid_for
from satcost_gnn.core.observed import bound_of, extrapolated
from satcost_gnn.decide.deciding import DecidesByPredictor, open_predictor
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.planned_schedule import Schedule
from satcost_gnn.decide.schedule_search import (
    ScheduleSettings,
    expectation,
    given_common_factor,
    greedy_plan,
    optimal_plan,
    time_grid,
)
from satcost_gnn.decide.scoring import Slice, charge
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.training_statistics import UNIT, TrainingStatistics
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.sources import FormulaSource
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

_Item = TypeVar("_Item")
#: Solvers of which a schedule is put together at most; of more, those that do best alone.
MOST_SOLVERS = 6


def _filled(cores: Iterable[Sequence[tuple[_Item, float]]], limit_s: float) -> list[list[tuple[_Item, float]]]:
    """Give the last slice of every core the time that is left."""
    full = []
    for core in cores:
        if core:
            used = sum(length for _, length in core[:-1])
            full.append([*core[:-1], (core[-1][0], limit_s - used)])
    return full


def plan(distribution: CostDistribution, solvers: Sequence[str], settings: ScheduleSettings) -> Schedule:
    """Compute a schedule for an instance, or one for a set of instances.

    Parameters
    ----------
    distribution
        ``(n_solvers,)`` or ``(m, n_solvers)``, in CPU seconds; the columns are those of ``solvers``.

    Raises
    ------
    ConfigError
        If there is no solver.
    """
    if not solvers:
        raise ConfigError("found no solver to schedule; expected at least one")
    whole = distribution if len(distribution.shape) == 2 else distribution.reshape(1, len(solvers))
    limit = settings.time_limit_s
    times = time_grid(limit)

    def loss(cores: Sequence[Sequence[tuple[int, float]]], cases: CostDistribution, weights: Floats) -> float:
        return float(weights @ expectation(cores, cases, limit).loss(settings))

    even = np.full(len(whole), 1.0 / len(whole))
    alone = sorted(range(len(solvers)), key=lambda k: loss([[(k, limit)]], whole, even))
    kept = sorted(alone[:MOST_SOLVERS])
    part = whole[:, kept]
    cases, weights = given_common_factor(part, settings.copula_correlation)
    average = CostDistribution.mixture(part, even)
    candidates = [_filled(optimal_plan(average, settings, times), limit)]
    if len(cases) > 1:
        candidates.append(_filled(greedy_plan(cases, weights, settings, times), limit))
    candidates += [
        [[(kept.index(k), limit)] for k in group]
        for group in itertools.combinations(alone[:MOST_SOLVERS], min(settings.cores, len(kept)))
    ]
    values = [loss(cores, cases, weights) for cores in candidates]
    best = candidates[int(np.argmin(values))]
    found = _expected_schedule(best, [solvers[k] for k in kept], cases, weights, settings)
    return replace(found, instances=len(whole))


def _expected_schedule(
    cores: Sequence[Sequence[tuple[int, float]]],
    solvers: Sequence[str],
    cases: CostDistribution,
    weights: Floats,
    settings: ScheduleSettings,
) -> Schedule:
    """Return a schedule of columns with what is expected of it over weighted cases."""
    found = expectation(cores, cases, settings.time_limit_s)
    return Schedule(
        cores=tuple(tuple(Slice(solvers[k], length) for k, length in core) for core in cores),
        time_limit_s=settings.time_limit_s,
        objective=str(settings.objective),
        value=float(weights @ found.loss(settings)),
        expected_s=float(weights @ found.seconds),
        p_solved=float(1.0 - weights @ found.unsolved),
        copula_correlation=settings.copula_correlation,
    )


def ways_on(
    distribution: CostDistribution,
    solvers: Sequence[str],
    settings: ScheduleSettings,
    running: str,
    spent_s: float,
) -> tuple[Schedule, ...]:
    """Return how to go on when one solver is running already and has not answered yet.

    That it has not says something about the instance, and so about the others: the weights of the common factor are
    updated by it.

    Parameters
    ----------
    distribution
        ``(n_solvers,)``, in CPU seconds, of whole runs; the columns are those of ``solvers``.
    settings
        Objective, the time that is left, cores, copula correlation.
    running, spent_s
        The solver that runs, and the CPU seconds that it has used.

    Returns
    -------
    tuple of Schedule
        The first one lets the running solver go on, on the first core and to the end: its slice is without what it has
        used already. With several cores the others are scheduled beside it. On one core the second one, if there are
        other solvers, has a schedule of them in its place.

    Raises
    ------
    ValueError
        If the running solver isn't one of the columns.
    """
    names = list(solvers)
    column = names.index(running)
    cases, weights = given_common_factor(distribution.reshape(1, len(solvers)), settings.copula_correlation)
    alive = weights * (1.0 - cases[:, column].p_solved_by(spent_s))
    weights = alive / alive.sum() if alive.sum() > 0 else weights
    cdf = cases.cdf.copy()
    cdf[:, column] = cases[:, column].remaining_after(spent_s).cdf
    cases = CostDistribution(cases.grid, cdf)
    goes_on = [[(column, settings.time_limit_s)]]
    ways = [goes_on]
    others = [k for k in range(len(names)) if k != column]
    if others:
        expected = CostDistribution.mixture(cases[:, others], weights)
        beside = plan(expected, [names[k] for k in others], replace(settings, cores=max(settings.cores - 1, 1)))
        planned = [[(names.index(part.solver), part.cpu_s) for part in core] for core in beside.cores]
        ways = [goes_on, planned] if settings.cores == 1 else [goes_on + planned]
    return tuple(_expected_schedule(cores, names, cases, weights, settings) for cores in ways)


def way_on(ways: Sequence[Schedule], switching_margin: float) -> Schedule:
    """Return the one of :func:`ways_on` to take.

    The others must promise to do better by ``switching_margin``, a share of the objective, before the running solver
    makes room: a promise that is the best of several is too good on average.
    """
    goes_on, *instead = ways
    return instead[0] if instead and instead[0].value < (1.0 - switching_margin) * goes_on.value else goes_on


def schedule_of(
    prediction: Prediction, training: TrainingStatistics, settings: ScheduleSettings, overhead_s: float = 0.0
) -> Schedule:
    """Return the schedule for a predicted instance: the solver that :func:`decide` chooses, unless turns pay more.

    Parameters
    ----------
    prediction
        In CPU seconds.
    settings
        Their limit is what is left after the overhead.
    overhead_s
        CPU seconds spent so far.
    """
    assert prediction.distribution is not None
    decision = decide(
        prediction, training, SelectionSettings(settings.objective, settings.time_limit_s + overhead_s), overhead_s
    )
    distribution, bound = extrapolated(prediction.distribution), bound_of(prediction.distribution)
    if decision.leaves:
        # The chosen solver makes room for turns that promise much more only.
        judged = replace(settings, time_limit_s=min(settings.time_limit_s, bound))
        alone = ways_on(distribution, prediction.solvers, judged, decision.chosen, 0.0)[0]
        planned = plan(distribution, prediction.solvers, judged)
        found = way_on((alone, planned), training.switching_margin)
        cores = [[(part.solver, part.cpu_s) for part in core] for core in found.cores]
        full = _filled(cores, settings.time_limit_s)
        found = replace(
            found,
            cores=tuple(tuple(Slice(name, length) for name, length in core) for core in full),
            time_limit_s=settings.time_limit_s,
        )
    else:
        found = ways_on(distribution, prediction.solvers, settings, decision.chosen, 0.0)[0]
    found = replace(found, paths=(prediction.path,), overhead_s=overhead_s, reason=decision.reason)
    return found.as_observed(bound)


def schedule_after(
    prediction: Prediction,
    training: TrainingStatistics,
    settings: ScheduleSettings,
    running: str,
    spent_s: float,
    time_limit_s: float,
) -> Schedule:
    """Return how to go on with a predicted instance on which a solver has run already: see :func:`ways_on`.

    Parameters
    ----------
    prediction
        In CPU seconds.
    settings
        Their limit is what is left, that of everything being ``time_limit_s``.
    running, spent_s
        The solver that runs, and the CPU seconds that it has used.
    """
    assert prediction.distribution is not None
    bound = bound_of(prediction.distribution)
    decision = decide(prediction, training, SelectionSettings(settings.objective, time_limit_s))
    ways = ways_on(extrapolated(prediction.distribution), prediction.solvers, settings, running, spent_s)
    # What the running solver has survived says more than the labels do once it is beyond them.
    leaves = decision.leaves and spent_s < bound
    way = way_on(ways, training.switching_margin) if leaves else ways[0]
    return replace(way, paths=(prediction.path,), reason=decision.reason).as_observed(bound, spent_s)


class Scheduler(DecidesByPredictor):
    """Schedules with a checkpoint.

    The schedule of one instance keeps to the single best solver of the training side unless another one promises to do
    better by what has paid on instances that were not trained on (``switching_margin`` of the checkpoint's portfolio).

    Parameters
    ----------
    predictor
        In CPU seconds, with the solvers to schedule.

    Raises
    ------
    ConfigError
        If the predictor is of another unit.

    Examples
    --------
    >>> with Scheduler.from_checkpoint(time_limit_s=60, cores=2) as scheduler:  # doctest: +SKIP
    ...     scheduler.schedule("instance.cnf").cores
    ((Slice(solver='cadical195', cpu_s=59.8),), (Slice(solver='minisat22', cpu_s=1.2), ...))
    """

    def __init__(self, predictor: Predictor, settings: ScheduleSettings) -> None:
        super().__init__(predictor)
        self.settings = settings
        self.training = TrainingStatistics.of_checkpoint(predictor.checkpoint).at(settings.time_limit_s)

    @classmethod
    def from_checkpoint(
        cls,
        where: str | Path | None = None,
        *,
        objective: str = "par2",
        time_limit_s: float | None = None,
        cores: int = 1,
        solvers: Sequence[str] | None = None,
        copula_correlation: float | None = None,
        device: str = "auto",
        start: str | None = None,
        relaxed: bool = False,
    ) -> Self:
        """Open a checkpoint (None: the newest that ships with the package) to schedule with it.

        Parameters
        ----------
        where
            Directory or name of the checkpoint.
        objective, time_limit_s, cores, copula_correlation
            See :class:`ScheduleSettings`; limit and copula correlation default to the checkpoint's.
        solvers, device, start, relaxed
            See :class:`~satcost_gnn.serve.predictor.Predictor`.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint, or it predicts no CPU seconds.
        ConfigError
            If a solver or the objective is unknown, or a number out of range.
        """
        predictor = open_predictor(where, time_limit_s, solvers=solvers, device=device, start=start, relaxed=relaxed)
        if copula_correlation is None:
            copula_correlation = TrainingStatistics.of_checkpoint(predictor.checkpoint).copula_correlation
        return cls(predictor, ScheduleSettings(Objective.of(objective), predictor.cutoff, cores, copula_correlation))

    def schedule(self, source: FormulaSource) -> Schedule:
        """Return the schedule for one instance, of what is left of the limit after the overhead.

        Parameters
        ----------
        source
            See :meth:`satcost_gnn.serve.predictor.Predictor.predict`.

        Raises
        ------
        FormulaError
            If clauses given in memory are malformed.
        """
        return self.schedule_prediction(self.predictor.predict(source))

    def schedule_prediction(self, prediction: Prediction) -> Schedule:
        """Return the schedule for an instance that has been predicted already."""
        overhead = float(charge(prediction.timings))
        settings = self.settings.after(overhead)
        if prediction.result or prediction.distribution is None:
            return Schedule(
                cores=(),
                time_limit_s=settings.time_limit_s,
                objective=str(self.settings.objective),
                value=0.0,
                expected_s=0.0,
                p_solved=float(bool(prediction.result)),
                copula_correlation=self.settings.copula_correlation,
                paths=(prediction.path,),
                overhead_s=overhead,
                status="solved" if prediction.result else prediction.status,
                result=prediction.result,
                error=prediction.reason if prediction.status == "error" else "",
                warnings=prediction.warnings,
            )
        found = schedule_of(prediction, self.training, settings, overhead)
        return replace(found, warnings=prediction.warnings)

    def schedule_predictions(self, predictions: Iterable[Prediction]) -> Schedule:
        """Return one schedule for a set of instances, to be run on each of them, and on others like them, unseen.

        Such a schedule needs no probe and no inference when it is run, so that nothing of the limit is taken off for
        them.

        Raises
        ------
        ConfigError
            If none of the instances could be read.
        """
        paths: list[str] = []
        rows: list[Floats] = []
        errors: list[str] = []
        warnings: list[str] = []
        overhead, bound = 0.0, float("inf")
        for prediction in predictions:
            if prediction.distribution is None:
                errors.append(prediction.reason)
                continue
            paths.append(prediction.path)
            warnings += [f"{prediction.path}: {warning}" for warning in prediction.warnings]
            rows.append(prediction.distribution.cdf)
            bound = bound_of(prediction.distribution)
            overhead += float(charge(prediction.timings))
        if not rows:
            raise ConfigError("found no formula that can be read: " + "; ".join(errors or ["there is none"]))
        found = plan(CostDistribution(grid_for(UNIT), np.stack(rows)), self.predictor.solvers, self.settings)
        return replace(
            found, paths=tuple(paths), overhead_s=overhead, error="\n".join(errors), warnings=tuple(warnings)
        ).as_observed(bound)
