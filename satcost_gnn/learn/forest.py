"""Forests of regression trees on features, with the whole distribution: quantile regression forests.

The trees are grown by scikit-learn and then kept as plain arrays, so that a saved forest is no pickle and predicts the
same with any version of scikit-learn, or without it. The distribution follows Meinshausen, "Quantile regression
forests" (JMLR 2006): an instance shares leaves with training instances, and how often it does so is the weight of their
costs in its distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.transposition import transposed
from satcost_gnn.learn.base import Arrays, Bools, Estimator, Floats, Integers, TrainingTable, register
from satcost_gnn.learn.compact_arrays import (
    byte_planes,
    from_byte_planes,
    from_probability_planes,
    probability_planes,
    rounded_probabilities,
)
from satcost_gnn.learn.feature_matrix import (
    FeatureMatrix,
    Imputer,
    Standardiser,
    feature_parts,
    features_for_unit,
)
from satcost_gnn.learn.imputation import impute_censored
from satcost_gnn.learn.rank_transform import RankTransform

KINDS = ("extra_trees", "random_forest")
# Instances whose walk down the trees is done at a time, to bound memory.
_CHUNK = 512
# Rows that are compared with the training instances one by one.
_FEW = 16
# Share of a censored run's neighbours' mass that must lie above its bound to be taken at their word.
_ENOUGH_ABOVE = 0.2


@dataclass(frozen=True, eq=False)
class Trees:
    """Binary decision trees, one after the other in flat arrays.

    Parameters
    ----------
    roots
        ``int64[n_trees]``: node at which each tree begins.
    left, right
        ``int32[n_nodes]``: children; both are the node itself at a leaf.
    feature
        ``int16[n_nodes]``: column that a node asks for.
    threshold
        ``float32[n_nodes]``: a row goes left if its value is at most this.
    """

    roots: Integers
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all trees together."""
        return len(self.left)

    @classmethod
    def grow(cls, kind: str, x: NDArray[np.float32], y: Floats, seed: int, **settings: Any) -> Self:
        """Grow trees of a kind with scikit-learn, whose classes take the settings.

        The rows are ``float32[n, d]``, the targets ``float64[n, n_targets]``.
        """
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

        model = ExtraTreesRegressor if kind == "extra_trees" else RandomForestRegressor
        forest = model(random_state=seed, n_jobs=1, **settings).fit(x, y[:, 0] if y.shape[1] == 1 else y)
        parts = [tree.tree_ for tree in forest.estimators_]
        roots = np.cumsum([0, *(part.node_count for part in parts[:-1])])
        left, right = [], []
        for root, part in zip(roots, parts, strict=True):
            self_ = np.arange(part.node_count)
            leaf = part.children_left < 0
            left.append(root + np.where(leaf, self_, part.children_left))
            right.append(root + np.where(leaf, self_, part.children_right))
        # Rows are float32 and thresholds double: the largest float32 not above a threshold splits them the same.
        threshold = np.concatenate([part.threshold for part in parts])
        rounded = threshold.astype(np.float32)
        rounded = np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
        return cls(
            roots.astype(np.int64),
            np.concatenate(left).astype(np.int32),
            np.concatenate(right).astype(np.int32),
            np.maximum(np.concatenate([part.feature for part in parts]), 0).astype(np.int16),
            rounded.astype(np.float32),
        )

    def leaf_nodes(self) -> tuple[Integers, Integers]:
        """Return the nodes that are leaves, rising, and for each tree the position of its first leaf among them."""
        leaves = np.flatnonzero(self.left == np.arange(self.n_nodes))
        return leaves, np.searchsorted(leaves, self.roots)

    def leaves(self, x: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return ``int32[n, n_trees]``: the leaf that each row reaches in each tree."""
        found = np.empty((len(x), len(self.roots)), dtype=np.int32)
        for start in range(0, len(x), _CHUNK):
            part = x[start : start + _CHUNK]
            row = np.arange(len(part))[:, None]
            node = np.broadcast_to(self.roots, (len(part), len(self.roots))).astype(np.int32)
            while True:
                goes_left = part[row, self.feature[node]] <= self.threshold[node]
                following = np.where(goes_left, self.left[node], self.right[node])
                if (following == node).all():
                    break
                node = following
            found[start : start + _CHUNK] = node
        return found

    def to_arrays(self) -> Arrays:
        """Return the trees as arrays that compress well.

        A node stands before its left and that before its right subtree, so that which nodes are leaves says all about
        the shape; only the others ask for something.
        """
        leaf = self.left == np.arange(self.n_nodes)
        roots, left, right = _shape_of(leaf)
        told = ((roots, self.roots), (left, self.left), (right, self.right))
        if not all(np.array_equal(here, there) for here, there in told):
            raise ValueError("found trees whose nodes are not in depth-first order; expected those of Trees.grow")
        return {
            "leaf": np.packbits(leaf),
            "nodes": np.array(self.n_nodes),
            "feature": byte_planes(self.feature[~leaf].astype(np.uint16)),
            "threshold": byte_planes(self.threshold[~leaf]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the trees from :meth:`to_arrays`; ValueError if they are not trees."""
        nodes = int(arrays["nodes"])
        if not 0 < nodes <= 8 * len(arrays["leaf"]):
            raise ValueError("the arrays of the trees disagree")
        leaf = np.unpackbits(arrays["leaf"], count=nodes).astype(bool)
        roots, left, right = _shape_of(leaf)
        feature, threshold = np.zeros(nodes, dtype=np.int16), np.zeros(nodes, dtype=np.float32)
        feature[~leaf] = from_byte_planes(arrays["feature"], np.uint16)
        threshold[~leaf] = from_byte_planes(arrays["threshold"], np.float32)
        return cls(roots, left, right, feature, threshold)


def _shape_of(leaf: Bools) -> tuple[Integers, NDArray[np.int32], NDArray[np.int32]]:
    """Return roots, left and right children of trees in depth-first order, from which of their nodes are leaves.

    Of the nodes up to one, count inner ones up and leaves down: a subtree ends where the count first falls below what
    it was before it. ValueError if the nodes are not whole binary trees.
    """
    node = np.arange(len(leaf))
    count = np.cumsum(np.where(leaf, -1, 1))
    lowest = np.minimum.accumulate(np.minimum(count, 0))
    ends = np.flatnonzero(np.diff(lowest, prepend=0) < 0)
    if not len(ends) or ends[-1] != len(leaf) - 1:
        raise ValueError("found an unfinished tree")
    # For each inner node, the first later one with a count lower by one closes its left subtree.
    by_count = np.lexsort((node, count))
    keys = (count[by_count] - count.min()) * len(leaf) + by_count
    inner = np.flatnonzero(~leaf)
    wanted = (count[inner] - 1 - count.min()) * len(leaf) + inner
    left, right = node.copy(), node.copy()
    left[inner] = inner + 1
    right[inner] = by_count[np.searchsorted(keys, wanted)] + 1
    return np.concatenate([[0], ends[:-1] + 1]), left.astype(np.int32), right.astype(np.int32)


@dataclass(frozen=True, eq=False)
class QuantileForest:
    """Trees, and ``int32[n_train, n_trees]``: the leaf of each training instance in each of them."""

    trees: Trees
    members: NDArray[np.int32]

    @cached_property
    def _sizes(self) -> Integers:
        """``int64[n_nodes]``: training instances in each leaf."""
        return np.bincount(self.members.ravel(), minlength=self.trees.n_nodes)

    @cached_property
    def _in_leaf(self) -> tuple[Integers, NDArray[np.int32]]:
        """Where each node's training instances begin and end, and the instances."""
        n_train, n_trees = self.members.shape
        return transposed(np.arange(0, n_train * n_trees + 1, n_trees), self.members.ravel(), self.trees.n_nodes)

    def _compared(self, leaves: NDArray[np.int32], share: Floats) -> Floats:
        """Return the summed shares of each training instance, by comparing its leaves with each row's."""
        weights = np.empty((len(leaves), len(self.members)))
        for row, (own, shares) in enumerate(zip(leaves, share, strict=True)):
            instance, tree = np.nonzero(self.members == own)
            weights[row] = np.bincount(instance, weights=shares[tree], minlength=len(self.members))
        return weights

    def _looked_up(self, leaves: NDArray[np.int32], share: Floats) -> Floats:
        """Return the same for many rows."""
        bounds, instances = self._in_leaf
        n_train = len(self.members)
        weights = np.empty((len(leaves), n_train))
        for start in range(0, len(leaves), _CHUNK):
            part = leaves[start : start + _CHUNK]
            first, size = bounds[part].ravel(), self._sizes[part].ravel()
            inside = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
            row = np.repeat(np.arange(len(part)), self._sizes[part].sum(axis=1))
            places = row * n_train + instances[np.repeat(first, size) + inside]
            shares = np.repeat(share[start : start + _CHUNK].ravel(), size)
            found = np.bincount(places, weights=shares, minlength=len(part) * n_train)
            weights[start : start + _CHUNK] = found.reshape(len(part), n_train)
        return weights

    def weights(self, x: NDArray[np.float32], exclude_self: bool = False) -> Floats:
        """Return how much each training instance counts for each row: ``float64[n, n_train]``, rows sum to 1.

        In each tree, the training instances in the row's leaf share a weight of 1 / n_trees. With ``exclude_self`` the
        rows are the training instances, and none counts for itself: trees in which it is alone in its leaf drop out,
        and where it is so in all of them, all instances count alike.
        """
        leaves = self.members if exclude_self else self.trees.leaves(x)
        others = self._sizes[leaves] - 1 if exclude_self else self._sizes[leaves]
        share = np.where(others > 0, 1.0 / np.maximum(others, 1), 0.0)
        n_train = len(self.members)
        # A table of who is in which leaf takes as long to make as comparing so many rows without it.
        one_by_one = len(leaves) <= _FEW and "_in_leaf" not in self.__dict__
        weights = self._compared(leaves, share) if one_by_one else self._looked_up(leaves, share)
        if exclude_self:
            np.fill_diagonal(weights, 0.0)
        total = weights.sum(axis=1, keepdims=True)
        return np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1.0 / n_train)


