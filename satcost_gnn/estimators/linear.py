"""Online linear model (LMP): ridge regression of log cost on structure and on the start of the search.

After Haim and Walsh, "Online estimation of SAT solving runtime" (SAT 2008): features of the formula and of the search
over an observation window early in the run, the most useful ones selected, log cost regressed on them; satisfiable and
unsatisfiable instances cost differently and have models of their own, weighed by a classifier while the answer is
unknown. The observation window here is the probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.estimators.base import Arrays, Estimator, TrainingTable, columns, register
from satcost_gnn.estimators.censored_regression import CensoredRidge
from satcost_gnn.estimators.feature_matrix import FeatureMatrix, Standardiser, feature_parts, features_for_unit
from satcost_gnn.instance import Instance

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-1.0, 3.51, 0.5))
CRITERIA = ("aic", "bic", "none")
# Predicted means stay within the training costs and this much beyond, in decades.
_BEYOND_COSTS = 1.0


@dataclass(frozen=True, eq=False)
class SelectedRidge:
    """A ridge model on a selection of the columns.

    Parameters
    ----------
    columns
        ``int64[d]``: columns of the standardised features that it reads.
    model
        The model on them.
    low, high
        Range that its means are clipped to, in log10 cost.
    """

    columns: NDArray[np.int64]
    model: CensoredRidge
    low: float
    high: float

    @classmethod
    def fit(cls, x: Floats, y: Floats, censored: Bools, weights: Floats, penalty: float | None, criterion: str) -> Self:
        """Choose the penalty (leave-one-out error) and the columns (information criterion), and fit.

        Columns are ranked by the size of their standardised coefficients in the model on all of them; of the models on
        the best 1, 2, 3, ... columns the one with the least criterion is kept.
        """
        if penalty is None:
            start = CensoredRidge.fit(x, y, censored, 10.0, weights)
            penalty = _least_leave_one_out(x, start.complete(x, y, censored), weights)
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
        there = weights > 0
        return cls(chosen, best, float(y[there].min()), float(y[there].max()) + _BEYOND_COSTS)

    def predict(self, x: Floats) -> Floats:
        """Return the mean log10 cost."""
        return np.clip(self.model.predict(x[:, self.columns]), self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {"columns": self.columns.tolist(), "model": self.model.to_json(), "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        return cls(
            np.array(values["columns"], dtype=np.int64),
            CensoredRidge.from_json(values["model"]),
            float(values["low"]),
            float(values["high"]),
        )


@dataclass(frozen=True, eq=False)
class AnswerClassifier:
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

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {"intercept": self.intercept, "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        return cls(float(values["intercept"]), np.array(values["coefficients"], dtype=np.float64))


@register
class Linear(Estimator):
    """Online linear model (LMP).

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``. For a cost in seconds, the probe's speed joins the online ones.
    penalty
        Ridge penalty on standardised features; None to choose it by leave-one-out error.
    criterion
        What selects the features: ``aic``, ``bic``, or ``none`` for all of them.
    by_answer
        Whether satisfiable and unsatisfiable instances get models of their own, mixed by P(satisfiable). Done where
        the table has at least ``min_answers`` known answers of both kinds; an instance without a known answer
        takes part in both models with its probabilities as weights.
    min_answers
        See ``by_answer``.

    Notes
    -----
    Runs that were stopped count as lower bounds (:mod:`satcost_gnn.estimators.censored_regression`). Standardised
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

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "features": self.features,
            "penalty": self.penalty,
            "criterion": self.criterion,
            "by_answer": self.by_answer,
            "min_answers": self.min_answers,
        }

    def _fit(self, table: TrainingTable) -> None:
        matrix = FeatureMatrix.from_instances(table.instances, features_for_unit(self.features, self.unit))
        self._standardiser = Standardiser.fit(matrix)
        x = self._standardiser.transform(matrix)
        answers = table.satisfiable
        self._classifier = None
        if self.by_answer and min((answers == 1).sum(), (answers == 0).sum()) >= self.min_answers:
            self._classifier = AnswerClassifier.fit(x, answers)
        self._models: list[list[SelectedRidge]] = []
        for column in range(len(table.solvers)):
            known = table.known[:, column]
            data = x[known], table.cost[known, column], table.censored[known, column]
            shares = [np.ones(int(known.sum()))]
            if self._classifier is not None:
                p = np.where(answers[known] >= 0, answers[known], self._classifier.predict(x[known]))
                # Solved runs of both kinds must be there, or the model of one kind would be made of bounds alone.
                solved = ~table.censored[known, column]
                if min(p[solved].sum(), (1 - p[solved]).sum()) >= self.min_answers / 2:
                    shares = [p, 1.0 - p]
            self._models.append([SelectedRidge.fit(*data, share, self.penalty, self.criterion) for share in shares])

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        features = features_for_unit(self.features, self.unit)
        matrix = FeatureMatrix.from_instances(instances, features, self._standardiser.input_names)
        x = self._standardiser.transform(matrix)
        p = np.ones(len(x)) if self._classifier is None else self._classifier.predict(x)
        found = []
        for models in self._models:
            first, *others = (CostDistribution.normal(self.grid, m.predict(x), m.model.sd) for m in models)
            found.append(first.mix(np.stack([p, 1.0 - p]), others) if others else first)
        return columns(found)

    def selected_features(self) -> dict[str, list[list[str]]]:
        """Return the features that each solver's models read: one list, or one for each answer (SAT, UNSAT)."""
        names = self._standardiser.names
        return {
            solver: [[names[i] for i in model.columns] for model in models]
            for solver, models in zip(self.solvers, self._models, strict=True)
        }

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {
            "standardiser": self._standardiser.to_json(),
            "classifier": None if self._classifier is None else self._classifier.to_json(),
            "models": [[model.to_json() for model in models] for models in self._models],
        }, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._standardiser = Standardiser.from_json(state["standardiser"])
        found = state["classifier"]
        self._classifier = None if found is None else AnswerClassifier.from_json(found)
        self._models = [[SelectedRidge.from_json(model) for model in models] for models in state["models"]]
        if len(self._models) != len(self.solvers):
            raise ValueError(f"found models of {len(self._models)} solvers for {len(self.solvers)}")


def _prefix_sizes(features: int) -> list[int]:
    """Return 1, 2, 3, ... growing by about a quarter, below the number of features."""
    sizes, size = [], 1
    while size < features:
        sizes.append(size)
        size = max(size + 1, int(size * 1.25))
    return sizes


def _least_leave_one_out(x: Floats, y: Floats, weights: Floats) -> float:
    """Return the penalty with the least weighted leave-one-out squared error (exact, from one decomposition)."""
    total = weights.sum()
    centred = x - (weights @ x) / total
    root = np.sqrt(weights)[:, None]
    left, singular, _ = np.linalg.svd(centred * root, full_matrices=False)
    target = (y - (weights @ y) / total) * root[:, 0]
    projected = left.T @ target
    best, best_error = _PENALTIES[0], np.inf
    for penalty in _PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        residual = target - left @ (shrink * projected)
        leverage = (left**2 * shrink).sum(axis=1) + weights / total
        error = float(((residual / np.maximum(1.0 - leverage, 0.05)) ** 2).sum())
        if error < best_error:
            best, best_error = penalty, error
    return best
