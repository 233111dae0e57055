"""Pickers: which solver to run on an instance, learnt from penalised run times.

Not to be confused with estimators, which predict a cost with its distribution: a picker is right if the solver that it
puts first is quick, whatever it says of the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import EstimatorError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_MEMBERS = 8
#: What a member has to take off the virtual best, as a share of what the single best solver costs: near copies do less.
LEAST_CONTRIBUTION = 0.01
#: Solvers that take part in the classification of pairs: forests grow with the square of their number, and most of the
#: solvers of a competition are near copies of others.
MOST_SOLVERS = 5
# Trees of a forest of pairs, of one that regresses, and instances in a leaf.
_PAIR_TREES, _TREES, _MIN_LEAF = 40, 80, 2
# Fewer instances on which the choice matters: a bootstrap sample may hold none of them.
_FEWEST = 20


def members(penalised: Floats, count: int = MOST_MEMBERS, least: float = LEAST_CONTRIBUTION) -> Integers:
    """Return columns, the single best solver first, each the one that lowers the virtual best's mean most.

    Parameters
    ----------
    penalised
        ``float64[n, m]``: penalised costs on training instances.
    count
        Largest number.
    least
        Smallest contribution of any but the first, as a share of the single best solver's mean.
    """
    chosen: list[int] = []
    best = np.full(len(penalised), np.inf)
    for _ in range(min(count, penalised.shape[1])):
        means = np.minimum(best[:, None], penalised).mean(axis=0)
        means[chosen] = np.inf
        next_one = int(means.argmin())
        if chosen and best.mean() - means[next_one] <= least * penalised[:, chosen[0]].mean():
            break
        chosen.append(next_one)
        best = np.minimum(best, penalised[:, next_one])
    return np.array(chosen, dtype=np.int64)


class BaggedTrees:
    """Extremely randomised regression trees, each on a bootstrap sample of groups, with predictions out of bag.

    The samples are drawn here, each group as likely as any other: scikit-learn's forests draw heavy instances more
    often since version 1.8, so that the heaviest are in no sample's rest.

    Parameters
    ----------
    x
        ``float64[n, d]``: features of training instances.
    target
        ``float64[n]`` or ``float64[n, m]``.
    groups
        ``int64[n]``: instances of one group are drawn together, so that predictions out of bag tell what is to be
        expected on a new group.
    weight
        ``float64[n]``: how much each instance counts; all alike by default.
    """

    def __init__(
        self, x: Floats, target: Floats, groups: Integers, seed: int, trees: int, weight: Floats | None = None
    ) -> None:
        from sklearn.tree import ExtraTreeRegressor

        n, self._shape = len(x), target.shape[1:]
        weight = np.ones(n) if weight is None else weight
        _, group = np.unique(groups, return_inverse=True)
        count = int(group.max()) + 1
        rng = np.random.default_rng(seed)
        x32 = np.ascontiguousarray(x, dtype=np.float32)
        self._trees: list[Any] = []
        total, unseen_by = np.zeros_like(target), np.zeros(n)
        for number in range(trees):
            drawn = np.bincount(rng.integers(0, count, count), minlength=count)[group]
            counts = weight * drawn
            if not counts.any():
                continue
            tree = ExtraTreeRegressor(max_features=1 / 3, min_samples_leaf=_MIN_LEAF, random_state=seed + number)
            tree.fit(x32[counts > 0], target[counts > 0], sample_weight=counts[counts > 0])
            self._trees.append(tree)
            unseen = drawn == 0
            if unseen.any():
                total[unseen] += tree.predict(x32[unseen]).reshape(-1, *self._shape)
            unseen_by += unseen
        known = unseen_by > 0
        self.out_of_bag = np.broadcast_to(target.mean(axis=0), target.shape).copy()
        self.out_of_bag[known] = (total[known].T / unseen_by[known]).T

    def predict(self, x: Floats) -> Floats:
        """Return the mean of the trees, ``float64[n]`` or ``float64[n, m]``."""
        x32 = np.ascontiguousarray(x, dtype=np.float32)
        mean = np.mean([tree.predict(x32) for tree in self._trees], axis=0)
        return np.asarray(mean).reshape(len(x), *self._shape)


class Picker(ABC):
    """Scores solvers on instances; the solver of least score is to be run.

    Scores of one picker can be compared between solvers and their differences between instances; there is no unit that
    pickers share. Pickers are forests of trees on bootstrap samples, so that a single fit tells also how good they are:
    each training instance is scored by the trees that have not seen it (out of bag; Breiman, "Random forests", Machine
    Learning 45, 2001), nor any other of its group.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._out_of_bag: Floats | None = None

    def fit(self, x: Floats, penalised: Floats, groups: Integers | None = None) -> Self:
        """Learn from training instances.

        Parameters
        ----------
        x
            ``float64[n, d]``: features without missing values.
        penalised
            ``float64[n, m]``: PAR2 in seconds.
        groups
            ``int64[n]``: what is new at a time, such as the families; by default each instance by itself.

        Raises
        ------
        EstimatorError
            If the shapes don't fit, or a value is not finite.
        """
        if x.ndim != 2 or penalised.ndim != 2 or len(x) != len(penalised) or not len(x):
            raise EstimatorError(
                f"found features of shape {x.shape} and run times of shape {penalised.shape}; "
                "expected (n, d) and (n, m)"
            )
        if not np.isfinite(x).all() or not np.isfinite(penalised).all():
            raise EstimatorError("found a feature or run time that is not finite; expected them filled in")
        self._out_of_bag = self._fit(x, penalised, np.arange(len(x)) if groups is None else groups)
        return self

    @property
    def out_of_bag(self) -> Floats:
        """``float64[n, m]``: scores of the training instances by trees that haven't seen them."""
        if self._out_of_bag is None:
            raise EstimatorError(f"{type(self).__name__} is not fitted; call fit() first")
        return self._out_of_bag

    @abstractmethod
    def _fit(self, x: Floats, penalised: Floats, groups: Integers) -> Floats:
        """Learn, and return the scores out of bag."""

    @abstractmethod
    def scores(self, x: Floats) -> Floats:
        """Return ``float64[n, m]`` for features ``float64[n, d]``, less being better."""


