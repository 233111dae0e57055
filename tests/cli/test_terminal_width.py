"""What people read fits their terminal: no row is broken in two, and the live line never scrolls."""

import os
import pty
import struct
import sys
import termios
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_command import ALL
from typer.testing import CliRunner

from satcost_gnn.cli import app, calibrate_machine
from satcost_gnn.cli.bench import Measure, bench_lines
from satcost_gnn.cli.explain import explanation_text
from satcost_gnn.cli.prediction_text import PredictionText
from satcost_gnn.cli.schedule import schedule_text
from satcost_gnn.cli.select import decision_text
from satcost_gnn.cli.solve import progress_text
from satcost_gnn.cli.terminal import shortened
from satcost_gnn.core.cost_text import cost_text, interval_text, probability_text
from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.observed import observed_up_to
from satcost_gnn.decide.run import Progress
from satcost_gnn.decide.schedule import schedule_of
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.solver_child import Glimpse
from satcost_gnn.decide.time_left import LONGER
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.runtime.plain_table import plain_table
from satcost_gnn.serve.explanation import Effect, Explanation
from satcost_gnn.serve.feature_groups import GROUPS
from satcost_gnn.serve.machine_speed import MachineSpeed
from satcost_gnn.serve.prediction import Prediction

NAME = "a-directory/with-a-rather-long-name-of-an-instance-that-somebody-has-chosen-1234567890.cnf.xz"
SOLVERS = ("cadical195", "maplechrono")
TRAINING = TrainingStatistics({"cadical195": 1.0, "maplechrono": 2.0}, dict.fromkeys(SOLVERS, 0.9), 10.0, 100)


def prediction(**changes: Any) -> Prediction:
    distribution = CostDistribution.normal(GRIDS["cpu_seconds"], np.log10([300.0, 0.5]), 0.4)
    fields: dict[str, Any] = {
        "path": NAME, "gbdhash": "0" * 32, "status": "ok", "unit": "cpu_seconds", "solvers": SOLVERS,
        "distribution": observed_up_to(distribution, 10.0), "source": "ensemble",
        "reason": "far outside the training distribution", "result": "", "in_distribution": False,
        "checkpoint": "satcost-v11", "cutoff": 3600.0,
    }  # fmt: skip
    return Prediction(**{**fields, **changes})


