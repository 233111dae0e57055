"""From a labelled data set to a checkpoint: preprocess, fit every estimator, calibrate, measure, write.

The instances that the probe already solves are set apart: they are solved, not predicted. Everything that is fitted
sees the training side only; the network stops early on the validation side; calibration uses the calibration side; the
numbers in ``metrics.json`` and in the card are of the test side, which nothing else has touched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.calibration import Calibration
from satcost_gnn.checkpoint import Checkpoint, CheckpointConfig
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import DatasetError
from satcost_gnn.estimators import make_estimator
from satcost_gnn.estimators.base import Estimator, TrainingTable
from satcost_gnn.instance import Instance
from satcost_gnn.instance_cache import InstanceCache
from satcost_gnn.out_of_distribution import NoveltyDetector
from satcost_gnn.predictor import write_probe_offsets

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class LabelledInstances:
    """Preprocessed instances with their labels, in one order.

    Parameters
    ----------
    instances
        Instances that the probe did not solve.
    tables
        Unit -> table of their costs.
    sides
        ``train``, ``validation``, ``calibration`` or ``test`` of each.
    probe_offsets
        Unit -> solver -> log10 of its cost over the probe's, for training instances that the probe solved.
    solved_by_probe
        Instances that the probe solved, by side.
    """

    instances: list[Instance]
    tables: dict[str, TrainingTable]
    sides: NDArray[np.str_]
    probe_offsets: dict[str, dict[str, NDArray[np.float64]]]
    solved_by_probe: dict[str, int]

    def side(self, *names: str) -> NDArray[np.int64]:
        """Return the positions of the instances on some sides."""
        return np.flatnonzero(np.isin(self.sides, names))


def load_labelled(
    dataset: Dataset,
    cache: InstanceCache,
    solvers: Sequence[str],
    units: Sequence[str],
    sides: Mapping[str, str],
    say: Say,
) -> LabelledInstances:
    """Join the cached instances of a data set with its labels.

    Parameters
    ----------
    dataset
        Manifest and runs.
    cache
        Filled with the instances that could be found and read.
    solvers, units
        Columns and tables wanted.
    sides
        Instance -> side; an instance without one is left out.
    say
        Called with what a reader of the log should know.

    Raises
    ------
    DatasetError
        If no instance is left.
    """
    names = [name for name in dataset.instances if sides.get(name) in ("train", "validation", "calibration", "test")]
    kept: list[str] = []
    instances: list[Instance] = []
    solved: dict[str, Instance] = {}
    absent = 0
    for name, instance in zip(names, cache.load(names), strict=True):
        if instance is None or instance.online is None:
            absent += 1
        elif instance.probe is not None and instance.probe.solved:
            solved[name] = instance
        else:
            kept.append(name)
            instances.append(instance)
    if not kept:
        raise DatasetError(f"{dataset.directory}: found no labelled instance that was read and not solved by the probe")
    say(f"{len(kept)} instances to learn from, {len(solved)} solved by the probe, {absent} not found or not probed")
    satisfiable = dataset.satisfiable(kept)
    groups = dataset.families(kept)
    tables = {}
    offsets: dict[str, dict[str, NDArray[np.float64]]] = {}
    for unit in units:
        matrix = dataset.cost_matrix(solvers, unit, instances=kept)
        tables[unit] = TrainingTable(
            instances, tuple(solvers), unit, np.nan_to_num(matrix.cost), matrix.censored, matrix.known, groups, satisfiable
        )
        offsets[unit] = _probe_offsets(dataset, solved, solvers, unit, sides)
    by_side = {side: sum(sides[name] == side for name in solved) for side in ("train", "validation", "calibration", "test")}
    return LabelledInstances(instances, tables, np.array([sides[name] for name in kept]), offsets, by_side)


def probe_cost(instance: Instance, unit: str) -> float:
    """Return log10 of what the probe spent on an instance that it solved, at least the low end of the unit's grid."""
    probe = instance.probe
    assert probe is not None
    spent = {"conflicts": probe.conflicts, "propagations": probe.propagations, "cpu_seconds": probe.cpu_s}[unit]
    return float(np.log10(max(float(spent or 0), 10.0 ** GRIDS[unit].low)))


def _probe_offsets(
    dataset: Dataset, solved: Mapping[str, Instance], solvers: Sequence[str], unit: str, sides: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    names = [name for name in solved if sides[name] == "train"]
    matrix = dataset.cost_matrix(solvers, unit, instances=names)
    base = np.array([probe_cost(solved[name], unit) for name in names])
    found = {}
    for column, solver in enumerate(solvers):
        usable = matrix.known[:, column]
        values = matrix.cost[usable, column] - base[usable]
        found[solver] = values if len(values) else np.zeros(1)
    return found


def fit_classical(data: LabelledInstances, unit: str, names: Sequence[str], say: Say) -> dict[str, Estimator]:
    """Fit the estimators other than the network on the training and validation sides: they need no early stopping."""
    table = data.tables[unit].subset(data.side("train", "validation"))
    fitted = {}
    for name in names:
        say(f"fitting {name} for {unit} on {len(table)} instances")
        fitted[name] = make_estimator(name).fit(table)
    return fitted


def calibrate(data: LabelledInstances, unit: str, estimators: Mapping[str, Estimator]) -> dict[str, Calibration]:
    """Fit a calibration of each estimator on the calibration side, which no estimator was fitted to."""
    table = data.tables[unit].subset(data.side("calibration"))
    return {
        name: Calibration.fit(estimator.predict(table.instances), table.cost, table.censored, table.known)
        for name, estimator in estimators.items()
    }
