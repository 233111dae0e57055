import bz2
import csv
import gzip
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.prediction_table import COLUMNS

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()", "predict"]
SOLVERS = Checkpoint.open().config.solvers


def random_3sat(n: int, ratio: float = 4.26, seed: int = 0) -> str:
    rng = random.Random(seed)
    clauses = [
        " ".join(str(v * rng.choice((-1, 1))) for v in rng.sample(range(1, n + 1), 3)) for _ in range(int(ratio * n))
    ]
    return f"p cnf {n} {len(clauses)}\n" + "".join(f"{clause} 0\n" for clause in clauses)


def run(*arguments: str | Path, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def json_rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "hard.cnf").write_text(random_3sat(250, 4.6, seed=3))
    (folder / "easy.cnf").write_text("p cnf 3 3\n1 -2 0\n2 3 0\n-1 -3 0\n")
    return folder


def test_rows_for_every_solver(good: Path) -> None:
    done = run(good, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    rows = json_rows(done.stdout)
    assert Counter(Path(row["path"]).name for row in rows) == {"hard.cnf": len(SOLVERS), "easy.cnf": len(SOLVERS)}
    for row in rows:
        assert list(row) == list(COLUMNS)
        assert row["cost_unit"] == "conflicts"
        # What is unknown lies above what the labels tell about.
        levels = [row[name] for name in ("q05", "q25", "q50", "q75", "q95")]
        numbers = [value for value in levels if value is not None]
        assert numbers[0] >= 0 and numbers == sorted(numbers) and numbers[-1] <= row["known_up_to"]
        assert levels == numbers + [None] * (5 - len(numbers))
        assert 0 <= row["p_solved"] <= 1 and 0 <= row["p_above"] <= 1
        assert len(row["gbdhash"]) == 32
    hard = [row for row in rows if row["path"].endswith("hard.cnf")]
    assert {row["status"] for row in hard} == {"ok"}
    assert {row["source"] for row in hard} == {"ensemble"}
    easy = [row for row in rows if row["path"].endswith("easy.cnf")]
    assert {(row["status"], row["source"], row["result"]) for row in easy} == {
        ("solved", "search", "SAT"),
        ("ok", "relative_cost", "SAT"),
    }


def test_same_input_gives_the_same_prediction(good: Path) -> None:
    columns = ("solver", "q05", "q50", "q95", "p_solved", "source")
    first, second = (
        [[row[name] for name in columns] for row in json_rows(run(good / "hard.cnf", "--format", "jsonl").stdout)]
        for _ in range(2)
    )
    assert first == second and first


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_output_by_suffix(good: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    done = run(good, "-o", path, "--unit", "cpu_seconds", "--solvers", SOLVERS[0], "--cutoff", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    if suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif suffix == ".csv":
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    else:
        rows = json_rows(path.read_text())
    assert [row["solver"] for row in rows] == [SOLVERS[0]] * 2
    assert {row["cost_unit"] for row in rows} == {"cpu_seconds"}
    assert {float(row["cutoff"]) for row in rows} == {5.0}


def test_standard_input_and_compressed_files(tmp_path: Path) -> None:
    text = random_3sat(30, 3.0)
    (tmp_path / "a.cnf.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b.cnf.bz2").write_bytes(bz2.compress(text.encode()))
    (tmp_path / "c.cnf.xz").write_bytes(lzma.compress(text.encode()))
    done = run(tmp_path, "-", "--format", "jsonl", "--solvers", SOLVERS[0], stdin=text)
    assert done.returncode == 0, done.stderr
    rows = json_rows(done.stdout)
    assert len(rows) == 4
    assert len({row["gbdhash"] for row in rows}) == 1


def test_table_on_request(good: Path) -> None:
    done = run(good, "--format", "table")
    assert done.returncode == 0
    assert "hard.cnf" in done.stdout and "median" in done.stdout and SOLVERS[-1] in done.stdout


def test_every_bad_file_gets_a_row_and_every_good_one_a_prediction(tmp_path: Path) -> None:
    text = random_3sat(40, 4.0)
    bad: dict[str, bytes] = {
        "empty.cnf": b"",
        "binary.cnf": bytes(range(256)) * 20,
        "truncated.cnf.xz": lzma.compress(text.encode())[:60],
        "range.cnf": b"p cnf 2 1\n1 2147483648 0\n",
        "header_only.cnf": b"p cnf 5 3\n",
        "no_final_zero.cnf": b"p cnf 2 1\n1 2\n",
        "token.cnf": b"p cnf 2 2\n1 2 0\n1 x 0\n",
    }
    good = {"zero_variables.cnf": b"p cnf 0 0\n", "fine.cnf": text.encode(), "percent.cnf": b"p cnf 1 1\n1 0\n%\n0\n"}
    for name, content in {**bad, **good}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "directory.cnf").mkdir()
    listing = tmp_path / "list.txt"
    listing.write_text("\n".join(str(tmp_path / name) for name in [*bad, *good, "missing.cnf"]) + "\n")
    done = run(f"@{listing}", "-j", "2", "--format", "jsonl")
    assert done.returncode == 1
    rows = json_rows(done.stdout)
    errors = {Path(row["path"]).name: row for row in rows if row["status"] == "error"}
    assert set(errors) == {*bad, "missing.cnf"}
    for name, row in errors.items():
        assert name in row["error"]
        assert row["solver"] == "" and row["q50"] is None
    assert "token.cnf:3" in errors["token.cnf"]["error"]
    predicted = Counter(Path(row["path"]).name for row in rows if row["status"] != "error")
    assert predicted == dict.fromkeys(good, len(SOLVERS))
    assert f"{len(errors)} of" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_read_permission(tmp_path: Path) -> None:
    path = tmp_path / "closed.cnf"
    path.write_text("p cnf 1 1\n1 0\n")
    path.chmod(0)
    done = run(path, "--format", "jsonl")
    assert done.returncode == 1
    assert "permission" in json_rows(done.stdout)[0]["error"].lower()


def test_resume_after_a_kill_ends_with_every_row_once(tmp_path: Path) -> None:
    folder = tmp_path / "cnf"
    folder.mkdir()
    for k in range(12):
        (folder / f"i{k:02d}.cnf").write_text(random_3sat(150, seed=k))
    path = tmp_path / "out.jsonl"
    process = subprocess.Popen([*COMMAND, str(folder), "-o", str(path)], stderr=subprocess.DEVNULL)
    while process.poll() is None and (not path.exists() or path.read_text().count("\n") < 2 * len(SOLVERS)):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(folder, "-o", path).returncode == 2
    done = run(folder, "-o", path, "--resume")
    assert done.returncode == 0, done.stderr
    rows = json_rows(path.read_text())
    assert Counter(Path(row["path"]).name for row in rows) == {f"i{k:02d}.cnf": len(SOLVERS) for k in range(12)}
    assert len({(row["path"], row["solver"]) for row in rows}) == len(rows)


def test_interrupt_prints_how_to_continue(tmp_path: Path) -> None:
    folder = tmp_path / "cnf"
    folder.mkdir()
    # Each takes long enough for the interrupt to come in the middle.
    for k in range(40):
        (folder / f"i{k:02d}.cnf").write_text(random_3sat(320, seed=k))
    path = tmp_path / "out.csv"
    process = subprocess.Popen([*COMMAND, str(folder), "-o", str(path)], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and (not path.exists() or path.read_text().count("\n") < 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate()
    assert process.returncode == 130
    assert "to continue: satcost predict" in printed and "--resume" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unit", "parsecs"], "conflicts"),
        (["--solvers", "nosuch"], SOLVERS[0]),
        (["--checkpoint", "nosuch"], "nosuch"),
        (["--estimator", "oracle"], "forest"),
        (["--resume"], "-o"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_was_expected(good: Path, arguments: list[str], message: str) -> None:
    done = run(good, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_directory_without_formulas_is_wrong_usage(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "found no CNF files" in done.stderr


def test_checkpoint_of_another_preprocessing_is_refused(good: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-v1"
    shutil.copytree(Checkpoint.open().directory, copy)
    config = json.loads((copy / "config.json").read_text())
    config["feature_versions"]["static"] = "0"
    (copy / "config.json").write_text(json.dumps(config))
    Checkpoint.seal(copy)
    done = run(good, "--checkpoint", str(copy))
    assert done.returncode == 2
    assert "version of static: 0, here 1" in done.stderr


def test_the_limit_says_how_far_the_early_search_goes(good: Path) -> None:
    survived = {}
    for limit in ("10", "3600"):
        done = run(good / "hard.cnf", "--format", "json", "--limit", limit, "--estimator", "forest")
        assert done.returncode == 0, done.stderr
        survived[limit] = {row["solver"]: row["survived"] for row in json_rows(done.stdout)}["cadical195"]
    assert 200 <= survived["10"] < survived["3600"] >= 20_000
    wrong = run(good / "hard.cnf", "--limit", "-1")
    assert wrong.returncode == 2


def test_without_a_search_nothing_is_run_and_the_structure_is_read(good: Path, tmp_path: Path) -> None:
    done = run(good, "--format", "json", "--no-search")
    assert done.returncode == 0, done.stderr
    rows = json_rows(done.stdout)
    assert {row["source"] for row in rows} == {"forest"} and {row["status"] for row in rows} == {"ok"}
    assert all(row["q50"] is not None and not row["survived"] for row in rows)
    # Nothing is passed over that was not asked for.
    assert "predicted by" not in done.stderr
    # A table that was begun with a search is not continued without one.
    table = tmp_path / "rows.csv"
    assert run(good, "-o", str(table)).returncode == 0
    mixed = run(good, "-o", str(table), "--resume", "--no-search")
    assert mixed.returncode == 2 and "search" in mixed.stderr


def test_without_a_search_renamed_copies_and_other_searches_are_alike(tmp_path: Path) -> None:
    formula = "p cnf 3 4\n1 -2 0\n2 3 0\n-1 -3 0\n1 2 3 0\n"
    (tmp_path / "a.cnf").write_text(formula)
    done = [run(tmp_path / "a.cnf", "--format", "json", "--no-search", "--limit", limit) for limit in ("10", "3600")]
    first, second = (json_rows(one.stdout) for one in done)
    assert [row["q50"] for row in first] == [row["q50"] for row in second]
