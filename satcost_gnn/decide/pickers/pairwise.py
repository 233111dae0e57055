"""Cost-sensitive classification of pairs of solvers, which vote: the manner of SATzilla 2012.

Xu, Hutter, Hoos and Leyton-Brown, "Evaluating component solver contributions to portfolio-based algorithm selectors"
(SAT 2012), section 2: for each pair of solvers a forest says which is quicker, each training instance weighing as much
as the choice matters on it, and the solver with the most votes is run.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def complementary(penalised: Floats, count: int) -> Integers:
    """Return up to ``count`` columns, each the one that makes the mean of the best so far least (greedily)."""
    chosen: list[int] = []
    best = np.full(len(penalised), np.inf)
    for _ in range(min(count, penalised.shape[1])):
        means = np.minimum(best[:, None], penalised).mean(axis=0)
        means[chosen] = np.inf
        chosen.append(int(means.argmin()))
        best = np.minimum(best, penalised[:, chosen[-1]])
    return np.array(chosen, dtype=np.int64)


class PairwiseClassification(Picker):
    """Classification forests for pairs of complementary solvers, weighted by the difference of PAR2.

    The score of a solver is minus the mean, over the others, of the share of trees that prefer it; solvers that don't
    take part score 1, behind all that do.
    """

    def _fit(self, x: Floats, penalised: Floats) -> Floats:
        self._m = penalised.shape[1]
        self._solvers = complementary(penalised, MOST_SOLVERS)
        self._pairs: list[tuple[int, int, WeightedForest]] = []
        shares = []
        for i, j in combinations(self._solvers.tolist(), 2):
            forest = WeightedForest(x, penalised[:, j] - penalised[:, i], self.seed)
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
    seed
        Seed.

    Notes
    -----
    Regression trees on 0 and 1 split as classification trees by Gini impurity do. The bootstrap samples are drawn here,
    each instance as likely as any other: scikit-learn's forests draw heavy ones more often since version 1.8, so that
    the heaviest are in no sample's rest.
    """

    def __init__(self, x: Floats, gain: Floats, seed: int) -> None:
        from sklearn.tree import ExtraTreeRegressor

        n, weight = len(x), np.abs(gain)
        self._trees: list[Any] = []
        self._constant = float(gain.sum() > 0)
        self.out_of_bag = np.full(n, self._constant)
        if (gain <= 0).all() or (gain >= 0).all() or np.count_nonzero(gain) < _FEWEST:
            return
        rng = np.random.default_rng(seed)
        x32 = np.ascontiguousarray(x, dtype=np.float32)
        positive = (gain > 0).astype(np.float64)
        total, unseen_by = np.zeros(n), np.zeros(n)
        for number in range(_TREES):
            drawn = np.bincount(rng.integers(0, n, n), minlength=n)
            tree = ExtraTreeRegressor(max_features=1 / 3, min_samples_leaf=_MIN_LEAF, random_state=seed + number)
            tree.fit(x32, positive, sample_weight=weight / weight.mean() * drawn)
            self._trees.append(tree)
            unseen = drawn == 0
            total[unseen] += tree.predict(x32[unseen])
            unseen_by += unseen
        self.out_of_bag = np.where(unseen_by > 0, total / np.maximum(unseen_by, 1), self._constant)

    def share(self, x: Floats) -> Floats:
        """Return ``float64[n]``: how far the trees agree that the gain is positive, 0 to 1."""
        if not self._trees:
            return np.full(len(x), self._constant)
        x32 = np.ascontiguousarray(x, dtype=np.float32)
        return np.asarray(np.mean([tree.predict(x32) for tree in self._trees], axis=0))
