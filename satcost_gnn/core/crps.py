"""The continuous ranked probability score of distributions on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from satcost_gnn.core.grid import CostGrid, Floats, broadcast_over


def crps(
    grid: CostGrid, cdf: Floats, log10_cost: ArrayLike, censored: ArrayLike = False, limit: ArrayLike | None = None
) -> Floats:
    """Return the continuous ranked probability score in decades: 0 is perfect, less is better.

    Parameters
    ----------
    grid, cdf
        Distributions: ``float64[..., bins + 1]`` at the edges of the grid.
    log10_cost
        What was observed (for a censored run: the bound), broadcast against the leading axes; NaN gives NaN.
    censored
        Whether the run stopped at that cost unsolved.
    limit
        Judge only what is said on costs up to this (log10); default: the grid's upper end.

    Notes
    -----
    With F the CDF and [low, high] the grid, the score of an observed y is

        integral over [low, min(limit, high)] of (F(x) - 1[y <= x])^2 dx,

    the CRPS of cost clipped to that range; an observation beyond it so scores the mass predicted within it. For a
    run censored at c only x <= c can be judged (Avati et al. 2020, "Countdown regression"):

        integral over [low, min(c, limit, high)] of F(x)^2 dx.

    All integrals are exact: F is linear in each bin. Scores of censored runs are smaller by construction, so
    compare means only over the same runs. Without a limit the mean over partly censored runs favours too little
    mass above the cutoff, where solved runs alone are judged; with the limit at the cutoff (or below every bound)
    it is proper: best, on average, for the true distribution.
    """
    y = np.asarray(log10_cost, dtype=np.float64)
    y, cdf = broadcast_over(y, cdf)
    missing = np.isnan(y)
    hidden = np.broadcast_to(np.asarray(censored, dtype=bool), y.shape)
    end = np.clip(grid.high if limit is None else np.asarray(limit, dtype=np.float64), grid.low, grid.high)
    end = np.broadcast_to(end, y.shape)
    x = np.clip(np.where(missing, grid.low, y), grid.low, end)
    below = _square_integral_to(x, cdf, grid)
    over = 1.0 - cdf
    above = _square_integral_to(end, over, grid) - _square_integral_to(x, over, grid)
    score = np.where(hidden, below, below + above)
    return np.where(missing, np.nan, score)


def _square_integral_to(x: Floats, values: Floats, grid: CostGrid) -> Floats:
    """Integral of the square of functions given at the edges, linear between them, from the first edge to x."""
    left = values[..., :-1]
    reach = np.clip(x[..., None] - grid.edges[:-1], 0.0, grid.width)
    right = left + (values[..., 1:] - left) * reach / grid.width
    return np.asarray((reach * (left * left + left * right + right * right) / 3.0).sum(axis=-1))
