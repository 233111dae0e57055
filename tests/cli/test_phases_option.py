import subprocess
import sys
from pathlib import Path

import pytest

from satcost_gnn.serve.phases import read_phases

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()", "predict"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def formula(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phases") / "small.cnf"
    path.write_text("p cnf 4 4\n1 -2 0\n2 3 0\n-1 -3 0\n1 2 3 0\n")
    return path


def test_phases_are_written_beside_the_prediction(formula: Path, tmp_path: Path) -> None:
    out = tmp_path / "phases.txt"
    done = run(formula, "--phases", out, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert '"status": "solved"' in done.stdout
    assert sorted(map(abs, read_phases(out))) == [1, 2, 3]
    before = out.read_text()
    again = run(formula, "--phases", out)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert out.read_text() == before


def test_several_files_and_standard_input_are_refused(formula: Path, tmp_path: Path) -> None:
    for paths, found in (([formula, formula.parent], "files"), (["-"], "standard input")):
        (formula.parent / "other.cnf").write_text(formula.read_text())
        done = run(*paths, "--phases", tmp_path / "out.txt")
        assert done.returncode == 2
        assert found in done.stderr
        assert done.stdout == ""
        assert not (tmp_path / "out.txt").exists()


def test_an_unreadable_file_has_no_phases(tmp_path: Path) -> None:
    (tmp_path / "bad.cnf").write_text("p cnf 1 1\none 0\n")
    done = run(tmp_path / "bad.cnf", "--phases", tmp_path / "out.txt")
    assert done.returncode == 1
    assert "--phases" in done.stderr
    assert not (tmp_path / "out.txt").exists()


def test_a_pipe_is_read_once_for_both_and_relaxed_holds_for_phases(formula: Path, tmp_path: Path) -> None:
    text = formula.read_text().replace("p cnf 4 4", "p cnf 4 9")
    for options, code in ((["--relaxed"], 0), ([], 1)):
        out = tmp_path / "phases.txt"
        command = [*COMMAND, "/dev/stdin", "--phases", str(out), "--overwrite", "--format", "jsonl", *options]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        if code:
            assert "--relaxed" in done.stderr
            continue
        assert '"status": "solved"' in done.stdout
        assert sorted(map(abs, read_phases(out))) == [1, 2, 3]
