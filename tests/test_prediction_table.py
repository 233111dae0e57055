import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from satcost_gnn.errors import ConfigError
from satcost_gnn.prediction_table import COLUMNS, open_output

SUFFIXES = [".jsonl", ".csv", ".parquet"]


def rows(path: str, solvers: int = 2, **extra: Any) -> list[dict[str, Any]]:
    return [
        {"path": path, "solver": f"s{k}", "status": "ok", "q50": 10.0 + k, "in_distribution": True, **extra}
        for k in range(solvers)
    ]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream))
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, names: list[str], **options: bool) -> set[str]:
    writer, done = open_output(path, resume=options.get("resume", False), overwrite=False, rows_per_instance=2)
    with writer:
        for name in names:
            if name not in done:
                writer.write(rows(name))
    return done


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a", "b"])
    found = read(path)
    assert [row["path"] for row in found] == ["a", "a", "b", "b"]
    assert list(found[0]) == list(COLUMNS)
    assert [float(row["q50"]) for row in found] == [10, 11, 10, 11]
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_output_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a"])
    with pytest.raises(ConfigError, match="--resume"):
        write(path, ["b"])
    assert {row["path"] for row in read(path)} == {"a"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_resume_continues_a_finished_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, ["a"])
    assert write(path, ["a", "b"], resume=True) == {"a"}
    assert [row["path"] for row in read(path)] == ["a", "a", "b", "b"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_resume_after_a_kill_in_the_middle_of_a_row(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    writer, _ = open_output(path, resume=False, overwrite=False, rows_per_instance=2)
    writer.write(rows("a"))
    # What a killed process leaves: one whole row of "b", and half of its second.
    writer.write(rows("b", solvers=1))
    live = tmp_path / f"out{suffix}.partial.jsonl" if suffix == ".parquet" else path
    with live.open("a") as stream:
        stream.write('{"path": "b", "sol' if suffix != ".csv" else "b,hash,s")
    if suffix != ".parquet":
        writer.close()
    else:
        writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert write(path, ["a", "b", "c"], resume=True) == {"a"}
    assert [row["path"] for row in read(path)] == ["a", "a", "b", "b", "c", "c"]


def test_error_row_counts_as_done(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer, _ = open_output(path, resume=False, overwrite=False, rows_per_instance=4)
    with writer:
        writer.write([{"path": "bad", "status": "error", "error": "empty"}])
    again, done = open_output(path, resume=True, overwrite=False, rows_per_instance=4)
    again.close()
    assert done == {"bad"}


def test_not_a_number_is_null_in_json(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer, _ = open_output(path, resume=False, overwrite=False, rows_per_instance=1)
    with writer:
        writer.write(rows("a", solvers=1, q95=float("inf"), q05=float("nan")))
    assert read(path)[0]["q95"] is None and read(path)[0]["q05"] is None


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.jsonl, \.csv or \.parquet"):
        open_output(tmp_path / "out.txt", resume=False, overwrite=False, rows_per_instance=1)
