"""Accuracy of several estimators on the same instances: one table from one set of predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.distribution import CostDistribution
from satcost_gnn.estimators.base import TrainingTable
from satcost_gnn.evaluation.metrics import (
    c_index,
    expected_coded,
    geometric_mean_ratio,
    interval_coverage,
    mean_crps,
    paired_bootstrap,
    rmse,
    spearman,
    spearman_within,
    within_factor,
)

Integers = NDArray[np.int64]

#: Column of the table -> what it is.
COLUMNS: Mapping[str, str] = {
    "rmse": "root mean square error of log10 of the cost, solved runs only",
    "rmse_median": "the same of the median, which also allows for costs beyond the limit",
    "spearman": "rank correlation, solved runs only",
    "spearman_within": "rank correlation within a family, mean over families with enough instances",
    "ratio": "geometric mean of max(predicted / true, true / predicted), solved runs only",
    "within_2": "share of solved runs predicted within a factor of 2",
    "within_10": "share of solved runs predicted within a factor of 10",
    "c_index": "share of comparable pairs ordered rightly, stopped runs included",
    "crps": "continuous ranked probability score in decades, stopped runs included",
    "coverage_80": "share of solved runs inside the central 80 % interval",
    "width_80": "mean width of that interval in decades",
}


def accuracy(distribution: CostDistribution, table: TrainingTable, solver: str, cutoff: float) -> dict[str, float]:
    """Return the measures of one estimator for one solver.

    Measures over solved runs take as prediction the mean of log10 of the cost *given that the run is solved by the
    cutoff*, for every estimator alike: it is the prediction with the least expected squared error on such runs, while a
    median over all outcomes is drawn upwards by runs that are never solved and thus not among those measured.

    Parameters
    ----------
    distribution
        Predictions of shape ``(n, n_solvers)`` in the table's order.
    table
        Instances with what they did cost.
    solver
        Which column.
    cutoff
        log10 of the largest cost at which runs were solved; not of the runs measured here.

    Returns
    -------
    dict
        :data:`COLUMNS` and the numbers ``n`` of runs and ``n_solved`` of solved ones.
    """
    column = table.solvers.index(solver)
    rows = np.flatnonzero(table.known[:, column])
    predicted = distribution[rows, column]
    cost, censored = table.cost[rows, column], table.censored[rows, column]
    groups = [table.groups[row] for row in rows]
    median = predicted.median()
    point = expected_coded(predicted, "solved", cutoff)
    interval = interval_coverage(predicted, cost, censored, coverage=0.8)
    return {
        "n": len(rows),
        "n_solved": int((~censored).sum()),
        "rmse": rmse(point, cost, censored),
        "rmse_median": rmse(median, cost, censored),
        "spearman": spearman(point, cost, censored),
        "spearman_within": spearman_within(point, cost, groups, censored),
        "ratio": geometric_mean_ratio(point, cost, censored),
        "within_2": within_factor(point, cost, censored, factor=2.0),
        "within_10": within_factor(point, cost, censored, factor=10.0),
        "c_index": c_index(median, cost, censored),
        "crps": mean_crps(predicted, cost, censored),
        "coverage_80": interval.solved,
        "width_80": interval.width,
    }


def compare(
    predictions: Mapping[str, CostDistribution],
    table: TrainingTable,
    solver: str,
    reference: str,
    cutoff: float,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how every estimator's RMSE and CRPS differ from a reference's, by paired bootstrap over instances.

    Returns
    -------
    dict
        Estimator -> measure -> ``difference`` (negative: better than the reference), ``low`` and ``high`` (95 %).
    """
    column = table.solvers.index(solver)
    rows = np.flatnonzero(table.known[:, column])
    cost, censored = table.cost[rows, column], table.censored[rows, column]
    measures: dict[str, Callable[[CostDistribution, Integers], float]] = {
        "rmse": lambda chosen, at: rmse(expected_coded(chosen[at], "solved", cutoff), cost[at], censored[at]),
        "crps": lambda chosen, at: mean_crps(chosen[at], cost[at], censored[at]),
    }
    base = predictions[reference][rows, column]
    result: dict[str, Any] = {}
    for name, distribution in predictions.items():
        if name == reference:
            continue
        mine = distribution[rows, column]
        result[name] = {}
        for label, measure in measures.items():
            found = paired_bootstrap(partial(measure, mine), partial(measure, base), len(rows), count=500, seed=seed)
            result[name][label] = {
                "difference": found.value,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
            }
    return result


def markdown(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str] = tuple(COLUMNS)) -> str:
    """Return the table of several estimators as Markdown."""
    lines = [f"| estimator | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |")
    return "\n".join(lines) + "\n"
