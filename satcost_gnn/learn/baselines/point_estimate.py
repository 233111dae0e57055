"""Point estimates of the whole cost, calibrated on training runs: what tree size, progress bar and their like share.

An estimate made from the start of a search says what the whole would cost if the search went on as it began, or as a
tree without learning and restarts would. How far it is off on the whole, and how much of its variation is real, is
learnt from training runs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, Floats, TrainingTable, columns, register
from satcost_gnn.learn.censored_regression import CensoredRidge
from satcost_gnn.learn.feature_matrix import FeatureMatrix, features_for_unit

SLOPES = ("fitted", "unit")
#: Progress of :class:`ProgressBar`.
WHICH = ("last", "max", "mean")
#: Estimators and trees of :class:`TreeSize`.
METHODS = ("wbe", "recursive")
TREES = ("longest", "mean", "last", "min", "max")
#: What :class:`Knuth` takes of the dives.
STATISTICS = ("mean", "median")
#: Tree of :class:`Holt` -> the feature with its forecast.
FORECASTS = {"last": "tree.holt", "longest": "tree.holt_longest", "max": "tree.holt_max"}

# Estimates are taken within this range of log10 conflicts: beyond it they say only "out of sight".
_RANGE = (0.0, 12.0)
# log10 of conflicts per second and of propagations per conflict where the probe doesn't tell.
_USUAL_SPEED = 3.5
_USUAL_PROPAGATIONS = 2.0
_LOG10_2 = float(np.log10(2.0))


def one_of(what: str, value: str, allowed: Sequence[str]) -> str:
    """Return a setting's value; EstimatorError if it isn't allowed."""
    if value not in allowed:
        raise EstimatorError(f"found {what} {value!r}; expected one of {', '.join(allowed)}")
    return value


def _log10_spent(logs: Floats) -> Floats:
    """Return log10 of the conflicts whose log(1 + x) is given; NaN where there was none."""
    spent = np.expm1(logs)
    return np.where(spent >= 0.5, np.log10(np.maximum(spent, 0.5)), np.nan)


class PointEstimate(Estimator):
    """A point estimate, shifted and scaled as training runs ask for, with normal noise.

    Subclasses name the features that they read (:meth:`_columns`) and may say what estimate these make
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

    @abstractmethod
    def _columns(self) -> list[str]:
        """Return the online features that the estimate is made of."""

    def _log10_conflicts(self, values: Floats) -> Floats:
        """Return log10 of the estimated conflicts, ``float64[n]``, of the features ``float64[n, len(_columns())]``.

        Unless a subclass says otherwise, the feature is log2 of the nodes of a binary tree: half of them are leaves,
        which are conflicts.
        """
        return np.asarray((values[:, 0] - 1.0) * _LOG10_2)

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


@register
class TwiceSoFar(PointEstimate):
    """Twice the probe's conflicts, or its propagations or the seconds of its search, by the unit.

    The guess of somebody who knows nothing but how long the search has gone on: where nothing tells how long something
    goes on, it has on the median as much before it as behind it (Gott, "Implications of the Copernican principle for
    our future prospects", Nature 363, 1993).

    Parameters
    ----------
    slope
        See :class:`PointEstimate`. Probes that all end after the same conflicts say nothing of the differences between
        instances; with searches of different length they do.
    """

    name = "twice_so_far"

    def _columns(self) -> list[str]:
        return ["rates.conflicts_log"]

    def _log10_conflicts(self, values: Floats) -> Floats:
        return _log10_spent(values[:, 0]) + _LOG10_2


@register
class ProgressBar(PointEstimate):
    """Conflicts so far over the share of the search space that is done, by MiniSat's progress bar.

    See :func:`satcost_gnn.search.tree_size.progress_estimate`. The share is next to nothing until variables are fixed
    at level 0, and does not grow to 1 as the search ends, so that the estimate as it stands is far too large; training
    scales it.

    Parameters
    ----------
    which
        Progress at the ``last`` conflict, the largest (``max``), or the geometric ``mean`` over the last half.
    slope
        See :class:`PointEstimate`.
    """

    name = "progress_bar"

    def __init__(self, which: str = "last", slope: str = "fitted") -> None:
        self.which = one_of("progress", which, WHICH)
        super().__init__(slope)

    def _columns(self) -> list[str]:
        return ["rates.conflicts_log", f"progress.{self.which}"]

    def _log10_conflicts(self, values: Floats) -> Floats:
        return _log10_spent(values[:, 0]) - values[:, 1]


@register
class TreeSize(PointEstimate):
    """Size of the tree that the search would make if it went on as it began (:mod:`satcost_gnn.search.tree_size`).

    Parameters
    ----------
    method
        ``wbe`` (weighted backtrack estimator) or ``recursive``.
    tree
        Which tree's estimate: of the ``longest`` between two restarts, the ``last``, the ``mean`` over all weighted by
        their leaves, or the smallest or largest (``min``, ``max``).
    slope
        See :class:`PointEstimate`.
    """

    name = "tree_size"

    def __init__(self, method: str = "wbe", tree: str = "longest", slope: str = "fitted") -> None:
        self.method, self.tree = one_of("method", method, METHODS), one_of("tree", tree, TREES)
        super().__init__(slope)

    def _columns(self) -> list[str]:
        return [f"tree.{self.method}_{self.tree}"]


@register
class Knuth(PointEstimate):
    """Leaves of the tree of DPLL without learning, estimated by random dives (:mod:`satcost_gnn.search.random_dives`).

    A formula too large for the dives has no estimate.

    Parameters
    ----------
    statistic
        The ``mean`` of the dives' estimates, which is right on average and ruled by the deepest dive, or their
        ``median``.
    slope
        See :class:`PointEstimate`.
    """

    name = "knuth"

    def __init__(self, statistic: str = "mean", slope: str = "fitted") -> None:
        self.statistic = one_of("statistic", statistic, STATISTICS)
        super().__init__(slope)

    def _columns(self) -> list[str]:
        return [f"knuth.log2_{self.statistic}"]


@register
class Holt(PointEstimate):
    """Leaves of the tree by Holt's double exponential smoothing of its weight, carried on to 1.

    See :class:`satcost_gnn.search.tree_size.HoltProgress`. In a search that restarts and learns, few trees ever reach
    the weight from which there is a forecast.

    Parameters
    ----------
    tree
        Which tree's forecast: of the ``last``, of the ``longest`` between two restarts, or the largest of any
        (``max``).
    slope
        See :class:`PointEstimate`.
    """

    name = "holt"
    often_unknown = True

    def __init__(self, tree: str = "max", slope: str = "fitted") -> None:
        self.tree = one_of("tree", tree, tuple(FORECASTS))
        super().__init__(slope)

    def _columns(self) -> list[str]:
        return [FORECASTS[self.tree]]
