"""Every option of every command that names a file or a directory to write: what must not be written is refused."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.errors import OutputError

SOLVER = "cadical195"
UNSAT = "p cnf 2 4\n1 2 0\n-1 2 0\n1 -2 0\n-1 -2 0\n"
SAT = "p cnf 2 2\n1 2 0\n-1 2 0\n"
SHIPPED = Path(__file__).parents[2] / "datasets"

# Words of a command in which {} is what it would write to, a file; IN is a formula that is there.
WRITES_A_FILE = {
    "predict": "predict IN -o {}",
    "predict --phases": "predict IN --phases {} --overwrite",
    "batch-solve": "batch-solve IN -o {}",
    "export": "export IN -o {}",
    "export --gbd": "export IN --gbd {}",
    "solve --proof": "solve IN --proof {}",
    "solve --report": "solve IN --report {}",
    "cubes": "cubes IN CUBES -o {} --overwrite",
    "explain": "explain IN --plot {}",
    "predict --plot": "predict IN --plot {}",
    "schedule --plot": "schedule IN --plot {}",
    "schedule": "schedule IN --aslib {}",
    "calibrate": "calibrate-machine -o {}",
    "recipe": "generate recipe random-ksat:k=3,n=20,ratio=4.26,seed=7 -o {}",
    "cnfgen": "generate cnfgen php 3 2 -o {}",
    "dataset info": "dataset info IN --plot {}",
}
WRITES_A_DIRECTORY = {
    "collect": "collect IN -o {}",
    "generate": "generate random-ksat -o {}",
    "generate cubes": "generate cubes --from IN -k 1 -o {}",
    "evaluate": "evaluate DATASET -o {}",
    "evaluate --aslib": "evaluate --aslib DATASET -o {}",
}


def ending_of(words: str) -> str:
    """Return how the name of what a command writes must end."""
    return ".svg" if "--plot" in words else ".csv"


def refused(words: str, output: Path, folder: Path) -> str:
    formula, cubes = folder / "in.cnf", folder / "cubes.txt"
    if not formula.exists():
        formula.write_text(UNSAT)
    cubes.write_text("1 0\n-1 0\n")
    places = {"IN": str(formula), "CUBES": str(cubes), "DATASET": str(folder), "{}": str(output)}
    done = CliRunner().invoke(app, [places.get(word, word) for word in words.split()])
    assert isinstance(done.exception, OutputError), done.exception
    return str(done.exception)


@pytest.mark.parametrize("words", WRITES_A_FILE.values(), ids=WRITES_A_FILE)
def test_a_directory_and_a_place_that_cannot_be_are_refused_for_a_file(tmp_path, words):
    ending = ending_of(words)
    (tmp_path / f"d{ending}").mkdir()
    (tmp_path / "file").touch()
    assert "directory" in refused(words, tmp_path / f"d{ending}", tmp_path)
    assert "cannot be written" in refused(words, tmp_path / "file" / f"x{ending}", tmp_path)


@pytest.mark.parametrize("words", [words for words in WRITES_A_FILE.values() if "--plot" in words])
def test_a_picture_of_an_unknown_format_is_refused(tmp_path, words):
    assert "expected a name that ends in .svg, .png or .pdf" in refused(words, tmp_path / "picture.gif", tmp_path)


def test_the_former_name_of_a_plot_still_works(tmp_path, capsys):
    directory = next(SHIPPED.glob("*/runs.parquet")).parent
    picture = tmp_path / "h.svg"
    done = CliRunner().invoke(app, ["dataset", "info", str(directory), "--histogram", str(picture)])
    assert done.exit_code == 0 and picture.stat().st_size > 1000
    assert "--histogram is now called --plot" in done.stderr + capsys.readouterr().err


@pytest.mark.parametrize("words", [words for name, words in WRITES_A_FILE.items() if name not in ("recipe", "cnfgen")])
def test_a_formula_is_kept_by_all_that_writes_something_else(tmp_path, words):
    other = tmp_path / f"x{ending_of(words)}"
    other.write_text(SAT)
    message = refused(words, other, tmp_path)
    assert other.read_text() == SAT
    assert "formula" in message or "exists" in message


@pytest.mark.parametrize("words", WRITES_A_DIRECTORY.values(), ids=WRITES_A_DIRECTORY)
def test_a_file_is_refused_for_a_directory(tmp_path, words):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        refused(words, place, tmp_path)
    assert (tmp_path / "file").read_text() == "x"


def test_the_places_of_a_training_are_looked_at_first(tmp_path):
    (tmp_path / "file").touch()
    config = (SHIPPED.parent / "configs" / "small.toml").read_text()
    lines = [
        f'directory = "{tmp_path}/file/x"' if line.startswith("directory") else line for line in config.split("\n")
    ]
    (tmp_path / "c.toml").write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["train", "--config", str(tmp_path / "c.toml")])
    assert isinstance(done.exception, OutputError) and "directory" in str(done.exception)


def command(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    code = "from satcost_gnn.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, **options
    )


def test_proofs_and_reports_go_into_fifos_and_devices_and_the_answer_stands(tmp_path):
    formula = tmp_path / "f.cnf"
    formula.write_text(UNSAT)
    os.mkfifo(tmp_path / "p")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "p").read_bytes()))
    reader.start()
    done = command("solve", formula, "--proof", tmp_path / "p", "--report", "/dev/full")
    reader.join(timeout=60)
    assert done.returncode == 20 and "s UNSATISFIABLE" in done.stdout, done.stderr
    assert got[0] and (tmp_path / "p").is_fifo()
    assert "--report" in done.stderr and "No space" in done.stderr and "Traceback" not in done.stderr
    made = command("solve", formula, "--proof", tmp_path / "a" / "b" / "p.drat")
    assert made.returncode == 20 and (tmp_path / "a" / "b" / "p.drat").stat().st_size > 0, made.stderr
    shutil.rmtree(tmp_path / "a")
    lost = command("solve", formula, "--proof", "/dev/full", "--report", tmp_path / "new" / "x.json")
    assert lost.returncode == 20 and "s UNSATISFIABLE" in lost.stdout and "proof is lost" in lost.stderr
    assert (tmp_path / "new" / "x.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.cnf", "new", "p"]


def test_an_input_is_no_output_by_any_name(tmp_path):
    formula = tmp_path / "f.txt"
    formula.write_text(SAT)
    (tmp_path / "hard.csv").hardlink_to(formula)
    (tmp_path / "list.csv").write_text(f"{formula}\n")
    for words in (
        ["predict", formula, "-o", tmp_path / "hard.csv", "--overwrite"],
        ["predict", f"@{tmp_path / 'list.csv'}", "-o", tmp_path / "list.csv", "--overwrite"],
        ["solve", formula, "--report", tmp_path / "hard.csv"],
    ):
        done = CliRunner().invoke(app, list(map(str, words)))
        assert isinstance(done.exception, OutputError)
    with formula.open() as stdin:
        done = command("solve", "-", "--report", formula, stdin=stdin)
    assert done.returncode == 2 and formula.read_text() == SAT


def test_a_table_of_a_data_set_is_no_picture(tmp_path):
    for name in ("manifest.parquet", "runs.parquet"):
        shutil.copy(next(SHIPPED.glob(f"*/{name}")), tmp_path / name)
    before = (tmp_path / "runs.parquet").read_bytes()
    words = ["dataset", "info", str(tmp_path), "--plot", str(tmp_path / "runs.parquet")]
    assert isinstance(CliRunner().invoke(app, words).exception, OutputError)
    assert (tmp_path / "runs.parquet").read_bytes() == before


def test_outputs_and_data_sets_may_have_names_that_are_no_utf8(tmp_path):
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xe9s"))
    place.mkdir()
    (place / "f.cnf").write_text(SAT)
    for words in (
        f"predict {place}/f.cnf -o {place}/p.parquet --estimator constant",
        f"predict {place} -o {place}/p.parquet --estimator constant --resume",
        f"batch-solve {place} -o {place}/b.parquet --limit 5",
        f"collect {place}/f.cnf -o {place}/set --limit 5 --solvers {SOLVER}",
        f"dataset split {place}/set",
        f"dataset check {place}/set",
        f"export {place}/p.parquet -o {place}/e.csv",
        f"export {place}/p.parquet --gbd {place}/g.db",
    ):
        done = CliRunner().invoke(app, words.split(" "))
        assert done.exit_code == 0, (words, done.exception, done.output)
    names = {"f.cnf", "p.parquet", "b.parquet", "set", "e.csv", "g.db"}
    assert {path.name for path in place.iterdir()} == names
