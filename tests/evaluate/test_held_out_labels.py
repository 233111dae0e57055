"""With nonsense in the place of labels that are held out, every fit and every calibration is the same."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_setup import LIMIT_S, make_setup

import satcost_gnn.learn.fitting as fitting
import satcost_gnn.train.experiment as experiment
from satcost_gnn.config import TrainingConfig
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.evaluate.methods import Method
from satcost_gnn.evaluate.protocol import EvaluationSetup, plan, run_fits
from satcost_gnn.evaluate.results import gather
from satcost_gnn.evaluate.stored_predictions import StoredPredictions
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.train.experiment import run_experiment

METHODS = [Method("constant", "constant", "constant"), Method("forest", "forest", "f", {"n_trees": 5})]


def poisoned_table(table: TrainingTable, rows: np.ndarray, seed: int) -> TrainingTable:
    """Return a table in which the labels of some instances are nonsense."""
    rng = np.random.default_rng(seed)
    shape = (len(rows), len(table.solvers))
    cost, censored, known = table.cost.copy(), table.censored.copy(), table.known.copy()
    cost[rows] = rng.uniform(-2, 7, shape)
    censored[rows], known[rows] = rng.random(shape) < 0.5, rng.random(shape) < 0.9
    satisfiable = table.satisfiable.copy()
    satisfiable[rows] = rng.integers(-1, 2, len(rows))
    return replace(table, cost=cost, censored=censored, known=known, satisfiable=satisfiable)


def poisoned(setup: EvaluationSetup, *sides: str, seed: int = 1) -> EvaluationSetup:
    """Return a setup in which the labels of some sides are nonsense, in the tables and in the data set."""
    rows = setup.data.side(*sides)
    tables = {unit: poisoned_table(table, rows, seed) for unit, table in setup.data.tables.items()}
    rng = np.random.default_rng(seed)
    assert setup.dataset.splits is not None
    side = setup.dataset.splits.side
    runs = tuple(
        replace(run, status=RunStatus.SAT, conflicts=7, cpu_s=float(rng.uniform(0, LIMIT_S)))
        if side[run.instance] in sides
        else run
        for run in setup.dataset.runs
    )
    return replace(setup, dataset=replace(setup.dataset, runs=runs), data=replace(setup.data, tables=tables))


# The protocol of `satcost evaluate`. ----------------------------------------------------------------------------------


def predicted(setup: EvaluationSetup, output: Path) -> tuple[dict[str, StoredPredictions], dict[str, Any]]:
    """Return what all methods predicted, and the same calibrated."""
    fits, failed = plan(setup, METHODS, [0], [])
    assert not failed
    problems = run_fits(setup, fits, output, 1, ProgressLine)
    assert not problems
    stored = {fit.file: StoredPredictions.read(output / "predictions" / fit.file) for fit in fits}
    results = gather(setup, fits, failed, problems, output)
    return {name: one for name, one in stored.items() if one is not None}, dict(results.predictions())


@pytest.mark.parametrize("split", ["instance", "family"])
def test_protocol(split: str, tmp_path: Path) -> None:
    setup = make_setup(tmp_path, 160, split)
    plain, calibrated = predicted(setup, tmp_path / "plain")
    if split == "instance":
        other, calibrated_too = predicted(poisoned(setup, "test"), tmp_path / "test")
        assert_same_predictions(plain, other)
        for name, found in calibrated.items():
            for unit, distribution in found.calibrated.items():
                np.testing.assert_array_equal(distribution.cdf, calibrated_too[name].calibrated[unit].cdf)
        other, calibrated_too = predicted(poisoned(setup, "test", "calibration"), tmp_path / "both")
        assert_same_predictions(plain, other)
        assert (
            np.abs(
                calibrated["forest"].calibrated["conflicts"].cdf - calibrated_too["forest"].calibrated["conflicts"].cdf
            )
            > 0.01
        ).any()
        learnt, _ = predicted(poisoned(setup, "train"), tmp_path / "train")
        assert any((plain[name].cdf[key] != learnt[name].cdf[key]).any() for name in plain for key in plain[name].cdf)
    else:
        # Each fold has sides of its own: one at a time.
        for fold in setup.folds:
            rows = setup.at(fold).side("test", "calibration")
            tables = {unit: poisoned_table(table, rows, 1) for unit, table in setup.data.tables.items()}
            other, _ = predicted(replace(setup, data=replace(setup.data, tables=tables)), tmp_path / f"fold{fold}")
            of_fold = {name: one for name, one in plain.items() if one.fold == fold}
            assert of_fold
            assert_same_predictions(of_fold, {name: other[name] for name in of_fold})


def assert_same_predictions(one: Mapping[str, StoredPredictions], other: Mapping[str, StoredPredictions]) -> None:
    assert list(one) == list(other)
    for name, stored in one.items():
        assert stored.instances == other[name].instances
        for key, cdf in stored.cdf.items():
            np.testing.assert_array_equal(cdf, other[name].cdf[key], err_msg=f"{name} {key}")


# The training of a checkpoint. ----------------------------------------------------------------------------------------

NETWORK = {
    "model": {"width": 4, "rounds": 1, "heads": 1, "mean_channels": 2, "extreme_channels": 1, "fused_width": 4},
    "optimiser": {"epochs": 2, "encoder_epochs": 1, "stopping": "none"},
}


def with_graphs(setup: EvaluationSetup) -> EvaluationSetup:
    """Return a setup whose instances have a graph, all the same one."""
    graph = clause_variable_graph(from_recipe("random-ksat:k=3,n=12,ratio=4,seed=1"), None)
    instances = [replace(one, graph=graph) for one in setup.data.instances]
    tables = {unit: replace(table, instances=instances) for unit, table in setup.data.tables.items()}
    return replace(setup, data=replace(setup.data, instances=instances, tables=tables))


def checkpoint_files(setup: EvaluationSetup, root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the hashes of all files of a checkpoint made from a setup."""
    config = TrainingConfig.checked(
        {
            **NETWORK,
            "name": name,
            "runs": root / "runs",
            "data": {"dataset": root, "solvers": setup.solvers},
            "checkpoint": {"name": name, "directory": root},
        }
    )
    offsets = {unit: {solver: np.zeros(1) for solver in setup.solvers} for unit in setup.data.tables}
    data = replace(setup.data, probe_offsets=offsets, solved_by_probe={"test": 1})
    monkeypatch.setattr(experiment, "prepare", lambda *_: (setup.dataset, data))
    monkeypatch.setattr(experiment, "training_identity", lambda *_: {"instances": {}})
    monkeypatch.setattr(experiment, "card", lambda *_: "")
    few: dict[str, tuple[str, dict[str, Any]]] = {
        "constant": ("constant", {}),
        "forest": ("forest", {"n_trees": 5}),
        "forest_static": ("forest", {"n_trees": 5, "features": "static"}),
        "linear": ("linear", {}),
    }
    monkeypatch.setattr(fitting, "CLASSICAL", few)
    return run_experiment(config, ProgressLine).config.files


