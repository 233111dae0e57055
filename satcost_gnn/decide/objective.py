"""What a decision is judged by: functions of a solver's predicted cost in CPU seconds, the smaller the better."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from satcost_gnn.core.distribution import CostDistribution, Floats
from satcost_gnn.errors import ConfigError

_LN10 = float(np.log(10.0))


class Objective(StrEnum):
    """What is to be minimised."""

    EXPECTED_COST = "expected-cost"
    PAR2 = "par2"
    PAR10 = "par10"
    P_SOLVED = "p-solved"

    @property
    def penalty(self) -> float:
        """Factor of the cutoff that an unsolved instance counts as; 1 for the time spent, whatever came of it."""
        return {"expected-cost": 1.0, "par2": 2.0, "par10": 10.0}.get(self, 0.0)

    @classmethod
    def of(cls, name: str) -> Objective:
        """Return the objective of this name; ConfigError if there is none."""
        try:
            return cls(name)
        except ValueError:
            raise ConfigError(f"found objective {name!r}; expected one of {', '.join(cls)}") from None


@dataclass(frozen=True, eq=False)
class Scores:
    """Mean and standard deviation of what an objective makes of the cost.

    Parameters
    ----------
    value
        ``float64[...]``: CPU seconds, or for ``p-solved`` the probability of not solving.
    sd
        ``float64[...]``: standard deviation of the same over the predicted distribution.
    """

    value: Floats
    sd: Floats


def partial_moment(distribution: CostDistribution, limit_s: ArrayLike, power: int) -> Floats:
    """Return the part of E[cost^power] that comes from costs of at most a limit, in the grid's unit to that power.

    Inside a bin log10 cost x is uniform, so with its density p the integral of p 10^(k x) over [a, b] is
    p (10^(k b) - 10^(k a)) / (k ln 10). Mass at or below the grid's lower end counts at that end.

    Parameters
    ----------
    distribution
        Of shape ``[...]``.
    limit_s
        In the grid's unit, not a logarithm, broadcast against the leading axes; nothing costs less than 0.
    power
        1 or 2.
    """
    grid = distribution.grid
    limit = np.asarray(limit_s, dtype=np.float64)
    stop = np.log10(limit, out=np.full(limit.shape, -np.inf), where=limit > 0)[..., None]
    edges = grid.edges
    reach = np.clip(stop, edges[:-1], edges[1:])
    density = np.diff(distribution.cdf, axis=-1) / grid.width
    area = (density * (10.0 ** (power * reach) - 10.0 ** (power * edges[:-1])) / (power * _LN10)).sum(axis=-1)
    at_low = np.where(stop[..., 0] >= grid.low, distribution.cdf[..., 0] * 10.0 ** (power * grid.low), 0.0)
    return np.asarray(area + at_low)


def scores(
    distribution: CostDistribution, objective: Objective, cutoff_s: ArrayLike, overhead_s: ArrayLike = 0.0
) -> Scores:
    """Return mean and standard deviation of an objective for predicted costs in CPU seconds.

    With o the overhead, c the cost and T the cutoff, the objective is o + c where o + c <= T and k T otherwise,
    k being 1, 2 or 10.

    Parameters
    ----------
    distribution
        Of shape ``[...]``.
    cutoff_s
        Seconds within which overhead and run together must end; broadcast against the leading axes, like the overhead.
    overhead_s
        Seconds already spent on the decision; they are charged.
    """
    cutoff, overhead = np.asarray(cutoff_s, dtype=np.float64), np.asarray(overhead_s, dtype=np.float64)
    left = cutoff - overhead
    solved = distribution.p_solved_by(np.maximum(left, 0.0))
    if objective is Objective.P_SOLVED:
        return Scores(1.0 - solved, np.sqrt(solved * (1.0 - solved)))
    limit = objective.penalty * cutoff
    first = partial_moment(distribution, left, 1)
    second = partial_moment(distribution, left, 2)
    mean = first + overhead * solved + limit * (1.0 - solved)
    square = second + 2 * overhead * first + overhead**2 * solved + limit**2 * (1.0 - solved)
    return Scores(mean, np.sqrt(np.maximum(square - mean**2, 0.0)))


def effect_size(value: Floats, sd: Floats, single: int) -> Floats:
    """Return how far the best solver is from the single best: difference over the root of the sum of variances.

    Parameters
    ----------
    value, sd
        ``float64[..., n_solvers]``: objective and its standard deviation.
    single
        Column of the single best; where it is the best here too, 0 is returned.
    """
    best = np.argmin(value, axis=-1)[..., None]
    best_value, best_sd = (np.take_along_axis(part, best, axis=-1)[..., 0] for part in (value, sd))
    difference = value[..., single] - best_value
    scale = np.hypot(best_sd, sd[..., single])
    largest = float(np.finfo(np.float64).max)
    return np.where(
        difference <= 0, 0.0, np.divide(difference, scale, out=np.full(scale.shape, largest), where=scale > 0)
    )
