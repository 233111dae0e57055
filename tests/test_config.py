from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from satcost_gnn.config import (
    ModelConfig,
    NetworkConfig,
    Section,
    TrainingConfig,
    read_config,
    write_config,
)
from satcost_gnn.errors import ConfigError

SMALL = Path(__file__).parent.parent / "configs" / "small.toml"


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def keys(values):
    return {name: keys(value) if value and isinstance(value, dict) else None for name, value in values.items()}


def fields(section):
    return {
        name: fields(field.annotation)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        else None
        for name, field in section.model_fields.items()
    }


def test_tutorial_configuration_has_every_key_and_the_defaults():
    values = tomllib.loads(SMALL.read_text())
    assert keys(values) == fields(TrainingConfig)
    config = read_config(SMALL)
    assert config.model == ModelConfig()
    defaults = NetworkConfig()
    assert (config.loss, config.optimiser, config.batches) == (defaults.loss, defaults.optimiser, defaults.batches)
    assert config.directory == Path("runs/small")
    assert config.batches.max_graph_edges <= config.preprocess.max_graph_edges


def test_only_the_data_set_is_required(tmp_path):
    config = read_config(write(tmp_path, '[data]\ndataset = "d"\n'))
    assert config.data.dataset == Path("d")
    with pytest.raises(ConfigError, match=r"run\.toml: found no key 'data'"):
        read_config(write(tmp_path, ""))
    with pytest.raises(ConfigError, match=r"found no key 'data\.dataset'"):
        read_config(write(tmp_path, "[data]\n"))


@pytest.mark.parametrize(
    ("text", "key", "known"),
    [
        ("epochs = 3", "epochs", "members"),
        ("[model]\nwidht = 3", "model.widht", "fused_width"),
        ("[optimizer]\nepochs = 3", "optimizer", "optimiser"),
        ("[batches]\nnodes = 3", "batches.nodes", "family_balance"),
    ],
)
def test_unknown_key_is_an_error_that_lists_the_known_ones(tmp_path, text, key, known):
    text = f'{text}\n[data]\ndataset = "d"\n'
    with pytest.raises(ConfigError, match=rf"unknown key '{key}'; expected one of: .*\b{known}\b"):
        read_config(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nwidth = 50\nheads = 4", r"width \(50\) must be a multiple of heads"),
        ("[model]\ndropout = 1.0", r"model\.dropout = 1\.0: input should be less than 1"),
        ("[model]\nmodalities = []", "at least one modality"),
        ("[model]\nmodalities = ['graph', 'graph']", "each once"),
        ("members = 0", "members = 0"),
        ("members = 'two'", "members = 'two'"),
        ("name = '../up'", "name = '../up'"),
        ("[optimiser]\nlearning_rate = nan", "learning_rate"),
    ],
)
def test_invalid_values(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path, f'{text}\n[data]\ndataset = "d"\n'))


def test_several_problems_are_reported_at_once(tmp_path):
    text = 'members = 0\nsede = 1\n[data]\ndataset = "d"\nunits = ["seconds"]\nsolvers = ["a", "a"]\n'
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, text))
    for part in ("members", "'sede'", "data.units", "data.solvers"):
        assert part in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_config(write(tmp_path, "a = = 1"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


def test_written_configuration_reads_back(tmp_path):
    config = read_config(SMALL)
    write_config(config, tmp_path / "config.json")
    values = json.loads((tmp_path / "config.json").read_text())
    assert TrainingConfig.checked(values) == config
    assert NetworkConfig.checked(config.network.model_dump(mode="json")) == config.network
    assert type(config.network) is NetworkConfig


def test_settings_are_fixed():
    with pytest.raises(ValueError, match="frozen"):
        ModelConfig().width = 3


def test_keys_of_earlier_versions_are_read_with_a_warning_that_names_those_of_today(tmp_path):
    text = (
        '[data]\ndataset = "d"\n[preprocess]\nagain = false\n'
        "[model]\nbranches = ['graph']\nbranch_dropout = 0.3\nearly_alone = 0.2\nnode_evidence = false\n"
        'beside = "forest"\nbeside_weight = 0.4\nearly_on_new = 0.6\nconstant_on_new = 0.1\n'
        "[optimiser]\naveraging = 0.5\ngraph_epochs = 7\n"
    )
    with pytest.warns(FutureWarning) as told:
        found = read_config(write(tmp_path, text))
    assert not found.preprocess.probe_replicate
    assert (found.model.modalities, found.model.modality_dropout, found.model.online_only_dropout) == (
        ("graph",),
        0.3,
        0.2,
    )
    assert (found.model.probe_node_features, found.ensemble.member) == (False, "forest")
    assert (found.ensemble.member_weight, found.ensemble.ood_weight) == (0.4, 0.6)
    assert (found.ensemble.ood_constant, found.optimiser.ema_decay) == (0.1, 0.5)
    assert found.optimiser.encoder_epochs == 7
    texts = [str(one.message) for one in told]
    assert len(texts) == 11 and any("'averaging' is now 'ema_decay'" in text for text in texts)
    assert any("'model.beside' is now 'ensemble.member'" in text for text in texts)
    # Both at once contradict each other.
    with pytest.raises(ConfigError, match=r"unknown key 'optimiser\.averaging'"):
        read_config(write(tmp_path, '[data]\ndataset = "d"\n[optimiser]\naveraging = 0.5\nema_decay = 0.6\n'))
