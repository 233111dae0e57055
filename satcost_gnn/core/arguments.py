"""Arguments of the questions to distributions, checked and brought to one shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from satcost_gnn.core.grid import Floats


def broadcast_over(x: Floats, cdf: Floats) -> tuple[Floats, Floats]:
    """Broadcast per-distribution values and CDFs to the same leading axes."""
    shape = np.broadcast_shapes(x.shape, cdf.shape[:-1])
    return np.broadcast_to(x, shape), np.broadcast_to(cdf, (*shape, cdf.shape[-1]))


def quantile_levels(q: ArrayLike) -> tuple[Floats, bool]:
    """Return checked levels as an array, and whether there was a single number."""
    levels = np.asarray(q, dtype=np.float64)
    if levels.ndim > 1:
        raise ValueError(f"found levels of shape {levels.shape}; expected a number or a one-dimensional array")
    if not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"found quantile levels {levels.tolist()}; expected numbers from 0 to 1")
    return np.atleast_1d(levels), levels.ndim == 0


def log10_budget(budget: ArrayLike, what: str) -> Floats:
    """Return log10 of a budget that is not negative; -inf for 0."""
    value = np.asarray(budget, dtype=np.float64)
    if np.isnan(value).any() or (value < 0).any():
        raise ValueError(f"found {what} {budget!r}; expected a number that is not negative")
    return np.log10(value, out=np.full(value.shape, -np.inf), where=value > 0)
