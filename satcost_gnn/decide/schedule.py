"""Which solvers to run for how long, in turn or on several cores, computed from the predicted distributions.

Each solver runs at most once, from its beginning, for a slice of time. What the predictions leave open is how the
solvers' costs hang together on one instance. Given a common factor they are taken as independent: the hidden hardness
z, standard normal, shifts all of them (a one-factor Gaussian copula, Li 2000, "On default correlation"):

    P(cost_s <= t | z) = Phi((Phi^-1(F_s(t)) - sqrt(r) z) / sqrt(1 - r)),

with F_s the predicted distribution and r the dependence; r = 0 is plain independence. A set of instances is treated
alike: costs are independent given the instance.

Under plain independence a failed slice says nothing about the solvers that are left, so that the best schedule from a
time on depends on that time and on these solvers only, and dynamic programming finds it. With dependence, or for a set,
the schedule of the averaged distributions, the greedy one (Streeter and Golovin 2008, "An online algorithm for
maximizing submodular functions", which is within a factor of four of the least expected time) and every solver alone
are compared under the full model, and the best is taken.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from satcost_gnn.core.distribution import CostDistribution, Floats, grid_for
from satcost_gnn.core.observed import bound_of, extrapolated, known
from satcost_gnn.decide.deciding import DecidesByPredictor
from satcost_gnn.decide.objective import Objective, partial_moment
from satcost_gnn.decide.scoring import Slice, charge
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.training_side import UNIT, TrainingPortfolio
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.early_budget import DEFAULT_LIMIT_S
from satcost_gnn.formula.sources import FormulaSource
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

_Item = TypeVar("_Item")
#: Solvers of which a schedule is put together at most; of more, those that do best alone.
MOST_SOLVERS = 6
# Times at which a slice may begin or end.
_POINTS = 40
# Nodes of the quadrature over the common factor.
_NODES = 9
# Times at which the solvers of several cores are looked at together.
_FINE = 400


@dataclass(frozen=True)
class Schedule:
    """What to run, and what is expected of it.

    Parameters
    ----------
    cores
        For each core its slices in order.
    time_limit_s
        Seconds that each core has.
    objective
        What was minimised.
    value
        Its predicted value: seconds, or the probability of not solving; NaN where the limit lies beyond what the
        training labels tell about.
    expected_s
        Predicted seconds until the answer or the limit; NaN likewise.
    p_solved
        Predicted probability of an answer within the limit; NaN likewise.
    dependence
        Share of the variance of the solvers' costs that they are taken to have in common.
    instances
        Number of instances that the schedule is for.
    paths
        These instances.
    overhead_s
        CPU seconds that features, probe and inference took.
    status
        ``planned``; ``solved``: the probe has solved the instance and there is nothing to run; ``error``: no input
        could be read.
    result
        ``SAT`` or ``UNSAT`` if the probe solved it.
    error
        What could not be read, one line each.
    reason
        Why these solvers, for one instance.
    known_up_to_s
        CPU seconds beyond which the training labels tell nothing.
    """

    cores: tuple[tuple[Slice, ...], ...]
    time_limit_s: float
    objective: str
    value: float
    expected_s: float
    p_solved: float
    dependence: float
    instances: int = 1
    paths: tuple[str, ...] = ()
    overhead_s: float = 0.0
    status: str = "planned"
    result: str = ""
    error: str = ""
    reason: str = ""
    known_up_to_s: float = float("inf")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, None for what is unknown; docs/portfolio.md describes them."""
        unknown = {name: known(getattr(self, name)) for name in ("value", "expected_s", "p_solved", "known_up_to_s")}
        return {**asdict(self), **unknown, "cores": [[asdict(part) for part in core] for core in self.cores]}

    def as_observed(self, bound_s: float, spent_s: float = 0.0) -> Schedule:
        """Return the schedule with nothing said of what no label tells: what happens within a limit beyond a bound."""
        nothing = float("nan")
        if self.time_limit_s + spent_s <= bound_s:
            return replace(self, known_up_to_s=bound_s)
        return replace(self, value=nothing, expected_s=nothing, p_solved=nothing, known_up_to_s=bound_s)


