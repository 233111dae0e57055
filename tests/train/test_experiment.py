"""From nothing to a checkpoint that predicts: the whole way on small instances."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_instances import write_families

from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.predictor import Predictor

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()"]
CONFIG = """
name = "tiny"
runs = "{root}/runs"
[data]
dataset = "{root}/set"
root = "{root}/cnf"
cache = "{root}/cache"
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
[ensemble]
member = "forest"
ood_weight = 0.5
ood_constant = 0.2
[optimiser]
epochs = 2
[checkpoint]
name = "tiny"
directory = "{root}/checkpoints"
"""


def satcost(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_collect_split_train_predict(tmp_path: Path) -> None:
    write_families(tmp_path / "cnf", 48, 4)
    dataset = str(tmp_path / "set")
    done = satcost("collect", str(tmp_path / "cnf"), "-o", dataset, "--solvers", "cadical195,minisat22", "--cpu", "5")
    assert done.returncode == 0, done.stderr
    assert satcost("dataset", "split", dataset).returncode == 0
    assert satcost("dataset", "check", dataset, "--root", str(tmp_path / "cnf")).returncode == 0
    assert "cadical195" in satcost("dataset", "info", dataset).stdout
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(root=tmp_path))
    done = satcost("train", "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert "epoch" in done.stderr
    checkpoint = Checkpoint.open(done.stdout.strip())
    assert checkpoint.check_files() == []
    metrics = checkpoint.read_json("metrics.json")
    assert set(metrics["units"]["conflicts"]["solvers"]) == {"cadical195", "minisat22"}
    for name in ("gnn", "ensemble"):
        assert metrics["units"]["conflicts"]["solvers"]["cadical195"][name]["n_solved"] > 0
    # The network is one member, whatever it is mixed with, in whatever unit.
    kinds = [member.kind for member in checkpoint.config.members.values()]
    assert checkpoint.config.chain[0] == "ensemble" and kinds.count("gnn") == 1 and kinds.count("ood_detector") == 1
    assert set(checkpoint.read_json("calibration.json")["conflicts"]) >= {"gnn", "ensemble", "forest"}
    card = (checkpoint.directory / "CARD.md").read_text()
    assert "Where not to trust it" in card and "| gnn |" in card
    config_of_run = json.loads((tmp_path / "runs" / "tiny" / "config.json").read_text())
    assert config_of_run["optimiser"]["epochs"] == 2
    assert not [path for path in checkpoint.directory.rglob("*") if path.suffix in (".pkl", ".pt", ".ckpt")]

    with Predictor.from_checkpoint(checkpoint.directory, unit="cpu_seconds") as predictor:
        found = predictor.predict(tmp_path / "cnf" / "family3" / "i47.cnf")
    assert found.status in ("ok", "solved")
    assert set(found.quantile(0.5)) == {"cadical195", "minisat22"}
    with Predictor.from_checkpoint(checkpoint.directory, unit="conflicts", start="gnn") as alone:
        assert alone.notes == () and alone.chain == ("gnn", *checkpoint.config.chain[1:])
        found = alone.predict(tmp_path / "cnf" / "family3" / "i47.cnf")
    assert found.source in ("gnn", "search", "probe")

    again = satcost("train", "--config", str(config))
    assert again.returncode == 2
    assert "never overwritten" in again.stderr