class ParRegression(Picker):
    """Trees on PAR2, all solvers in one forest; the score is the predicted PAR2 in seconds."""

    def _target(self, penalised: Floats) -> Floats:
        return penalised

    def _fit(self, x: Floats, penalised: Floats, groups: Integers) -> Floats:
        self._forest = BaggedTrees(x, self._target(penalised), groups, self.seed, _TREES)
        return self._forest.out_of_bag

    def scores(self, x: Floats) -> Floats:
        """Return ``float64[n, m]`` for features ``float64[n, d]``, in the unit of the target."""
        return self._forest.predict(x)


class ParDifferenceRegression(ParRegression):
    """Trees on PAR2 less that of the training instances' single best solver.

    How hard an instance is for all solvers alike says nothing about which to run; without it, the trees split where
    solvers part.
    """

    def _target(self, penalised: Floats) -> Floats:
        single = int(penalised.mean(axis=0).argmin())
        return np.asarray(penalised - penalised[:, [single]])


class RootParRegression(ParRegression):
    """Trees on the root of PAR2, which a few runs near the limit don't rule as they do PAR2 itself."""

    def _target(self, penalised: Floats) -> Floats:
        return np.sqrt(penalised)


class PairwiseClassification(Picker):
    """Cost-sensitive classification of pairs of complementary solvers, which vote: the manner of SATzilla 2012.

    Xu, Hutter, Hoos and Leyton-Brown, "Evaluating component solver contributions to portfolio-based algorithm
    selectors" (SAT 2012), section 2: for each pair of solvers a forest says which is quicker, each training instance
    weighing as much as the choice matters on it. The score of a solver is minus the mean, over the others, of the share
    of trees that prefer it; solvers that don't take part score 1, behind all that do.
    """

    def _fit(self, x: Floats, penalised: Floats, groups: Integers) -> Floats:
        self._m = penalised.shape[1]
        self._solvers = members(penalised, MOST_SOLVERS, 0.0)
        self._pairs: list[tuple[int, int, WeightedForest]] = []
        for i, j in combinations(self._solvers.tolist(), 2):
            self._pairs.append((i, j, WeightedForest(x, penalised[:, j] - penalised[:, i], groups, self.seed)))
        return self._votes([forest.out_of_bag for _, _, forest in self._pairs], len(x))

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

    Regression trees on 0 and 1 split as classification trees by Gini impurity do.

    Parameters
    ----------
    x, groups
        See :class:`BaggedTrees`.
    gain
        ``float64[n]``: seconds gained by the first solver.
    """

    def __init__(self, x: Floats, gain: Floats, groups: Integers, seed: int) -> None:
        self._constant = float(gain.sum() > 0)
        self._trees: BaggedTrees | None = None
        self.out_of_bag = np.full(len(x), self._constant)
        if (gain <= 0).all() or (gain >= 0).all() or np.count_nonzero(gain) < _FEWEST:
            return
        weight, positive = np.abs(gain), (gain > 0).astype(np.float64)
        self._trees = BaggedTrees(x, positive, groups, seed, _PAIR_TREES, weight / weight.mean())
        self.out_of_bag = self._trees.out_of_bag

    def share(self, x: Floats) -> Floats:
        """Return ``float64[n]``: how far the trees agree that the gain is positive, 0 to 1."""
        return np.full(len(x), self._constant) if self._trees is None else self._trees.predict(x)


PICKERS: dict[str, type[Picker]] = {
    "par": ParRegression,
    "par_difference": ParDifferenceRegression,
    "root_par": RootParRegression,
    "pairwise": PairwiseClassification,
}


def make_picker(name: str, seed: int = 0) -> Picker:
    """Return an unfitted picker.

    Raises
    ------
    EstimatorError
        If there is none of that name.
    """
    if name not in PICKERS:
        raise EstimatorError(f"found picker {name!r}; expected one of {', '.join(PICKERS)}")
    return PICKERS[name](seed)
