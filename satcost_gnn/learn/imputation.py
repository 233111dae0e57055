"""A distribution for every training run: of solved ones a point, of stopped ones what lies above their bound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.censored_regression import CensoredRidge

Floats = NDArray[np.float64]

_PENALTY = 100.0


def impute_censored(table: TrainingTable, standard: Floats) -> tuple[CostDistribution, Floats]:
    """Return what is known of each run's cost before neighbours are asked.

    Parameters
    ----------
    table
        The ``n`` instances and ``m`` solvers.
    standard
        ``float64[n, d]``: standardised features.

    Returns
    -------
    samples
        Of shape ``(n, m)``. A solved run has its cost. A stopped one has the normal distribution that a ridge
        regression for censored targets predicts, given that it lies above the bound; an unknown one that without bound.
    target
        ``float64[n, m]``: the solved runs' costs and the means of the other distributions.
    """
    grid = table.grid
    prior = np.empty((*table.cost.shape, grid.bins + 1))
    for column in range(table.cost.shape[1]):
        known = table.known[:, column]
        y, stopped = table.cost[known, column], table.censored[known, column]
        ridge = CensoredRidge.fit(standard[known], y, stopped, penalty=_PENALTY)
        prior[:, column] = CostDistribution.normal(grid, ridge.predict(standard), ridge.sd).cdf
    bound = np.where(table.censored & table.known, table.cost, np.nan)
    cdf = CostDistribution(grid, prior).condition_above(bound).cdf.copy()
    ended = table.known & ~table.censored
    cdf[ended] = CostDistribution.from_points(grid, table.cost[ended]).cdf
    samples = CostDistribution(grid, cdf)
    return samples, np.where(ended, table.cost, samples.mean())
