"""The SLURM scripts of the documentation, as they stand there, run by what starts each task of the array."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from satcost_gnn.data.dataset import Dataset

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "clusters.md").read_text()
FOUND = re.findall(r"^```sh\n(#!.*?--job-name=(\S+).*?)^```", PAGE, re.M | re.S)
SCRIPTS = {name: code for code, name in FOUND}
FAKE = ROOT / "tests" / "search" / "fake_solver.py"
TASKS = 2
# Each is answered at once by every solver.
FORMULAS = {f"{k}.cnf": f"p cnf {k} 2\n{k} {-k} 0\n1 0\n" for k in range(1, 7)}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """What the scripts find under /shared: formulas, a list of them, a solver."""
    shared = tmp_path / "shared"
    (shared / "cnf").mkdir(parents=True)
    (shared / "bin").mkdir()
    for name, text in FORMULAS.items():
        (shared / "cnf" / name).write_text(text)
    (shared / "list.txt").write_text("".join(f"{shared}/cnf/{name}\n" for name in FORMULAS))
    kissat = shared / "bin" / "kissat"
    kissat.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} solve "$2"\n')
    kissat.chmod(0o755)
    return shared


def sbatch(script: str, shared: Path) -> list[subprocess.Popen[str]]:
    """Start the tasks of an array job; of the script only places and sizes are others."""
    assert "/shared/" in script and re.search(r"^#SBATCH --array=0-\d+$", script, re.M)
    code = script.replace("/shared", str(shared)).replace("--jobs 8", "--jobs 1").replace("--limit 1000", "--limit 10")
    path = shared / "script.sh"
    path.write_text(code)
    path.chmod(0o755)
    found = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return [
        subprocess.Popen(
            [path],
            cwd=shared,
            env={
                **os.environ,
                "PATH": found,
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_COUNT": str(TASKS),
                "SLURM_JOB_ID": str(100 + task),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for task in range(TASKS)
    ]


def end(tasks: list[subprocess.Popen[str]]) -> None:
    for task in tasks:
        said, _ = task.communicate(timeout=300)
        assert task.returncode == 0, said


def test_there_are_two() -> None:
    assert set(SCRIPTS) == {"satcost", "satcost-predict"}


@pytest.mark.slow
def test_tasks_collect_each_run_once_also_after_a_kill(shared: Path) -> None:
    first, second = sbatch(SCRIPTS["satcost"], shared)
    journal = shared / "datasets" / "mine" / "journal"
    # As soon as something is measured, a node dies and takes one of the tasks along.
    while not any(path.stat().st_size for path in journal.glob("*.jsonl")) and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    end([second])
    # The same script again does what is left, and merges what the dead task has measured.
    end(sbatch(SCRIPTS["satcost"], shared))
    dataset = Dataset.open(shared / "datasets" / "mine")
    solvers = {"cadical195", "glucose42", "maplechrono", "kissat"}
    runs = Counter((run.instance, run.solver) for run in dataset.runs)
    assert {solver for _, solver in runs} == solvers
    assert len(runs) == len(FORMULAS) * len(solvers) and set(runs.values()) == {1}
    assert {row.path for row in dataset.manifest} == set(FORMULAS)


@pytest.mark.slow
def test_tasks_predict_each_file_once_also_when_submitted_again(shared: Path) -> None:
    end(sbatch(SCRIPTS["satcost-predict"], shared))
    tables = sorted((shared / "costs").glob("*.parquet"))
    assert [path.stem for path in tables] == [str(task) for task in range(TASKS)]
    before = [path.read_bytes() for path in tables]
    rows = pq.read_table(shared / "costs").to_pylist()
    each = Counter((Path(row["path"]).name, row["solver"]) for row in rows)
    assert set(each.values()) == {1} and {name for name, _ in each} == set(FORMULAS)
    assert all(row["status"] != "error" for row in rows)
    end(sbatch(SCRIPTS["satcost-predict"], shared))
    assert [path.read_bytes() for path in tables] == before
