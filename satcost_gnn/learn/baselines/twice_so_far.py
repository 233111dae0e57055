"""Twice what has been spent so far: the guess of somebody who knows nothing but how long the search has gone on.

Where nothing tells how long something goes on, it has on the median as much before it as behind it (Gott, "Implications
of the Copernican principle for our future prospects", Nature 363, 1993).
"""

from __future__ import annotations

import numpy as np

from satcost_gnn.learn.base import register
from satcost_gnn.learn.baselines.point_estimate import Floats, PointEstimate


@register
class TwiceSoFar(PointEstimate):
    """Twice the probe's conflicts, or its propagations or the seconds of its search, by the unit.

    Parameters
    ----------
    slope
        See :class:`PointEstimate`. Probes that all end after the same conflicts say nothing of the differences between
        instances; with searches of different length they do.
    """

    name = "twice_so_far"

    def _columns(self) -> list[str]:
        return ["rates.conflicts_log"]

    def _log10_conflicts(self, values: Floats) -> Floats:
        spent = np.expm1(values[:, 0])
        return np.where(spent >= 0.5, np.log10(2.0 * np.maximum(spent, 0.5)), np.nan)
