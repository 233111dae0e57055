"""An algorithm selection scenario in ASlib format: its runs, features, folds and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import par

DESCRIPTION_FILE = "description.txt"
RUNS_FILE = "algorithm_runs.arff"
VALUES_FILE = "feature_values.arff"
STATUS_FILE = "feature_runstatus.arff"
COSTS_FILE = "feature_costs.arff"
FOLDS_FILE = "cv.arff"
TRUTH_FILE = "ground_truth.arff"

RUN_STATUSES = ("ok", "timeout", "memout", "not_applicable", "crash", "other")
_TIME_FEATURE = re.compile(r"feature[-_.]?time$|^lptime$", re.IGNORECASE)


class FeatureStep(NamedTuple):
    """A step of feature extraction: the features that it provides and the steps that have to come before."""

    name: str
    provides: tuple[str, ...]
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AslibScenario:
    """A scenario: n instances, a algorithms, f features in s steps.

    Parameters
    ----------
    name
        ``scenario_id`` of the description.
    instances, algorithms
        In the order of their first run.
    cutoff_s
        Time limit of the algorithms in seconds.
    runtimes
        ``float64[n, a, r]``: seconds as published, r repetitions; NaN where there is no run. Runs without an
        answer hold the cutoff, somewhat more, or a multiple of it, as their publishers chose.
    statuses
        ``str[n, a, r]``: ``ok``, ``timeout``, ``memout``, ``not_applicable``, ``crash`` or ``other``; empty where
        there is no run.
    feature_names
        Names of the f columns.
    features
        ``float64[n, f]``: mean over repetitions, NaN where missing.
    steps
        Feature steps, in the order of the columns of their costs.
    feature_costs
        ``float64[n, s]``: seconds of each step, mean over repetitions; None if the scenario has no costs.
    default_steps
        Steps that the publishers recommend.
    folds
        ``int64[n, q]``: fold of each instance, as published, in q repetitions of cross-validation; None if the
        scenario has none.
    warnings
        What doesn't fit together but does no harm.
    """

    name: str
    instances: tuple[str, ...]
    algorithms: tuple[str, ...]
    cutoff_s: float
    runtimes: NDArray[np.float64]
    statuses: NDArray[np.str_]
    feature_names: tuple[str, ...]
    features: NDArray[np.float64]
    steps: tuple[FeatureStep, ...]
    feature_costs: NDArray[np.float64] | None = None
    default_steps: tuple[str, ...] = ()
    folds: NDArray[np.int64] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_time_feature(self) -> NDArray[np.bool_]:
        """``bool[f]``: features that are times of feature extraction, which depend on the machine."""
        return np.array([_TIME_FEATURE.search(name) is not None for name in self.feature_names], dtype=np.bool_)

    @property
    def solved(self) -> NDArray[np.bool_]:
        """``bool[n, a, r]``: runs that gave an answer within the cutoff."""
        return np.asarray((self.statuses == "ok") & (self.runtimes <= self.cutoff_s))

    def par(self, k: float = 2.0) -> NDArray[np.float64]:
        """Return ``float64[n, a]``: penalised runtimes, ``k`` cutoffs for no answer, mean over repetitions.

        A run that is missing counts as no answer.
        """
        return np.asarray(par(self.runtimes, self.solved, self.cutoff_s, k).mean(axis=2))

    def feature_cost(self, steps: Sequence[str]) -> NDArray[np.float64] | None:
        """Return ``float64[n]``: seconds of these steps, None if the scenario has no costs.

        Steps without a cost are left out of an instance's sum, which is NaN where none has one.
        """
        if self.feature_costs is None:
            return None
        costs = self.feature_costs[:, [step.name in steps for step in self.steps]]
        return np.where(np.isnan(costs).all(axis=1), np.nan, np.nansum(costs, axis=1))