@dataclass(frozen=True)
class ScheduleSettings:
    """How to schedule.

    Parameters
    ----------
    objective
        ``expected-cost``, ``par2``, ``par10`` (in which an unsolved instance counts as 1, 2 or 10 times the limit) or
        ``p-solved``.
    time_limit_s
        Seconds that each core has.
    cores
        Cores that run at a time.
    dependence
        From 0 to less than 1.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    objective: Objective = Objective.PAR2
    time_limit_s: float = 10.0
    cores: int = 1
    dependence: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.time_limit_s) and self.time_limit_s > 0):
            raise ConfigError(f"found a time limit of {self.time_limit_s:g} s; expected a positive number of seconds")
        if self.cores < 1:
            raise ConfigError(f"found {self.cores} cores; expected at least 1")
        if not 0 <= self.dependence < 1:
            raise ConfigError(f"found dependence {self.dependence:g}; expected a number from 0 to less than 1")

    def after(self, overhead_s: float) -> ScheduleSettings:
        """Return the settings for what is left of the limit: however little it is, something is to be run."""
        return replace(self, time_limit_s=max(self.time_limit_s - overhead_s, 0.01 * self.time_limit_s))

    @property
    def loss(self) -> float:
        """What an instance counts that isn't solved within the limit."""
        return 1.0 if self.objective is Objective.P_SOLVED else self.objective.penalty * self.time_limit_s

    @property
    def per_second(self) -> float:
        """What a second counts until an instance is solved."""
        return 0.0 if self.objective is Objective.P_SOLVED else 1.0


def time_grid(limit_s: float, points: int = _POINTS) -> Floats:
    """Return the times at which a slice may begin or end: 0, then evenly spaced on a logarithmic scale to the limit."""
    return np.concatenate([[0.0], np.geomspace(min(max(0.02, limit_s / 2000), limit_s / 2), limit_s, points - 1)])


# Given the instance (or the common factor) ----------------------------------------------------------------------------


class Expectation(NamedTuple):
    """What a schedule does for each of several cases.

    Parameters
    ----------
    seconds
        ``float64[m]``: expected seconds until the answer or the limit.
    unsolved
        ``float64[m]``: probability of no answer within the limit.
    """

    seconds: Floats
    unsolved: Floats

    def loss(self, settings: ScheduleSettings) -> Floats:
        """Return the objective, ``float64[m]``."""
        # An unsolved instance has already cost the limit.
        more = settings.loss - settings.per_second * settings.time_limit_s
        return settings.per_second * self.seconds + more * self.unsolved


def expectation(
    cores: Sequence[Sequence[tuple[int, float]]], distribution: CostDistribution, limit_s: float
) -> Expectation:
    """Return what a schedule is expected to do where costs are independent given the case.

    Parameters
    ----------
    cores
        For each core its slices: column of the solver, seconds.
    distribution
        ``(m, n_solvers)``, in CPU seconds, of the m cases.
    limit_s
        Seconds that each core has; what a schedule plans beyond is not run.
    """
    m = distribution.shape[0]
    if len(cores) == 1:
        start, alive, seconds = 0.0, np.ones(m), np.zeros(m)
        for column, length in cores[0]:
            length = min(length, limit_s - start)
            if length <= 0:
                break
            one = distribution[:, column]
            solved = one.p_solved_by(length)
            seconds = seconds + alive * (start * solved + partial_moment(one, length, 1))
            alive = alive * (1.0 - solved)
            start += length
        return Expectation(seconds + alive * limit_s, alive)
    times = np.concatenate([[0.0], np.geomspace(limit_s * 1e-4, limit_s, _FINE)])
    alive_at = np.ones((m, len(times)))
    for core in cores:
        alive_at = alive_at * _survival(core, distribution, times)
    seconds = 0.5 * ((alive_at[:, 1:] + alive_at[:, :-1]) * np.diff(times)).sum(axis=-1)
    return Expectation(seconds, alive_at[:, -1])


def _survival(core: Sequence[tuple[int, float]], distribution: CostDistribution, times: Floats) -> Floats:
    """Return ``float64[m, len(times)]``: probability that one core has no answer by each time."""
    alive = np.ones((distribution.shape[0], len(times)))
    start = 0.0
    for column, length in core:
        used = np.clip(times - start, 0.0, length)
        cdf = distribution[:, column].reshape(distribution.shape[0], 1).p_solved_by(used[None, :])
        alive = alive * (1.0 - cdf)
        start += length
    return alive


