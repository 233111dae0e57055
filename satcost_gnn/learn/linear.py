"""Online linear model (LMP): ridge regression of log cost on structure and on the start of the search.

After Haim and Walsh, "Online estimation of SAT solving runtime" (SAT 2008): features of the formula and of the search
over an observation window early in the run, the most useful ones selected, log cost regressed on them; satisfiable and
unsatisfiable instances cost differently and have models of their own, weighed by a classifier while the answer is
unknown. The observation window here is the probe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution, CostGrid
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import (
    Arrays,
    Bools,
    Estimator,
    Floats,
    Integers,
    TrainingTable,
    columns,
    group_folds,
    register,
)
from satcost_gnn.learn.censored_regression import SD_RANGE, CensoredRidge
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Standardiser, feature_parts, features_for_unit
from satcost_gnn.learn.stored_estimator import Stored

CRITERIA = ("aic", "bic", "none")

# Predicted means stay within the training costs and this much beyond, in decades.
_BEYOND_COSTS = 1.0
_FOLDS = 5
_PENALTIES = 10.0 ** np.arange(-1.0, 5.01, 0.5)

# Penalty of the fit that completes the costs of censored runs before cross-validation.
_FIRST_PENALTY = 100.0


@dataclass(frozen=True, eq=False)
class SelectedRidge(Stored):
    """A ridge model on a selection of the columns.

    It reads ``int64[d]`` columns of the standardised features; the model's noise is that of cross-validation.
    """

    columns: Integers
    model: CensoredRidge

    @classmethod
    def fit(
        cls,
        x: Floats,
        y: Floats,
        censored: Bools,
        weights: Floats,
        folds: Sequence[Integers],
        penalty: float | None,
        criterion: str,
    ) -> tuple[Self, Floats]:
        """Choose the penalty and the columns, fit, and measure the noise.

        Columns are ranked by the size of their standardised coefficients in the model on all of them; of the models on
        the best 1, 2, 3, ... columns the one with the least criterion (``aic``, ``bic`` or ``none``) is kept.

        Parameters
        ----------
        x, y, censored, weights
            As for :meth:`CensoredRidge.fit`.
        folds
            Ways of cross-validation: ``int64[n]`` each, the fold of every row. The penalty, unless it is given, has the
            least mean squared error, averaged over them, and the noise is the root of that of the chosen columns.

        Returns
        -------
        model
            The fitted model.
        held_out
            ``float64[n]``: predictions from the models fitted without a row's fold, by the first of ``folds``.
        """
        first = CensoredRidge.fit(x, y, censored, _FIRST_PENALTY, weights)
        complete = first.complete(x, y, censored)
        if penalty is None:
            penalty = _best_penalty(x, complete, weights, folds)
        best = CensoredRidge.fit(x, y, censored, penalty, weights)
        chosen = np.arange(x.shape[1])
        if criterion != "none":
            n = float(weights.sum())
            rank = np.argsort(-np.abs(best.coefficients), kind="stable")
            best_score = best.aic if criterion == "aic" else best.bic(n)
            for size in _prefix_sizes(x.shape[1]):
                part = np.sort(rank[:size])
                model = CensoredRidge.fit(x[:, part], y, censored, penalty, weights)
                score = model.aic if criterion == "aic" else model.bic(n)
                if score < best_score:
                    best, best_score, chosen = model, score, part
        complete = best.complete(x[:, chosen], y, censored)
        held_out = [_held_out(x, complete, weights, fold_of, penalty, len(chosen)) for fold_of in folds]
        error = float(np.mean([np.average((complete - found) ** 2, weights=weights) for found in held_out]))
        # Completed costs hide the noise of censored runs, which the fit has accounted for: never below that.
        sd = float(np.clip(max(np.sqrt(error), best.sd), *SD_RANGE))
        return cls(chosen, replace(best, sd=sd)), held_out[0]

    @property
    def sd(self) -> float:
        """Standard deviation of the noise."""
        return self.model.sd

    def predict(self, x: Floats) -> Floats:
        """Return the mean log10 cost."""
        return self.model.predict(x[:, self.columns])


def _prefix_sizes(features: int) -> list[int]:
    """Return 1, 2, 3, ... growing by about a quarter, below the number of features."""
    sizes, size = [], 1
    while size < features:
        sizes.append(size)
        size = max(size + 1, int(size * 1.25))
    return sizes


def _ridge_path(x: Floats, y: Floats, weights: Floats, penalties: Floats) -> tuple[Floats, Floats]:
    """Return the intercepts ``[p]`` and coefficients ``[p, d]`` of weighted ridge regressions."""
    total = weights.sum()
    if total <= 0:
        return np.full(len(penalties), float(y.mean())), np.zeros((len(penalties), x.shape[1]))
    centre, middle = (weights @ x) / total, float(weights @ y) / total
    shifted = x - centre
    eigenvalues, vectors = np.linalg.eigh((shifted * weights[:, None]).T @ shifted)
    projected = vectors.T @ (shifted.T @ (weights * (y - middle)))
    floor = 1e-10 * max(1.0, float(eigenvalues.max(initial=0.0)))
    shrunk = projected / np.maximum(np.maximum(eigenvalues, 0.0) + penalties[:, None], floor)
    coefficients = shrunk @ vectors.T
    return middle - coefficients @ centre, coefficients


def _best_penalty(x: Floats, y: Floats, weights: Floats, folds: Sequence[Integers]) -> float:
    """Return the penalty with the least squared error, averaged over the ways of cross-validation."""
    error = np.zeros(len(_PENALTIES))
    for fold_of in folds:
        for fold in np.unique(fold_of):
            held_out = fold_of == fold
            intercepts, coefficients = _ridge_path(x[~held_out], y[~held_out], weights[~held_out], _PENALTIES)
            residual = y[held_out] - (intercepts[:, None] + coefficients @ x[held_out].T)
            error += (residual**2) @ weights[held_out]
    return float(_PENALTIES[int(np.argmin(error))])


def _held_out(x: Floats, y: Floats, weights: Floats, fold_of: Integers, penalty: float, size: int) -> Floats:
    """Return predictions for each fold by models fitted without it, the best ``size`` columns chosen for each."""
    found = np.empty(len(y))
    one = np.array([penalty])
    for fold in np.unique(fold_of):
        out = fold_of == fold
        intercepts, coefficients = _ridge_path(x[~out], y[~out], weights[~out], one)
        part = np.arange(x.shape[1])
        if size < x.shape[1]:
            part = np.argsort(-np.abs(coefficients[0]), kind="stable")[:size]
            intercepts, coefficients = _ridge_path(x[np.ix_(~out, part)], y[~out], weights[~out], one)
        found[out] = intercepts[0] + x[np.ix_(out, part)] @ coefficients[0]
    return found


@dataclass(frozen=True, eq=False)
class SolverModel(Stored):
    """What is learnt of one solver.

    Parameters
    ----------
    common
        Model of the cost whatever the answer.
    by_answer
        Models of what a satisfiable and an unsatisfiable instance cost beyond the common model; or none.
    low, high
        Range that means are clipped to, in log10 cost.
    """

    common: SelectedRidge
    by_answer: tuple[SelectedRidge, ...]
    low: float
    high: float

    def predict(self, grid: CostGrid, x: Floats, p_satisfiable: Floats) -> CostDistribution:
        """Return distributions of shape ``(n,)``."""
        mean = self.common.predict(x)
        if not self.by_answer:
            return CostDistribution.normal(grid, np.clip(mean, self.low, self.high), self.common.sd)
        satisfiable, unsatisfiable = (
            CostDistribution.normal(grid, np.clip(mean + model.predict(x), self.low, self.high), model.sd)
            for model in self.by_answer
        )
        return CostDistribution.mixture([satisfiable, unsatisfiable], np.stack([p_satisfiable, 1.0 - p_satisfiable]))


@dataclass(frozen=True, eq=False)
class AnswerClassifier(Stored):
    """Logistic regression of whether an instance is satisfiable."""

    intercept: float
    coefficients: Floats

    @classmethod
    def fit(cls, x: Floats, satisfiable: NDArray[np.int8], strength: float = 0.05) -> Self:
        """Fit to the instances whose answer is known (1 or 0); ``strength`` is the inverse of the ridge penalty."""
        from sklearn.linear_model import LogisticRegression

        there = satisfiable >= 0
        fitted = LogisticRegression(C=strength, max_iter=2000).fit(x[there], satisfiable[there])
        return cls(float(fitted.intercept_[0]), np.asarray(fitted.coef_[0], dtype=np.float64))

    def predict(self, x: Floats) -> Floats:
        """Return P(satisfiable)."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.intercept + x @ self.coefficients, -30.0, 30.0))))


