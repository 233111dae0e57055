"""Our tabular estimators on published scenarios of algorithm selection (ASlib), in the scenarios' own folds.

A scenario holds features and run times but no formulas, so that only estimators on static features take part. What
is learnt, chosen or calibrated for a fold is so on the other folds alone: the weights of the mixture, the level of its
intervals, which feature steps are worth their cost, and what runs before them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.aslib_scenario import AslibScenario
from satcost_gnn.errors import EstimatorError
from satcost_gnn.evaluate.aslib_problem import ScenarioProblem, pose
from satcost_gnn.evaluate.aslib_selection import FoldSelection
from satcost_gnn.evaluate.metrics import (
    auc,
    brier,
    coded_cost,
    expected_coded,
    paired_bootstrap,
    rmse,
    solved_by,
    spearman,
)
from satcost_gnn.learn.registry import make_estimator

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

COVERAGE = 0.8
#: Raised when results change their meaning or form, so that stored ones are not taken for new ones.
RESULT_VERSION = 4
_INNER_FOLDS = 3
_LOG10_2 = float(np.log10(2.0))


@dataclass(frozen=True)
class TabularMethod:
    """A row of the table: an estimator with its settings."""

    name: str
    estimator: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)


#: The mixture of :data:`MEMBERS`.
MIXTURE = "mixture"
#: What the published figures were obtained with, and what the others are compared with.
REFERENCE = "random_forest_untuned"
# Fitted forty times a scenario: a third of the features at a split costs a third of the time and is as accurate.
_FOREST: Mapping[str, Any] = {"features": "static", "n_trees": 100, "max_features": 1 / 3}
METHODS: tuple[TabularMethod, ...] = (
    TabularMethod("constant", "constant", "constant (Kaplan-Meier)"),
    TabularMethod("linear", "linear", "linear model (LMP)", {"features": "static"}),
    TabularMethod("knn", "knn", "nearest neighbours", {"features": "static"}),
    TabularMethod(
        REFERENCE,
        "forest",
        "random forest with scikit-learn's defaults",
        {"features": "static", "kind": "random_forest", "n_trees": 100, "max_features": 1.0, "min_leaf": 1},
    ),
    TabularMethod("forest", "forest", "ExtraTrees", {**_FOREST, "min_leaf": 2}),
    TabularMethod("forest_ranks", "forest", "ExtraTrees on ranks", {**_FOREST, "min_leaf": 1, "ranks": True}),
    TabularMethod(
        "random_forest",
        "forest",
        "random forest, a third of the features at a split",
        {**_FOREST, "min_leaf": 1, "kind": "random_forest"},
    ),
    TabularMethod("gaussian_process", "gaussian_process", "Gaussian process", {"features": "static"}),
    TabularMethod(
        "boosting",
        "boosting",
        "gradient boosting of hazards",
        {"features": "static", "n_trees": 60, "learning_rate": 0.12, "per_step": 2},
    ),
)
MEMBERS = ("forest", "forest_ranks", "random_forest", "gaussian_process", "boosting")


# Mixture and intervals ------------------------------------------------------------------------------------------------


def least_squares_weights(predictions: Sequence[Floats], target: Floats) -> Floats:
    """Return the weights, none negative and of sum 1, whose average of predictions has the least squared error."""
    from scipy.optimize import nnls

    # A heavy last row holds the sum at 1.
    x = np.stack([np.ravel(part) for part in predictions], axis=1)
    heavy = 1e3 * np.sqrt(len(x))
    weights, _ = nnls(np.vstack([x, np.full((1, x.shape[1]), heavy)]), np.append(np.ravel(target), heavy))
    return np.asarray(weights / weights.sum())


def interval_scores(distribution: CostDistribution, cost: Floats, censored: Bools, cutoff: float) -> Floats:
    """Return the least level whose central interval holds each PAR2-coded cost.

    The central interval of level s runs from quantile (1 - s) / 2 to quantile (1 + s) / 2, and quantiles above the
    cutoff are twice the cutoff. So a solved run's score is |2 F(y) - 1|, and a stopped one's max(0, 2 F(cutoff) - 1).
    """
    at = distribution.cdf_at(np.where(censored, cutoff, cost))
    return np.where(censored, np.maximum(2.0 * at - 1.0, 0.0), np.abs(2.0 * at - 1.0))


def conformal_level(scores: Floats, coverage: float) -> float:
    """Return the level at which intervals hold new costs with at least the coverage: a conformal quantile.

    It is the ceil((n + 1) coverage)-th least of n scores (Gupta, Kuchibhotla and Ramdas, "Nested conformal prediction
    and quantile out-of-bag ensemble methods", Pattern Recognition 127, 2022), at most 1.
    """
    ranked = np.sort(np.ravel(scores))
    place = int(np.ceil((len(ranked) + 1) * coverage))
    return float(min(ranked[place - 1], 1.0)) if place <= len(ranked) else 1.0


def coded_widths(distribution: CostDistribution, level: float, cutoff: float) -> Floats:
    """Return the widths in decades of the central intervals of a level, ends above the cutoff at twice the cutoff."""
    ends = [distribution.quantile(q) for q in ((1.0 - level) / 2, (1.0 + level) / 2)]
    low, high = (np.where(end >= cutoff, cutoff + _LOG10_2, end) for end in ends)
    return np.asarray(high - low)


# The protocol ---------------------------------------------------------------------------------------------------------


def evaluate_scenario(
    scenario: AslibScenario,
    seed: int = 0,
    methods: Sequence[TabularMethod] = METHODS,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure every method on a scenario's own folds.

    Parameters
    ----------
    seed
        Seed of the inner folds.
    methods
        What is compared; those of :data:`MEMBERS` among them make the mixture.
    say
        Takes lines about the progress.

    Returns
    -------
    dict
        Plain values for JSON: ``methods`` (name -> measures), ``mixture`` (its weights and level), ``selection``,
        ``versus_reference``, ``errors`` (name -> what went wrong), and what the scenario is.

    Raises
    ------
    DatasetError
        If the scenario lacks what is needed (see :func:`pose`).
    """
    start = time.process_time()
    problem = pose(scenario)
    table, cutoff = problem.table, problem.cutoff
    n, m = table.cost.shape
    errors: dict[str, str] = {}
    members = [method for method in methods if method.name in MEMBERS]
    cdf = {method.name: np.full((n, m, table.grid.bins + 1), np.nan) for method in methods}
    mixture = np.full((n, m, table.grid.bins + 1), np.nan)
    level, weights = np.full(n, np.nan), []
    par_cutoff = 10.0**cutoff
    selection = FoldSelection(problem, seed)
    for number, fold in enumerate(np.unique(problem.folds)):
        held, rest = np.flatnonzero(problem.folds == fold), np.flatnonzero(problem.folds != fold)
        train, test = table.subset(rest), [table.instances[i] for i in held]
        for method in methods:
            if method.name in errors:
                continue
            try:
                cdf[method.name][held] = _made(method).fit(train).predict(test).cdf
            except (EstimatorError, ImportError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                errors[method.name] = f"{type(error).__name__}: {error}"
                say(f"{scenario.name}: {method.name}: {error}")
        members = [method for method in members if method.name not in errors]
        expected = None
        if members:
            inner = np.random.default_rng(seed + number).permutation(len(rest)) % _INNER_FOLDS
            parts = [_made(method).out_of_fold(train, inner) for method in members]
            y = coded_cost(train.cost, train.censored, "par2", cutoff)
            share = least_squares_weights([expected_coded(part, "par2", cutoff) for part in parts], y)
            weights.append(dict(zip([method.name for method in members], share.tolist(), strict=True)))
            own = CostDistribution.mixture(parts, share)
            level[held] = conformal_level(interval_scores(own, train.cost, train.censored, cutoff), COVERAGE)
            new = CostDistribution.mixture([CostDistribution(table.grid, cdf[c.name][held]) for c in members], share)
            mixture[held] = new.cdf
            expected = own.expected_par(2.0, par_cutoff), new.expected_par(2.0, par_cutoff)
        selection.select(rest, held, expected)
        say(f"{scenario.name}: fold {number + 1} of {len(np.unique(problem.folds))}")
    found = {name: CostDistribution(table.grid, part) for name, part in cdf.items() if name not in errors}
    levels = {name: np.full(n, COVERAGE) for name in found}
    result: dict[str, Any] = {
        "version": RESULT_VERSION,
        "scenario": scenario.name,
        "instances": n,
        "solvers": list(table.solvers),
        "solvers_of_scenario": len(scenario.algorithms),
        "cutoff_s": scenario.cutoff_s,
        "features": len(problem.features),
        "time_features_dropped": int(scenario.is_time_feature.sum()),
        "warnings": list(scenario.warnings),
        "seed": seed,
    }
    if members:
        found[MIXTURE], levels[MIXTURE] = CostDistribution(table.grid, mixture), level
        names = sorted({name for one in weights for name in one}, key=[c.name for c in methods].index)
        result["mixture"] = {
            "weights": {name: float(np.mean([one.get(name, 0.0) for one in weights])) for name in names},
            "level": float(level.mean()),
        }
    result["selection"] = selection.result()
    result["methods"] = {name: _measures(found[name], problem, levels[name]) for name in found}
    if REFERENCE in found:
        result["versus_reference"] = {
            name: _difference(found[name], found[REFERENCE], problem, seed) for name in found if name != REFERENCE
        }
    result["errors"] = errors
    result["cpu_seconds"] = round(time.process_time() - start, 1)
    return result


def _made(method: TabularMethod) -> Any:
    return make_estimator(method.estimator, **method.settings)


def _mean_rmse(problem: ScenarioProblem, coding: str, point: Floats, rows: Integers | slice = slice(None)) -> float:
    """Return the mean over solvers of the RMSE on some rows."""
    y, stopped = problem.table.cost[rows], problem.table.censored[rows]
    found = [
        rmse(point[rows, j], y[:, j], stopped[:, j], coding=coding, cutoff=problem.cutoff) for j in range(y.shape[1])
    ]
    return float(np.nanmean(found))


def _measures(found: CostDistribution, problem: ScenarioProblem, level: Floats) -> dict[str, float]:
    table, cutoff = problem.table, problem.cutoff
    points = {coding: expected_coded(found, coding, cutoff) for coding in ("solved", "capped", "par2")}
    p_solved, outcome = found.cdf_at(cutoff), solved_by(table.cost, table.censored, cutoff)
    scores = interval_scores(found, table.cost, table.censored, cutoff)
    widths = np.concatenate([coded_widths(found[level == one], float(one), cutoff) for one in np.unique(level)])
    inside = scores <= level[:, None]
    solvers = range(len(table.solvers))
    return {
        **{f"rmse_{coding}": _mean_rmse(problem, coding, point) for coding, point in points.items()},
        "spearman_solved": float(
            np.nanmean([spearman(points["solved"][:, j], table.cost[:, j], table.censored[:, j]) for j in solvers])
        ),
        "crps": float(found.crps(table.cost, table.censored, cutoff).mean()),
        "brier": brier(p_solved, outcome),
        "auc": float(np.nanmean([auc(p_solved[:, j], outcome[:, j]) for j in solvers])),
        "coverage_80": float(inside.mean()),
        "coverage_80_solved": float(inside[~table.censored].mean()),
        "width_80": float(widths.mean()),
    }


def _difference(
    found: CostDistribution, reference: CostDistribution, problem: ScenarioProblem, seed: int
) -> dict[str, float]:
    ours, theirs = (expected_coded(part, "par2", problem.cutoff) for part in (found, reference))
    error = partial(_mean_rmse, problem, "par2")
    paired = paired_bootstrap(partial(error, ours), partial(error, theirs), len(ours), count=500, seed=seed)
    return {
        "difference": paired.value,
        "low": paired.low,
        "high": paired.high,
        "p_value": paired.p_value,
        "relative": paired.value / error(theirs),
    }
