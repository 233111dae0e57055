"""What callers do to the standard streams of a command, and to the names of its files."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from satcost_gnn import cli
from satcost_gnn.runtime.output_lock import locked

SOLVER = "cadical195"
SAT = "p cnf 3 2\n1 2 0\n-1 3 0\n"


def shell(words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of the shell in which `satcost` is ours."""
    code = "from satcost_gnn.cli import main; main()"
    text = f'satcost() {{ "{sys.executable}" -c "{code}" "$@"; }}\nset -o pipefail\n{words}'
    return subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.cnf").write_text(SAT)
    return tmp_path


@pytest.mark.parametrize("words", ["solvers", "generate recipe random-ksat:k=3,n=50,ratio=4.0,seed=1", "--help"])
def test_a_full_or_closed_standard_output_is_an_error_in_one_line(folder, words):
    for where in ("> /dev/full", ">&-"):
        done = shell(f"satcost {words} {where}", folder)
        assert done.returncode == 1, (where, done.stderr)
        assert done.stderr.startswith("satcost: standard output cannot be written: ") and done.stderr.count("\n") == 1


def test_an_answer_that_is_lost_is_not_a_success(folder):
    done = shell("satcost solve a.cnf > /dev/full", folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "No space left" in done.stderr


def test_a_reader_that_has_had_enough_ends_it_in_silence(folder):
    done = shell("satcost generate recipe random-ksat:k=3,n=20000,ratio=4.0,seed=1 | head -1", folder)
    assert done.stdout == "p cnf 20000 80000\n" and done.stderr == "" and done.returncode == 1


def test_closed_streams_that_are_not_needed_are_no_obstacle(folder):
    done = shell("satcost predict a.cnf -o a.jsonl >&- 2>&- <&-", folder)
    assert done.returncode == 0
    assert json.loads((folder / "a.jsonl").read_text().splitlines()[0])["path"] == "a.cnf"
    done = shell("satcost solve a.cnf 2>&- <&-", folder)
    assert done.returncode == 10 and done.stdout.startswith("s SATISFIABLE\n")
    assert shell("satcost solve missing.cnf 2> /dev/full", folder).returncode == 1
    done = shell("satcost solve - <&-", folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_standard_output_may_be_any_stream_of_the_caller(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["satcost", "predict", str(folder / "a.cnf"), "--solvers", SOLVER])
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert json.loads(stream.getvalue())["solver"] == SOLVER


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C.UTF-8"},
    ],
)
def test_what_a_stream_cannot_encode_is_escaped(folder, locale):
    name = os.fsdecode(b"\xc3\xa9-m\xe9.cnf")
    (folder / "a.cnf").rename(folder / name)
    done = shell(f"satcost predict *.cnf --format table --solvers {SOLVER}; satcost select *.cnf", folder, **locale)
    assert "Traceback" not in done.stderr and done.returncode == 0, done.stderr
    assert "m\\xe9.cnf" in done.stdout