@register
class Linear(Estimator):
    """Online linear model (LMP).

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``. For a cost in seconds, the probe's speed joins the online ones.
    penalty
        Ridge penalty on standardised features; None to choose it by cross-validation, half of it over single
        instances and half over whole groups (families), so that it serves both known families and new ones.
    criterion
        What selects the features: ``aic``, ``bic``, or ``none`` for all of them.
    by_answer
        Whether satisfiable and unsatisfiable instances get models of their own, mixed by P(satisfiable). They predict
        what is left by a common model, so that with few instances they shrink to it. Done where the table has at least
        ``min_answers`` known answers of both kinds; an instance without a known answer takes part in both models with
        its probabilities as weights.
    min_answers
        See ``by_answer``.

    Notes
    -----
    Runs that were stopped count as lower bounds (:mod:`satcost_gnn.learn.censored_regression`). Standardised
    features are clipped to about their training range and means to the range of the training costs, so that an
    unusual instance does not get an absurd prediction.
    """

    name = "linear"
    needs = frozenset({"static", "online"})

    def __init__(
        self,
        features: str = "both",
        penalty: float | None = None,
        criterion: str = "aic",
        by_answer: bool = True,
        min_answers: int = 40,
    ) -> None:
        self.needs = frozenset(feature_parts(features))
        if criterion not in CRITERIA:
            raise EstimatorError(f"found criterion {criterion!r}; expected one of {', '.join(CRITERIA)}")
        if penalty is not None and not penalty >= 0:
            raise EstimatorError(f"found penalty {penalty}; expected a number of at least 0, or None to choose it")
        self.features, self.penalty, self.criterion = features, penalty, criterion
        self.by_answer, self.min_answers = by_answer, min_answers

    def _fit(self, table: TrainingTable) -> None:
        matrix = FeatureMatrix.from_instances(table.instances, features_for_unit(self.features, self.unit))
        self._standardiser = Standardiser.fit(matrix)
        x = self._standardiser.transform(matrix)
        answers = table.satisfiable
        self._classifier = None
        if self.by_answer and min((answers == 1).sum(), (answers == 0).sum()) >= self.min_answers:
            self._classifier = AnswerClassifier.fit(x, answers)
        p = np.ones(len(x)) if self._classifier is None else self._classifier.predict(x)
        p = np.where(answers >= 0, answers, p)
        # New instances may be of known families or of new ones: both kinds of cross-validation count.
        alone = [f"{k}" for k in range(len(table))]
        assigned = [group_folds(alone, _FOLDS), group_folds(table.groups, _FOLDS)]
        self._models = [
            self._fit_solver(
                x[known], table.cost[known, k], table.censored[known, k], p[known], [fold[known] for fold in assigned]
            )
            for k in range(len(table.solvers))
            for known in [table.known[:, k]]
        ]

    def _fit_solver(self, x: Floats, y: Floats, censored: Bools, p: Floats, assigned: list[Integers]) -> SolverModel:
        everything = np.ones(len(y))
        folds = _usable_folds(assigned, len(y))
        common, held_out = SelectedRidge.fit(x, y, censored, everything, folds, self.penalty, self.criterion)
        parts: list[SelectedRidge] = []
        # Solved runs of both kinds must be there, or the model of one kind would be made of bounds alone.
        solved = ~censored
        if self._classifier is not None and min(p[solved].sum(), (1.0 - p[solved]).sum()) >= self.min_answers / 2:
            for share in (p, 1.0 - p):
                rest = y - held_out
                parts.append(SelectedRidge.fit(x, rest, censored, share, folds, self.penalty, self.criterion)[0])
        return SolverModel(common, tuple(parts), float(y.min()), float(y.max()) + _BEYOND_COSTS)

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        features = features_for_unit(self.features, self.unit)
        x = self._standardiser.transform(
            FeatureMatrix.from_instances(instances, features, self._standardiser.input_names)
        )
        p = np.ones(len(x)) if self._classifier is None else self._classifier.predict(x)
        return columns([model.predict(self.grid, x, p) for model in self._models])

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {
            "standardiser": self._standardiser.to_json(),
            "classifier": None if self._classifier is None else self._classifier.to_json(),
            "models": [model.to_json() for model in self._models],
        }, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._standardiser = Standardiser.from_json(state["standardiser"])
        found = state["classifier"]
        self._classifier = None if found is None else AnswerClassifier.from_json(found)
        self._models = [SolverModel.from_json(model) for model in state["models"]]
        if len(self._models) != len(self.solvers):
            raise ValueError(f"found models of {len(self._models)} solvers for {len(self.solvers)}")


def _usable_folds(assigned: Sequence[Integers], n: int) -> list[Integers]:
    """Return the foldings that leave enough rows outside of each fold; every second row as a last resort."""
    usable = [fold for fold in assigned if len(np.unique(fold)) > 1 and np.bincount(fold).max() <= 0.8 * n]
    return usable or [np.arange(n) % 2]
