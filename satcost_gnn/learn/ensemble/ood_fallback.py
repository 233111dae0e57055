"""Out-of-distribution fallback: the early search carries over to unseen families, static features mislead there.

The detector looks at static features alone: nearest training neighbours are much closer within a family than beyond it.
Even the early search predicts the order of costs out of distribution better than their scale, so that the training
set's own distribution gets a share, which keeps predictions there from being overconfident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.fit_cache import cached_fit
from satcost_gnn.learn.forest import Forest
from satcost_gnn.learn.out_of_distribution import OODDetector

Floats = NDArray[np.float64]

#: Settings of the forest on the early search alone.
FOREST: dict[str, Any] = {"features": "online", "max_features": 1 / 3, "n_trees": 100}
_DIRECTORY = "ood-fallback"
# Score at which a formula counts as half out of distribution, and how sharply the gate opens there: from predictions
# for left-out instances and for left-out families, none of the test side (docs/research-log.md).
_MIDDLE, _SHARPNESS = 0.7, 4.0
# Power of that degree which the constant's weight follows.
_CONSTANT_POWER = 4


class OODFallback:
    """Forests on the early search alone, the constant of the training set, and an out-of-distribution detector.

    Parameters
    ----------
    early
        Weight of the forest far out of distribution.
    constant
        Weight of the constant there.

    Notes
    -----
    With s the score of the static features (:class:`~satcost_gnn.learn.out_of_distribution.OODDetector`), a formula is
    out of distribution to a degree d of 1 / (1 + (s / 0.7)^-4). The forest's weight is multiplied by d, the constant's
    by d^4: it is for what is far out of distribution, and would cost sharpness on unusual members of known families.
    """

    def __init__(self, early: float = 0.7, constant: float = 0.3) -> None:
        self.early = early
        self.constant = constant
        self._detector = OODDetector("static")
        self._forests: dict[str, Estimator] = {}
        self._constants: dict[str, Constant] = {}

    def fit(self, tables: Mapping[str, TrainingTable], store: Path | None = None) -> Self:
        """Fit to tables of several units over the same instances; a store keeps the forests for others (cached_fit)."""
        first = next(iter(tables.values()))
        self._detector.fit(first.instances)
        for unit, table in tables.items():
            labelled = table.subset(table.known.any(axis=1))
            if self.early:
                self._forests[unit] = cached_fit("forest", FOREST, labelled, store)
            if self.constant:
                self._constants[unit] = Constant().fit(labelled)
        return self

    def degree(self, instances: Sequence[Instance]) -> Floats:
        """Return ``float64[n]``, 0 to 1: how far out of distribution each formula is; EstimatorError before fitting."""
        _, score = self._detector.in_distribution(instances)
        return np.asarray(1.0 / (1.0 + (np.maximum(score, 1e-9) / _MIDDLE) ** -_SHARPNESS))

    def mixed(
        self,
        distribution: CostDistribution,
        unit: str,
        instances: Sequence[Instance],
        early: CostDistribution | None = None,
    ) -> CostDistribution:
        """Return predictions mixed with the forest's and then with the constant, out of distribution.

        Parameters
        ----------
        distribution
            ``(n, n_solvers)``.
        unit
            One of those fitted.
        instances
            Of the predictions.
        early
            Another estimate from the early search alone, which shares the forest's weight equally.
        """
        degree = self.degree(instances)[:, None]
        others: list[tuple[Floats, CostDistribution]] = []
        if self.early:
            half = self.early * degree * (0.5 if early is not None else 1.0)
            others.append((half, self._forests[unit].predict(list(instances))))
            if early is not None:
                others.append((half, early))
        if self.constant:
            share = self.constant * degree**_CONSTANT_POWER
            others = [((1.0 - share) * weight, other) for weight, other in others]
            others.append((share, self._constants[unit].predict(list(instances))))
        if not others:
            return distribution
        weights = [weight for weight, _ in others]
        own = 1.0 - sum(weights, np.zeros_like(degree))
        return CostDistribution.mixture([distribution, *(other for _, other in others)], np.stack([own, *weights]))

    def parts(self) -> list[tuple[str, Estimator]]:
        """Return the estimators that it consists of, each with the unit that it is used for."""
        return [*self._forests.items(), *self._constants.items()]

    def save(self, directory: Path) -> None:
        """Write all of it into a directory of its own below that of the estimator it belongs to."""
        own = Path(directory) / _DIRECTORY
        self._detector.save(own / "ood_detector")
        for unit, forest in self._forests.items():
            forest.save(own / unit)
        for unit, constant in self._constants.items():
            constant.save(own / f"constant-{unit}")

    @classmethod
    def load(cls, directory: Path, units: Sequence[str], early: float, constant: float) -> Self:
        """Read what :meth:`save` wrote below an estimator's directory; the weights are the estimator's settings.

        Raises
        ------
        CheckpointError
            If something is missing, damaged, or not what it should be.
        """
        own = Path(directory) / _DIRECTORY
        found = cls(early, constant)
        found._detector = OODDetector.load(own / "ood_detector")
        if found._detector.features != "static":
            raise CheckpointError(f"{own}: found distances of {found._detector.features} features, not static")
        if early:
            found._forests = {unit: Forest.load(own / unit) for unit in units}
        if constant:
            found._constants = {unit: Constant.load(own / f"constant-{unit}") for unit in units}
        return found


__all__ = ["FOREST", "OODFallback"]
