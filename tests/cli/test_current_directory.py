"""No module is ever taken from the current directory."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

# Modules that must not run write down their names; `posix` is built in.
MARKER = """import posix
f = posix.open({record!r}, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND)
posix.write(f, (__name__ + "\\n").encode())
posix.close(f)
raise ImportError("taken from the current directory: " + __name__)
"""
# What a console script is: its directory, not the current one, is looked at first.
SCRIPT = "import sys\nfrom satcost_gnn.cli import main\nsys.argv[0] = 'satcost'\nmain()\n"
API = """import sys
from satcost_gnn.serve.predictor import Predictor
with Predictor.from_checkpoint() as predictor:
    assert predictor.predict("a.cnf").status != "error"
    assert [found.status for found in predictor.predict_many(["a.cnf"], jobs=2)] != ["error"]
"""


SPAWN = """import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from satcost_gnn.runtime.interpreter import safe_path

if __name__ == "__main__":
    with safe_path(), ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
    assert "PYTHONSAFEPATH" not in os.environ
"""


class Place:
    """A directory of formulas in which a module of every name there is lies about."""

    def __init__(self, directory: Path) -> None:
        self.cnf = directory / "cnf"
        self.cnf.mkdir()
        self.record = directory / "taken"
        names = {*sys.stdlib_module_names, *packages_distributions(), "satcost_gnn", "sitecustomize", "usercustomize"}
        text = MARKER.format(record=str(self.record))
        for name in names:
            if name.isidentifier():
                (self.cnf / f"{name}.py").write_text(text)
        (self.cnf / "a.cnf").write_text("p cnf 3 3\n1 2 0\n-1 3 0\n-2 -3 0\n")
        self.script = directory / "bin" / "script.py"
        self.script.parent.mkdir()

    def run(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.script.write_text(program)
        self.record.unlink(missing_ok=True)
        return subprocess.run(
            [sys.executable, str(self.script), *arguments],
            cwd=self.cnf,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def taken(self) -> list[str]:
        return self.record.read_text().split() if self.record.exists() else []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def test_a_marker_is_written_where_python_takes_modules_from(place: Place) -> None:
    place.script.write_text("")
    subprocess.run([sys.executable, "-c", "import random"], cwd=place.cnf, capture_output=True, check=False)
    assert "random" in place.taken()


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "a.cnf", "--solvers", "cadical195"],
        ["solve", "a.cnf", "--time-limit", "60"],
        ["batch-solve", "a.cnf", "--time-limit", "60"],
        ["select", "a.cnf"],
        ["schedule", "a.cnf"],
        ["explain", "a.cnf"],
        ["collect", "a.cnf", "-o", "../set", "--cpu", "5", "--jobs", "2"],
        ["generate", "random-ksat", "-o", "../gen", "-n", "1"],
        ["solvers"],
    ],
    ids=lambda words: words[0],
)
def test_commands(place: Place, arguments: list[str]) -> None:
    done = place.run(SCRIPT, *arguments)
    assert place.taken() == []
    assert done.returncode in (0, 10), done.stderr


def test_empty_parts_of_the_python_path_count_for_nothing(place: Place) -> None:
    # For Python they are the current directory; what the command's own interpreter makes of them is not ours to say.
    program = f"import os\nos.environ['PYTHONPATH'] = {os.pathsep!r}\n{SCRIPT}"
    done = place.run(program, "predict", "a.cnf", "--solvers", "cadical195")
    assert place.taken() == []
    assert done.returncode == 0, done.stderr


def test_processes_that_libraries_start(place: Place) -> None:
    done = place.run(SPAWN)
    assert place.taken() == []
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_workers_of_ray(place: Place) -> None:
    done = place.run(SCRIPT, "collect", "a.cnf", "-o", "../ray", "--cpu", "5", "--jobs", "1", "--executor", "ray")
    assert place.taken() == []
    assert done.returncode == 0, done.stderr


def test_run_as_a_module(tmp_path: Path) -> None:
    # What Python itself loads before it comes to the package is not ours to say.
    record = tmp_path / "taken"
    for name in ("numpy", "pysat", "random", "json", "argparse"):
        (tmp_path / f"{name}.py").write_text(MARKER.format(record=str(record)))
    command = [sys.executable, "-m", "satcost_gnn", "solvers"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not record.exists()
    assert done.returncode == 0 and "cadical195" in done.stdout, done.stderr


def test_api(place: Place) -> None:
    done = place.run(API)
    assert place.taken() == []
    assert done.returncode == 0, done.stderr
