"""MiniSat's progress bar as a prediction: what was spent over the share of the search space that is done.

See :func:`satcost_gnn.search.tree_size.progress_estimate`. The share is next to nothing until variables are fixed at
level 0, and does not grow to 1 as the search ends, so that the estimate as it stands is far too large; training scales
it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from satcost_gnn.learn.base import register
from satcost_gnn.learn.baselines.point_estimate import Floats, PointEstimate, one_of

WHICH = ("last", "max", "mean")


@register
class ProgressBar(PointEstimate):
    """Conflicts so far / progress.

    Parameters
    ----------
    which
        Progress at the ``last`` conflict, the largest (``max``), or the geometric ``mean`` over the last half.
    slope
        See :class:`PointEstimate`.
    """

    name = "progress_bar"

    def __init__(self, which: str = "last", slope: str = "fitted") -> None:
        self.which = one_of("progress", which, WHICH)
        super().__init__(slope)

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"which": self.which, **super().parameters()}

    def _columns(self) -> list[str]:
        return ["rates.conflicts_log", f"progress.{self.which}"]

    def _log10_conflicts(self, values: Floats) -> Floats:
        spent = np.expm1(values[:, 0])
        return np.where(spent >= 0.5, np.log10(np.maximum(spent, 0.5)) - values[:, 1], np.nan)