def changed(one: dict[str, str], other: dict[str, str]) -> set[str]:
    assert set(one) == set(other)
    return {name.partition("/")[0] for name in one if one[name] != other[name]}


@pytest.mark.slow
def test_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = with_graphs(make_setup(tmp_path, 160))
    plain = checkpoint_files(setup, tmp_path, "plain", monkeypatch)
    assert "portfolio.json" in plain
    assert changed(plain, checkpoint_files(setup, tmp_path, "again", monkeypatch)) == set()
    # What was held out for the numbers of the report changes those alone.
    of_test = checkpoint_files(poisoned(setup, "test"), tmp_path, "of-test", monkeypatch)
    assert changed(plain, of_test) == {"metrics.json"}
    # The calibration side: the maps, and the portfolio's thresholds, too; nothing that was fitted.
    of_calibration = checkpoint_files(poisoned(setup, "calibration"), tmp_path, "of-calibration", monkeypatch)
    assert changed(plain, of_calibration) <= {"metrics.json", "calibration.json", "portfolio.json"}
    assert "calibration.json" in changed(plain, of_calibration)
    of_train = checkpoint_files(poisoned(setup, "train"), tmp_path, "of-train", monkeypatch)
    assert {"gnn", "conflicts", "cpu_seconds"} <= changed(plain, of_train)
    # Backgrounds, and judgements of how new a formula is, are of the instances that were learnt from.
    strange = set(setup.data.side("test", "calibration").tolist())
    instances = [
        replace(one, static=replace(one.static, values=one.static.values * 3 + 1)) if k in strange else one
        for k, one in enumerate(setup.data.instances)
    ]
    tables = {unit: replace(table, instances=instances) for unit, table in setup.data.tables.items()}
    data = replace(setup.data, instances=instances, tables=tables)
    other = checkpoint_files(replace(setup, data=data), tmp_path, "other", monkeypatch)
    assert changed(plain, other) <= {"metrics.json", "calibration.json", "portfolio.json"}
