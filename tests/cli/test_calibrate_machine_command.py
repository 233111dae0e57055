import importlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.serve import machine_speed
from satcost_gnn.serve.machine_speed import reference


@pytest.fixture(autouse=True)
def twice_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    # The timing itself is tested with the module; here no solver need run.
    seconds = {name: 2 * value for name, value in reference()["seconds"].items()}
    # The package has a function of the module's name.
    module = importlib.import_module("satcost_gnn.cli.calibrate_machine")
    monkeypatch.setattr(module, "time_workloads", lambda *_: seconds)


def test_the_factor_is_printed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SATCOST_MACHINE", str(tmp_path / "m.json"))
    found = CliRunner().invoke(app, ["calibrate-machine"])
    assert found.exit_code == 0, found.output
    assert "takes 2.000 s here" in found.output
    assert machine_speed.read_factor() == (2.0, tmp_path / "m.json")


@pytest.mark.parametrize("named", [True, False])
def test_it_says_whether_predictions_use_the_file(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    target = tmp_path / "m.json"
    monkeypatch.delenv("SATCOST_MACHINE", raising=False)
    if named:
        monkeypatch.setenv("SATCOST_MACHINE", str(target))
    found = CliRunner().invoke(app, ["calibrate-machine", "-o", str(target)])
    assert found.exit_code == 0, found.output
    assert (machine_speed.read_factor() == (2.0, target)) == named
    assert ("use it from now on" in found.output) == named
    assert (f"SATCOST_MACHINE={target}" in found.output.replace("\n", "")) != named


def test_json_and_dry_run(tmp_path: Path) -> None:
    target = tmp_path / "m.json"
    found = CliRunner().invoke(app, ["calibrate-machine", "--json", "--dry-run", "-o", str(target)])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["factor"] == 2.0
    assert not target.exists()


def test_unwanted_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SATCOST_MACHINE", "none")
    found = CliRunner().invoke(app, ["calibrate-machine"])
    assert found.exit_code != 0
    assert "SATCOST_MACHINE=none" in str(found.exception)


@pytest.mark.parametrize(
    "command",
    [
        "predict --unit cpu_seconds",
        "select",
        "schedule",
        "explain --unit cpu_seconds",
        "batch-solve",
        "cubes --unit cpu_seconds",
    ],
)
def test_whoever_predicts_says_that_its_seconds_were_converted(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATCOST_MACHINE", str(tmp_path / "m.json"))
    CliRunner().invoke(app, ["calibrate-machine"])
    (tmp_path / "a.cnf").write_text("p cnf 2 2\n1 2 0\n-1 2 0\n")
    (tmp_path / "a.icnf").write_text("a 1 0\na -1 0\n")
    names = ["a.cnf", "a.icnf"] if command.startswith("cubes") else ["a.cnf"]
    found = CliRunner().invoke(app, [*command.split(), *(str(tmp_path / name) for name in names)])
    assert found.exit_code == 0, found.output
    assert "seconds are those of the training machine times 2 (" in " ".join(found.stderr.split())
