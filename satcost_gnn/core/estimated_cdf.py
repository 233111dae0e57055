"""CDFs on a grid from samples, some of them censored, and from quantiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from satcost_gnn.core.grid import CostGrid, Floats


def kaplan_meier(
    grid: CostGrid,
    log10_cost: ArrayLike,
    weights: ArrayLike | None = None,
    censored: ArrayLike | None = None,
) -> Floats:
    """Return the Kaplan-Meier estimate of the CDF from weighted samples, some of them right-censored.

    Parameters
    ----------
    grid
        The grid; the result is exact at its edges.
    log10_cost
        ``[m]``, shared by all distributions, or ``[..., m]``: log10 cost, or the bound if censored.
    weights
        ``[..., m]``, not negative, with a positive sum for each distribution; default: all 1.
    censored
        ``bool``, shape of ``log10_cost``; default: none is.

    Returns
    -------
    numpy.ndarray
        ``float64[..., bins + 1]``: the CDF at the edges of the grid.

    Notes
    -----
    The product-limit estimate with weights: S(t) = product over events i <= t of (1 - w_i / R_i), where R_i is
    the weight still at risk; at ties events come before censorings. What is left behind the last sample, if that
    is censored, counts as beyond the grid.

    Raises
    ------
    ValueError
        If there is no sample, the shapes don't fit, or a value or weight is invalid.
    """
    values = np.asarray(log10_cost, dtype=np.float64)
    hidden = np.zeros(values.shape, dtype=bool) if censored is None else np.asarray(censored, dtype=bool)
    mass = np.ones(values.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] == 0:
        raise ValueError("found no sample; a distribution needs at least one")
    if hidden.shape != values.shape or mass.shape[-1:] != values.shape[-1:]:
        raise ValueError(
            f"found values {values.shape}, weights {mass.shape}, censored {hidden.shape}; expected equal last axes"
        )
    if np.isnan(values).any():
        raise ValueError("found a missing cost (NaN) among the samples; drop it first")
    if not np.isfinite(mass).all() or (mass < 0).any() or (mass.sum(axis=-1) <= 0).any():
        raise ValueError("sample weights must be finite, not negative, and not all zero")
    shape = np.broadcast_shapes(values.shape, mass.shape)
    order = np.lexsort((hidden, values), axis=-1)
    values, hidden = np.take_along_axis(values, order, -1), np.take_along_axis(hidden, order, -1)
    order = np.broadcast_to(order, shape)
    mass = np.take_along_axis(np.broadcast_to(mass, shape), order, axis=-1)

    at_risk = np.cumsum(mass[..., ::-1], axis=-1)[..., ::-1]
    # Weights are relative: a share of risk below rounding counts as nobody left.
    stays = np.where(hidden | (mass <= 0), 1.0, 1.0 - mass / np.maximum(at_risk, mass + (mass <= 0)))
    survival = np.concatenate([np.ones((*shape[:-1], 1)), np.cumprod(np.clip(stays, 0.0, 1.0), axis=-1)], axis=-1)
    edges = grid.edges
    if values.ndim == 1:
        taken = np.searchsorted(values, edges, side="right")
        return np.asarray(1.0 - survival[..., taken])
    passed = np.stack([(values <= edge).sum(axis=-1) for edge in edges], axis=-1)
    passed = np.broadcast_to(passed, (*shape[:-1], len(edges)))
    return np.asarray(1.0 - np.take_along_axis(survival, passed, axis=-1))
