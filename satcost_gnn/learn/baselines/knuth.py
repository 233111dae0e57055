"""Knuth's estimate of the search tree by random dives (:mod:`satcost_gnn.search.random_dives`), as a prediction."""

from __future__ import annotations

from typing import Any

from satcost_gnn.learn.base import register
from satcost_gnn.learn.baselines.point_estimate import Floats, PointEstimate, log10_leaves, one_of

STATISTICS = ("mean", "median")


@register
class Knuth(PointEstimate):
    """Leaves of the tree of DPLL without learning, estimated by random dives.

    Parameters
    ----------
    statistic
        The ``mean`` of the dives' estimates, which is right on average and ruled by the deepest dive, or their
        ``median``.
    slope
        See :class:`PointEstimate`.

    Notes
    -----
    A formula too large for the dives has no estimate.
    """

    name = "knuth"

    def __init__(self, statistic: str = "mean", slope: str = "fitted") -> None:
        self.statistic = one_of("statistic", statistic, STATISTICS)
        super().__init__(slope)

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"statistic": self.statistic, **super().parameters()}

    def _columns(self) -> list[str]:
        return [f"knuth.log2_{self.statistic}"]

    def _log10_conflicts(self, values: Floats) -> Floats:
        return log10_leaves(values[:, 0])
