"""Cost-sensitive classification of pairs of solvers, which vote: the manner of SATzilla 2012.

Xu, Hutter, Hoos and Leyton-Brown, "Evaluating component solver contributions to portfolio-based algorithm selectors"
(SAT 2012), section 2: for each pair of solvers a forest says which is quicker, each training instance weighing as much
as the choice matters on it, and the solver with the most votes is run.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.decide.members import members
from satcost_gnn.decide.pickers.bagged_trees import BaggedTrees
from satcost_gnn.decide.pickers.base import Picker

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TREES = 40
_MIN_LEAF = 2
#: Solvers that take part: forests grow with the square of their number, and most of the solvers of a competition are
#: near copies of others.
MOST_SOLVERS = 5
# Fewer instances on which the choice matters: a bootstrap sample may hold none of them.
_FEWEST = 20


class PairwiseClassification(Picker):
    """Classification forests for pairs of complementary solvers, weighted by the difference of PAR2.

    The score of a solver is minus the mean, over the others, of the share of trees that prefer it; solvers that don't
    take part score 1, behind all that do.
    """

    def _fit(self, x: Floats, penalised: Floats, groups: Integers) -> Floats:
        self._m = penalised.shape[1]
        self._solvers = members(penalised, MOST_SOLVERS, 0.0)
        self._pairs: list[tuple[int, int, WeightedForest]] = []
        shares = []
        for i, j in combinations(self._solvers.tolist(), 2):
            forest = WeightedForest(x, penalised[:, j] - penalised[:, i], groups, self.seed)
            self._pairs.append((i, j, forest))
            shares.append(forest.out_of_bag)
        return self._votes(shares, len(x))

    def scores(self, x: Floats) -> Floats:
        """Return ``float64[n, m]`` for features ``float64[n, d]``, from -1 (preferred by all trees) to 1."""
        return self._votes([forest.share(x) for _, _, forest in self._pairs], len(x))

    def _votes(self, shares: list[Floats], n: int) -> Floats:
        found = np.ones((n, self._m))
        found[:, self._solvers] = 0.0
        others = max(len(self._solvers) - 1, 1)
        for (i, j, _), share in zip(self._pairs, shares, strict=True):
            found[:, i] -= share / others
            found[:, j] -= (1.0 - share) / others
        return found


class WeightedForest:
    """Says whether a gain is positive, each training instance weighing as much as its gain's amount.

    Parameters
    ----------
    x
        ``float64[n, d]``: features of training instances.
    gain
        ``float64[n]``: seconds gained by the first solver.
    groups
        ``int64[n]``: see :class:`~satcost_gnn.decide.pickers.base.Picker`.
    seed
        Seed.

    Notes
    -----
    Regression trees on 0 and 1 split as classification trees by Gini impurity do.
    """

    def __init__(self, x: Floats, gain: Floats, groups: Integers, seed: int) -> None:
        self._constant = float(gain.sum() > 0)
        self._trees: BaggedTrees | None = None
        self.out_of_bag = np.full(len(x), self._constant)
        if (gain <= 0).all() or (gain >= 0).all() or np.count_nonzero(gain) < _FEWEST:
            return
        weight, positive = np.abs(gain), (gain > 0).astype(np.float64)
        self._trees = BaggedTrees(x, positive, groups, seed, _TREES, _MIN_LEAF, weight / weight.mean())
        self.out_of_bag = self._trees.out_of_bag

    def share(self, x: Floats) -> Floats:
        """Return ``float64[n]``: how far the trees agree that the gain is positive, 0 to 1."""
        return np.full(len(x), self._constant) if self._trees is None else self._trees.predict(x)
