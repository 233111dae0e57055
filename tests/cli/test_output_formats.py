"""One spelling of machine-readable output everywhere; the old ones still work, and say what they are called now."""

import json
from pathlib import Path

import pytest
from every_command import ALL
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.messages import start_messages
from satcost_gnn.cli.options import TABLE_FORMATS, chosen_format
from satcost_gnn.cli.solve import SolveOptions
from satcost_gnn.errors import ConfigError

TELLING = (
    "predict", "select", "explain", "cubes", "schedule", "solve", "batch-solve", "calibrate-machine", "dataset info",
    "dataset check", "dataset source-speed", "estimators", "solvers", "generate list", "cache info", "config", "train",
    "evaluate",
)  # fmt: skip
SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


@pytest.mark.parametrize("name", TELLING)
def test_every_command_that_tells_something_has_both_options(name: str) -> None:
    options = {option: param for param in ALL[name].params for option in param.opts}
    assert options["--json"].is_flag and not options["--format"].is_flag


@pytest.mark.parametrize("name", ALL)
def test_limits_and_memory_have_one_name(name: str) -> None:
    options = {option for param in ALL[name].params for option in param.opts}
    assert not options & {"--time-limit", "--memory-limit", "--cpu", "--live"}


def test_formats(capsys: pytest.CaptureFixture[str]) -> None:
    start_messages()
    assert chosen_format("text", False) == "text" and chosen_format("text", True) == "json"
    assert chosen_format("auto", True, TABLE_FORMATS) == "json" and chosen_format("csv", False, TABLE_FORMATS) == "csv"
    assert not capsys.readouterr().err
    assert chosen_format("jsonl", False, TABLE_FORMATS) == "json" and chosen_format("table", False) == "text"
    told = capsys.readouterr().err
    assert "--format jsonl is now called json" in told and "--format table is now called text" in told
    with pytest.raises(ConfigError, match="expected text or json"):
        chosen_format("xml", False)
    with pytest.raises(ConfigError, match="both"):
        chosen_format("csv", True, TABLE_FORMATS)


def solve_options(*words: str) -> tuple[SolveOptions, str]:
    """Return what `satcost solve` reads from a command line, and what it says meanwhile."""
    found: list[SolveOptions] = []
    renamed = ({"--time-limit": "--limit"}, {"--json": "--report"})
    start_messages()
    made = command_app("solve", SolveOptions, lambda options: found.append(options) or 0, *renamed)
    result = CliRunner().invoke(made, list(words))
    assert result.exit_code == 0, result.output
    return found[0], result.output


def test_old_names_still_work_and_are_told() -> None:
    now, said = solve_options("x.cnf", "--time-limit", "7")
    assert now.limit == 7.0 and "--time-limit is now called --limit" in said
    same, said = solve_options("x.cnf", "--limit=7")
    assert same == now and not said
    for words in (("x.cnf", "--json", "out"), ("--json", "out", "x.cnf"), ("x.cnf", "--json=out")):
        found, said = solve_options(*words)
        assert (found.path, found.report, found.as_json) == ("x.cnf", Path("out"), False)
        assert "--json is now called --report" in said
    for words in (("x.cnf", "--json"), ("--json", "x.cnf"), ("x.cnf", "--json", "--no-model")):
        found, said = solve_options(*words)
        assert (found.path, found.report, found.as_json) == ("x.cnf", None, True) and not said


@pytest.mark.parametrize("words", ["estimators", "solvers", "generate list random-ksat"])
def test_lists_as_json(words: str) -> None:
    result = CliRunner().invoke(app, [*words.split(), "--json"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows and all(row.keys() == rows[0].keys() for row in rows)
    text = CliRunner().invoke(app, words.split()).stdout
    assert all(next(iter(row.values())) in text for row in rows)


def test_an_answer_as_json() -> None:
    result = CliRunner().invoke(app, ["solve", str(SAMPLES / "sudoku-9.cnf"), "--json"])
    assert result.exit_code == 10, result.output
    found = json.loads(result.stdout)
    assert found["status"] == "SAT" and len(found["model"]) > 100


def test_a_batch_as_text() -> None:
    words = ["batch-solve", str(SAMPLES / "sudoku-9.cnf"), str(SAMPLES / "malformed.cnf"), "--format", "text"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    for start in (f"{SAMPLES / 'malformed.cnf'}:6: found 'four'", f"{SAMPLES / 'sudoku-9.cnf'}: SAT by "):
        assert any(line.startswith(start) for line in lines)


def test_problems_of_a_data_set_as_json() -> None:
    result = CliRunner().invoke(app, ["dataset", "check", str(SAMPLES.parent / "kissat"), "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"problems": []})


def test_a_missing_data_set_is_wrong_usage(tmp_path: Path) -> None:
    for name in ("nowhere", ""):
        result = CliRunner().invoke(app, ["dataset", "check", str(tmp_path / name)])
        assert isinstance(result.exception, Exception) and "expected a data set" in str(result.exception)