# Optimal under independence -------------------------------------------------------------------------------------------


class _Plans:
    """Best sequential schedules of every subset of solvers from every time on, by dynamic programming.

    With V(S, t) the expected loss that is still to come when nothing has been solved by t and the solvers S have not
    run, F_s and f_s distribution and density of the cost of s, and w what a second counts:

        V(S, t) = min over s in S and d of
                  w * integral over [0, d] of (t + x) f_s(x) dx  +  (1 - F_s(d)) V(S - s, t + d),
        V({}, t) = V(S, T) = loss of an unsolved instance.
    """

    def __init__(self, distribution: CostDistribution, settings: ScheduleSettings, times: Floats) -> None:
        self.count = distribution.shape[0]
        self.times = times
        points = len(times)
        lengths = np.maximum(times[None, :] - times[:, None], 0.0)
        begin = times[:, None]
        solved = np.stack([distribution[k].p_solved_by(lengths) for k in range(self.count)])
        flat = np.unique(lengths)
        position = np.searchsorted(flat, lengths)
        spent = np.stack([partial_moment(distribution[k], flat, 1) for k in range(self.count)])[:, position]
        gained = settings.per_second * (begin * solved + spent)
        later = np.arange(points)[None, :] > np.arange(points)[:, None]
        self.value = np.full((1 << self.count, points), settings.loss)
        self._choice = np.full((1 << self.count, points, 2), -1, dtype=np.int64)
        for chosen in range(1, 1 << self.count):
            for k in range(self.count):
                if not chosen >> k & 1:
                    continue
                rest = self.value[chosen & ~(1 << k)]
                # [begin, end]
                total = np.where(later, gained[k] + (1.0 - solved[k]) * rest[None, :], np.inf)
                end = np.argmin(total, axis=1)
                best = total[np.arange(points), end]
                better = best < self.value[chosen] - 1e-12
                self.value[chosen] = np.where(better, best, self.value[chosen])
                self._choice[chosen, better, 0] = k
                self._choice[chosen, better, 1] = end[better]

    def slices(self, chosen: int) -> list[tuple[int, float]]:
        """Return the best schedule of a subset of solvers from the beginning."""
        found: list[tuple[int, float]] = []
        now = 0
        while chosen and now < len(self.times) - 1:
            solver, end = self._choice[chosen, now].tolist()
            if solver < 0:
                break
            found.append((solver, float(self.times[end] - self.times[now])))
            chosen, now = chosen & ~(1 << solver), end
        return found


def _divisions(items: Sequence[int], groups: int) -> Iterator[list[int]]:
    """Yield every division of items into at most so many groups, as bit masks."""

    def extend(position: int, masks: list[int]) -> Iterator[list[int]]:
        if position == len(items):
            yield list(masks)
            return
        bit = 1 << items[position]
        for k in range(len(masks)):
            masks[k] |= bit
            yield from extend(position + 1, masks)
            masks[k] &= ~bit
        if len(masks) < groups:
            masks.append(bit)
            yield from extend(position + 1, masks)
            masks.pop()

    yield from extend(0, [])


def _optimal(
    distribution: CostDistribution, settings: ScheduleSettings, times: Floats
) -> list[list[tuple[int, float]]]:
    """Return the best schedule under independence.

    One core: optimal on the grid of times. Several cores: for P(solved) optimal too, since what is left unsolved is the
    product over cores; for expected times the best division among the cores, each of which is optimal for itself.
    """
    plans = _Plans(distribution, settings, times)
    everything = (1 << plans.count) - 1
    if settings.cores == 1:
        return [plans.slices(everything)]
    if settings.cores >= plans.count:
        return [[(k, settings.time_limit_s)] for k in range(plans.count)]
    single = distribution.reshape(1, plans.count)
    best: tuple[float, list[list[tuple[int, float]]]] | None = None
    for masks in _divisions(range(plans.count), settings.cores):
        if settings.objective is Objective.P_SOLVED:
            cores = [plans.slices(mask) for mask in masks]
            value = float(np.prod([plans.value[mask, 0] for mask in masks]))
        else:
            cores = [plans.slices(mask) for mask in masks]
            value = float(expectation(cores, single, settings.time_limit_s).loss(settings)[0])
        if best is None or value < best[0] - 1e-12:
            best = (value, cores)
    assert best is not None
    return best[1]


