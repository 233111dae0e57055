"""`satcost select`, `schedule`, `solve` and `batch-solve` as processes; fallbacks on features keep them fast."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.cli.solve import model_lines, progress_text
from satcost_gnn.decide.run import Progress
from satcost_gnn.decide.solver_child import Glimpse
from satcost_gnn.formula.cnf import satisfies
from satcost_gnn.formula.dimacs import read_dimacs

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()"]
SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
HARD, EASY, BROKEN = (SAMPLES / name for name in ("golfer-4-3-5.cnf", "sudoku-9.cnf", "malformed.cnf"))


def satcost(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], input=stdin, capture_output=True, text=True, env=os.environ, check=False
    )


def test_select() -> None:
    done = satcost("select", HARD, EASY, BROKEN, "--json", "--estimator", "forest", "--cutoff", "20")
    assert done.returncode == 1
    found = {Path(one["path"]).name: one for one in map(json.loads, done.stdout.splitlines())}
    assert found["golfer-4-3-5.cnf"]["status"] == "selected"
    assert {row["solver"] for row in found["golfer-4-3-5.cnf"]["ranking"]} >= {found["golfer-4-3-5.cnf"]["chosen"]}
    assert found["sudoku-9.cnf"]["result"] == "SAT" and found["malformed.cnf"]["status"] == "error"
    text = satcost("select", HARD, "--estimator", "forest", "--solvers", "minisat22,glucose42", "--objective", "par10")
    assert text.returncode == 0
    assert "because" in text.stdout and "cadical195" not in text.stdout


def test_schedule(tmp_path: Path) -> None:
    done = satcost("schedule", HARD, EASY, "--json", "--time-limit", "30")
    assert done.returncode == 0, done.stderr
    together = json.loads(done.stdout)
    assert together["instances"] == 2 and together["time_limit_s"] == 30
    path = tmp_path / "schedules.csv"
    each = satcost("schedule", HARD, EASY, BROKEN, "--each", "--aslib", path)
    assert each.returncode == 1 and "nothing to run" in each.stdout and ":6" in each.stderr
    with path.open() as stream:
        assert {row["instanceID"] for row in csv.DictReader(stream)} == {str(HARD)}


@pytest.mark.slow
def test_solve(tmp_path: Path) -> None:
    done = satcost("solve", EASY)
    assert done.returncode == 10
    status, *lines = (line for line in done.stdout.splitlines() if not line.startswith("c "))
    # The single best at limits of an hour; for seconds it is another one.
    assert "c answered by kissat404" in done.stdout.splitlines()
    assert "c answered by cadical195" in satcost("solve", EASY, "--limit", "60").stdout.splitlines()
    assert status == "s SATISFIABLE" and all(line.startswith("v ") and len(line) <= 78 for line in lines)
    literals = [int(word) for line in lines for word in line.split()[1:]]
    assert literals[-1] == 0 and satisfies(read_dimacs(EASY), literals[:-1])
    report = tmp_path / "report.json"
    refuted = satcost("solve", HARD, "--json", report, "--live", "--proof", tmp_path / "proof")
    assert (refuted.returncode, refuted.stdout.partition("c ")[0]) == (20, "s UNSATISFIABLE\n")
    assert json.loads(report.read_text())["attempts"][-1]["status"] == "UNSAT"
    assert (tmp_path / "proof").stat().st_size > 0
    assert " s" in refuted.stderr
    # The limit lies within what the labels tell about.
    assert "nothing is known of costs above" not in refuted.stderr
    unknown = satcost("solve", SAMPLES / "queue-4-20.cnf", "--time=0.5", "-q")
    assert (unknown.returncode, unknown.stdout) == (0, "s UNKNOWN\n")
    from_input = satcost("solve", "-", "-n", "-q", stdin="p cnf 1 2\n1 0\n-1 0\n")
    assert (from_input.returncode, from_input.stdout) == (20, "s UNSATISFIABLE\n")
    assert from_input.stderr == ""
    broken = satcost("solve", BROKEN)
    assert broken.returncode == 1 and ":6" in broken.stderr and broken.stdout == ""


@pytest.mark.slow
def test_batch_solve_and_resume(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    done = satcost("batch-solve", HARD, EASY, BROKEN, "-o", path, "--cores", "2")
    assert done.returncode == 1
    # The limit lies within what the labels tell about.
    assert "is unknown" not in done.stderr
    with path.open() as stream:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(stream)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "golfer-4-3-5.cnf": "UNSAT",
        "sudoku-9.cnf": "SAT",
        "malformed.cnf": "error",
    }
    assert satcost("batch-solve", HARD, "-o", path).returncode == 2
    again = satcost("batch-solve", HARD, EASY, BROKEN, SAMPLES / "ordering-24.cnf", "-o", path, "--resume")
    # The row of the file that could not be read is still there.
    assert again.returncode == 1, again.stderr
    with path.open() as stream:
        assert len(list(csv.DictReader(stream))) == 4
    once_more = satcost("batch-solve", HARD, EASY, "-o", path, "--resume")
    assert once_more.returncode == 0 and "satcost: nothing was left to do" in once_more.stderr


@pytest.mark.slow
def test_interrupted_batch_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    words = ["batch-solve", str(SAMPLES / "golfer-4-3-5.cnf"), str(EASY), "-o", str(path)]
    process = subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (path.exists() and path.read_text().count("\n")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate()
    if process.returncode == 130:
        assert "to continue: satcost batch-solve" in printed
    else:
        # It was faster than the signal.
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["select", str(HARD), "--objective", "speed"], "expected-cost"),
        (["select", str(HARD), "--solvers", "nobody"], "cadical195"),
        (["select", str(HARD), "--risk", "-1"], "risk"),
        (["schedule", str(HARD), "--copula-correlation", "1"], "less than 1"),
        (["schedule", str(HARD), "--dependence", "1"], "less than 1"),
        (["schedule", str(HARD), "--cores", "2", "--aslib", "x.csv"], "--cores 1"),
        (["solve", str(HARD), "--time-limit", "0"], "--time-limit"),
        (["solve", str(HARD), "--solvers", "minisat22", "--proof", "x"], "proof"),
        (["solve", str(HARD), "--program", "cadical195"], "SOLVER=COMMAND"),
        (["batch-solve", str(HARD), "--minimise", "money"], "mean, total"),
        (["batch-solve", str(HARD), "--resume"], "-o"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], message: str) -> None:
    done = satcost(*arguments)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_model_lines_are_short_and_whole() -> None:
    lines = model_lines(np.arange(1, 200, dtype=np.int32))
    assert all(line.startswith("v ") and len(line) <= 78 for line in lines)
    assert " ".join(line[2:] for line in lines).split() == [*map(str, range(1, 200)), "0"]


def test_live_line_begins_with_the_elapsed_time_and_does_not_guess() -> None:
    seen = {"a": Glimpse(3.0, 12345, 67, (4.0, 2.0, 9.0)), "b": Glimpse(3.0, 5, 0, None), "c": None}
    text = progress_text(Progress(3.21, "solving", seen))
    assert text.startswith("3 s | ")
    assert "a 3 CPU s, 12,345 conflicts, 4 (2 to 9) CPU s left" in text
    assert "b 3 CPU s, 5 conflicts, time left unknown" in text and "c is running" in text
    assert progress_text(Progress(0.2, "probing")) == "0 s | probing"