@register
class Forest(Estimator):
    """Quantile regression forest on static and online features.

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``. For a cost in seconds, the probe's speed joins the online ones.
    kind
        ``extra_trees`` or ``random_forest``.
    n_trees
        Number of trees.
    max_features
        Share of the features tried at each split.
    min_leaf
        Least number of training instances in a leaf.
    joint
        Whether one forest serves all solvers (splits that suit them together, and a single copy of the trees), or
        every solver has its own.
    censored_rounds
        How often the cost of censored runs is estimated anew from the forest itself.
    ranks
        Whether the trees see the rank of a feature among the training instances in place of its value: random
        thresholds are then spread evenly over the instances instead of over the range of the values.
    seed
        Seed.

    Notes
    -----
    A censored run is not dropped and its bound is not taken for its cost: it stands in the leaves with a distribution
    above its bound, that of its neighbours in the forest given that they cost more (in the manner of Schmee and Hahn,
    and of Kaplan-Meier's redistribution to the right), and where they have too little mass there, that of a ridge
    regression with normal noise. The trees are grown on the means of those distributions.
    """

    name = "forest"
    needs = frozenset({"static", "online"})

    def __init__(
        self,
        features: str = "both",
        kind: str = "extra_trees",
        n_trees: int = 200,
        max_features: float = 1.0,
        min_leaf: int = 2,
        joint: bool = True,
        censored_rounds: int = 0,
        ranks: bool = False,
        seed: int = 0,
    ) -> None:
        self.needs = frozenset(feature_parts(features))
        if kind not in KINDS:
            raise EstimatorError(f"found kind of forest {kind!r}; expected one of {', '.join(KINDS)}")
        if n_trees < 1 or min_leaf < 1 or not 0 < max_features <= 1 or censored_rounds < 0:
            raise EstimatorError(
                f"found n_trees={n_trees}, min_leaf={min_leaf}, max_features={max_features}, "
                f"censored_rounds={censored_rounds}; expected n_trees >= 1, min_leaf >= 1, 0 < max_features <= 1, "
                "censored_rounds >= 0"
            )
        self.features, self.kind, self.n_trees, self.max_features = features, kind, n_trees, max_features
        self.min_leaf, self.joint, self.censored_rounds, self.seed = min_leaf, joint, censored_rounds, seed
        self.ranks = ranks

    def _training_matrix(self, instances: Sequence[Instance]) -> FeatureMatrix:
        """Return the features to learn from."""
        return FeatureMatrix.from_instances(instances, features_for_unit(self.features, self.unit))

    def _fit(self, table: TrainingTable) -> None:
        matrix = self._training_matrix(table.instances)
        self._transform: Imputer | RankTransform = (RankTransform if self.ranks else Imputer).fit(matrix)
        x = self._columns(matrix)
        standard = Standardiser.fit(matrix).transform(matrix)
        self._known = table.known
        start, target = impute_censored(table, standard)
        tail, samples = start.cdf, start.cdf.copy()
        bounded, ended = table.censored & table.known, table.known & ~table.censored
        self._forests = self._grow(x, target)
        for _ in range(self.censored_rounds if bounded.any() else 0):
            for column in range(len(table.solvers)):
                weights = self._forest(column).weights(x, exclude_self=True)
                near = _average(weights, samples[:, column], table.known[:, column])
                rows = np.flatnonzero(bounded[:, column])
                bound, like = table.cost[rows, column], CostDistribution(self.grid, near[rows])
                trust = np.minimum((1.0 - like.cdf_at(bound)) / _ENOUGH_ABOVE, 1.0)
                members = [like.condition_above(bound), CostDistribution(self.grid, tail[rows, column])]
                samples[rows, column] = CostDistribution.mixture(members, np.stack([trust, 1.0 - trust])).cdf
            target = np.where(ended, table.cost, CostDistribution(self.grid, samples).mean())
            self._forests = self._grow(x, target)
        # As they will be read back from a file.
        self._samples = rounded_probabilities(samples)

    def _grow(self, x: NDArray[np.float32], target: Floats) -> list[QuantileForest]:
        m = target.shape[1]
        blocks = [np.arange(m)] if self.joint else [np.array([k]) for k in range(m)]
        forests = []
        for block in blocks:
            rows = np.ones(len(x), dtype=bool) if self.joint else self._known[:, block[0]]
            trees = Trees.grow(
                self.kind,
                x[rows],
                target[np.ix_(rows, block)],
                self.seed,
                n_estimators=self.n_trees,
                max_features=self.max_features,
                min_samples_leaf=self.min_leaf,
            )
            forests.append(QuantileForest(trees, trees.leaves(x)))
        return forests

    def _columns(self, matrix: FeatureMatrix) -> NDArray[np.float32]:
        return self._transform.transform(matrix).astype(np.float32)

    def _forest(self, column: int) -> QuantileForest:
        return self._forests[0 if self.joint else column]

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        features = features_for_unit(self.features, self.unit)
        matrix = FeatureMatrix.from_instances(instances, features, self._transform.input_names)
        x = self._columns(matrix)
        cdf = np.empty((len(x), len(self.solvers), self.grid.bins + 1))
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            weights = [forest.weights(x[rows]) for forest in self._forests]
            for column in range(len(self.solvers)):
                own = weights[0 if self.joint else column]
                cdf[rows, column] = _average(own, self._samples[:, column], self._known[:, column])
        return CostDistribution(self.grid, cdf)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        arrays: Arrays = {"sample_rises": probability_planes(self._samples), "known": self._known}
        for k, forest in enumerate(self._forests):
            arrays.update({f"forest{k}.{name}": array for name, array in forest.trees.to_arrays().items()})
            # A leaf's number among its tree's leaves is half the size of its number among the nodes.
            leaves, first = forest.trees.leaf_nodes()
            number = np.searchsorted(leaves, forest.members) - first
            arrays[f"forest{k}.leaf_of"] = byte_planes(number.astype(np.uint16 if number.max() < 2**16 else np.uint32))
        key = "ranks" if self.ranks else "imputer"
        return {key: self._transform.to_json(), "forests": len(self._forests)}, arrays

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        stored = state["ranks" if self.ranks else "imputer"]
        self._transform = (RankTransform if self.ranks else Imputer).from_json(stored)
        self._known = arrays["known"]
        expected = (len(self._known), len(self.solvers), self.grid.bins + 1)
        self._samples = from_probability_planes(arrays["sample_rises"], expected)
        self._forests = []
        for k in range(int(state["forests"])):
            prefix = f"forest{k}."
            trees = Trees.from_arrays({key[len(prefix) :]: arrays[key] for key in arrays if key.startswith(prefix)})
            leaves, first = trees.leaf_nodes()
            planes = arrays[f"{prefix}leaf_of"]
            number = from_byte_planes(planes, np.uint16 if len(planes) == 2 else np.uint32)
            number = number.astype(np.int64).reshape(len(self._samples), len(first))
            if (number >= np.diff(first, append=len(leaves))).any():
                raise ValueError("the leaves of the training instances don't fit the trees")
            if trees.feature.max(initial=0) >= len(self._transform.output_names):
                raise ValueError("found a tree that asks for a feature that isn't there")
            self._forests.append(QuantileForest(trees, leaves[first + number].astype(np.int32)))
        expected_forests = 1 if self.joint else len(self.solvers)
        if len(self._forests) != expected_forests:
            raise ValueError(f"found {len(self._forests)} forests; expected {expected_forests}")


def _average(weights: Floats, samples: NDArray[Any], known: Bools) -> Floats:
    """Return the weighted average of the known samples' distributions; of all known ones where none has weight."""
    own = weights * known
    total = own.sum(axis=1, keepdims=True)
    own = np.where(total > 0, own / np.where(total > 0, total, 1.0), known / max(int(known.sum()), 1))
    return np.asarray(own @ samples.astype(np.float64))
