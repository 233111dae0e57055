import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from satcost_gnn.decide.batch import BATCH_COLUMNS
from satcost_gnn.errors import ConfigError, OutputError
from satcost_gnn.runtime.output_lock import locked
from satcost_gnn.runtime.tables.resumable_table import description_of, open_table
from satcost_gnn.runtime.tables.row_writers import CsvWriter, JsonLinesWriter, StreamSink
from satcost_gnn.runtime.tables.table_kind import TableKind
from satcost_gnn.serve.prediction_table import COLUMNS

SUFFIXES = [".jsonl", ".csv", ".parquet"]
SOLVERS = ("s0", "s1")


def kind(**changes: Any) -> TableKind:
    unit = changes.get("unit", "conflicts")
    values: dict[str, Any] = {
        "command": "predict",
        "columns": COLUMNS,
        "unit": unit,
        "cutoff": 1e5,
        "checkpoint": "c-v1 0123",
        "solvers": SOLVERS,
        "rows_per_instance": 2,
        "row_values": {"cost_unit": unit, "cutoff": changes.get("cutoff", 1e5)},
        "solver_column": True,
    }
    return TableKind(**{**values, **changes})


BATCH = TableKind("batch-solve", BATCH_COLUMNS, "cpu_seconds", 60.0, "c-v1 0123", SOLVERS)


def rows(path: str, solvers: int = 2, **extra: Any) -> list[dict[str, Any]]:
    common = {"cost_unit": "conflicts", "cutoff": 1e5, "in_distribution": True}
    return [
        {"path": path, "solver": f"s{k}", "status": "ok", "q50": 10.0 + k, **common, **extra} for k in range(solvers)
    ]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream))
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(path: Path) -> list[str]:
    return [row["path"] for row in read(path)]


def write(path: Path, wanted: list[str], resume: bool = False, overwrite: bool = False, **changes: Any) -> set[str]:
    table = open_table(path, kind(**changes), resume=resume, overwrite=overwrite)
    with table.writer as writer:
        for name in table.left(wanted):
            writer.write(rows(name))
    return set(table.statuses)


