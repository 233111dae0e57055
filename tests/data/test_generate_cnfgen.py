"""cnfgen through its command: a stand-in on PATH for each way it can behave, and the real one where it is installed."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from satcost_gnn.data.generate import cnfgen, from_recipe
from satcost_gnn.errors import ConfigError, FormulaError, SolverError

HAVE_CNFGEN = shutil.which("cnfgen") is not None


def stand_in(directory: Path, monkeypatch: pytest.MonkeyPatch, body: str, version: str = "CNFgen (1.2.3)") -> None:
    """Put a ``cnfgen`` on PATH that prints a version when asked and runs ``body`` otherwise."""
    script = directory / "cnfgen"
    script.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{version}"; exit 0; fi\n{body}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_missing_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SolverError, match="not on PATH; install it"):
        cnfgen.generate(["php", "3", "2"])


def test_arguments_and_seed_reach_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, 'echo "c $*"; echo "p cnf 2 1"; echo "1 -2 0"; echo "$*" > "$0.seen"')
    formula = cnfgen.generate(["kcolor", "3", "gnp", "5 .5"], seed=9)
    assert formula.clauses() == [[1, -2]]
    assert (tmp_path / "cnfgen.seen").read_text() == "--quiet --seed 9 kcolor 3 gnp 5 .5\n"
    assert formula.source == "cnfgen:version=1.2.3,seed=9,args=kcolor 3 gnp '5 .5'"
    assert from_recipe(formula.source).to_dimacs() == formula.to_dimacs()
    assert from_recipe(formula.source).warnings == ()


def test_another_version_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, 'echo "p cnf 1 1"; echo "1 0"')
    formula = from_recipe("cnfgen:version=0.1,seed=0,args=php 3 2")
    assert formula.source == "cnfgen:version=0.1,seed=0,args=php 3 2"
    assert "cnfgen 1.2.3" in formula.warnings[-1]


def test_a_failing_command_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, 'echo "no such formula" >&2; exit 3')
    with pytest.raises(SolverError, match=r"exit status 3, saying 'no such formula'"):
        cnfgen.generate(["nonsense"])


def test_a_slow_command_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(cnfgen, "TIMEOUT_S", 0.2)
    with pytest.raises(SolverError, match=r"after 0\.2 s"):
        cnfgen.generate(["php", "3", "2"])


def test_rubbish_on_its_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, 'echo "hello world"')
    with pytest.raises(FormulaError):
        cnfgen.generate(["php", "3", "2"])


def test_a_file_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "cnfgen"
    script.write_bytes(b"\x7fELF not a program")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SolverError, match="cannot be run"):
        cnfgen.generate(["php", "3", "2"])


@pytest.mark.parametrize("text", ["cnfgen:php 3 2", "cnfgen:version=1,args=php", "cnfgen:version=1,seed=1,args="])
def test_wrong_recipes(text: str) -> None:
    with pytest.raises(ConfigError, match="args="):
        from_recipe(text)


def test_no_arguments() -> None:
    with pytest.raises(ConfigError, match="php 5 4"):
        cnfgen.generate([])


@pytest.mark.skipif(not HAVE_CNFGEN, reason="the cnfgen command is not installed")
def test_the_real_command() -> None:
    formula = cnfgen.generate(["php", "4", "3"], seed=1)
    assert (formula.n_vars, formula.n_clauses) == (12, 22)
    assert from_recipe(formula.source).to_dimacs() == formula.to_dimacs()
