"""``satcost dataset export-aslib``: a scenario that is read back with costs, folds and features as steps."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.cli.export_aslib import ExportAslibOptions, run_export_aslib
from satcost_gnn.data.aslib import read_scenario
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.errors import DatasetError

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
NAMES = ("pigeonhole-5", "random3-120", "sudoku-9")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("labelled") / "small"
    files = [str(SAMPLES / f"{name}.cnf") for name in NAMES]
    words = ["collect", *files, "-o", str(where), "--solvers", "minisat22,cadical195", "--limit", "20"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return where


def export(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["dataset", "export-aslib", *map(str, args)])
    return result.exit_code, result.stderr


def test_sizes_only(labelled: Path, tmp_path: Path) -> None:
    code, told = export(labelled, "-o", tmp_path / "sizes")
    assert code == 0 and "3 instances, 2 solvers, 3 features in 1 steps, cutoff 20 s" in told
    scenario = read_scenario(tmp_path / "sizes")
    dataset = Dataset.open(labelled)
    for i, name in enumerate(scenario.instances):
        for j, solver in enumerate(scenario.algorithms):
            [run] = [run for run in dataset.runs_of[name] if run.solver == solver]
            assert scenario.runtimes[i, j, 0] == pytest.approx(run.cpu_s)


def test_features_of_the_early_search_are_a_step_with_its_cost(labelled: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code, told = export(
        labelled, "-o", tmp_path / "all", "--root", SAMPLES, "--cache", cache, "--solvers", "cadical195"
    )
    assert code == 0, told
    scenario = read_scenario(tmp_path / "all")
    assert scenario.algorithms == ("cadical195",) and [step.name for step in scenario.steps] == [
        "structure",
        "early_search",
    ]
    names = list(scenario.feature_names)
    assert set(scenario.steps[1].provides) <= set(names) and scenario.feature_costs is not None
    assert np.isfinite(scenario.feature_costs).all() and (scenario.feature_costs >= 0).all()
    sizes = {scenario.features[i, names.index("clause_var_ratio_log")] for i in range(3)}
    assert len(sizes) == 3


def test_instances_that_are_not_there_are_named_and_left_out(labelled: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for name in NAMES[1:]:
        (some / f"{name}.cnf").write_bytes((SAMPLES / f"{name}.cnf").read_bytes())
    code, told = export(labelled, "-o", tmp_path / "less", "--root", some, "--cache", tmp_path / "cache")
    assert code == 1 and NAMES[0] in told and "2 instances" in told


def test_unknown_solver_is_wrong_usage(labelled: Path, tmp_path: Path) -> None:
    options = ExportAslibOptions(labelled, tmp_path / "none", solvers=["nobody"])
    with pytest.raises(DatasetError, match="found nobody; expected some of"):
        run_export_aslib(options)
    assert not (tmp_path / "none").exists()
