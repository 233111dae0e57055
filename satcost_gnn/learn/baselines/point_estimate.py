"""Point estimates of the whole cost, calibrated on training runs: what tree size, progress bar and their like share.

An estimate made from the start of a search says what the whole would cost if the search went on as it began, or as a
tree without learning and restarts would. How far it is off on the whole, and how much of its variation is real, is
learnt from training runs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, columns
from satcost_gnn.learn.censored_regression import CensoredRidge
from satcost_gnn.learn.feature_matrix import FeatureMatrix, features_for_unit

Floats = NDArray[np.float64]

SLOPES = ("fitted", "unit")

# Estimates are taken within this range of log10 conflicts: beyond it they say only "out of sight".
_RANGE = (0.0, 12.0)
# log10 of conflicts per second and of propagations per conflict where the probe doesn't tell.
_USUAL_SPEED = 3.5
_USUAL_PROPAGATIONS = 2.0
# What is assumed without training: the estimate itself, give or take so many decades.
_UNTRAINED_SD = 1.5
_LOG10_2 = float(np.log10(2.0))


def one_of(what: str, value: str, allowed: Sequence[str]) -> str:
    """Return a setting's value; EstimatorError if it isn't allowed."""
    if value not in allowed:
        raise EstimatorError(f"found {what} {value!r}; expected one of {', '.join(allowed)}")
    return value


def log10_leaves(log2_nodes: Floats) -> Floats:
    """Return log10 of the leaves of a binary tree, which are its conflicts: half of its nodes."""
    return np.asarray((log2_nodes - 1.0) * _LOG10_2)


class PointEstimate(Estimator):
    """A point estimate, shifted and scaled as training runs ask for, with normal noise.

    Subclasses name the features that they read (:meth:`_columns`) and say what estimate these make
    (:meth:`_log10_conflicts`).

    Parameters
    ----------
    slope
        ``fitted``: the estimate's logarithm is scaled by least squares as well as shifted; ``unit``: only shifted.

    Notes
    -----
    Each solver gets a shift of its own, also those that did not run the probe. An instance for which there is no
    estimate gets the training distribution's mean and standard deviation. In units other than conflicts, an estimate is
    converted by the probe's own propagations or seconds per conflict.
    """

    needs = frozenset({"online"})

    #: Whether it is normal that most instances have no estimate: then training goes on without any.
    often_unknown: ClassVar[bool] = False

    def __init__(self, slope: str = "fitted") -> None:
        self.slope = one_of("slope", slope, SLOPES)

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"slope": self.slope}

    @abstractmethod
    def _columns(self) -> list[str]:
        """Return the online features that the estimate is made of."""

    @abstractmethod
    def _log10_conflicts(self, values: Floats) -> Floats:
        """Return log10 of the estimated conflicts, ``float64[n]``, of the features ``float64[n, len(_columns())]``."""

    @classmethod
    def untrained(cls, solvers: Sequence[str], unit: str = "conflicts", **settings: Any) -> Self:
        """Return an estimator for use without training: the estimates as they are, with a fixed standard deviation."""
        estimator = cls(**settings)
        estimator._solvers, estimator._unit = tuple(solvers), unit
        grid = grid_for(unit)
        middle = 0.5 * (grid.low + grid.high)
        estimator._models = [CensoredRidge(0.0, np.ones(1), _UNTRAINED_SD, 0.0, 1.0)] * len(estimator.solvers)
        estimator._without = [CensoredRidge(middle, np.zeros(1), _UNTRAINED_SD, 0.0, 1.0)] * len(estimator.solvers)
        return estimator

    def raw(self, instances: Sequence[Instance]) -> Floats:
        """Return log10 of the estimated cost before any training, ``float64[n]``; NaN where there is no estimate."""
        if all(instance.online is None for instance in instances):
            return np.full(len(instances), np.nan)
        names = self._columns()
        own = len(names)
        if self.unit == "propagations":
            names.append("rates.propagations_per_conflict_log")
        if self.unit == "cpu_seconds":
            names.append("speed.conflicts_per_second")
        values = FeatureMatrix.from_instances(instances, features_for_unit("online", self.unit), names).values
        raw = np.clip(self._log10_conflicts(values[:, :own]), *_RANGE)
        if self.unit == "propagations":
            # Some solvers don't count propagations.
            rate = np.log10(np.maximum(np.expm1(values[:, own]), 1.0))
            raw = raw + np.where(np.isnan(rate), _USUAL_PROPAGATIONS, rate)
        if self.unit == "cpu_seconds":
            raw = raw - np.where(np.isnan(values[:, own]), _USUAL_SPEED, values[:, own])
        return np.asarray(raw)

    def _fit(self, table: TrainingTable) -> None:
        raw = self.raw(table.instances)
        self._models, self._without = [], []
        for column, solver in enumerate(table.solvers):
            known = table.known[:, column]
            y, stopped = table.cost[known, column], table.censored[known, column]
            none = np.zeros((len(y), 1))
            self._without.append(CensoredRidge.fit(none, y, stopped))
            x = raw[known]
            there = ~np.isnan(x)
            if there.sum() < 3:
                rows = np.flatnonzero(known)
                probed = sum(table.instances[row].online is not None for row in rows)
                if self.often_unknown:
                    self._models.append(self._without[-1])
                    continue
                raise EstimatorError(
                    f"estimator {self.name!r}: found estimates for {int(there.sum())} instances with a run of "
                    f"{solver!r}, of {len(x)} that have one ({probed} with an early search); expected at least 3: "
                    + (
                        "learn from more or harder instances, or make the probe longer ([preprocess] conflicts)"
                        if probed >= 3
                        else "preprocess the instances with a probe"
                    )
                )
            x, y, stopped = x[there, None], y[there], stopped[there]
            if self.slope == "fitted":
                self._models.append(CensoredRidge.fit(x, y, stopped, penalty=0.01 * len(x)))
            else:
                shifted = CensoredRidge.fit(np.zeros_like(x), y - x[:, 0], stopped)
                self._models.append(
                    CensoredRidge(shifted.intercept, np.ones(1), shifted.sd, shifted.log_likelihood, shifted.degrees)
                )

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        raw = self.raw(instances)
        there = ~np.isnan(raw)
        x = np.where(there, raw, 0.0)[:, None]
        found = []
        for model, without in zip(self._models, self._without, strict=True):
            mean = np.where(there, model.predict(x), without.predict(x))
            found.append(CostDistribution.normal(self.grid, mean, np.where(there, model.sd, without.sd)))
        return columns(found)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {
            "models": [model.to_json() for model in self._models],
            "without_estimate": [model.to_json() for model in self._without],
        }, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._models = [CensoredRidge.from_json(values) for values in state["models"]]
        self._without = [CensoredRidge.from_json(values) for values in state["without_estimate"]]
        if not len(self._models) == len(self._without) == len(self.solvers):
            raise ValueError(f"found {len(self._models)} models for {len(self.solvers)} solvers")
