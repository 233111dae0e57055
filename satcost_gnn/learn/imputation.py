"""A distribution for every training run: of solved ones a point, of stopped ones what lies above their bound."""

from __future__ import annotations

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.learn.base import Bools, Floats, TrainingTable
from satcost_gnn.learn.censored_regression import CensoredRidge

_PENALTY = 100.0
# How often what other solvers needed is asked for: once they stand with their bounds, then with what is made of those.
_ROUNDS = 2
# The residuals of other solvers are scaled by this, so that the penalty hardly shrinks their one coefficient.
_UNSHRUNK = 10.0


def impute_censored(table: TrainingTable, standard: Floats) -> tuple[CostDistribution, Floats]:
    """Return what is known of each run's cost before neighbours are asked.

    The regression of a solver has, beside the features, how much more or less than expected from them the other solvers
    needed for the same instance, the mean over those that have runs: an instance that takes one solver an hour rarely
    takes another, of which nothing is known or only that it ran for ten seconds, a minute. An instance without runs of
    others has the regression on the features alone.

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
    m = len(table.solvers)
    alone = [_fitted(table, standard, column) for column in range(m)]
    expected = np.stack([ridge.predict(standard) for ridge in alone], axis=1)
    prior = np.stack([CostDistribution.normal(grid, expected[:, k], alone[k].sd).cdf for k in range(m)], axis=1)
    bound = np.where(table.censored & table.known, table.cost, np.nan)
    ended = table.known & ~table.censored
    for _ in range(_ROUNDS if m > 1 else 0):
        means = CostDistribution(grid, prior).condition_above(bound).mean()
        surplus = np.where(table.known, np.where(ended, table.cost, means) - expected, np.nan)
        for column in range(m):
            told, others = _mean_of_others(surplus, column)
            if not (told & table.known[:, column]).any():
                continue
            features = np.column_stack([standard, _UNSHRUNK * others])
            ridge = _fitted(table, features, column)
            prior[told, column] = CostDistribution.normal(grid, ridge.predict(features[told]), ridge.sd).cdf
    cdf = CostDistribution(grid, prior).condition_above(bound).cdf.copy()
    cdf[ended] = CostDistribution.from_points(grid, table.cost[ended]).cdf
    samples = CostDistribution(grid, cdf)
    return samples, np.where(ended, table.cost, samples.mean())


def _fitted(table: TrainingTable, features: Floats, column: int) -> CensoredRidge:
    known = table.known[:, column]
    return CensoredRidge.fit(
        features[known], table.cost[known, column], table.censored[known, column], penalty=_PENALTY
    )


def _mean_of_others(surplus: Floats, column: int) -> tuple[Bools, Floats]:
    """Return which rows have a value in another column, and their means; 0 where there is none."""
    others = np.delete(surplus, column, axis=1)
    there = ~np.isnan(others)
    told = np.asarray(there.any(axis=1))
    return told, np.where(there, others, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