# Over cases -----------------------------------------------------------------------------------------------------------


def given_common_factor(distribution: CostDistribution, dependence: float) -> tuple[CostDistribution, Floats]:
    """Return the distributions given each node of a quadrature over the common factor, and the nodes' weights.

    Parameters
    ----------
    distribution
        ``(m, n_solvers)``.
    dependence
        The r of the module's formula.

    Returns
    -------
    CostDistribution
        ``(m * nodes, n_solvers)``, nodes fastest.
    float64[m * nodes]
        Weights that sum to 1; the weighted mean of an instance's nodes is its distribution, up to the quadrature.
    """
    m = distribution.shape[0]
    if dependence == 0:
        return distribution, np.full(m, 1.0 / m)
    from scipy.special import ndtr, ndtri

    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    score = ndtri(np.clip(distribution.cdf, 1e-9, 1 - 1e-9))
    shifted = (score[:, None] - np.sqrt(dependence) * nodes[None, :, None, None]) / np.sqrt(1 - dependence)
    cdf = np.where(distribution.cdf[:, None] <= 0, 0.0, np.where(distribution.cdf[:, None] >= 1, 1.0, ndtr(shifted)))
    return (
        CostDistribution(distribution.grid, cdf.reshape(m * _NODES, *distribution.cdf.shape[1:])),
        np.tile(weights, m) / m,
    )


def _greedy(
    cases: CostDistribution, weights: Floats, settings: ScheduleSettings, times: Floats
) -> list[list[tuple[int, float]]]:
    """Return the schedule that adds the slice with the most solved for its time, on whichever core is free first."""
    count = cases.shape[1]
    cores: list[list[tuple[int, float]]] = [[] for _ in range(min(settings.cores, count))]
    free = [0.0] * len(cores)
    alive = weights.copy()
    left = set(range(count))
    lengths = times[1:]
    solved = np.stack([cases[:, k].reshape(len(cases), 1).p_solved_by(lengths[None, :]) for k in range(count)])
    while left:
        core = int(np.argmin(free))
        room = settings.time_limit_s - free[core]
        fits = np.flatnonzero(lengths <= room * (1 + 1e-9))
        if not len(fits):
            break
        rates = {k: (alive @ solved[k][:, fits]) / np.where(settings.per_second > 0, lengths[fits], 1.0) for k in left}
        solver = max(sorted(left), key=lambda k: float(rates[k].max()))
        length = float(lengths[fits[int(np.argmax(rates[solver]))]])
        alive = alive * (1.0 - cases[:, solver].p_solved_by(length))
        left.remove(solver)
        cores[core].append((solver, length))
        free[core] += length
    return [core for core in cores if core]


def _filled(cores: Iterable[Sequence[tuple[_Item, float]]], limit_s: float) -> list[list[tuple[_Item, float]]]:
    """Give the last slice of every core the time that is left."""
    full = []
    for core in cores:
        if core:
            used = sum(length for _, length in core[:-1])
            full.append([*core[:-1], (core[-1][0], limit_s - used)])
    return full


