"""The mean of a forest and a Gaussian process; where a formula is new, the early search's forest and the constant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable, register
from satcost_gnn.learn.ensemble.average import Average
from satcost_gnn.learn.ensemble.new_formulas import NewFormulas


@register
class ByNovelty(Average):
    """Mixture of estimators; where a formula is new, mixed with a forest on the early search alone and the constant.

    Parameters
    ----------
    members
        Name and settings of each member; None for those of :class:`~satcost_gnn.learn.ensemble.average.Average`.
    early, constant
        Weights on an instance that is altogether new: see
        :class:`~satcost_gnn.learn.ensemble.new_formulas.NewFormulas`.
    """

    name = "by_novelty"

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
        self._on_new = NewFormulas(self.early, self.constant).fit({self.unit: table})

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return self._on_new.mixed(super()._predict(instances), self.unit, instances)

    def save(self, directory: Path) -> None:
        """Write the mixture, its members, and what predicts new instances."""
        super().save(directory)
        self._on_new.save(directory)

    @classmethod
    def load(cls, directory: Path, **options: Any) -> Self:
        """Read what :meth:`save` wrote (see :meth:`Estimator.load`)."""
        estimator = super().load(directory, **options)
        estimator._on_new = NewFormulas.load(directory, [estimator.unit], estimator.early, estimator.constant)
        return estimator


__all__ = ["ByNovelty"]
