"""Configurations of checkpoints."""

import json
import shutil
from pathlib import Path

import pytest

from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.learn.early_answers import RELATIVE_COST_FILE
from satcost_gnn.serve.checkpoint import Checkpoint, CheckpointConfig, find_checkpoint
from satcost_gnn.serve.predictor import Predictor


def test_another_format_is_refused_with_what_to_do() -> None:
    values = json.loads((find_checkpoint() / "config.json").read_text())
    for version, advice in ((values["format_version"] - 1, "train it again"), (values["format_version"] + 1, "newer")):
        with pytest.raises(CheckpointError, match=advice):
            CheckpointConfig.from_dict({**values, "format_version": version}, "somewhere")


def test_the_network_alone_can_be_asked_besides_the_chain() -> None:
    config = CheckpointConfig.from_dict(json.loads((find_checkpoint() / "config.json").read_text()), "somewhere")
    assert config.chain[0] == "ensemble" and set(config.estimators) - set(config.chain) == {"gnn", "size"}
    assert config.chain_from("gnn") == ("gnn", *config.chain[1:]) and config.chain_from("linear")[0] == "linear"
    with pytest.raises(ConfigError, match="expected one of ensemble"):
        config.chain_from("oracle")
    assert config.member_for("gnn", "conflicts") == "gnn"
    assert config.member_for("forest", "cpu_seconds") == "cpu_seconds/forest"


def test_training_data_without_runs_of_the_plain_solver_leave_nothing_that_is_relative_to_it(tmp_path: Path) -> None:
    shutil.copytree(Checkpoint.open().directory, tmp_path / "other-v1")
    for place in (tmp_path / "other-v1").rglob(RELATIVE_COST_FILE):
        place.unlink()
    Checkpoint.seal(tmp_path / "other-v1")
    clauses = [[1, 2], [-1, 2], [1, -2]]
    with Predictor.from_checkpoint(tmp_path / "other-v1", unit="cpu_seconds") as predictor:
        found = predictor.predict(clauses)
    # The plain run has answered: its own cost is known; the others are told from the costs of answering probes.
    assert found.result == "SAT" and found.quantile(0.5)["cadical195"] < 1
