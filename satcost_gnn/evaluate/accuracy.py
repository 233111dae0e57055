"""Accuracy of several estimators on the same instances: one table from one set of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.evaluate.metrics import paired_difference
from satcost_gnn.evaluate.scores import MEASURES, Resamples, Runs, Scores
from satcost_gnn.learn.base import TrainingTable

#: Column of the table -> what it is.
COLUMNS: Mapping[str, str] = {
    name: MEASURES[name].text
    for name in (
        "rmse",
        "rmse_median",
        "spearman",
        "spearman_within",
        "ratio",
        "within_2",
        "within_10",
        "c_index",
        "crps",
        "coverage_80",
        "width_80",
    )
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
    scores = _scores(distribution, Runs.of(table, solver, cutoff), table.solvers.index(solver))
    values = scores.values()
    counts = {"n": len(scores.runs), "n_solved": int((~scores.runs.censored).sum())}
    return {**counts, **{name: values[name] for name in COLUMNS}}


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
    runs = Runs.of(table, solver, cutoff)
    drawn = Resamples.draw(len(runs), None, 500, seed)
    scores = {name: _scores(distribution, runs, column) for name, distribution in predictions.items()}
    means = {name: one.means(("rmse", "crps"), drawn.counts) for name, one in scores.items()}
    values = {name: one.subset(np.ones(len(runs), dtype=bool)) for name, one in scores.items()}
    result: dict[str, Any] = {}
    for name in predictions:
        if name == reference:
            continue
        result[name] = {}
        for label in ("rmse", "crps"):
            found = paired_difference(
                values[name][label] - values[reference][label], means[name][label] - means[reference][label]
            )
            result[name][label] = {
                "difference": found.value,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
            }
    return result


def _scores(distribution: CostDistribution, runs: Runs, column: int) -> Scores:
    return Scores.of(distribution[runs.rows, column], runs, runs.cutoff)


def markdown(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str] = tuple(COLUMNS)) -> str:
    """Return the table of several estimators as Markdown."""
    lines = [f"| estimator | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |")
    return "\n".join(lines) + "\n"
