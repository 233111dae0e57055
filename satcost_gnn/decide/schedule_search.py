"""The best schedule for predicted distributions: what to expect of a plan, dynamic programming, and the greedy plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from satcost_gnn.core.common_factor import given_factor, quadrature
from satcost_gnn.core.distribution import CostDistribution, Floats
from satcost_gnn.decide.objective import Objective, partial_moment
from satcost_gnn.errors import ConfigError

# Times at which a slice may begin or end.
_POINTS = 40
# Nodes of the quadrature over the common factor.
_NODES = 9
# Times at which the solvers of several cores are looked at together.
_FINE = 400


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
    copula_correlation
        From 0 to less than 1.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    objective: Objective = Objective.PAR2
    time_limit_s: float = 10.0
    cores: int = 1
    copula_correlation: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.time_limit_s) and self.time_limit_s > 0):
            raise ConfigError(f"found a time limit of {self.time_limit_s:g} s; expected a positive number of seconds")
        if self.cores < 1:
            raise ConfigError(f"found {self.cores} cores; expected at least 1")
        if not 0 <= self.copula_correlation < 1:
            raise ConfigError(
                f"found a copula correlation of {self.copula_correlation:g}; expected a number from 0 to less than 1"
            )

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
        while chosen:
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


def optimal_plan(
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
        cores = [plans.slices(mask) for mask in masks]
        if settings.objective is Objective.P_SOLVED:
            value = float(np.prod([plans.value[mask, 0] for mask in masks]))
        else:
            value = float(expectation(cores, single, settings.time_limit_s).loss(settings)[0])
        if best is None or value < best[0] - 1e-12:
            best = (value, cores)
    assert best is not None
    return best[1]


def given_common_factor(distribution: CostDistribution, copula_correlation: float) -> tuple[CostDistribution, Floats]:
    """Return the distributions given each node of a quadrature over the common factor, and the nodes' weights.

    The correlation is the r of :mod:`satcost_gnn.decide.schedule`'s formula.

    Returns
    -------
    CostDistribution
        ``(m * nodes, n_solvers)`` for one of ``(m, n_solvers)``, nodes fastest; without a correlation as they are, as
        if of one node.
    float64[m * nodes]
        Weights that sum to 1; the weighted mean of an instance's nodes is its distribution, up to the quadrature.
    """
    m = distribution.shape[0]
    if copula_correlation == 0:
        return distribution, np.full(m, 1.0 / m)
    nodes, weights = quadrature(_NODES)
    cdf = np.moveaxis(given_factor(distribution.cdf, copula_correlation, nodes), -1, 1)
    return (
        CostDistribution(distribution.grid, cdf.reshape(m * _NODES, *distribution.cdf.shape[1:])),
        np.tile(weights, m) / m,
    )


def greedy_plan(
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
