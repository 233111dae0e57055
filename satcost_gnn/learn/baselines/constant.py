"""The constant of the training set: every instance gets each solver's distribution of training costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, register


@register
class Constant(Estimator):
    """Kaplan-Meier estimate of each solver's cost over the training set.

    Needs nothing of an instance, so that it always has an answer. Censored runs count as what they are: if the last run
    is one, what the estimate leaves beyond it lies beyond the grid.
    """

    name = "constant"
    needs = frozenset()

    def _fit(self, table: TrainingTable) -> None:
        rows = []
        for column in range(len(table.solvers)):
            known = table.known[:, column]
            rows.append(
                CostDistribution.from_samples(
                    table.grid, table.cost[known, column], censored=table.censored[known, column]
                ).cdf
            )
        self._cdf = np.stack(rows)

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return CostDistribution(self.grid, np.broadcast_to(self._cdf, (len(instances), *self._cdf.shape)))

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {}, {"cdf": self._cdf}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._cdf = CostDistribution(self.grid, arrays["cdf"]).cdf
        if self._cdf.shape[:-1] != (len(self.solvers),):
            raise ValueError(f"found distributions of shape {self._cdf.shape[:-1]} for {len(self.solvers)} solvers")
