"""Nearest neighbours: the costs of the training instances most alike in features, closer ones counting more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, columns, register
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Standardiser, feature_parts, features_for_unit

# Distances count from this share of the usual distance to the nearest neighbour on: what is closer is as good as equal.
_AS_GOOD_AS_EQUAL = 0.5


@register
class NearestNeighbours(Estimator):
    """Kaplan-Meier estimate over the nearest training instances, weighted by the inverse of their distance.

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``. For a cost in seconds, the probe's speed joins the online ones.
    neighbours
        Number of training instances that count, of those with a run of the solver.

    Notes
    -----
    The distance is Euclidean over robustly standardised features (:class:`Standardiser`). Where the costliest neighbour
    was stopped, what the estimate leaves beyond it lies beyond the grid.
    """

    name = "knn"
    needs = frozenset({"static", "online"})

    def __init__(self, features: str = "both", neighbours: int = 20) -> None:
        self.needs = frozenset(feature_parts(features))
        if neighbours < 1:
            raise EstimatorError(f"found {neighbours} neighbours; expected at least 1")
        self.features, self.neighbours = features, neighbours

    def _fit(self, table: TrainingTable) -> None:
        from scipy.spatial.distance import cdist

        matrix = FeatureMatrix.from_instances(table.instances, features_for_unit(self.features, self.unit))
        self._standardiser = Standardiser.fit(matrix)
        # As they will be read back from a file.
        self._x = self._standardiser.transform(matrix).astype(np.float32)
        self._cost, self._censored, self._known = table.cost, table.censored, table.known
        if len(self._x) > 1:
            distance = cdist(self._x, self._x)
            np.fill_diagonal(distance, np.inf)
            near = float(np.median(distance.min(axis=1)))
        else:
            near = 0.0
        self._least = max(_AS_GOOD_AS_EQUAL * near, 1e-6)

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        from scipy.spatial.distance import cdist

        features = features_for_unit(self.features, self.unit)
        matrix = FeatureMatrix.from_instances(instances, features, self._standardiser.input_names)
        distance = cdist(self._standardiser.transform(matrix), self._x)
        found = []
        for column in range(len(self.solvers)):
            rows = np.flatnonzero(self._known[:, column])
            own = distance[:, rows]
            nearest = np.argsort(own, axis=1, kind="stable")[:, : self.neighbours]
            weight = 1.0 / np.maximum(np.take_along_axis(own, nearest, axis=1), self._least)
            chosen = rows[nearest]
            found.append(
                CostDistribution.from_samples(
                    self.grid, self._cost[chosen, column], weight, self._censored[chosen, column]
                )
            )
        return columns(found)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        cost = np.where(self._known, self._cost, 0.0)
        return {"standardiser": self._standardiser.to_json(), "least_distance": self._least}, {
            "x": self._x,
            "cost": cost,
            "censored": self._censored,
            "known": self._known,
        }

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._standardiser = Standardiser.from_json(state["standardiser"])
        self._least = float(state["least_distance"])
        self._x, self._cost = arrays["x"], arrays["cost"]
        self._censored, self._known = arrays["censored"], arrays["known"]
        expected = (len(self._x), len(self.solvers))
        if not self._cost.shape == self._censored.shape == self._known.shape == expected:
            raise ValueError(f"found costs of shape {self._cost.shape}; expected {expected}")
        if self._x.shape[1] != len(self._standardiser.names) or not self._known.any(axis=0).all():
            raise ValueError("the training instances don't fit the features, or a solver has no run")
