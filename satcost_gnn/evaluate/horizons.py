"""What predictions say at several budgets, and by decade of predicted cost: own and published runs apart.

At a budget only those runs count whose limit reaches it, solved or not: among runs with a lower limit the solved ones
alone would be known, and a probability would look too small beside them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.evaluate.metrics import auc, brier, c_index

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Budgets in CPU seconds.
HORIZONS_S: Final = (1.0, 10.0, 60.0, 300.0, 1000.0, 2500.0, 5000.0)
#: log10 of the ends of classes of the predicted median, in seconds.
DECADES: Final = (-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0)
#: Fewer runs are no row.
FEWEST: Final = 20
# Limits that differ by less, in decades, are the same.
_SAME = 1e-3

#: Name of a class of runs -> its numbers.
Numbers = dict[str, float]


def run_limits(dataset: Dataset, solvers: Sequence[str], instances: Sequence[str]) -> Floats:
    """Return the limit of the run (with seed 0) that each label comes from.

    It is ``float64[n_instances, n_solvers]``: log10 of CPU seconds; NaN without a run that was solved or censored.
    """
    found = np.full((len(instances), len(solvers)), np.nan)
    for row, name in enumerate(instances):
        for run in dataset.runs_of.get(name, ()):
            if run.solver not in solvers or run.seed != 0 or not (run.status.solved or run.status.censored):
                continue
            column = solvers.index(run.solver)
            # A solved run tells of all budgets up to its limit; of those that were stopped the longest tells most.
            found[row, column] = np.fmax(found[row, column], np.log10(run.cpu_limit_s))
    return found


def sources(dataset: Dataset, instances: Sequence[str]) -> NDArray[np.str_]:
    """Return ``published`` or ``own`` for each instance: whether another's runs tell of it."""
    published = {run.instance for run in dataset.runs if run.source}
    return np.array(["published" if name in published else "own" for name in instances], dtype=np.str_)


def overall(predicted: CostDistribution, cost: Floats, censored: Bools, limit: Floats) -> Numbers:
    """Return the measures of predictions of shape ``(n,)`` on runs with a limit each.

    Parameters
    ----------
    predicted
        Of each run.
    cost, censored, limit
        ``float64[n]``, ``bool[n]``, ``float64[n]``: log10 of the cost or its bound, and of the limit.

    Returns
    -------
    dict
        ``runs``, ``solved`` (a number), ``c_index``, ``crps`` and ``rmse_capped`` (both up to each run's limit), and
        ``median_of_unsolved`` (log10; NaN if all are solved).
    """
    cap = np.minimum(limit, predicted.grid.high)
    median = predicted.median()
    error = np.minimum(median, cap) - np.minimum(cost, cap)
    return {
        "runs": float(len(cost)),
        "solved": float((~censored).sum()),
        "c_index": c_index(median, cost, censored),
        "crps": float(predicted.crps(cost, censored, cap).mean()),
        "rmse_capped": float(np.sqrt((error**2).mean())),
        "median_of_unsolved": float(np.median(median[censored])) if censored.any() else float("nan"),
    }


def at_horizons(predicted: CostDistribution, cost: Floats, censored: Bools, limit: Floats) -> dict[str, Numbers]:
    """Return what is said of "solved by then" at each of :data:`HORIZONS_S` that enough runs reach.

    Parameters are those of :func:`overall`, in CPU seconds.

    Returns
    -------
    dict
        Budget as text -> ``runs``, ``solved`` and ``predicted`` (shares), ``brier``, ``brier_constant`` (that of
        the observed share), ``auc``.
    """
    found = {}
    for horizon in HORIZONS_S:
        at = float(np.log10(horizon))
        rows = np.flatnonzero(limit >= at - _SAME)
        if len(rows) < FEWEST:
            continue
        # Stopped by its limit, or by that of memory: not solved by then.
        solved = (~censored[rows] & (cost[rows] <= at)).astype(np.float64)
        p = predicted[rows].cdf_at(np.full(len(rows), at))
        found[f"{horizon:g}"] = {
            "runs": float(len(rows)),
            "solved": float(solved.mean()),
            "predicted": float(p.mean()),
            "brier": brier(p, solved),
            "brier_constant": float(solved.var()),
            "auc": auc(p, solved),
        }
    return found


def by_decade(predicted: CostDistribution, cost: Floats, censored: Bools) -> dict[str, Numbers]:
    """Return coverage and width of the central 80 % intervals by decade of the predicted median.

    Parameters are those of :func:`overall`.

    Returns
    -------
    dict
        Decade as text -> ``runs``, ``least`` and ``most`` (share of runs inside: one that was stopped below the upper
        end may cost what is inside or above) and ``width`` in decades.
    """
    low, high = predicted.interval(0.8)
    centre = predicted.median()
    found = {}
    for start, end in itertools.pairwise(DECADES):
        rows = np.flatnonzero((centre >= start) & (centre < end))
        if len(rows) < FEWEST:
            continue
        solved = ~censored[rows]
        inside = solved & (cost[rows] >= low[rows]) & (cost[rows] <= high[rows])
        open_above = predicted[rows].censored_above(0.9)
        inside |= solved & (cost[rows] >= low[rows]) & open_above
        # Stopped below the upper end: unknown. Stopped above the lower end of an interval without an upper one: inside.
        inside |= ~solved & open_above & (cost[rows] >= low[rows])
        maybe = ~solved & (open_above | (cost[rows] <= high[rows]))
        found[f"1e{start:g} to 1e{end:g}"] = {
            "runs": float(len(rows)),
            "least": float(inside.mean()),
            "most": float((inside | maybe).mean()),
            "width": float((high[rows] - low[rows]).mean()),
        }
    return found


def measured(
    predicted: CostDistribution, cost: Floats, censored: Bools, limit: Floats, source: NDArray[np.str_]
) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Return source with enough runs -> ``overall``, each horizon (``by 60 s``) and each decade -> its numbers."""
    found: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for name in sorted(set(source.tolist())):
        rows = np.flatnonzero((source == name) & ~np.isnan(limit))
        if len(rows) < FEWEST:
            continue
        mine = predicted[rows], cost[rows], censored[rows]
        horizons = at_horizons(*mine, limit[rows])
        found[name] = {
            "overall": overall(*mine, limit[rows]),
            **{f"by {horizon} s": numbers for horizon, numbers in horizons.items()},
            **by_decade(*mine),
        }
    return found
