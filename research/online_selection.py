"""Selection by a first window: every solver is run for it, and the one with the least predicted cost goes on.

The other solvers' windows are lost, so they are charged. A solver that finishes within its window ends the matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import EvaluationError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WindowSelection:
    """What became of a selection.

    Parameters
    ----------
    choice
        ``int64[n]``: column of the solver that was picked, or that finished within its window.
    cost
        ``float64[n]``: what was spent in all, windows included.
    solved
        ``bool[n]``: whether the picked solver solved the instance within the budget.
    in_window
        ``bool[n]``: whether a solver finished within its window, so that there was nothing to pick.
    """

    choice: Integers
    cost: Floats
    solved: Bools
    in_window: Bools

    def pick_shares(self, solvers: int) -> Floats:
        """Return the share of each solver among the instances for which one was picked (NaN if for none)."""
        picked = self.choice[~self.in_window]
        return np.bincount(picked, minlength=solvers) / len(picked) if len(picked) else np.full(solvers, np.nan)


def select_after_window(
    cost: Floats, solved: Bools, window: Floats, in_window: Bools, predicted: Floats
) -> WindowSelection:
    """Run each solver for a window, in the order of the columns, and go on with the one of least predicted cost.

    Parameters
    ----------
    cost
        ``float64[n, S]``: cost of the whole search, or of the budget at which it was stopped. Any unit, not log10.
    solved
        ``bool[n, S]``: whether the search ended by itself.
    window
        ``float64[n, S]``: cost of the window; where the search ended within it, what it cost until then.
    in_window
        ``bool[n, S]``: whether it did.
    predicted
        ``float64[n, S]``: predicted costs, in any unit that is the same for all solvers. NaN counts as infinite.

    Raises
    ------
    EvaluationError
        If the shapes differ, or a window costs more than the whole search.
    """
    arrays = {"solved": solved, "window": window, "in_window": in_window, "predicted": predicted}
    for name, values in arrays.items():
        if np.shape(values) != cost.shape or cost.ndim != 2:
            raise EvaluationError(f"{name}: found shape {np.shape(values)}; expected that of the costs, {cost.shape}")
    if (window > cost * (1.0 + 1e-9)).any():
        raise EvaluationError("window: found one that costs more than the whole search")
    rows = np.arange(len(cost))
    early = np.asarray(in_window.any(axis=1), dtype=bool)
    first = np.argmax(in_window, axis=1)
    picked = np.argmin(np.where(np.isnan(predicted), np.inf, predicted), axis=1)
    choice = np.where(early, first, picked)
    until_first = np.cumsum(window, axis=1)[rows, first]
    all_windows = window.sum(axis=1) - window[rows, picked] + cost[rows, picked]
    return WindowSelection(
        choice=choice.astype(np.int64),
        cost=np.where(early, until_first, all_windows),
        solved=np.where(early, True, solved[rows, picked]),
        in_window=early,
    )