def interrupted(path: Path, wanted: list[str], *, torn: str = "", rows_of_last: int = 2) -> Path:
    """Leave what a killed process leaves; return the file that the rows are in."""
    writer = open_table(path, kind(), resume=False, overwrite=False).writer
    for name in wanted[:-1]:
        writer.write(rows(name))
    writer.write(rows(wanted[-1], rows_of_last))
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    live = path.with_name(path.name + ".partial.jsonl") if path.suffix == ".parquet" else path
    with live.open("a") as stream:
        stream.write(torn)
    return live


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(path: Path, match: str, resume: bool = True, **changes: Any) -> None:
    """Check that a table is refused twice, with the same words, and that nothing changes."""
    before = contents(path.parent)
    said = []
    for _ in range(2):
        with pytest.raises(OutputError, match=match) as error:
            write(path, ["new"], resume=resume, **changes)
        said.append(str(error.value))
        assert contents(path.parent) == before
    assert said[0] == said[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"out{suffix}"
    write(path, ["a", "b"])
    found = read(path)
    assert [row["path"] for row in found] == ["a", "a", "b", "b"]
    assert list(found[0]) == list(COLUMNS)
    assert [float(row["q50"]) for row in found] == [10, 11, 10, 11]
    described = [] if suffix == ".parquet" else [f".out{suffix}.satcost.json"]
    assert sorted(contents(path.parent)) == [*described, path.name]
    if suffix == ".parquet":
        about = json.loads(pq.read_schema(path).metadata[b"satcost_table"])
    else:
        about = json.loads(description_of(path).read_text())
    assert about["command"] == "predict" and about["unit"] == "conflicts" and about["cutoff"] == 1e5
    assert about["checkpoint"] == "c-v1 0123" and about["columns"] == list(COLUMNS) and about["solvers"] == [*SOLVERS]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_output_is_refused_and_replaced_on_demand(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.touch()
    write(path, ["a"])
    refused(path, "--resume", resume=False)
    write(path, ["b"], overwrite=True, unit="cpu_seconds", row_values={})
    assert set(names(path)) == {"b"}
    assert write(path, [], resume=True, unit="cpu_seconds", row_values={}) == {"b"}


def test_a_partial_file_is_guarded_like_a_finished_one(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    partial = interrupted(path, ["a", "b"])
    refused(path, "interrupted run", resume=False)
    refused(path, "unit", unit="cpu_seconds")
    assert write(path, ["a", "b", "c"], resume=True) == {"a", "b"}
    assert names(path) == ["a", "a", "b", "b", "c", "c"] and not partial.exists()
    interrupted(tmp_path / "other.parquet", ["a"])
    write(tmp_path / "other.parquet", ["b"], overwrite=True)
    assert set(names(tmp_path / "other.parquet")) == {"b"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_resume_continues_a_finished_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a"])
    assert write(path, ["a", "b"], resume=True) == {"a"}
    assert names(path) == ["a", "a", "b", "b"]
    (tmp_path / "link.csv").symlink_to(path.name)
    assert write(path, ["c"], resume=True) == {"a", "b"}
    if suffix == ".csv":
        assert write(tmp_path / "link.csv", ["d"], resume=True) == {"a", "b", "c"}
        assert (tmp_path / "link.csv").is_symlink() and names(path)[-1] == "d"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("torn", ["", '{"path": "b", "sol', 'b,hash,s"1', 'b,"hash, half a quoted field'])
def test_resume_after_a_kill_in_the_middle_of_an_instance(tmp_path: Path, suffix: str, torn: str) -> None:
    path = tmp_path / f"out{suffix}"
    interrupted(path, ["a", "b"], rows_of_last=1, torn=torn)
    assert write(path, ["a", "b", "c"], resume=True) == {"a"}
    assert names(path) == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_resume_of_what_was_killed_at_its_first_row(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    live = interrupted(whole, ["a"])
    data = live.read_bytes()
    head = len(data) - len(b"".join(data.splitlines(keepends=True)[-2:]))
    for size in sorted({0, 1, 9, head // 2, max(head - 1, 0), head, head + 1, head + 20}):
        path = tmp_path / str(size) / f"out{suffix}"
        part = interrupted(path, ["x"])
        part.write_bytes(data[:size])
        assert write(path, ["a"], resume=True) == set()
        assert names(path) == ["a", "a"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_last_line_without_its_end_is_kept_if_it_is_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a", "b"])
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert write(path, ["c"], resume=True) == {"a", "b"}
    assert names(path) == ["a", "a", "b", "b", "c", "c"]
    table = open_table(path, kind(), resume=True, overwrite=False)
    with table.writer as writer:
        writer.write([{"path": "d", "status": "error", "error": "it is empty, they say"}])
    path.write_bytes(path.read_bytes()[:-6])
    assert write(path, ["d"], resume=True) == {"a", "b", "c"}
    assert read(path)[-1]["status"] == "ok"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_its_description_is_known_by_its_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a"])
    if suffix == ".parquet":
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    else:
        description_of(path).unlink()
    for changes in ({"unit": "cpu_seconds"}, {"cutoff": 7.0}, {"solvers": ("s0", "s2")}):
        refused(path, "found", **changes)
    assert write(path, ["b"], resume=True) == {"a"}
    assert names(path) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "cpu_seconds"},
        {"cutoff": 7.0},
        {"checkpoint": "c-v1 4567"},
        {"solvers": ("s0",), "rows_per_instance": 1},
        {"settings": {"estimator": "forest"}},
        {"columns": {**COLUMNS, "more": (str, "")}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_table_of_another_run_is_refused(tmp_path: Path, suffix: str, changes: dict[str, Any]) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a", "b"])
    refused(path, "estimator" if "settings" in changes else "|".join(changes), **changes)
    table = open_table(path, kind(), resume=True, overwrite=False)
    table.writer.close()
    assert set(table.statuses) == {"a", "b"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_of_another_command_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a"])
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(OutputError):
            open_table(path, BATCH, resume=True, overwrite=False)
        assert contents(tmp_path) == before
        if suffix != ".parquet":
            description_of(path).unlink(missing_ok=True)
            before = contents(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "text",
    [
        b"no final line end",
        b"one line\nno final line end",
        b"one line\nanother\n",
        b"\n",
        b'{"path": "x"',
        b'{"path": "x", "status": "ok"}\n',
        b"[1]\n",
        b"path,status\nx,ok\n",
        b"p cnf 1 1\n1 0\n",
        b"\xff\xfe\x00binary\x00\n" * 3,
        b"PAR1 but then rubbish",
    ],
)
def test_what_is_no_table_of_ours_is_never_changed(tmp_path: Path, suffix: str, text: bytes) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_bytes(text)
    refused(path, "out")


def test_labels_of_a_data_set_are_never_continued_with_predictions(tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    pq.write_table(pa.table({"instance": ["a"]}).replace_schema_metadata({"satcost_table": "runs"}), path)
    refused(path, "instance")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bad_line_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    live = interrupted(path, ["a", "b", "c"])
    lines = live.read_bytes().splitlines(keepends=True)
    first = 0 if suffix == ".jsonl" else 1
    other = lines[first + 2].replace(b"conflicts", b"cpu_seconds")
    for number, line in (
        (first + 3, b"rubbish\n"),
        (first + 3, b"\n"),
        (first + 3, b"\xff" + lines[first + 2]),
        (first + 3, b'"' + lines[first + 2]),
        (first + 3, lines[first + 2][:40] + b"\n"),
        (first + 3, other),
        # Twice the same row, an instance again, and one that has lost a row.
        (first + 4, lines[first + 2]),
        (first + 5, lines[first]),
        (first + 4, b""),
    ):
        live.write_bytes(b"".join([*lines[: number - 1], line, *lines[number:]]))
        refused(path, f"{live.name}:{number}: ")
    live.write_bytes(b"".join(lines))
    assert write(path, ["d"], resume=True) == {"a", "b", "c"}


def test_a_finished_table_is_reopened_beside_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write(path, [str(k) for k in range(3000)])
    code = (
        "import os, sys\nsys.path.insert(0, sys.argv[2])\nimport test_resumable_table as t\nfrom pathlib import Path\n"
        "from satcost_gnn.runtime.tables import row_writers\nfull = row_writers.FileSink.write\ncalls = []\n"
        "def write(self, text):\n    full(self, text[: len(text) // 2])\n    calls.append(1)\n"
        "    len(calls) > 1 and os.kill(os.getpid(), 9)\n    full(self, text[len(text) // 2 :])\n"
        "row_writers.FileSink.write = write\nt.write(Path(sys.argv[1]), ['new'], resume=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(Path(__file__).parent)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(write(path, ["new"], resume=True)) == 3000
    assert names(path) == [str(k) for k in range(3000) for _ in SOLVERS] + ["new", "new"]
    assert sorted(contents(tmp_path)) == ["out.parquet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_process_writes_an_output_and_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    code = (
        "import sys\nfrom pathlib import Path\nfrom satcost_gnn.runtime.output_lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    try:
        for options in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputError, match=rf"process {other.pid} on .* since \d{{4}}-"):
                write(path, ["a"], **options)
    finally:
        other.kill()
        other.communicate()
    # What the killed process has left is taken over.
    assert (tmp_path / f".out{suffix}.lock").exists()
    write(path, ["a"])
    assert not (tmp_path / f".out{suffix}.lock").exists()
    writer = open_table(path, kind(), resume=True, overwrite=False).writer
    with pytest.raises(OutputError, match=str(os.getpid())):
        write(path, ["a"], resume=True)
    writer.close()
    write(path, ["a"], resume=True)


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    held, order = threading.Event(), []

    def hold() -> None:
        with locked(tmp_path / "x"):
            held.set()
            order.append(1)

    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(tmp_path / "x"))
        waiting = threading.Thread(target=lambda: [stack2.enter_context(locked(tmp_path / "x", wait=True))])
        with contextlib.ExitStack() as stack2:
            waiting.start()
            order.append(0)
            stack.close()
            waiting.join(timeout=20)
            assert not waiting.is_alive()
    hold()
    assert held.is_set() and order == [0, 1] and list(tmp_path.iterdir()) == []


def test_error_rows_count_as_done_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_table(path, kind(), resume=False, overwrite=False).writer as writer:
        writer.write([{"path": "bad", "status": "error", "error": "empty"}])
        writer.write(rows("good"))
    again = open_table(path, kind(), resume=True, overwrite=False)
    again.writer.close()
    assert again.left(["good", "bad", "new"]) == ["new"]
    assert again.failed(["good", "bad", "new"]) == 1 and again.failed(["good"]) == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_are_no_text_have_rows_and_are_found_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    strange = [os.fsdecode(b"m\xe9.cnf"), "a\nb.cnf", "back\\xe9.cnf", "é.cnf"]
    write(path, strange)
    assert names(path)[::2] == ["m\\xe9.cnf", "a\\x0ab.cnf", "back\\x5cxe9.cnf", "é.cnf"]
    table = open_table(path, kind(), resume=True, overwrite=False)
    table.writer.close()
    assert table.left([*strange, "new"]) == ["new"]
    assert names(path)[::2] == ["m\\xe9.cnf", "a\\x0ab.cnf", "back\\x5cxe9.cnf", "é.cnf"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_messages_are_written_on_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with open_table(path, kind(), resume=False, overwrite=False).writer as writer:
        writer.write([{"path": "a", "status": "error", "error": f'one,\n"two" {os.fsdecode(b"m" + bytes([233]))}'}])
    assert read(path)[0]["error"] == 'one, "two" m\\xe9'
    assert write(path, ["b"], resume=True) == {"a"}


def test_not_a_number_is_null_in_json(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_table(path, kind(), resume=False, overwrite=False).writer as writer:
        writer.write(rows("a", q95=float("inf"), q05=float("nan")))
    assert read(path)[0]["q95"] is None and read(path)[0]["q05"] is None


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.jsonl, \.csv or \.parquet"):
        write(tmp_path / "out.txt", [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_go_into_a_fifo(tmp_path: Path, suffix: str) -> None:
    fifo, copy = tmp_path / f"fifo{suffix}", tmp_path / f"copy{suffix}"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: copy.write_bytes(fifo.read_bytes()))
    reader.start()
    write(fifo, ["a", "b"])
    reader.join(timeout=20)
    assert names(copy) == ["a", "a", "b", "b"] and fifo.is_fifo()
    with pytest.raises(OutputError, match="nothing to resume"):
        write(fifo, ["a"], resume=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_takes_nothing_that_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    code = (
        "import resource, signal, sys\nsys.path.insert(0, sys.argv[2])\nimport test_resumable_table as t\n"
        "from pathlib import Path\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "t.write(Path(sys.argv[1]), [str(k) for k in range(100)])\n"
    )
    command = [sys.executable, "-c", code, str(path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "OutputError" in done.stderr and "--resume" in done.stderr
    left = write(path, [str(k) for k in range(100)], resume=True)
    assert 0 < len(left) < 100
    assert names(path) == [str(k) for k in range(100) for _ in SOLVERS]


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    stream = io.StringIO()
    with JsonLinesWriter(StreamSink(stream), COLUMNS) as writer:
        writer.write(rows("a"))
    with CsvWriter(StreamSink(stream), COLUMNS) as writer:
        writer.write(rows("b"))
    assert len(stream.getvalue().splitlines()) == 5