def texts() -> dict[str, str]:
    found = prediction()
    effects = tuple(Effect(group, 0.1 * k - 0.3, 0.01, 2.0) for k, group in enumerate(GROUPS))
    settings = SelectionSettings(cutoff_s=3600.0)
    return {
        "select": decision_text(decide(found, TRAINING, settings)),
        "select apart": decision_text(decide(prediction(in_distribution=True), TRAINING, settings)),
        "schedule": schedule_text(schedule_of(found, TRAINING, ScheduleSettings(time_limit_s=3600.0))),
        "explain": explanation_text(Explanation(found, "cadical195", 2.5, 1.0, effects, "what training knows")),
    }


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", sorted(texts()))
def test_texts_fit(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = texts()[name]
    # A path is what it is: nothing is cut out of it.
    for line in (line.replace(NAME, "").rstrip() for line in text.splitlines()):
        assert len(line) <= width, line


def test_names_are_on_one_line_whatever_they_hold() -> None:
    found = prediction(path="a-directory/two\nlines\udce9.cnf")
    explained = Explanation(found, "cadical195", 2.5, 1.0, (), "what training knows")
    for text in (
        decision_text(decide(found, TRAINING, SelectionSettings(cutoff_s=3600.0))),
        schedule_text(schedule_of(found, TRAINING, ScheduleSettings(time_limit_s=3600.0))),
        explanation_text(explained),
    ):
        assert text.startswith("a-directory/two\\x0alines\\xe9.cnf")


@pytest.mark.parametrize("width", [80, 120])
def test_blocks_of_predictions_fit(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    writer = PredictionText((10.0, 60.0, 3600.0))
    writer.write(prediction().rows((10.0, 60.0, 3600.0)))
    writer.write(prediction(distribution=None, status="error", reason="x.cnf:3: found 'p dnf'; " * 6).rows())
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    # A number and its unit are never on two lines.
    assert "about 500 ms (80 %: 150 ms to 1.7 s)" in text
    assert text.count("1234567890.cnf.xz: ") == 2 and text.count("costs") + text.count("CPU seconds") == 1


# Command -> what makes it print a table, or text of more than a line; every command is in one of the two lists.
TABLES = {
    "estimators": [],
    "solvers": [],
    "config": ["--set", 'data.solvers=["cadical195", "cadical195:unsat", "maplechrono", "mergesat3", "lingeling"]'],
    "cache info": [],
    "generate list": [],
    "dataset info": ["datasets/published"],
    "dataset check": ["datasets/published"],
    "cubes": ["CUBES", "--features", "static"],
}
# Their texts are tested above and below, or they print a path, a formula, an answer or messages.
OTHERS = {
    "predict", "select", "schedule", "explain", "bench", "calibrate-machine", "export", "solve", "batch-solve",
    "collect", "generate family", "generate cubes", "generate cnfgen", "generate recipe", "generate", "train",
    "train-phases", "fit-portfolio", "fit-monitor", "evaluate", "dataset split", "dataset card",
    "dataset import-runtimes",
    "dataset source-speed", "dataset export-aslib", "dataset", "cache clear", "cache",
}  # fmt: skip


def test_every_command_has_its_place() -> None:
    assert set(TABLES) | OTHERS == set(ALL) and not set(TABLES) & OTHERS


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", sorted(TABLES))
def test_tables_of_commands_fit(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(request.config.rootpath)
    cubes = tmp_path / "c.icnf"
    long = " ".join(map(str, range(2, 60)))
    cubes.write_text(f"p inccnf\n1 {long} 0\n-1 {long} 0\na 1 -2 0\na {long} 0\na -1 0\n")
    words = [str(cubes) if word == "CUBES" else word for word in TABLES[command]]
    done = CliRunner().invoke(app, [*command.split(), *words])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines or command == "dataset check"
    # A path is what it is.
    assert [line for line in lines if len(line) > width and not line.startswith("directory")] == []


@pytest.mark.parametrize("width", [80, 120])
def test_speeds_fit(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    machine = "Some(R) Processor With(TM) A Rather Long Name CPU @ 2.60GHz, 64 cores, 1024 GiB, Linux 6.1.0-13-amd64"
    figures = [Measure("a prediction of a formula of 20,000 clauses, first of a process", "milliseconds", 812.5, 97.25)]
    calibrate_machine._print(MachineSpeed(1.234567, 0.01, machine, machine, {}))
    said = "\n".join(bench_lines(machine, figures)) + "\n" + capsys.readouterr().out
    for line in said.splitlines():
        assert len(line) <= width, line


def test_a_table_is_broken_within_its_columns() -> None:
    rows = [("a-family-with-a-long-name", "made by a program", 12_345), ("b", "real", 7)]
    table = plain_table(("family", "where it is from", "instances"), rows, 36)
    assert table == [
        "family       where it is   instances",
        "             from",
        "a-family-    made by a         12345",
        "with-a-      program",
        "long-name",
        "b            real                  7",
    ]
    assert plain_table(("family", "where it is from", "instances"), rows, 80) == plain_table(
        ("family", "where it is from", "instances"), rows
    )
    # Numbers are whole whatever happens.
    assert all("12345" in "".join(plain_table(("n", "x"), [(12_345, "word " * 9)], width)) for width in (5, 10, 20))


def test_unknown_is_said_as_unknown() -> None:
    assert cost_text(float("nan"), 10.0) == cost_text(None, 10.0) == "> 10"
    assert cost_text(None) == "unknown" and cost_text(2.5, 10.0) == "2.5"
    assert probability_text(None) == probability_text(float("nan")) == "unknown" and probability_text(0.5) == "0.50"
    assert interval_text(None, None, 10.0) == "> 10" and interval_text(2.0, None, 10.0) == "2 – > 10"


def test_live_line_names_its_clocks() -> None:
    running = Glimpse(40.0, 120_000, 30, None, LONGER, False)
    text = progress_text(Progress(55.0, "solving", {"cadical195": running}))
    assert "55 s" in text and "40 CPU s" in text and LONGER in text
    late = replace(running, unknown="", remaining_s=(60.0, 40.0, 90.0), late=True)
    assert "60 (40 to 90) CPU s left, probably not within the limit" in progress_text(
        Progress(1.0, "solving", {"a": late})
    )
    assert "a is running" in progress_text(Progress(1.0, "solving", {"a": None}))


@pytest.mark.parametrize("width", [80, 120])
def test_live_line_stays_on_one_line_of_a_terminal(width: int) -> None:
    code = (
        "from satcost_gnn.cli.solve import LiveLine\n"
        "from satcost_gnn.decide.run import Progress\n"
        "from satcost_gnn.decide.solver_child import Glimpse\n"
        "seen = Glimpse(40.0, 10**9, 30, None, 'longer than anything in the training data', False)\n"
        "with LiveLine(True) as line:\n"
        "    for k in range(50):\n"
        "        line(Progress(k, 'solving', {f'a-solver-with-a-long-name-{i}': seen for i in range(3)}))\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("COLUMNS", None)
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(0.5)\n" + code])
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert os.waitpid(pid, 0)[1] == 0, shown.decode()
    text = shown.decode()
    assert "\n" not in text and len(text.split("\r")) > 50
    assert max(map(len, text.split("\r"))) < width
    assert shortened("abcdef", 4) == "abc…" and Path(NAME).suffix == ".xz"
