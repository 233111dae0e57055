"""Tree-size estimates of the early search as predictions of the whole cost, calibrated on a training set.

The weighted backtrack and the recursive estimator (:mod:`satcost_gnn.search.tree_size`) say how large the tree would
become if the search went on as it began. A conflict is a leaf, so half of the estimated nodes are the estimated
conflicts. A solver that restarts and learns does not finish that tree: see
:mod:`satcost_gnn.learn.baselines.point_estimate` for what is made of that.
"""

from __future__ import annotations

from typing import Any

from satcost_gnn.learn.base import register
from satcost_gnn.learn.baselines.point_estimate import Floats, PointEstimate, log10_leaves, one_of

METHODS = ("wbe", "recursive")
TREES = ("longest", "mean", "last", "min", "max")


@register
class TreeSize(PointEstimate):
    """Tree-size estimate from the probe.

    Parameters
    ----------
    method
        ``wbe`` (weighted backtrack estimator) or ``recursive``.
    tree
        Which tree's estimate: of the ``longest`` between two restarts, the ``last``, the ``mean`` over all weighted by
        their leaves, or the smallest or largest (``min``, ``max``).
    slope
        See :class:`PointEstimate`.
    """

    name = "tree_size"

    def __init__(self, method: str = "wbe", tree: str = "longest", slope: str = "fitted") -> None:
        self.method, self.tree = one_of("method", method, METHODS), one_of("tree", tree, TREES)
        super().__init__(slope)

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"method": self.method, "tree": self.tree, **super().parameters()}

    def _columns(self) -> list[str]:
        return [f"tree.{self.method}_{self.tree}"]

    def _log10_conflicts(self, values: Floats) -> Floats:
        return log10_leaves(values[:, 0])


__all__ = ["METHODS", "TREES", "TreeSize"]
