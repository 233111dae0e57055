"""One mixture where an instance resembles the training data, another where it does not.

What static features say of known families misleads on new ones, while the early search carries over. How new a formula
is can be told from its static features alone: nearest training neighbours are much closer within a family than beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.distribution import CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.estimators.base import Arrays, TrainingTable, register
from satcost_gnn.estimators.stacked import Stacked
from satcost_gnn.instance import Instance
from satcost_gnn.out_of_distribution import NoveltyDetector

Floats = NDArray[np.float64]

#: Name, settings, and the weights on what is known and on what is new: a forest and a Gaussian process with all
#: features are best on known families, a forest with the early search alone on new ones.
MEMBERS: tuple[tuple[str, dict[str, Any], float, float], ...] = (
    ("forest", {"max_features": 1 / 3, "n_trees": 100}, 0.5, 0.0),
    ("gaussian_process", {}, 0.5, 0.0),
    ("forest", {"features": "online", "max_features": 1 / 3, "n_trees": 100}, 0.0, 1.0),
)

_DETECTOR = "novelty"
# Novelty at which both mixtures have the same weight, and how sharply one gives way to the other: from predictions for
# left-out instances and for left-out families of the corpus' training side (docs/research-log.md).
_MIDDLE, _SHARPNESS = 0.7, 4.0


@register
class ByNovelty(Stacked):
    """Mixture of estimators whose weights depend on how new an instance is.

    Parameters
    ----------
    members
        Name, settings, weight on known and weight on new instances of each member; None for :data:`MEMBERS`.

    Notes
    -----
    With s the novelty of the static features (:class:`~satcost_gnn.out_of_distribution.NoveltyDetector`), the share of
    the mixture for new instances is 1 / (1 + (s / 0.7)^-4).
    """

    name = "by_novelty"

    def __init__(self, members: Sequence[Sequence[Any]] | None = None) -> None:
        chosen = [tuple(member) for member in (MEMBERS if members is None else members)]
        super().__init__([(name, settings) for name, settings, _, _ in chosen])
        self._known = np.array([float(member[2]) for member in chosen])
        self._new = np.array([float(member[3]) for member in chosen])
        self._detector = NoveltyDetector("static")
        self.needs = self.needs | {"static"}

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        weights = zip(self._known.tolist(), self._new.tolist(), strict=True)
        return {
            "members": [[name, settings, *pair] for (name, settings), pair in zip(self.members, weights, strict=True)]
        }

    def _fit(self, table: TrainingTable) -> None:
        for estimator in self._estimators:
            estimator.fit(table)
        self._detector.fit(table.instances, table.groups)
        self._weights = self._known

    def share_new(self, instances: Sequence[Instance]) -> Floats:
        """Return ``float64[n]``: the share of the mixture for new instances; EstimatorError before fitting."""
        _, score = self._detector.in_distribution(instances)
        return np.asarray(1.0 / (1.0 + (np.maximum(score, 1e-9) / _MIDDLE) ** -_SHARPNESS))

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        first, *others = (estimator.predict(instances) for estimator in self._estimators)
        new = self.share_new(instances)
        weights = self._known[:, None] * (1.0 - new) + self._new[:, None] * new
        return first.mix(weights[:, :, None], others)

    def save(self, directory: Path) -> None:
        """Write the mixture, each member and the detector of novelty into directories of their own."""
        super().save(directory)
        self._detector.save(Path(directory) / _DETECTOR)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {}, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._weights = self._known

    @classmethod
    def load(cls, directory: Path, **options: Any) -> Self:
        """Read a mixture, its members and its detector (see :meth:`Estimator.load`)."""
        estimator = super().load(directory, **options)
        estimator._detector = NoveltyDetector.load(Path(directory) / _DETECTOR)
        if estimator._detector.features != "static":
            raise CheckpointError(f"{directory}: found novelty of {estimator._detector.features} features, not static")
        return estimator


__all__ = ["MEMBERS", "ByNovelty"]
