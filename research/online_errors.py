"""Estimates along the search: errors by the share of the cost that is spent, and by restart, of held-out instances.

A search is observed at a sequence of points (:mod:`observation`). At each point every learner is
fitted to the training instances whose search was still going on there, and asked about the others, so that neither the
points nor the models know where a search ends. What a learner said at the last point passed is its *standing* estimate;
an estimate never stands below what was spent.

The predictions of earlier points may join the features, as in Haim and Walsh, "Online estimation of SAT solving
runtime" (SAT 2008). For training they are held-out predictions too, or a model would trust them more than they deserve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.errors import EvaluationError
from satcost_gnn.evaluate.metrics import PairedDifference, paired_bootstrap, rmse
from satcost_gnn.learn.base import group_folds
from satcost_gnn.learn.censored_regression import CensoredRidge
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Imputer, Standardiser
from satcost_gnn.learn.linear import AnswerClassifier, SelectedRidge

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

FOLDS = 10
LEAST_TRAINING = 15
"""Searches still going on at a point without which nothing is fitted there: the estimate before stands."""

_INNER_FOLDS = 5
_TREES = 60
_LEAST_LEAF = 3
# Predictions stay within the training costs and this much beyond, in decades.
_BEYOND_COSTS = 1.0
# Penalty of the fits that complete the costs of censored runs, and that scale a single estimate.
_FIRST_PENALTY = 100.0
_SCALE_PENALTY = 0.01


@dataclass(frozen=True, eq=False)
class ObservedRuns:
    """Searches of one solver, each observed at a sequence of points.

    Parameters
    ----------
    instances
        Identity of each instance.
    log10_cost
        ``float64[n]``: log10 of the conflicts of the whole search, or of those at which it was stopped.
    censored
        ``bool[n]``: whether it was stopped.
    satisfiable
        ``int8[n]``: 1, 0, or -1 where the answer isn't known.
    spent
        ``float64[n, K]``: conflicts spent at each point, rising; NaN from where on the search had ended.
    names, features
        Features of the windows, ``float64[n, K, d]``.
    static_names, static
        Features of the formulas, ``float64[n, s]``.
    estimates
        Name -> log10 of the conflicts estimated without training, ``float64[n, K]``; NaN where unknown.
    """

    instances: tuple[str, ...]
    log10_cost: Floats
    censored: Bools
    satisfiable: NDArray[np.int8]
    spent: Floats
    names: tuple[str, ...]
    features: Floats
    static_names: tuple[str, ...]
    static: Floats
    estimates: Mapping[str, Floats]

    def __post_init__(self) -> None:
        n, points = len(self.instances), self.spent.shape[1]
        expected: list[tuple[str, Any, tuple[int, ...]]] = [
            ("log10_cost", self.log10_cost, (n,)),
            ("censored", self.censored, (n,)),
            ("satisfiable", self.satisfiable, (n,)),
            ("spent", self.spent, (n, points)),
            ("features", self.features, (n, points, len(self.names))),
            ("static", self.static, (n, len(self.static_names))),
            *((name, values, (n, points)) for name, values in self.estimates.items()),
        ]
        for what, values, shape in expected:
            if np.shape(values) != shape:
                raise EvaluationError(f"{what}: found shape {np.shape(values)}; expected {shape}")
        there = ~np.isnan(self.spent)
        if (there[:, 1:] & ~there[:, :-1]).any() or (np.diff(self.spent, axis=1) <= 0).any():
            raise EvaluationError("spent: expected conflicts that rise from point to point until the search ends")
        if (there & (np.log10(self.spent) > self.log10_cost[:, None] + 1e-9)).any():
            raise EvaluationError("spent: found a point after the end of its search")

    def __len__(self) -> int:
        return len(self.instances)

    def subset(self, rows: ArrayLike) -> ObservedRuns:
        """Return some of the searches, by index or mask."""
        chosen = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            instances=tuple(self.instances[row] for row in chosen),
            **{name: getattr(self, name)[chosen] for name in ("log10_cost", "censored", "satisfiable")},
            **{name: getattr(self, name)[chosen] for name in ("spent", "features", "static")},
            estimates={name: values[chosen] for name, values in self.estimates.items()},
        )


# Learners -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fold:
    """What a learner is given at one point: training searches that are still going on, and searches to predict.

    Parameters
    ----------
    train, test
        Features.
    cost, censored, satisfiable
        Of the training searches.
    folds
        ``int64[n_train]``: folds of an inner cross-validation.
    held_out
        Whether held-out predictions for the training searches are wanted; a learner may return any without it.
    """

    train: FeatureMatrix
    test: FeatureMatrix
    cost: Floats
    censored: Bools
    satisfiable: NDArray[np.int8]
    folds: Integers
    held_out: bool = True


Learner = Callable[[Fold], tuple[Floats, Floats]]
"""Returns the predictions for the test searches, and held-out ones for the training searches (log10 conflicts)."""


def linear(fold: Fold) -> tuple[Floats, Floats]:
    """Ridge regression of log cost, penalty by inner cross-validation, features selected by AIC."""
    standardiser = Standardiser.fit(fold.train)
    x, test = standardiser.transform(fold.train), standardiser.transform(fold.test)
    model, held_out = _ridge(x, fold, np.ones(len(x)))
    return model.predict(test), held_out


def linear_by_answer(fold: Fold) -> tuple[Floats, Floats]:
    """Models of satisfiable and of unsatisfiable instances, weighed by a classifier's P(satisfiable).

    An instance whose answer isn't known takes part in both models with its probabilities as weights. With less than
    :data:`LEAST_TRAINING` known answers of either kind it is the common model.
    """
    answers = fold.satisfiable
    if min((answers == 1).sum(), (answers == 0).sum()) < LEAST_TRAINING:
        return linear(fold)
    standardiser = Standardiser.fit(fold.train)
    x, test = standardiser.transform(fold.train), standardiser.transform(fold.test)
    p_test = AnswerClassifier.fit(x, answers).predict(test)
    p_train = np.empty(len(x))
    for k in np.unique(fold.folds):
        out = fold.folds == k
        known = answers[~out]
        both = (known == 1).any() and (known == 0).any()
        p_train[out] = AnswerClassifier.fit(x[~out], known).predict(x[out]) if both else (known == 1).mean()
    share = np.where(answers >= 0, answers, p_train)
    found, held_out = np.zeros(len(test)), np.zeros(len(x))
    for weights, mixed_test, mixed_train in ((share, p_test, p_train), (1.0 - share, 1.0 - p_test, 1.0 - p_train)):
        model, out_of_fold = _ridge(x, fold, weights)
        found += mixed_test * model.predict(test)
        held_out += mixed_train * out_of_fold
    return found, held_out


def forest(fold: Fold) -> tuple[Floats, Floats]:
    """Extremely randomised trees; what stopped searches cost is completed by a linear model."""
    from sklearn.ensemble import ExtraTreesRegressor

    imputer = Imputer.fit(fold.train)
    x, test = imputer.transform(fold.train), imputer.transform(fold.test)
    cost = _completed(fold)
    model = ExtraTreesRegressor(
        n_estimators=_TREES,
        min_samples_leaf=_LEAST_LEAF,
        max_features=1.0 / 3.0,
        bootstrap=True,
        oob_score=fold.held_out,
        random_state=0,
        n_jobs=1,
    ).fit(x, cost)
    held_out = model.oob_prediction_ if fold.held_out else np.full(len(x), np.nan)
    return np.asarray(model.predict(test)), np.asarray(held_out)


def scaled(fold: Fold) -> tuple[Floats, Floats]:
    """Linear regression on all columns, nearly without a penalty: shift and slope of a single estimate.

    Where the estimate is missing the median of training stands for it.
    """
    values = fold.train.values
    constant = FeatureMatrix(("constant",), np.zeros((len(values), 1)))
    if np.isnan(values).all() or np.nanmin(values) == np.nanmax(values):
        middle = CensoredRidge.fit(constant.values, fold.cost, fold.censored).intercept
        return np.full(len(fold.test), middle), np.full(len(values), middle)
    imputer = Imputer.fit(fold.train)
    x, test = imputer.transform(fold.train), imputer.transform(fold.test)
    model = CensoredRidge.fit(x, fold.cost, fold.censored, _SCALE_PENALTY * len(x))
    return model.predict(test), model.predict(x)


def mean(fold: Fold) -> tuple[Floats, Floats]:
    """Mean log cost of the training searches that are still going on."""
    none = np.zeros((len(fold.cost), 1))
    middle = CensoredRidge.fit(none, fold.cost, fold.censored).intercept
    return np.full(len(fold.test), middle), np.full(len(fold.cost), middle)


def _ridge(x: Floats, fold: Fold, weights: Floats) -> tuple[SelectedRidge, Floats]:
    return SelectedRidge.fit(x, fold.cost, fold.censored, weights, [fold.folds], None, "aic")


def _completed(fold: Fold) -> Floats:
    if not fold.censored.any():
        return fold.cost
    x = Standardiser.fit(fold.train).transform(fold.train)
    return CensoredRidge.fit(x, fold.cost, fold.censored, _FIRST_PENALTY).complete(x, fold.cost, fold.censored)


# Predictions ----------------------------------------------------------------------------------------------------------


def held_out_predictions(
    runs: ObservedRuns,
    learner: Learner,
    *,
    columns: Sequence[str] | None = None,
    estimate: str | None = None,
    static: bool = True,
    earlier: bool = False,
    folds: Integers | None = None,
    least: int = LEAST_TRAINING,
    carry: bool = True,
) -> Floats:
    """Predict the cost of every search at every point, by models that have not seen its instance.

    Parameters
    ----------
    runs
        The searches.
    learner
        What is fitted at each point.
    columns
        Beginnings of the names of the features that are used; all by default, none with ``estimate``.
    estimate
        One of the estimates without training, to be used in the place of features.
    static
        Whether the features of the formula are used too.
    earlier
        Whether the predictions at earlier points are.
    folds
        ``int64[n]``: fold of each instance; ten folds by default.
    least
        Solved searches that must still be going on in training for a model to be fitted at a point.
    carry
        Whether the prediction before stands where there are fewer; otherwise there is none.

    Returns
    -------
    ``float64[n, K]``: log10 of the predicted conflicts, at least what was spent. NaN where the search had ended, and
    where there is no prediction.
    """
    if folds is None:
        folds = group_folds(runs.instances, min(FOLDS, len(runs)))
    chosen = [
        column
        for column, name in enumerate(runs.names)
        if estimate is None and (columns is None or name.startswith(tuple(columns)))
    ]
    log10_spent = np.log10(runs.spent)
    predictions = np.full(runs.spent.shape, np.nan)
    for out in np.unique(folds):
        test = folds == out
        # What stands at each point, of the test searches by models of training, of the training searches held out.
        standing = np.full(runs.spent.shape, np.nan)
        fitted: list[int] = []
        for point in range(runs.spent.shape[1]):
            going_on = ~np.isnan(runs.spent[:, point])
            rows, asked = np.flatnonzero(going_on & ~test), np.flatnonzero(going_on & test)
            if not len(asked):
                break
            if (~runs.censored[rows]).sum() < least:
                if point and carry:
                    standing[going_on, point] = standing[going_on, point - 1]
            else:
                names, blocks = [runs.names[column] for column in chosen], [runs.features[:, point, chosen]]
                if estimate is not None:
                    names, blocks = [*names, estimate], [*blocks, runs.estimates[estimate][:, point, None]]
                if static:
                    names, blocks = [*names, *runs.static_names], [*blocks, runs.static]
                if earlier:
                    names, blocks = [*names, *(f"earlier.{k}" for k in fitted)], [*blocks, standing[:, fitted]]
                values = np.concatenate(blocks, axis=1)
                training = FeatureMatrix(tuple(names), values[rows])
                fold = Fold(
                    train=training,
                    test=FeatureMatrix(tuple(names), values[asked]),
                    cost=runs.log10_cost[rows],
                    censored=runs.censored[rows],
                    satisfiable=runs.satisfiable[rows],
                    folds=group_folds([runs.instances[row] for row in rows], _INNER_FOLDS),
                    held_out=earlier,
                )
                found, held_out = learner(fold)
                bounds = float(fold.cost.min()), float(fold.cost.max()) + _BEYOND_COSTS
                standing[asked, point] = np.clip(found, *bounds)
                standing[rows, point] = np.clip(held_out, *bounds)
                fitted.append(point)
            standing[:, point] = np.maximum(standing[:, point], log10_spent[:, point])
        predictions[test] = standing[test]
    return predictions


def start_predictions(
    runs: ObservedRuns, learner: Learner, folds: Integers | None = None, least: int = LEAST_TRAINING
) -> Floats:
    """Predict the cost of every search before it starts, from the features of the formula alone: ``float64[n]``."""
    before = replace(
        runs,
        spent=np.ones((len(runs), 1)),
        names=(),
        features=np.empty((len(runs), 1, 0)),
        estimates={},
    )
    return held_out_predictions(before, learner, folds=folds, least=least)[:, 0]


def standing_at(spent: Floats, predictions: Floats, at: Floats, start: Floats) -> Floats:
    """Return what stands when ``at`` conflicts are spent.

    Parameters
    ----------
    spent, predictions
        ``float64[n, K]``: conflicts at each point (NaN after the end) and log10 predictions made there; a NaN among the
        latter leaves standing what was said before.
    at
        ``float64[n]``: conflicts.
    start
        ``float64[n]``: log10 prediction before the search.

    Returns
    -------
    ``float64[n]``, at least log10 of ``at``.
    """
    found = start.astype(np.float64).copy()
    for point in range(spent.shape[1]):
        said = (spent[:, point] <= at) & ~np.isnan(predictions[:, point])
        found[said] = predictions[said, point]
    return np.asarray(np.maximum(found, np.log10(at)))


# Errors ---------------------------------------------------------------------------------------------------------------


def errors(predicted: ArrayLike, log10_cost: ArrayLike) -> dict[str, float]:
    """Return the errors of log10 predictions; those that are NaN are left out.

    Returns
    -------
    dict
        ``n``; ``rmse`` in decades; ``ratio``, the geometric mean of max(predicted / true, true / predicted); and the
        shares ``within_2``, ``within_4``, ``within_10`` of predictions within these factors of the truth.
    """
    made = np.asarray(predicted, dtype=np.float64)
    cost = np.asarray(log10_cost, dtype=np.float64)
    size = np.abs(made - cost)
    size = size[~np.isnan(size)]

    def mean(values: NDArray[Any]) -> float:
        return float(values.mean()) if len(values) else float("nan")

    return {
        "n": len(size),
        "rmse": rmse(made, cost),
        "ratio": 10.0 ** mean(size),
        **{f"within_{factor}": mean(size <= np.log10(factor) + 1e-12) for factor in (2, 4, 10)},
    }


def errors_by_fraction(
    runs: ObservedRuns, predictions: Floats, start: Floats, fractions: Sequence[float]
) -> dict[float, dict[str, float]]:
    """Return the errors of what stands when each fraction of the true cost is spent; solved searches only."""
    solved = ~runs.censored
    cost = runs.log10_cost[solved]
    found = {}
    for fraction in fractions:
        at = np.maximum(fraction * 10.0**cost, 1.0)
        standing = standing_at(runs.spent[solved], predictions[solved], at, start[solved])
        found[fraction] = errors(standing, cost)
    return found


def errors_by_point(runs: ObservedRuns, predictions: Floats) -> list[dict[str, float]]:
    """Return the errors at each point, of the solved searches that are still going on there."""
    solved = ~runs.censored
    rows = []
    for point in range(runs.spent.shape[1]):
        spent = runs.spent[solved, point]
        made = errors(predictions[solved, point], runs.log10_cost[solved])
        rows.append({"median_spent": float(np.nanmedian(spent)) if (~np.isnan(spent)).any() else float("nan"), **made})
    return rows


def compare_predictions(
    runs: ObservedRuns,
    first: Floats,
    second: Floats,
    *,
    from_point: int = 0,
    count: int = 2000,
    seed: int = 0,
) -> dict[str, PairedDifference]:
    """Return how the errors of two sets of predictions differ, by paired bootstrap over instances.

    Parameters
    ----------
    runs
        The searches; only solved ones count.
    first, second
        ``float64[n, K]``: log10 predictions.
    from_point
        First point that counts. All later ones do, together.
    count, seed
        Resamples, and the seed of them.

    Returns
    -------
    dict
        ``rmse``, ``log10_ratio`` (mean absolute error in decades) and ``within_2``: first less second, with 95 %
        intervals; NaN without a search that counts.
    """
    errors_of = [made[:, from_point:] - runs.log10_cost[:, None] for made in (first, second)]
    both = ~np.isnan(errors_of[0]) & ~np.isnan(errors_of[1]) & ~runs.censored[:, None]
    rows = np.flatnonzero(both.any(axis=1))
    a, b = (np.where(both, error, np.nan)[rows] for error in errors_of)
    measures: dict[str, Callable[[Floats], float]] = {
        "rmse": lambda error: float(np.sqrt(np.nanmean(error**2))),
        "log10_ratio": lambda error: float(np.nanmean(np.abs(error))),
        "within_2": lambda error: float(np.mean(np.abs(error[~np.isnan(error)]) <= np.log10(2.0))),
    }
    if not len(rows):
        nothing = PairedDifference(np.nan, np.nan, np.nan, np.nan)
        return dict.fromkeys(measures, nothing)
    return {
        name: paired_bootstrap(
            lambda at, measure=measure: measure(a[at]),  # type: ignore[misc]
            lambda at, measure=measure: measure(b[at]),  # type: ignore[misc]
            len(rows),
            count=count,
            seed=seed,
        )
        for name, measure in measures.items()
    }
