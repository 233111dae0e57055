"""Ridge regression on the size of the formula alone: what one knows without looking inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, columns, register
from satcost_gnn.learn.censored_regression import CensoredRidge
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Standardiser

#: Static features that say how large a formula is.
SIZE_FEATURES = ("vars_log", "clauses_log", "literals_log", "clause_var_ratio_log")


@register
class Size(Estimator):
    """Ridge regression of log10 cost on log variables, log clauses, log literals and their ratio, with normal noise.

    The penalty is on standardised features.
    """

    name = "size"
    needs = frozenset({"static"})

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def _features(self, instances: Sequence[Instance]) -> FeatureMatrix:
        return FeatureMatrix.from_instances(instances, "static", SIZE_FEATURES)

    def _fit(self, table: TrainingTable) -> None:
        matrix = self._features(table.instances)
        self._standardiser = Standardiser.fit(matrix)
        x = self._standardiser.transform(matrix)
        self._models = [
            CensoredRidge.fit(x[known], table.cost[known, k], table.censored[known, k], self.penalty)
            for k in range(len(table.solvers))
            for known in [table.known[:, k]]
        ]

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        x: NDArray[np.float64] = self._standardiser.transform(self._features(instances))
        return columns([CostDistribution.normal(self.grid, model.predict(x), model.sd) for model in self._models])

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {
            "standardiser": self._standardiser.to_json(),
            "models": [model.to_json() for model in self._models],
        }, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._standardiser = Standardiser.from_json(state["standardiser"])
        self._models = [CensoredRidge.from_json(values) for values in state["models"]]
        if len(self._models) != len(self.solvers):
            raise ValueError(f"found {len(self._models)} models for {len(self.solvers)} solvers")
