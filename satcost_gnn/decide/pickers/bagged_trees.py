"""Extremely randomised trees on bootstrap samples of groups of instances, with predictions out of bag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class BaggedTrees:
    """Regression trees, each on a bootstrap sample.

    Parameters
    ----------
    x
        ``float64[n, d]``: features of training instances.
    target
        ``float64[n]`` or ``float64[n, m]``.
    groups
        ``int64[n]``: instances of one group are drawn together, so that predictions out of bag tell what is to be
        expected on a new group.
    seed, trees, min_leaf
        Settings.
    weight
        ``float64[n]``: how much each instance counts; all alike by default.

    Notes
    -----
    The samples are drawn here, each group as likely as any other: scikit-learn's forests draw heavy instances more
    often since version 1.8, so that the heaviest are in no sample's rest.
    """

    def __init__(
        self,
        x: Floats,
        target: Floats,
        groups: Integers,
        seed: int,
        trees: int,
        min_leaf: int,
        weight: Floats | None = None,
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
            tree = ExtraTreeRegressor(max_features=1 / 3, min_samples_leaf=min_leaf, random_state=seed + number)
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
