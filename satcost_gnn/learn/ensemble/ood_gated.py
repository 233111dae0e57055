"""OOD-gated ensemble: forest and Gaussian process, with a fallback out of distribution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable, register
from satcost_gnn.learn.ensemble.average import Average
from satcost_gnn.learn.ensemble.ood_fallback import OODFallback


@register
class OODGated(Average):
    """Mixture of estimators; out of distribution, mixed with a forest on the early search alone and the constant.

    Parameters
    ----------
    members
        Name and settings of each member; None for those of :class:`~satcost_gnn.learn.ensemble.average.Average`.
    early, constant
        Weights far out of distribution: see
        :class:`~satcost_gnn.learn.ensemble.ood_fallback.OODFallback`.
    """

    name = "ood_gated"

    def __init__(
        self, members: Sequence[Sequence[Any]] | None = None, early: float = 0.7, constant: float = 0.3
    ) -> None:
        super().__init__(members)
        self.early = early
        self.constant = constant
        self.needs = self.needs | {"static", "online"}

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().parameters(), "early": self.early, "constant": self.constant}

    def _fit(self, table: TrainingTable) -> None:
        super()._fit(table)
        self._fallback = OODFallback(self.early, self.constant).fit({self.unit: table})

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return self._fallback.mixed(super()._predict(instances), self.unit, instances)

    def save(self, directory: Path) -> None:
        """Write the mixture, its members, and what predicts new instances."""
        super().save(directory)
        self._fallback.save(directory)

    @classmethod
    def load(cls, directory: Path, **options: Any) -> Self:
        """Read what :meth:`save` wrote (see :meth:`Estimator.load`)."""
        estimator = super().load(directory, **options)
        estimator._fallback = OODFallback.load(directory, [estimator.unit], estimator.early, estimator.constant)
        return estimator


__all__ = ["OODGated"]
