"""`satcost config`: every setting with where it comes from; `--set`, as in `train`."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.config import read_changes, read_config
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime import threads


def told(*words: str, **environment: str) -> dict[str, dict[str, dict[str, object]]]:
    result = CliRunner().invoke(app, ["config", "--json", *words], env=environment)
    assert result.exit_code == 0, result.output
    found: dict[str, dict[str, dict[str, object]]] = json.loads(result.stdout)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.toml"
    path.write_text('[data]\ndataset = "d"\n[model]\nwidth = 8\n')
    return path


def test_sources(file: Path) -> None:
    training = told("--config", str(file), "--set", "model.width=24", "--set", "data.split=family")["training"]
    assert training["model.width"] == {"value": 24, "source": "--set"}
    assert training["data.split"] == {"value": "family", "source": "--set"}
    assert training["data.dataset"] == {"value": "d", "source": str(file)}
    assert training["loss.crps_weight"] == {"value": 0.5, "source": "default"}


def test_a_key_of_an_earlier_version_is_told_as_that_of_today(file: Path) -> None:
    file.write_text(file.read_text() + 'branches = ["static"]\n')
    with pytest.warns(FutureWarning, match="'branches' is now 'modalities'"):
        training = told("--config", str(file))["training"]
    assert training["model.modalities"] == {"value": ["static"], "source": str(file)}


def test_without_a_file_the_defaults_are_told() -> None:
    training = told()["training"]
    assert training["data.dataset"] == {"value": None, "source": "must be given"}
    assert {one["source"] for one in training.values()} == {"must be given", "default"}


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(SATCOST_CACHE_MIB="7")["environment"]["SATCOST_CACHE_MIB"]
    assert (found["value"], found["default"]) == ("7", "2048")
    # What the command sets by itself is no setting of the user's.
    monkeypatch.setattr(threads, "set_here", ["OMP_NUM_THREADS"])
    assert told(OMP_NUM_THREADS="1")["environment"]["OMP_NUM_THREADS"]["value"] is None


def test_text(file: Path) -> None:
    result = CliRunner().invoke(app, ["config", "--config", str(file)], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    assert re.search(rf"model\.width +8  \({re.escape(str(file))}\)", result.stdout)


def test_changes_of_a_configuration(file: Path) -> None:
    changes = read_changes(["loss.crps_weight=1", 'data.solvers=["a", "b"]', "name = mine", "model.width=16"])
    config = read_config(file, changes=changes)
    assert (config.loss.crps_weight, config.data.solvers) == (1.0, ("a", "b"))
    assert (config.name, config.model.width) == ("mine", 16)
    with pytest.raises(ConfigError, match=r"unknown key 'model\.wdth'"):
        read_config(file, changes=read_changes(["model.wdth=8"]))
    with pytest.raises(ConfigError, match="expected a table"):
        read_config(file, changes=read_changes(["model.width.x=8"]))
    for text in ("model.width", "=3"):
        with pytest.raises(ConfigError, match="expected KEY=VALUE"):
            read_changes([text])


def test_train_takes_changes(file: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--config", str(file), "--set", "model.width=0"])
    assert isinstance(result.exception, ConfigError) and "model.width = 0" in str(result.exception)


def test_the_example_is_a_configuration_that_explains_every_setting(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["config", "--example"])
    assert done.exit_code == 0
    path = tmp_path / "example.toml"
    path.write_text(done.stdout)
    read_config(path)
    keys = {line.split(" = ")[0] for line in done.stdout.splitlines() if " = " in line and not line.startswith("#")}
    every = {key.rpartition(".")[2] for key in told("--config", str(path))["training"]}
    assert not every - keys
    wrong = CliRunner().invoke(app, ["config", "--example", "--set", "seed=1"])
    assert isinstance(wrong.exception, ConfigError)
