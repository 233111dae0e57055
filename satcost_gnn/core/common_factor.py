"""What one solver's run says of the others: costs on an instance go together beyond what was predicted.

How far a solver's cost lies from its prediction is a normal score, z = Phi^-1(F(cost)). The scores of several solvers
on one instance are taken to have a common part: z = sqrt(r) u + sqrt(1 - r) e with u and e standard normal, u the same
for all solvers: a normal (Gaussian) copula with one factor, correlation r between each two (Li, "On default
correlation: a copula function approach", Journal of Fixed Income 9(4), 2000). A solver that has outlived a cost c makes
small u unlikely, in proportion to P(z > Phi^-1(F(c)) given u), and with them small costs of the others.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from satcost_gnn.core.distribution import CostDistribution, Floats

#: Nodes of the quadrature over the common factor.
NODES: Final = 41
# Scores of probabilities nearer to 0 or 1 than this are as good as infinite.
_LEAST: Final = 1e-9

# Without scipy, whose import takes longer than a prediction.
_ERFC = np.frompyfunc(math.erfc, 1, 1)
_INVERSE = np.frompyfunc(NormalDist().inv_cdf, 1, 1)


def normal_cdf(x: ArrayLike) -> Floats:
    """Return the standard normal distribution function."""
    return np.asarray(0.5 * _ERFC(np.asarray(x, dtype=np.float64) / -math.sqrt(2.0)), dtype=np.float64)


def normal_score(p: ArrayLike) -> Floats:
    """Return the standard normal quantile of probabilities; those near 0 and 1 count as 1e-9 away from them."""
    return np.asarray(_INVERSE(np.clip(np.asarray(p, dtype=np.float64), _LEAST, 1.0 - _LEAST)), dtype=np.float64)


def quadrature(count: int) -> tuple[Floats, Floats]:
    """Return nodes over the common factor and their weights, which sum to 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def given_factor(cdf: Floats, correlation: float, nodes: Floats) -> Floats:
    """Return ``float64[..., n_nodes]``: probabilities given each value of the common factor.

    Parameters
    ----------
    cdf
        ``float64[...]``: values of distribution functions. What is impossible or certain stays so.
    correlation
        r of the module's formula, less than 1.
    nodes
        ``float64[n_nodes]``: values of u.
    """
    p = cdf[..., None]
    shifted = (normal_score(p) - math.sqrt(correlation) * nodes) / math.sqrt(1.0 - correlation)
    return np.where(p <= 0.0, 0.0, np.where(p >= 1.0, 1.0, normal_cdf(shifted)))


def given_survival(
    distribution: CostDistribution, column: int, log10_cost: float, correlation: float
) -> CostDistribution:
    """Return the distributions of all solvers, given that one of them has not ended by a cost.

    Parameters
    ----------
    distribution
        Of shape ``(..., n_solvers)``.
    column
        Which solver has outlived the cost. Its own distribution stays as it is: see
        :meth:`~satcost_gnn.core.distribution.CostDistribution.condition_above`.
    log10_cost
        That cost.
    correlation
        r of the module's formula, from 0 (nothing is learnt of the others) to less than 1.

    Raises
    ------
    ValueError
        If the correlation is out of its range.
    """
    if not 0.0 <= correlation < 1.0:
        raise ValueError(f"found a correlation of {correlation:g}; expected a number from 0 to less than 1")
    if correlation == 0.0 or not math.isfinite(log10_cost):
        return distribution
    nodes, weights = quadrature(NODES)
    shift, scale = math.sqrt(correlation) * nodes, math.sqrt(1.0 - correlation)
    own = CostDistribution(distribution.grid, distribution.cdf[..., column, :])
    bound = normal_score(own.cdf_at(np.full(own.shape, log10_cost)))
    alive = weights * normal_cdf((shift - bound[..., None]) / scale)
    alive = alive / alive.sum(axis=-1, keepdims=True)
    others = np.delete(np.arange(distribution.shape[-1]), column)
    cdf = np.array(distribution.cdf)
    found = (given_factor(cdf[..., others, :], correlation, nodes) * alive[..., None, None, :]).sum(axis=-1)
    # The weights sum to 1 but for rounding: what is certain stays so.
    cdf[..., others, :] = np.where(cdf[..., others, :] >= 1.0, 1.0, np.clip(found, 0.0, 1.0))
    return CostDistribution(distribution.grid, np.maximum.accumulate(cdf, axis=-1))
