"""Mixture of other estimators' distributions with given weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, register
from satcost_gnn.learn.registry import make_estimator

#: The two that predict best alone, on this project's data: name and settings.
MEMBERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("forest", {"max_features": 1 / 3, "n_trees": 100}),
    ("gaussian_process", {}),
)


@register
class Mixture(Estimator):
    """Mixture of estimators.

    Parameters
    ----------
    members
        Name and settings of each member; None for :data:`MEMBERS`.
    weights
        Weight of each; None for equal ones, which do as well as learnt ones where few members are of like accuracy.

    Raises
    ------
    EstimatorError
        If there is no member, or not a weight for each.
    """

    name = "mixture"
    needs = frozenset({"static", "online"})

    def __init__(self, members: Sequence[Sequence[Any]] | None = None, weights: Sequence[float] | None = None) -> None:
        members = MEMBERS if members is None else members
        if not members:
            raise EstimatorError(f"found no members of estimator {self.name!r}; expected at least one")
        self.members = [(str(name), dict(settings)) for name, settings in members]
        if any(name == self.name for name, _ in self.members):
            raise EstimatorError(f"estimator {self.name!r} can't be a member of another of its kind")
        given = [1.0 / len(self.members)] * len(self.members) if weights is None else [float(one) for one in weights]
        if len(given) != len(self.members) or not all(one >= 0 for one in given) or not sum(given) > 0:
            raise EstimatorError(f"found weights {given} for {len(self.members)} members; expected one each, not all 0")
        self._given = weights is not None
        self._weights = np.array(given)
        self._consist_of([make_estimator(name, **settings) for name, settings in self.members])

    def _consist_of(self, estimators: Sequence[Estimator]) -> None:
        self._estimators = list(estimators)
        self._narrow(self._estimators)

    @classmethod
    def of(cls, members: Sequence[Estimator], weights: Sequence[float]) -> Self:
        """Return the mixture of fitted estimators for the same solvers in the same unit."""
        mixture = cls([[one.name, one.parameters()] for one in members], weights)
        mixture._solvers, mixture._unit = members[0].solvers, members[0].unit
        mixture._take({str(k): one for k, one in enumerate(members)})
        return mixture

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        members = [[name, settings] for name, settings in self.members]
        return {"members": members, "weights": self._weights.tolist() if self._given else None}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each member, by number and name; EstimatorError before fitting."""
        if not self.is_fitted:
            raise EstimatorError(f"estimator {self.name!r} is not fitted; call fit() or load() first")
        return {f"{k}.{name}": float(self._weights[k]) for k, (name, _) in enumerate(self.members)}

    def _fit(self, table: TrainingTable) -> None:
        for estimator in self._estimators:
            estimator.fit(table)

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return CostDistribution.mixture([one.predict(instances) for one in self._estimators], self._weights)

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance (see :meth:`Estimator.predict_variants`)."""
        return CostDistribution.mixture([one.predict_variants(variants) for one in self._estimators], self._weights)

    def online_reading(self, instances: Sequence[Instance]) -> CostDistribution | None:
        """Return what the first member that can tell predicts from the early search alone."""
        return next((found for one in self._estimators if (found := one.online_reading(instances)) is not None), None)

    def parts(self) -> dict[str, Any]:
        """Return the members by their numbers."""
        return {str(k): one for k, one in enumerate(self._estimators)}

    def _take(self, parts: Mapping[str, Any]) -> None:
        found = [parts[str(k)] for k in range(len(self.members))]
        for k, part in enumerate(found):
            self._check_part(str(k), part)
        self._consist_of(found)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {}, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Nothing is learnt but by the members."""


__all__ = ["MEMBERS", "Mixture"]
