"""What choosing among solvers costs: PAR-k of runs, the single best and the virtual best solver, and the closed gap.

Every table, report, policy and benchmark takes these numbers from here. Costs are in their unit (CPU seconds, not
log10), the less the better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def par(cost: ArrayLike, solved: ArrayLike, cutoff: float, k: float = 2.0, overhead: ArrayLike = 0.0) -> Floats:
    """Return penalised costs: what a solved run costs with its overhead if that is within the cutoff, else k cutoffs.

    Parameters
    ----------
    cost
        Costs of the runs, any shape.
    solved
        Which runs gave an answer.
    cutoff
        In the unit of the cost; overhead and run together must stay within it.
    k
        2 for PAR2, 10 for PAR10.
    overhead
        What was spent before the run, broadcast against the costs.
    """
    spent = np.asarray(cost, dtype=np.float64) + np.asarray(overhead, dtype=np.float64)
    return np.where(np.asarray(solved, dtype=bool) & (spent <= cutoff), spent, k * cutoff)


def of_choice(values: ArrayLike, choice: ArrayLike) -> NDArray[Any]:
    """Return ``[n]``: of the values ``[n, n_solvers]`` those in the chosen columns ``int[n]``."""
    rows: NDArray[Any] = np.asarray(values)
    return rows[np.arange(len(rows)), np.asarray(choice, dtype=np.int64)]


def single_best(penalised: ArrayLike) -> int:
    """Return the column (solver) with the least mean of penalised costs ``[n, n_solvers]``, the first among equals."""
    return int(np.argmin(np.asarray(penalised, dtype=np.float64).mean(axis=0)))


def virtual_best(penalised: ArrayLike) -> Floats:
    """Return ``float64[n]``: the penalised cost on each instance of an oracle that picks the best solver for it."""
    return np.asarray(np.asarray(penalised, dtype=np.float64).min(axis=1))


def closed_gap(selector: float, single: float, virtual: float) -> float:
    """Return (SBS - s) / (SBS - VBS): 1 for the oracle, 0 for always the single best; NaN if there is no gap."""
    gap = single - virtual
    return (single - selector) / gap if gap > 0 else float("nan")


@dataclass(frozen=True)
class PortfolioBounds:
    """What a selector among some solvers is measured against.

    Parameters
    ----------
    single
        Column of the single best solver.
    sbs, vbs
        Mean penalised cost of the single best and of the virtual best solver.
    """

    single: int
    sbs: float
    vbs: float

    @classmethod
    def of(cls, penalised: ArrayLike) -> PortfolioBounds:
        """Return the bounds of penalised costs ``[n, n_solvers]``."""
        costs = np.asarray(penalised, dtype=np.float64)
        single = single_best(costs)
        return cls(single, float(costs[:, single].mean()), float(virtual_best(costs).mean()))

    def closed_gap(self, cost: ArrayLike) -> float:
        """Return the gap that a selector closes with penalised costs ``[n]``, or with their mean."""
        return closed_gap(float(np.asarray(cost, dtype=np.float64).mean()), self.sbs, self.vbs)
