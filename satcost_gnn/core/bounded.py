"""Distributions of which a run has already shown something: a cost that is known, or a bound that was survived.

The grid of a :class:`~satcost_gnn.core.distribution.CostDistribution` has bins of a quarter of a decade; what a run has
shown is a number. A :class:`BoundedDistribution` keeps both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import CostDistribution, CostGrid, Floats


@dataclass(frozen=True, eq=False, repr=False)
class BoundedDistribution(CostDistribution):
    """Distributions of log10 cost within bounds: no quantile lies outside them.

    Parameters
    ----------
    grid, cdf
        As in :class:`CostDistribution`. Mass outside the bounds counts as lying at them.
    lower, upper
        log10 cost, broadcast against the leading axes: nothing costs less, or more. Where both are the same, the cost
        is known, and may lie outside the grid (minus infinity for no conflict at all).

    Raises
    ------
    ValueError
        As :class:`CostDistribution`, or if a bound is NaN or the lower one is above the upper one.
    """

    lower: Floats
    upper: Floats

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = self.cdf.shape[:-1]
        for name in ("lower", "upper"):
            values = np.array(np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), shape))
            if np.isnan(values).any():
                raise ValueError(f"found a {name} bound that is no number")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if (self.lower > self.upper).any():
            raise ValueError("found a lower bound above the upper one")

    def __getitem__(self, index: Any) -> CostDistribution:
        """Return the distributions at an index of the leading axes."""
        part = super().__getitem__(index)
        return BoundedDistribution(part.grid, part.cdf, self.lower[index], self.upper[index])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.grid, np.array(self.cdf), np.array(self.lower), np.array(self.upper))

    def cdf_at(self, log10_cost: ArrayLike) -> Floats:
        """Return the probability that log10 cost is at most a value; NaN gives NaN."""
        x = np.asarray(log10_cost, dtype=np.float64)
        found = super().cdf_at(x)
        found = np.where(x < self.lower, 0.0, np.where(x >= self.upper, 1.0, found))
        return np.where(np.isnan(x), np.nan, found)

    def quantile(self, q: ArrayLike) -> Floats:
        """Return log10 cost at probability levels, within the bounds."""
        value = super().quantile(q)
        apart = np.ndim(value) > len(self.shape)
        lower, upper = (self.lower[..., None], self.upper[..., None]) if apart else (self.lower, self.upper)
        return np.minimum(np.maximum(value, lower), upper)

    def censored_above(self, q: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the quantile at each level lies beyond the grid, so that ``grid.high`` is a lower bound."""
        above = super().censored_above(q)
        finite = np.isfinite(self.upper)
        return above & ~(finite[..., None] if np.ndim(above) > len(self.shape) else finite)

    def mean(self) -> Floats:
        """Return the restricted mean of log10 cost: mass outside the grid counts at the grid's ends."""
        inside = np.minimum(np.maximum(super().mean(), self.lower), self.upper)
        return np.asarray(np.clip(inside, self.grid.low, self.grid.high))

    def sd(self) -> Floats:
        """Return the restricted standard deviation of log10 cost, 0 where the cost is known."""
        return np.where(self.lower == self.upper, 0.0, super().sd())

    def reshape(self, *shape: int) -> CostDistribution:
        """Return the same distributions with other leading axes."""
        return BoundedDistribution(
            self.grid,
            self.cdf.reshape(*shape, self.grid.bins + 1),
            self.lower.reshape(*shape),
            self.upper.reshape(*shape),
        )

    def scaled(self, factor: float) -> CostDistribution:
        """Return the distributions of the cost times a factor, on the same grid (exact at its edges)."""
        moved = CostDistribution(self.grid, self.cdf).scaled(factor)
        shift = float(np.log10(factor))
        return BoundedDistribution(self.grid, moved.cdf, self.lower + shift, self.upper + shift)


def known_cost(grid: CostGrid, log10_cost: float) -> CostDistribution:
    """Return the distribution of a cost that is known; on the grid, all its mass lies in the bin that holds it."""
    cdf = (grid.edges >= min(max(log10_cost, grid.low), grid.high)).astype(np.float64)
    bound = np.array(log10_cost, dtype=np.float64)
    return BoundedDistribution(grid, cdf, bound, bound)


def survived(distribution: CostDistribution, log10_cost: ArrayLike) -> CostDistribution:
    """Return the distributions given that so much has been spent without an end.

    What was spent (log10) is broadcast against the leading axes; minus infinity changes nothing.
    """
    floor = np.broadcast_to(np.asarray(log10_cost, dtype=np.float64), distribution.shape)
    if not np.isfinite(floor).any():
        return distribution
    conditional = distribution.condition_above(np.where(np.isfinite(floor), floor, np.nan))
    return BoundedDistribution(conditional.grid, conditional.cdf, floor, np.full(floor.shape, np.inf))


def join(parts: list[CostDistribution]) -> CostDistribution:
    """Stack single distributions along a new first axis, with the bounds of those that have some."""
    stacked = CostDistribution.stack(parts)
    lower = [part.lower if isinstance(part, BoundedDistribution) else np.float64(-np.inf) for part in parts]
    upper = [part.upper if isinstance(part, BoundedDistribution) else np.float64(np.inf) for part in parts]
    return BoundedDistribution(stacked.grid, stacked.cdf, np.stack(lower), np.stack(upper))
