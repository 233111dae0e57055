"""Configurations of checkpoints."""

import json

import pytest

from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.serve.checkpoint import CheckpointConfig, find_checkpoint


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
