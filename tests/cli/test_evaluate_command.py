"""``satcost evaluate`` from the command line: wrong usage, and the whole way with a network on small instances."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_instances import write_families

from satcost_gnn.cli.evaluate import EvaluateOptions, run_evaluate
from satcost_gnn.errors import ConfigError, DatasetError, EvaluationError

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()"]
CONFIG = """
[data]
dataset = "elsewhere"
solvers = ["cadical195", "minisat22"]
[preprocess]
conflicts = 20
max_graph_edges = 2000
[model]
width = 8
rounds = 1
heads = 2
fused_width = 8
mean_channels = 4
extreme_channels = 4
[optimiser]
epochs = 1
"""


def options(**changes: object) -> EvaluateOptions:
    values: dict = {
        "dataset": None,
        "output": Path("out"),
        "split": "instance",
        "estimators": ["constant"],
        "seeds": ["0"],
        "network_seeds": None,
        "unit": "conflicts",
        "solver": "cadical195",
        "root": None,
        "cache": None,
        "config": None,
        "checkpoints": [],
        "cutoff": None,
        "resamples": 10,
        "jobs": 1,
        "resume": False,
        "aslib": [],
        "runtimes": None,
    }
    return EvaluateOptions(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": None}, "-o"),
        ({}, "no data set"),
        ({"seeds": ["0", "x"]}, "whole numbers"),
        ({"seeds": ["-1"]}, "at least 0"),
        ({"dataset": Path("a"), "aslib": [Path("b")]}, "both"),
    ],
)
def test_wrong_usage(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_evaluate(options(**changes))


def test_directory_without_scenarios(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"description\.txt"):
        run_evaluate(options(aslib=[tmp_path], output=tmp_path / "out"))


def test_data_set_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="manifest"):
        run_evaluate(options(dataset=tmp_path, output=tmp_path / "out"))
    with pytest.raises(EvaluationError, match="split"):
        run_evaluate(options(dataset=tmp_path, output=tmp_path / "out", split="temporal"))
    with pytest.raises(EvaluationError, match="unit"):
        run_evaluate(options(dataset=tmp_path, output=tmp_path / "out", unit="hours"))


def satcost(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_network_joins_what_was_evaluated_before(tmp_path: Path) -> None:
    write_families(tmp_path / "cnf", 60, 5)
    data, output = tmp_path / "set", tmp_path / "out"
    done = satcost("collect", tmp_path / "cnf", "-o", data, "--solvers", "cadical195,minisat22", "--cpu", "5")
    assert done.returncode == 0, done.stderr
    assert satcost("dataset", "split", data).returncode == 0
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    common = ["evaluate", data, "--root", tmp_path / "cnf", "--cache", tmp_path / "cache", "--config", config]
    common += ["-o", output, "--seeds", "0", "--resamples", "20"]
    done = satcost(*common, "--estimators", "constant,size,tree_size")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(output / "report.html")
    assert satcost(*common, "--estimators", "constant").returncode == 2
    before = {path: path.stat().st_mtime_ns for path in (output / "predictions").iterdir()}
    done = satcost(*common, "--estimators", "constant,size,tree_size,gnn,gnn:static", "--resume")
    assert done.returncode == 0, done.stderr
    assert "epoch" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found = json.loads((output / "metrics.json").read_text())
    assert list(found["estimators"]) == ["constant", "size", "tree_size", "gnn", "gnn:static"]
    assert found["against_best_classical"]["gnn"]["crps"]["value"] is not None
    assert "estimators" in found["command"]
    again = satcost(*common, "--estimators", "constant,size,tree_size,gnn,gnn:static", "--resume")
    assert again.returncode == 0 and "epoch" not in again.stderr
