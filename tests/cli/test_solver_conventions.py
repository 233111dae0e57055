"""`satcost solve` in the place of another solver: what it says when it is ended, and its options under their names."""

import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.decide.concurrent_runs import Progress
from satcost_gnn.decide.run import PortfolioSolver

HARD = Path(__file__).parents[2] / "datasets" / "samples" / "pigeonhole-5.cnf"


@pytest.mark.parametrize("quiet", [False, True])
def test_sigterm_is_answered_with_what_has_been_done(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def ended(self, path, on_progress, begin):
        on_progress(Progress(1.0, "solving", {"cadical195": None}))
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on after a SIGTERM")

    monkeypatch.setattr(PortfolioSolver, "solve", ended)
    done = CliRunner().invoke(app, ["solve", str(HARD), *(["-q"] if quiet else [])])
    assert done.exit_code == 143
    *comments, status = done.stdout.splitlines()
    assert status == "s UNKNOWN"
    assert bool(comments) is not quiet
    if not quiet:
        assert "c caught signal SIGTERM" in comments and "c running: cadical195" in comments
        assert all(line.startswith("c ") for line in comments)
    assert signal.getsignal(signal.SIGTERM) is before


def test_proof_as_second_argument_and_input_without_a_name(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    done = CliRunner().invoke(app, ["solve", str(HARD), str(proof), "--time=60"])
    assert done.exit_code == 20 and f"c proof written to {proof}" in done.stdout.splitlines()
    assert proof.stat().st_size > 0
    both = CliRunner().invoke(app, ["solve", str(HARD), str(proof), "--proof", str(tmp_path / "other")])
    assert "expected one of them" in str(both.exception)
    piped = CliRunner().invoke(app, ["solve", "-q", "-n"], input=HARD.read_text())
    assert (piped.exit_code, piped.stdout) == (20, "s UNSATISFIABLE\n")


# What CPMpy's write_dimacs writes: no header, and names of variables as comments.
CPMPY = """c File written by CPMpy
c     Format: 'cnf'
c 1 px=1
c 2 px=2
c 3 BV512
1 2 0
-1 -2 0
-1 0
-3 2 0
"""


def test_a_formula_without_a_header_and_with_names_as_comments(tmp_path: Path) -> None:
    path = tmp_path / "model.cnf"
    path.write_text(CPMPY)
    done = CliRunner().invoke(app, ["solve", "-q", str(path)])
    assert done.exit_code == 10
    values = [int(word) for line in done.stdout.splitlines() if line.startswith("v ") for word in line.split()[1:]]
    assert {-1, 2} <= set(values) and values[-1] == 0 and len(values) == 4


def test_a_proof_as_text(tmp_path: Path) -> None:
    binary, text = tmp_path / "binary", tmp_path / "text"
    assert CliRunner().invoke(app, ["solve", "-q", str(HARD), str(binary)]).exit_code == 20
    assert CliRunner().invoke(app, ["solve", "-q", str(HARD), str(text), "--no-binary"]).exit_code == 20
    assert b"\0" in binary.read_bytes()
    steps = [line.split() for line in text.read_text("ascii").splitlines()]
    assert ["0"] in steps and all(step[-1] == "0" for step in steps)
