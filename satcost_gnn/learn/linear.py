"""Online linear model (LMP): ridge regression of log cost on structure and on the start of the search.

After Haim and Walsh, "Online estimation of SAT solving runtime" (SAT 2008): features of the formula and of the search
over an observation window early in the run, the most useful ones selected, log cost regressed on them; satisfiable and
unsatisfiable instances cost differently and have models of their own, weighed by a classifier while the answer is
unknown. The observation window here is the probe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution, CostGrid
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, columns, group_folds, register
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Standardiser, feature_parts, features_for_unit
from satcost_gnn.learn.selected_ridge import Bools, Floats, Integers, SelectedRidge

CRITERIA = ("aic", "bic", "none")

# Predicted means stay within the training costs and this much beyond, in decades.
_BEYOND_COSTS = 1.0
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class SolverModel:
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

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "common": self.common.to_json(),
            "by_answer": [model.to_json() for model in self.by_answer],
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        return cls(
            SelectedRidge.from_json(values["common"]),
            tuple(SelectedRidge.from_json(model) for model in values["by_answer"]),
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

    def selected_features(self) -> dict[str, list[list[str]]]:
        """Return the features that each solver's models read: the common one's, and those by answer (SAT, UNSAT)."""
        names = self._standardiser.names
        return {
            solver: [[names[i] for i in part.columns] for part in (model.common, *model.by_answer)]
            for solver, model in zip(self.solvers, self._models, strict=True)
        }

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