def test_names_that_are_no_text_get_rows_everywhere(folder):
    (folder / "c").mkdir()
    for name in (b"a", b"m\xe9", b"z"):
        Path(os.fsdecode(os.fsencode(folder / "c") + b"/" + name + b".cnf")).write_text(SAT)
    Path(os.fsdecode(os.fsencode(folder / "c") + b"/q\xe9.cnf")).write_text("p cnf x\n")
    expected = ["c/a.cnf", "c/m\\xe9.cnf", "c/q\\xe9.cnf", "c/z.cnf"]
    for command in (f"predict --solvers {SOLVER}", "batch-solve --time-limit 5"):
        for suffix in ("csv", "jsonl", "parquet"):
            path = folder / f"{command.split()[0]}.{suffix}"
            for resume in ("", "--resume"):
                done = shell(f"satcost {command} c -o {path.name} {resume}", folder)
                assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
            if suffix == "parquet":
                rows = pq.read_table(path).to_pylist()
            elif suffix == "csv":
                rows = list(csv.DictReader(path.read_text().splitlines()))
            else:
                rows = [json.loads(line) for line in path.read_text().splitlines()]
            assert sorted(row["path"] for row in rows) == expected
            assert [row["path"] for row in rows if row["status"] == "error"] == ["c/q\\xe9.cnf"]
    done = shell("ls c/*.cnf > list; satcost predict @list --solvers cadical195 --format csv", folder)
    assert done.returncode == 1 and [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == expected


def test_collect_takes_names_that_are_no_text_and_finds_them_again(folder):
    (folder / "a.cnf").rename(folder / os.fsdecode(b"m\xe9.cnf"))
    (folder / "bad.cnf").write_text("p cnf x\n")
    for _ in range(2):
        # The file that can't be read is left out, each time.
        done = shell("satcost collect . -o set --cpu 1", folder)
        assert done.returncode == 1 and "Traceback" not in done.stderr and "bad.cnf" in done.stderr, done.stderr
    assert pq.read_table(folder / "set" / "manifest.parquet").column("path").to_pylist() == ["m\\xe9.cnf"]
    assert pq.read_table(folder / "set" / "runs.parquet").num_rows == 1
    done = shell("satcost collect set --root . -o set --cpu 1 --solvers glucose42", folder)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(folder / "set" / "runs.parquet").column("status").to_pylist() == ["SAT", "SAT"]
    assert shell("satcost dataset check set --root .", folder).stderr.count("m\\xe9") == 0


def test_collect_names_files_by_where_they_were_found_whatever_links_there_are(folder):
    real, farm = folder / "real" / "family", folder / "farm"
    real.mkdir(parents=True)
    farm.mkdir()
    (folder / "a.cnf").rename(real / "a.cnf")
    (folder / "link").symlink_to(real)
    (farm / "b.cnf").symlink_to(real / "a.cnf")
    (farm / "circle.cnf").symlink_to("circle.cnf")
    (farm / "dangling.cnf").symlink_to("nowhere.cnf")
    done = shell("satcost collect link/a.cnf -o one --cpu 1", folder)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "one" / "manifest.parquet").select(["path", "family"]).to_pylist()
    assert rows == [{"path": "a.cnf", "family": "family"}]
    done = shell("satcost collect farm -o two --cpu 1", folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "circle.cnf" in done.stderr and "dangling.cnf" in done.stderr
    rows = pq.read_table(folder / "two" / "manifest.parquet").select(["path", "family"]).to_pylist()
    assert rows == [{"path": "b.cnf", "family": "family"}]


def test_an_evaluation_has_one_process(folder):
    with locked(folder / "out"):
        done = shell("satcost evaluate . -o out", folder)
    assert done.returncode == 2 and f"process {os.getpid()}" in done.stderr


def test_the_index_of_a_directory_keeps_the_rows_of_all_who_write_there(folder):
    both = " & ".join(f"satcost generate random-ksat -o set --set n=20 -n 3 --seed {seed}" for seed in (0, 10, 20))
    done = shell(f"{both}; wait", folder)
    assert "Traceback" not in done.stderr
    index = (folder / "set" / "INDEX.csv").read_text().splitlines()
    assert len(index) == 10, (done.stderr, index)
    assert sorted(path.name for path in (folder / "set").iterdir() if path.name.startswith(".")) == []


class OnlyText:
    """What some callers put in place of standard output: it takes text, and knows neither descriptor nor terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("kind", [OnlyText, io.StringIO])
@pytest.mark.parametrize(
    "words",
    [
        "predict a.cnf --format text",
        "predict a.cnf",
        "predict a.cnf --format csv",
        "select a.cnf",
        "solvers",
        "explain a.cnf",
    ],
)
def test_streams_without_a_descriptor(folder, monkeypatch, kind, words):
    monkeypatch.chdir(folder)
    output, messages = kind(), kind()
    monkeypatch.setattr("sys.argv", ["satcost", *words.split()])
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(messages), pytest.raises(SystemExit) as ended:
        cli.main()
    told = [one.text if isinstance(one, OnlyText) else one.getvalue() for one in (output, messages)]
    assert ended.value.code == 0 and "Traceback" not in told[1] and told[0].count("\n") >= 1, told
