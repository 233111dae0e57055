"""Distributions at random, for the tests of what is asked of them and made from them."""

import numpy as np

from satcost_gnn.core.distribution import GRIDS, CostDistribution


def random_distributions(n=20, grid=GRIDS["conflicts"], seed=0):
    """Distributions with mass below and above the grid, flat stretches and jumps of a whole bin."""
    rng = np.random.default_rng(seed)
    mass = rng.gamma(0.3, size=(n, grid.bins + 2)) * (rng.random((n, grid.bins + 2)) < 0.6)
    mass[:, 3] += 0.01
    cdf = np.cumsum(mass, axis=1)
    return CostDistribution(grid, cdf[:, :-1] / cdf[:, -1:])
