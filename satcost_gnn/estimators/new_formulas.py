"""What predicts formulas unlike those of the training data: the early search carries over, static features mislead.

How new a formula is can be told from its static features alone: nearest training neighbours are much closer within a
family than beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.distribution import CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.estimators.base import TrainingTable
from satcost_gnn.estimators.forest import Forest
from satcost_gnn.instance import Instance
from satcost_gnn.out_of_distribution import NoveltyDetector

Floats = NDArray[np.float64]

#: Settings of the forest on the early search alone.
FOREST: dict[str, Any] = {"features": "online", "max_features": 1 / 3, "n_trees": 100}
_DIRECTORY = "on-new"
# Novelty at which a formula counts as half new, and how sharply known gives way to new: from predictions for left-out
# instances and for left-out families, none of the test side (docs/research-log.md).
_MIDDLE, _SHARPNESS = 0.7, 4.0


class NewFormulas:
    """Forests on the early search alone, and how new a formula is.

    Notes
    -----
    With s the novelty of the static features (:class:`~satcost_gnn.out_of_distribution.NoveltyDetector`), a formula
    is new to a degree of 1 / (1 + (s / 0.7)^-4).
    """

    def __init__(self) -> None:
        self._detector = NoveltyDetector("static")
        self._forests: dict[str, Forest] = {}

    def fit(self, tables: Mapping[str, TrainingTable]) -> Self:
        """Fit to tables of several units over the same instances."""
        first = next(iter(tables.values()))
        self._detector.fit(first.instances)
        self._forests = {
            unit: Forest(**FOREST).fit(table.subset(table.known.any(axis=1))) for unit, table in tables.items()
        }
        return self

    def degree(self, instances: Sequence[Instance]) -> Floats:
        """Return ``float64[n]``: how new each formula is, from 0 to 1; EstimatorError before fitting."""
        _, score = self._detector.in_distribution(instances)
        return np.asarray(1.0 / (1.0 + (np.maximum(score, 1e-9) / _MIDDLE) ** -_SHARPNESS))

    def mixed(
        self, distribution: CostDistribution, unit: str, instances: Sequence[Instance], share: float
    ) -> CostDistribution:
        """Return predictions mixed with the forest's where formulas are new.

        Parameters
        ----------
        distribution
            ``(n, n_solvers)``.
        unit
            One of those fitted.
        instances
            Of the predictions.
        share
            Weight of the forest on a formula that is altogether new.
        """
        weight = share * self.degree(instances)[:, None]
        return distribution.mix(np.stack([1.0 - weight, weight]), [self._forests[unit].predict(list(instances))])

    def save(self, directory: Path) -> None:
        """Write detector and forests into a directory of their own below that of the estimator they belong to."""
        own = Path(directory) / _DIRECTORY
        self._detector.save(own / "novelty")
        for unit, forest in self._forests.items():
            forest.save(own / unit)

    @classmethod
    def load(cls, directory: Path, units: Sequence[str]) -> Self:
        """Read what :meth:`save` wrote below an estimator's directory.

        Raises
        ------
        CheckpointError
            If something is missing, damaged, or not what it should be.
        """
        own = Path(directory) / _DIRECTORY
        found = cls()
        found._detector = NoveltyDetector.load(own / "novelty")
        if found._detector.features != "static":
            raise CheckpointError(f"{own}: found novelty of {found._detector.features} features, not static")
        found._forests = {unit: Forest.load(own / unit) for unit in units}
        return found


__all__ = ["FOREST", "NewFormulas"]
