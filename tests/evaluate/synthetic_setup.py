"""A data set in memory whose costs depend on the features of its instances, for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.schema import ManifestRow, Origin, Run, RunStatus
from satcost_gnn.data.splits import Splits
from satcost_gnn.evaluate.protocol import EvaluationSetup
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.labelled_instances import LabelledInstances
from satcost_gnn.search.probe_settings import ProbeResult

STATIC = ("vars_log", "clauses_log", "literals_log", "clause_var_ratio_log", "noise")
ONLINE = ("tree.wbe_longest", "tree.recursive_longest", "speed.conflicts_per_second", "rates.level", "noise")
SOLVERS = ("cadical195", "minisat22")
LIMIT_S = 10.0


def make_setup(
    directory: Path, n: int = 400, split: str = "instance", *, seed: int = 0, by_probe: int = 20, families: int = 10
) -> EvaluationSetup:
    """Return a setup: the last ``by_probe`` instances are solved by the probe; about a tenth of runs is stopped."""
    rng = np.random.default_rng(seed)
    size, depth = rng.normal(size=n), rng.normal(size=n)
    instances = []
    for k in range(n):
        static = np.array([7 + size[k], 8 + size[k], 9 + size[k], 1.0, rng.normal()], np.float32)
        online = np.array([12 + 4 * depth[k], 12 + 4 * depth[k], 3.7, np.exp(depth[k]), rng.normal()], np.float32)
        solved = k >= n - by_probe
        probe = ProbeResult("SAT" if solved else "UNKNOWN", None, 2000, 3000, 10_000, 3, 0.1)
        instances.append(
            Instance(
                f"{k}.cnf",
                f"{k:032x}",
                FeatureVector(STATIC, static),
                FeatureVector(ONLINE, online),
                probe,
                timings={"parse": 0.01, "probe": 0.1, "features": 0.05, "graph": 0.05},
            )
        )
    log_conflicts = 4 + 0.4 * size + 0.5 * depth + 0.2 * rng.normal(size=n)
    # Which solver is the better one depends on the size, so that selection has something to find.
    log_seconds = np.stack([log_conflicts - 3.8, log_conflicts - 3.8 + 0.5 * size], axis=1)
    runs = []
    for k, instance in enumerate(instances):
        for column, solver in enumerate(SOLVERS):
            seconds = 10.0 ** log_seconds[k, column]
            stopped = seconds > LIMIT_S
            conflicts = int(10 ** (log_conflicts[k] + 0.1 * column) * min(1.0, LIMIT_S / seconds))
            runs.append(_run(instance.gbdhash, solver, stopped, conflicts, min(seconds, LIMIT_S)))
    names = [one.gbdhash for one in instances]
    group = [f"family{k % families}" for k in range(n)]
    manifest = [_row(name, family) for name, family in zip(names, group, strict=True)]
    sides = rng.choice(["train", "validation", "calibration", "test"], size=n, p=[0.4, 0.1, 0.25, 0.25])
    splits = Splits(
        0,
        {"train": 0.4, "validation": 0.1, "calibration": 0.25, "test": 0.25},
        2,
        dict(zip(names, map(str, sides), strict=True)),
        {name: (k % families) % 2 for k, name in enumerate(names)},
    )
    dataset = Dataset(directory, tuple(manifest), tuple(runs), splits)
    kept = n - by_probe
    tables = {unit: _table(dataset, instances[:kept], group[:kept], unit) for unit in ("conflicts", "cpu_seconds")}
    data = LabelledInstances(
        instances[:kept],
        tables,
        np.array(sides[:kept]),
        {},
        {},
        {one.gbdhash: one for one in instances[kept:]},
        {unit: _table(dataset, instances[kept:], group[kept:], unit) for unit in tables},
        np.array(sides[kept:]),
    )
    config = TrainingConfig.checked({"data": {"dataset": str(directory), "solvers": SOLVERS}})
    return EvaluationSetup(dataset, data, config, split, ("conflicts", "cpu_seconds"), SOLVERS)


def without_features(setup: EvaluationSetup, names: Sequence[str]) -> EvaluationSetup:
    """Return the setup with some instances of which no early search is known."""
    lost = set(names)
    instances = [replace(one, online=None) if one.gbdhash in lost else one for one in setup.data.instances]
    tables = {unit: replace(table, instances=instances) for unit, table in setup.data.tables.items()}
    return replace(setup, data=replace(setup.data, instances=instances, tables=tables))


def _table(dataset: Dataset, instances: list[Instance], groups: list[str], unit: str) -> TrainingTable:
    matrix = dataset.cost_matrix(SOLVERS, unit, instances=[one.gbdhash for one in instances])
    answers = np.full(len(instances), -1, dtype=np.int8)
    cost = np.nan_to_num(matrix.cost)
    return TrainingTable(instances, SOLVERS, unit, cost, matrix.censored, matrix.known, groups, answers)


def _row(name: str, family: str) -> ManifestRow:
    return ManifestRow(
        instance=name,
        isohash=name,
        family=family,
        path=f"{name}.cnf",
        n_vars=100,
        n_clauses=400,
        bytes=1000,
        origin=Origin.GENERATED,
        parent=None,
        recipe=None,
        licence=None,
    )


def _run(name: str, solver: str, stopped: bool, conflicts: int, seconds: float) -> Run:
    return Run(
        instance=name,
        solver=solver,
        seed=0,
        status=RunStatus.TIMEOUT if stopped else RunStatus.UNSAT,
        conflicts=conflicts,
        decisions=conflicts,
        propagations=100 * conflicts,
        restarts=1,
        cpu_s=seconds,
        wall_s=seconds,
        peak_memory_mb=10.0,
        cpu_limit_s=LIMIT_S,
        wall_limit_s=60.0,
        memory_limit_mb=1000,
        solver_version="1",
        machine="none",
        detail="",
    )
