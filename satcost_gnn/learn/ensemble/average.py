"""The mean of other estimators' distributions: what a mixture is worth before any weight is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from satcost_gnn.learn.base import TrainingTable, register
from satcost_gnn.learn.ensemble.stacked import Stacked

#: The two that predict best alone, on this project's data: name and settings.
MEMBERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("forest", {"max_features": 1 / 3, "n_trees": 100}),
    ("gaussian_process", {}),
)


@register
class Average(Stacked):
    """Mixture of estimators with equal weights.

    Parameters
    ----------
    members
        Name and settings of each member; None for :data:`MEMBERS`.

    Notes
    -----
    Weights that are learnt rest on predictions for held-out instances, for which every member is fitted anew several
    times; with few members of like accuracy equal ones do as well.
    """

    name = "average"

    def __init__(self, members: Sequence[Sequence[Any]] | None = None) -> None:
        super().__init__(MEMBERS if members is None else members)

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"members": [[name, settings] for name, settings in self.members]}

    def _fit(self, table: TrainingTable) -> None:
        for estimator in self._estimators:
            estimator.fit(table)
        self._weights = np.full(len(self.members), 1.0 / len(self.members))


__all__ = ["MEMBERS", "Average"]
