"""Distributions over the cost of a run, on a fixed grid of log10 cost: what every estimator returns.

Cost is log10 inside and its unit is named by the grid. A :class:`CostDistribution` is a piecewise-linear cumulative
distribution function (CDF) of log10 cost, given at the edges of the grid. Mass may lie at or below the grid's lower
end (``cdf[..., 0] > 0``) and beyond its upper end (``cdf[..., -1] < 1``); what lies beyond is known only to be more
than ``grid.high``. Where a number is needed for it, ``grid.high`` stands for it, and the method says so.
"""

from __future__ import annotations

from satcost_gnn.core.crps import crps
from satcost_gnn.core.estimated_cdf import kaplan_meier
from satcost_gnn.core.grid import (
    GRIDS,
    UNIT_LABELS,
    CostGrid,
    Floats,
    broadcast_over,
    grid_for,
    log10_budget,
    quantile_levels,
)

# A grid is imported from here, too: nobody has a distribution without its grid.
__all__ = ["GRIDS", "TABLE_LEVELS", "UNIT_LABELS", "Bools", "CostDistribution", "CostGrid", "Floats", "grid_for"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bools = NDArray[np.bool_]

#: Quantile levels of a prediction table.
TABLE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

# Slack for CDF values that come out of sums and products of doubles (or of floats from a network).
_TOLERANCE = 1e-6
# Survival below this is treated as none: ratios of such numbers are rounding noise.
_NO_SURVIVAL = 1e-12
_LN10 = float(np.log(10.0))


@dataclass(frozen=True, eq=False)
class CostDistribution:
    """Distributions of log10 cost, any number of them at once.

    Parameters
    ----------
    grid
        The grid of log10 cost.
    cdf
        ``float64[..., bins + 1]``: probability that log10 cost is at most each edge, linear between the edges. The
        leading axes are free: normally ``(n_instances, n_solvers)``. Kept as a read-only copy.

    Raises
    ------
    ValueError
        If the last axis doesn't fit the grid, or values are not finite, not in [0, 1], or fall from edge to edge
        (beyond rounding, which is put right).
    """

    grid: CostGrid
    cdf: Floats

    def __post_init__(self) -> None:
        cdf = np.array(self.cdf, dtype=np.float64)
        expected = self.grid.bins + 1
        if cdf.ndim < 1 or cdf.shape[-1] != expected:
            raise ValueError(f"found a CDF of shape {cdf.shape}; expected (..., {expected}), a value for each edge")
        if not np.isfinite(cdf).all():
            raise ValueError(f"found {int((~np.isfinite(cdf)).sum())} CDF values that are not finite numbers")
        if cdf.size:
            least, largest = float(cdf.min()), float(cdf.max())
            if least < -_TOLERANCE or largest > 1 + _TOLERANCE:
                raise ValueError(f"found CDF values from {least:.6g} to {largest:.6g}; expected 0 to 1")
            fall = float(np.diff(cdf, axis=-1).min())
            if fall < -_TOLERANCE:
                raise ValueError(f"found a CDF that falls by {-fall:.6g} from one edge to the next; it must not fall")
        np.clip(cdf, 0.0, 1.0, out=cdf)
        np.maximum.accumulate(cdf, axis=-1, out=cdf)
        cdf.flags.writeable = False
        object.__setattr__(self, "cdf", cdf)

    # Shape ----------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the leading axes: one distribution for each place."""
        return tuple(self.cdf.shape[:-1])

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single distribution has no length")
        return self.shape[0]

    def __getitem__(self, index: Any) -> CostDistribution:
        """Return the distributions at an index of the leading axes."""
        key = index if isinstance(index, tuple) else (index,)
        if any(part is Ellipsis for part in key):
            key = (*key, slice(None))
        return CostDistribution(self.grid, self.cdf[key])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.grid, np.array(self.cdf))

    def __repr__(self) -> str:
        return f"CostDistribution({self.grid.unit}, shape={self.shape})"

    def reshape(self, *shape: int) -> CostDistribution:
        """Return the same distributions with other leading axes."""
        return CostDistribution(self.grid, self.cdf.reshape(*shape, self.grid.bins + 1))

    @classmethod
    def concatenate(cls, parts: Sequence[CostDistribution], axis: int = 0) -> CostDistribution:
        """Join distributions along one of the leading axes (non-negative ``axis``); the grids must agree."""
        grid = _common_grid(parts)
        return cls(grid, np.concatenate([part.cdf for part in parts], axis=axis))

    @classmethod
    def stack(cls, parts: Sequence[CostDistribution], axis: int = 0) -> CostDistribution:
        """Join distributions of equal shape along a new leading axis (non-negative ``axis``)."""
        grid = _common_grid(parts)
        return cls(grid, np.stack([part.cdf for part in parts], axis=axis))

    # Questions ------------------------------------------------------------------------------------------------------

    def cdf_at(self, log10_cost: ArrayLike) -> Floats:
        """Return the probability that log10 cost is at most a value.

        Parameters
        ----------
        log10_cost
            Broadcast against the leading axes. Above the grid the answer is that of ``grid.high``: how the mass
            beyond is spread isn't known. Below the grid it is 0. NaN gives NaN.
        """
        x = np.asarray(log10_cost, dtype=np.float64)
        x, cdf = broadcast_over(x, self.cdf)
        position = (np.clip(np.nan_to_num(x), self.grid.low, self.grid.high) - self.grid.low) / self.grid.width
        left = np.minimum(position.astype(np.int64), self.grid.bins - 1)
        share = position - left
        at_left = np.take_along_axis(cdf, left[..., None], axis=-1)[..., 0]
        at_right = np.take_along_axis(cdf, left[..., None] + 1, axis=-1)[..., 0]
        value = at_left + share * (at_right - at_left)
        value = np.where(x < self.grid.low, 0.0, value)
        return np.where(np.isnan(x), np.nan, value)

    def quantile(self, q: ArrayLike) -> Floats:
        """Return log10 cost at probability levels: the least x with CDF(x) >= q.

        Parameters
        ----------
        q
            One level, or a one-dimensional array of ``k`` levels in [0, 1].

        Returns
        -------
        float64[...] or float64[..., k]
            ``grid.high`` where the level lies in the mass beyond the grid (see :meth:`censored_above`).
        """
        levels, single = quantile_levels(q)
        grid = self.grid
        # First edge at or above each level; found by counting so that flat stretches give their left end.
        right = np.empty((*self.shape, len(levels)), dtype=np.int64)
        for k, level in enumerate(levels):
            right[..., k] = (self.cdf < level).sum(axis=-1)
        inside = (right > 0) & (right <= grid.bins)
        upper = np.clip(right, 1, grid.bins)
        at_right = np.take_along_axis(self.cdf, upper, axis=-1)
        at_left = np.take_along_axis(self.cdf, upper - 1, axis=-1)
        rise = np.where(inside, at_right - at_left, 1.0)
        share = np.clip((levels - at_left) / rise, 0.0, 1.0)
        value = grid.low + grid.width * (upper - 1 + share)
        value = np.where(right == 0, grid.low, np.where(inside, value, grid.high))
        return value[..., 0] if single else value

    def censored_above(self, q: ArrayLike) -> Bools:
        """Return whether the quantile at each level lies beyond the grid, so that ``grid.high`` is a lower bound."""
        levels, single = quantile_levels(q)
        above = self.cdf[..., -1:] < levels
        return above[..., 0] if single else above

    def median(self) -> Floats:
        """Return the median of log10 cost."""
        return self.quantile(0.5)

    def interval(self, coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of the central interval with the given coverage, in log10 cost.

        Raises
        ------
        ValueError
            If the coverage isn't between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"found coverage {coverage}; expected a number between 0 and 1, such as 0.8")
        ends = self.quantile([0.5 - coverage / 2, 0.5 + coverage / 2])
        return ends[..., 0], ends[..., 1]

    def mean(self) -> Floats:
        """Return the restricted mean of log10 cost: mass outside the grid counts at the grid's ends."""
        # E[min(Y, high)] = high - integral of the CDF; the trapezium rule is exact for a piecewise-linear CDF.
        area = self.grid.width * (self.cdf.sum(axis=-1) - 0.5 * (self.cdf[..., 0] + self.cdf[..., -1]))
        return np.asarray(self.grid.high - area)

    def restricted_mean(self, log10_limit: ArrayLike) -> Floats:
        """Return the mean of log10 cost with all that costs more than a limit counted at the limit: E[min(Y, limit)].

        Parameters
        ----------
        log10_limit
            Broadcast against the leading axes. A limit beyond the grid's upper end is taken as that end.
        """
        limit = np.minimum(np.asarray(log10_limit, dtype=np.float64), self.grid.high)
        limit, cdf = broadcast_over(limit, self.cdf)
        # E[min(Y, c)] = c - integral of the CDF up to c; in the bin that holds c it is a trapezium too.
        edges = self.grid.edges
        reach = np.clip(limit[..., None] - edges[:-1], 0.0, self.grid.width)
        left, right = cdf[..., :-1], cdf[..., 1:]
        area = reach * (left + 0.5 * (right - left) * reach / self.grid.width)
        return np.asarray(limit - area.sum(axis=-1))

    def sd(self) -> Floats:
        """Return the restricted standard deviation of log10 cost: mass outside the grid counts at the ends."""
        centre = self.mean()[..., None]
        mass = np.diff(self.cdf, axis=-1)
        variance = (mass * ((self.grid.centres - centre) ** 2 + self.grid.width**2 / 12)).sum(axis=-1)
        variance = variance + self.cdf[..., 0] * (self.grid.low - centre[..., 0]) ** 2
        variance = variance + (1.0 - self.cdf[..., -1]) * (self.grid.high - centre[..., 0]) ** 2
        return np.asarray(np.sqrt(variance))

    def p_solved_by(self, budget: ArrayLike) -> Floats:
        """Return the probability that the cost is at most a budget.

        Parameters
        ----------
        budget
            In the grid's unit (not a logarithm), broadcast against the leading axes. A budget beyond the grid gives
            the probability of its upper end, a lower bound.

        Raises
        ------
        ValueError
            If a budget is negative or not a number.
        """
        return self.cdf_at(log10_budget(budget, "budget"))

    def expected_par(self, k: float, cutoff: ArrayLike) -> Floats:
        """Return the expected penalised cost: the cost if at most the cutoff, otherwise ``k`` times the cutoff.

        Parameters
        ----------
        k
            Penalty factor: 2 for PAR2, 10 for PAR10.
        cutoff
            In the grid's unit, broadcast against the leading axes. Mass beyond the grid counts as not solved even if
            the cutoff lies beyond it too.

        Returns
        -------
        float64[...]
            In the grid's unit (not a logarithm).

        Raises
        ------
        ValueError
            If a cutoff isn't positive and finite.
        """
        limit = np.asarray(cutoff, dtype=np.float64)
        if not (np.isfinite(limit).all() and (limit > 0).all()):
            raise ValueError(f"found cutoff {cutoff!r}; expected a positive, finite number in {self.grid.unit}")
        limit, cdf = broadcast_over(limit, self.cdf)
        edges = self.grid.edges
        stop = np.log10(limit)[..., None]
        # Inside a bin log10 cost is uniform, so cost has density proportional to 1/cost: integrate 10^x exactly.
        reach = np.clip(stop, edges[:-1], edges[1:])
        density = np.diff(cdf, axis=-1) / self.grid.width
        solved = (density * (10.0**reach - 10.0 ** edges[:-1]) / _LN10).sum(axis=-1)
        solved = solved + np.where(stop[..., 0] >= self.grid.low, cdf[..., 0] * 10.0**self.grid.low, 0.0)
        unsolved = 1.0 - self.cdf_at(stop[..., 0])
        return np.asarray(solved + k * limit * unsolved)

    def crps(self, log10_cost: ArrayLike, censored: ArrayLike = False, limit: ArrayLike | None = None) -> Floats:
        """Return the continuous ranked probability score in decades: see :func:`satcost_gnn.core.crps.crps`."""
        return crps(self.grid, self.cdf, log10_cost, censored, limit)

    # New distributions from old -------------------------------------------------------------------------------------

    def condition_above(self, log10_cost: ArrayLike) -> CostDistribution:
        """Return the distributions given that the cost is more than a value: F'(x) = (F(x) - F(c)) / (1 - F(c)).

        Parameters
        ----------
        log10_cost
            Broadcast against the leading axes; NaN or a value below the grid changes nothing.

        Notes
        -----
        Exact at the edges. In the bin that holds the value, the result is linear over the whole bin, since
        there is no edge at the value itself. A distribution without mass above the value is replaced by one that
        lies in that same bin (or beyond the grid).
        """
        c = np.asarray(log10_cost, dtype=np.float64)
        c, cdf = broadcast_over(c, self.cdf)
        known = ~np.isnan(c)
        floor = np.where(known, np.nan_to_num(c, posinf=np.inf, neginf=-np.inf), -np.inf)[..., None]
        at_floor = np.where(known, self.cdf_at(c), 0.0)[..., None]
        survival = 1.0 - at_floor
        edges = self.grid.edges
        above = edges > floor
        conditional = (cdf - at_floor) / np.maximum(survival, _NO_SURVIVAL)
        conditional = np.where(survival > _NO_SURVIVAL, conditional, 1.0)
        return CostDistribution(self.grid, np.where(above, np.clip(conditional, 0.0, 1.0), 0.0))

    def remaining_after(self, spent: ArrayLike) -> CostDistribution:
        """Return the distributions of what is still to come: of the cost less what has been spent without an end.

        Parameters
        ----------
        spent
            In the grid's unit, not a logarithm, broadcast against the leading axes; 0 changes nothing.

        Notes
        -----
        P(C - s <= r | C > s) = (F(s + r) - F(s)) / (1 - F(s)), exact at the edges. A distribution without mass above
        what has been spent says nothing of the rest: all of it is placed beyond the grid.

        Raises
        ------
        ValueError
            If what has been spent is negative or not a number.
        """
        already = np.asarray(spent, dtype=np.float64)
        at_start = np.asarray(self.p_solved_by(already))[..., None]
        alive = 1.0 - at_start
        reached = np.stack([self.p_solved_by(already + step) for step in 10.0**self.grid.edges], axis=-1)
        rest = np.clip((reached - at_start) / np.maximum(alive, _NO_SURVIVAL), 0.0, 1.0)
        return CostDistribution(self.grid, np.where(alive > _NO_SURVIVAL, rest, 0.0))

    def scaled(self, factor: float) -> CostDistribution:
        """Return the distributions of the cost times a factor, on the same grid (exact at its edges).

        Mass that the factor moves beyond an end of the grid counts there as mass outside always does.

        Raises
        ------
        ValueError
            If the factor isn't positive and finite.
        """
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError(f"found factor {factor}; expected a positive, finite number")
        shift = float(np.log10(factor))
        # Before the shift the mass at or below the lower end lies anywhere there: it stays below.
        wanted = np.maximum(self.grid.edges - shift, self.grid.low)
        columns = [self.cdf_at(np.full(self.shape, value)) for value in wanted]
        return CostDistribution(self.grid, np.stack(columns, axis=-1))

    @classmethod
    def mixture(cls, members: Sequence[CostDistribution] | CostDistribution, weights: ArrayLike) -> CostDistribution:
        """Return the mixture of distributions: the weighted mean of their CDFs.

        Parameters
        ----------
        members
            Distributions of the same shape on the same grid, or one stack of them: its first axis is mixed over.
        weights
            One weight for each member: shape ``(len(members),)``, or with the leading axes of a member behind.
            Normalised to sum to 1.

        Raises
        ------
        ValueError
            If the weights don't fit, are negative or sum to 0, or the shapes or grids differ.
        """
        if isinstance(members, CostDistribution):
            grid, cdfs = members.grid, list(members.cdf)
        else:
            grid, cdfs = _common_grid(members), [member.cdf for member in members]
        share = np.asarray(weights, dtype=np.float64)
        if share.ndim < 1 or share.shape[0] != len(cdfs):
            raise ValueError(f"found weights of shape {share.shape}; expected {len(cdfs)}, one for each distribution")
        if not np.isfinite(share).all() or (share < 0).any() or (share.sum(axis=0) <= 0).any():
            raise ValueError("mixture weights must be finite, not negative, and not all zero")
        share = share / share.sum(axis=0)
        total: Floats = np.zeros(np.broadcast_shapes(*(cdf.shape for cdf in cdfs)))
        for one, cdf in zip(share, cdfs, strict=True):
            total = total + np.asarray(one)[..., None] * cdf
        return CostDistribution(grid, total)

    # Construction ---------------------------------------------------------------------------------------------------

    @classmethod
    def normal(cls, grid: CostGrid, mean: ArrayLike, sd: ArrayLike) -> CostDistribution:
        """Return normal distributions of log10 cost.

        Parameters
        ----------
        grid
            The grid.
        mean, sd
            In decades, broadcast against each other; a standard deviation is at least a hundredth of a bin.
        """
        from scipy.special import ndtr  # here: reading a distribution must not load scipy

        centre, deviation = np.broadcast_arrays(np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64))
        if not (np.isfinite(centre).all() and np.isfinite(deviation).all()):
            raise ValueError("found a mean or standard deviation that is not a finite number")
        scale = np.maximum(deviation, grid.width / 100)
        return cls(grid, ndtr((grid.edges - centre[..., None]) / scale[..., None]))

    @classmethod
    def from_points(cls, grid: CostGrid, log10_cost: ArrayLike) -> CostDistribution:
        """Return distributions of known values, each spread evenly over one bin width around its value.

        The mean is the value itself (at least half a bin away from the grid's ends). A value beyond the grid puts
        all mass beyond it.
        """
        x = np.asarray(log10_cost, dtype=np.float64)
        if np.isnan(x).any():
            raise ValueError("found a missing cost (NaN); expected numbers")
        rise = 0.5 + (grid.edges - x[..., None]) / grid.width
        cdf = np.clip(rise, 0.0, 1.0)
        cdf[..., -1] = np.where(x > grid.high, 0.0, 1.0)
        cdf[x > grid.high] = 0.0
        return cls(grid, cdf)

    @classmethod
    def from_samples(
        cls,
        grid: CostGrid,
        log10_cost: ArrayLike,
        weights: ArrayLike | None = None,
        censored: ArrayLike | None = None,
    ) -> CostDistribution:
        """Return the Kaplan-Meier estimate from weighted samples: see :func:`.estimated_cdf.kaplan_meier`."""
        return cls(grid, kaplan_meier(grid, log10_cost, weights, censored))

    @classmethod
    def from_hazard(cls, grid: CostGrid, hazard: ArrayLike) -> CostDistribution:
        """Return distributions from discrete-time hazards: S(edge i) = product over j < i of (1 - h_j).

        Parameters
        ----------
        grid
            The grid.
        hazard
            ``[..., bins]``: probability of ending in each bin for a run that reached it.
        """
        h = np.asarray(hazard, dtype=np.float64)
        if h.ndim < 1 or h.shape[-1] != grid.bins:
            raise ValueError(f"found hazards of shape {h.shape}; expected (..., {grid.bins}), one for each bin")
        if not np.isfinite(h).all() or (h < -_TOLERANCE).any() or (h > 1 + _TOLERANCE).any():
            raise ValueError("hazards must be probabilities between 0 and 1")
        start = np.ones((*h.shape[:-1], 1))
        survival = np.concatenate([start, np.cumprod(1.0 - np.clip(h, 0.0, 1.0), axis=-1)], axis=-1)
        return cls(grid, 1.0 - survival)


def _common_grid(parts: Sequence[CostDistribution]) -> CostGrid:
    if not parts:
        raise ValueError("found no distributions; expected at least one")
    grid = parts[0].grid
    for part in parts[1:]:
        if part.grid != grid:
            raise ValueError(f"found distributions on different grids: {grid} and {part.grid}")
    return grid