def plan(
    distribution: CostDistribution,
    solvers: Sequence[str],
    settings: ScheduleSettings,
    *,
    paths: Sequence[str] = (),
    overhead_s: float = 0.0,
) -> Schedule:
    """Compute a schedule for an instance, or one for a set of instances.

    Parameters
    ----------
    distribution
        ``(n_solvers,)`` or ``(m, n_solvers)``, in CPU seconds.
    solvers
        Names of the columns.
    settings
        Objective, limit, cores, dependence.
    paths, overhead_s
        Recorded in the schedule.

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
    cases, weights = given_common_factor(part, settings.dependence)
    average = CostDistribution.mixture(part, even)
    candidates = [_filled(_optimal(average, settings, times), limit)]
    if len(cases) > 1:
        candidates.append(_filled(_greedy(cases, weights, settings, times), limit))
    candidates += [
        [[(kept.index(k), limit)] for k in group]
        for group in itertools.combinations(alone[:MOST_SOLVERS], min(settings.cores, len(kept)))
    ]
    values = [loss(cores, cases, weights) for cores in candidates]
    best = candidates[int(np.argmin(values))]
    found = _expected_schedule(best, [solvers[k] for k in kept], cases, weights, settings)
    return replace(found, instances=len(whole), paths=tuple(paths), overhead_s=overhead_s)


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
        dependence=settings.dependence,
    )


def ways_on(
    distribution: CostDistribution,
    solvers: Sequence[str],
    settings: ScheduleSettings,
    running: str,
    spent_s: float,
    *,
    paths: Sequence[str] = (),
) -> tuple[Schedule, ...]:
    """Return how to go on when one solver is running already and has not answered yet.

    That it has not says something about the instance, and so about the others: the weights of the common factor are
    updated by it.

    Parameters
    ----------
    distribution
        ``(n_solvers,)``, in CPU seconds, of whole runs.
    solvers
        Names of the columns.
    settings
        Objective, the time that is left, cores, dependence.
    running
        The solver that runs.
    spent_s
        CPU seconds that it has used.
    paths
        Recorded in the schedules.

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
    cases, weights = given_common_factor(distribution.reshape(1, len(solvers)), settings.dependence)
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
    return tuple(
        replace(_expected_schedule(cores, names, cases, weights, settings), paths=tuple(paths)) for cores in ways
    )


def way_on(ways: Sequence[Schedule], least_gain: float) -> Schedule:
    """Return the one of :func:`ways_on` to take.

    Parameters
    ----------
    ways
        What there is to choose from.
    least_gain
        Share of the objective by which the others must promise to do better before the running solver makes room: a
        promise that is the best of several is too good on average.
    """
    goes_on, *instead = ways
    return instead[0] if instead and instead[0].value < (1.0 - least_gain) * goes_on.value else goes_on


def cautious_plan(
    distribution: CostDistribution,
    solvers: Sequence[str],
    settings: ScheduleSettings,
    single: str,
    least_gain: float,
    *,
    paths: Sequence[str] = (),
    overhead_s: float = 0.0,
) -> Schedule:
    """Compute a schedule for an instance that leaves the single best solver for a promise that is large enough only.

    Parameters
    ----------
    distribution
        ``(n_solvers,)``, in CPU seconds.
    solvers, settings, paths, overhead_s
        See :func:`plan`.
    single
        The single best solver, which otherwise has the first core all the time, with others beside it on the others.
    least_gain
        See :func:`way_on`.
    """
    alone = ways_on(distribution, solvers, settings, single, 0.0)[0]
    planned = plan(distribution, solvers, settings)
    return replace(way_on((alone, planned), least_gain), paths=tuple(paths), overhead_s=overhead_s)


def schedule_of(
    prediction: Prediction, training: TrainingPortfolio, settings: ScheduleSettings, overhead_s: float = 0.0
) -> Schedule:
    """Return the schedule for a predicted instance: the solver that :func:`decide` chooses, unless turns pay more.

    Parameters
    ----------
    prediction
        In CPU seconds.
    training
        What the training side says.
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
        judged = replace(settings, time_limit_s=min(settings.time_limit_s, bound))
        found = cautious_plan(distribution, prediction.solvers, judged, decision.chosen, training.least_gain)
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
    training: TrainingPortfolio,
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
    training
        What the training side says.
    settings
        Their limit is what is left.
    running, spent_s
        The solver that runs, and the CPU seconds that it has used.
    time_limit_s
        The whole limit.
    """
    assert prediction.distribution is not None
    bound = bound_of(prediction.distribution)
    decision = decide(prediction, training, SelectionSettings(settings.objective, time_limit_s))
    ways = ways_on(extrapolated(prediction.distribution), prediction.solvers, settings, running, spent_s)
    # What the running solver has survived says more than the labels do once it is beyond them.
    leaves = decision.leaves and spent_s < bound
    way = way_on(ways, training.least_gain) if leaves else ways[0]
    return replace(way, paths=(prediction.path,), reason=decision.reason).as_observed(bound, spent_s)


