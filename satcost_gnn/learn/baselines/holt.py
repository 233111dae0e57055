"""The tree weight's growth, smoothed twice and carried on to 1, as a prediction.

See :class:`satcost_gnn.search.tree_size.HoltProgress`. In a search that restarts and learns, few trees ever reach the
weight from which there is a forecast.
"""

from __future__ import annotations

from typing import Any

from satcost_gnn.learn.base import register
from satcost_gnn.learn.baselines.point_estimate import Floats, PointEstimate, log10_leaves, one_of

#: Tree -> the feature with its forecast.
FORECASTS = {"last": "tree.holt", "longest": "tree.holt_longest", "max": "tree.holt_max"}


@register
class Holt(PointEstimate):
    """Leaves of the tree by Holt's double exponential smoothing of its weight; the training distribution where unknown.

    Parameters
    ----------
    tree
        Which tree's forecast: of the ``last``, of the ``longest`` between two restarts, or the largest of any
        (``max``).
    slope
        See :class:`PointEstimate`.
    """

    name = "holt"
    often_unknown = True

    def __init__(self, tree: str = "max", slope: str = "fitted") -> None:
        self.tree = one_of("tree", tree, tuple(FORECASTS))
        super().__init__(slope)

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"tree": self.tree, **super().parameters()}

    def _columns(self) -> list[str]:
        return [FORECASTS[self.tree]]

    def _log10_conflicts(self, values: Floats) -> Floats:
        return log10_leaves(values[:, 0])
