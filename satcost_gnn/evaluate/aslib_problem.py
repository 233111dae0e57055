"""A published scenario of algorithm selection (ASlib) as a problem of prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import grid_for
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.aslib_scenario import AslibScenario
from satcost_gnn.data.dataset import SHORTEST_S
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable

Integers = NDArray[np.int64]

UNIT = "cpu_seconds"
#: How many solvers are predicted: those with the least mean PAR2.
BEST_SOLVERS = 10


@dataclass(frozen=True, eq=False)
class ScenarioProblem:
    """A scenario as a problem of prediction.

    Parameters
    ----------
    columns
        ``int64[m]``: solvers predicted, best first.
    table
        The ``n`` instances. Costs are shifted by ``shift``.
    folds
        ``int64[n]``.
    cutoff
        log10 of the cutoff, shifted.
    shift
        Added to log10 of seconds, so that the cutoff lies on an edge of the grid and the probability of being solved
        by it is exact. Differences of logarithms don't change.
    features
        Indices of the scenario's features that the instances have: all but the times of feature extraction.
    """

    scenario: AslibScenario
    columns: Integers
    table: TrainingTable
    folds: Integers
    cutoff: float
    shift: float
    features: Integers

    def with_steps(self, steps: Sequence[str]) -> TrainingTable:
        """Return the table with the features of some steps only."""
        provided = {name for step in self.scenario.steps if step.name in steps for name in step.provides}
        kept = np.array([k for k in self.features if self.scenario.feature_names[k] in provided], dtype=np.int64)
        return _table(self.scenario, self.columns, kept, self.shift)


def pose(scenario: AslibScenario, solvers: int = BEST_SOLVERS) -> ScenarioProblem:
    """Return the problem that a scenario poses.

    Raises
    ------
    DatasetError
        If the scenario has no cutoff, no folds, no features but times, no run with an answer, or its measure is no
        runtime.
    """
    penalised = scenario.par(2.0)
    if scenario.folds is None:
        raise DatasetError(f"{scenario.name}: found no cv.arff, expected the published folds; get the file")
    if scenario.cutoff_s is None or len(np.unique(scenario.folds[:, 0])) < 2:
        raise DatasetError(f"{scenario.name}: found a single fold, expected at least 2 in cv.arff")
    if not scenario.solved.any():
        raise DatasetError(
            f"{scenario.name}: found no run that is ok within the cutoff of {scenario.cutoff_s:g} s, expected some; "
            "there is nothing to learn or to choose"
        )
    features = np.flatnonzero(~scenario.is_time_feature)
    if not len(features):
        raise DatasetError(f"{scenario.name}: found no feature besides times of feature extraction, expected some")
    columns = np.argsort(penalised.mean(axis=0), kind="stable")[:solvers]
    grid = grid_for(UNIT)
    cutoff = float(np.log10(scenario.cutoff_s))
    edge = float(grid.edges[np.searchsorted(grid.edges, cutoff - 1e-9)])
    table = _table(scenario, columns, features, edge - cutoff)
    return ScenarioProblem(scenario, columns, table, scenario.folds[:, 0], edge, edge - cutoff, features)


def _table(scenario: AslibScenario, columns: Integers, features: Integers, shift: float) -> TrainingTable:
    assert scenario.cutoff_s is not None
    times, solved = scenario.runtimes[:, columns, 0], scenario.solved[:, columns, 0]
    # As in PAR: whatever gave no answer (timeout, crash, no run at all) counts as stopped at the cutoff.
    seconds = np.where(solved, np.maximum(times, SHORTEST_S), scenario.cutoff_s)
    names = tuple(scenario.feature_names[k] for k in features)
    # Vectors hold single precision: counts beyond it are missing, and some publishers write infinities.
    values = np.where(np.abs(scenario.features) < np.finfo(np.float32).max, scenario.features, np.nan)
    instances = [
        Instance(path=name, gbdhash=name, static=FeatureVector(names, values[i, features].astype(np.float32)))
        for i, name in enumerate(scenario.instances)
    ]
    return TrainingTable(
        instances,
        tuple(scenario.algorithms[k] for k in columns),
        UNIT,
        np.log10(seconds) + shift,
        ~solved,
        np.ones(solved.shape, dtype=bool),
        list(scenario.instances),
        np.full(len(instances), -1, dtype=np.int8),
    )