class Scheduler(DecidesByPredictor):
    """Schedules with a checkpoint.

    The schedule of one instance keeps to the single best solver of the training side unless another one promises to do
    better by what has paid on instances that were not trained on (``least_gain`` of the checkpoint's portfolio).

    Parameters
    ----------
    predictor
        In CPU seconds, with the solvers to schedule.
    settings
        What is minimised, within how long, on how many cores.

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
        self.training = TrainingPortfolio.of_checkpoint(predictor.checkpoint)

    @classmethod
    def from_checkpoint(
        cls,
        where: str | Path | None = None,
        *,
        objective: str = "par2",
        time_limit_s: float | None = None,
        cores: int = 1,
        solvers: Sequence[str] | None = None,
        dependence: float | None = None,
        device: str = "auto",
        start: str | None = None,
        relaxed: bool = False,
    ) -> Self:
        """Open a checkpoint (None: the newest that ships with the package) to schedule with it.

        Parameters
        ----------
        where
            Directory or name of the checkpoint.
        objective, time_limit_s, cores, dependence
            See :class:`ScheduleSettings`; limit and dependence default to the checkpoint's.
        solvers, device, start, relaxed
            See :class:`~satcost_gnn.serve.predictor.Predictor`.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint, or it predicts no CPU seconds.
        ConfigError
            If a solver or the objective is unknown, or a number out of range.
        """
        predictor = Predictor.from_checkpoint(
            where,
            unit=UNIT,
            solvers=solvers,
            cutoff=time_limit_s,
            device=device,
            start=start,
            relaxed=relaxed,
            limit_s=DEFAULT_LIMIT_S if time_limit_s is None else time_limit_s,
        )
        if dependence is None:
            dependence = TrainingPortfolio.of_checkpoint(predictor.checkpoint).dependence
        return cls(predictor, ScheduleSettings(Objective.of(objective), predictor.cutoff, cores, dependence))

    def schedule(self, source: FormulaSource) -> Schedule:
        """Return the schedule for one instance.

        Parameters
        ----------
        source
            See :meth:`satcost_gnn.serve.predictor.Predictor.predict`.

        Returns
        -------
        Schedule
            Of what is left of the limit after the overhead.

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
                dependence=self.settings.dependence,
                paths=(prediction.path,),
                overhead_s=overhead,
                status="solved" if prediction.result else prediction.status,
                result=prediction.result,
                error=prediction.reason if prediction.status == "error" else "",
            )
        return schedule_of(prediction, self.training, settings, overhead)

    def schedule_set(self, sources: Iterable[FormulaSource], *, jobs: int = 1) -> Schedule:
        """Return one schedule for a set of instances, to be run on each of them, and on others like them, unseen.

        Such a schedule needs no probe and no inference when it is run, so that nothing of the limit is taken off for
        them.

        Parameters
        ----------
        sources
            Paths or formulas.
        jobs
            Instances predicted at a time.

        Raises
        ------
        ConfigError
            If none of them can be read.
        """
        paths: list[str] = []
        rows: list[Floats] = []
        errors: list[str] = []
        overhead, bound = 0.0, float("inf")
        for prediction in self.predictor.predict_many(sources, jobs=jobs):
            if prediction.distribution is None:
                errors.append(prediction.reason)
                continue
            paths.append(prediction.path)
            rows.append(prediction.distribution.cdf)
            bound = bound_of(prediction.distribution)
            overhead += float(charge(prediction.timings))
        if not rows:
            raise ConfigError("found no formula that can be read: " + "; ".join(errors or ["there is none"]))
        found = plan(
            CostDistribution(grid_for(UNIT), np.stack(rows)),
            self.predictor.solvers,
            self.settings,
            paths=paths,
            overhead_s=overhead,
        )
        return replace(found, error="\n".join(errors)).as_observed(bound)


def write_aslib_schedules(path: Path, schedules: Mapping[str, Schedule]) -> None:
    """Write sequential schedules as the table ``instanceID,runID,solver,timeLimit`` of the ASlib challenge of 2015.

    Raises
    ------
    ConfigError
        If one of them is for several cores, for which the format has no place.
    """
    with replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["instanceID", "runID", "solver", "timeLimit"])
        for instance, schedule in schedules.items():
            if len(schedule.cores) > 1:
                raise ConfigError(f"{path}: the ASlib format holds sequential schedules only; take one core")
            writer.writerows(
                [instance, number, part.solver, f"{part.cpu_s:.6g}"]
                for number, part in enumerate(schedule.cores[0], start=1)
            )
