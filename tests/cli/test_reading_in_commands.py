"""How every command reads: warnings are shown, short files refused, pipes read, gaps in the numbering harmless."""

import csv
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.data.schema import read_manifest

EASY = b"p cnf 3 3\n1 2 0\n-1 3 0\n-2 -3 0\n"
SHORT = EASY.replace(b"3 3", b"3 8")
ODD = EASY.replace(b"3 3", b"2 1")
SPARSE = b"p cnf 20000000 3\n1 -20000000 0\n-1 20000000 0\n2 20000000 0\n"
CUBES = b"a 1 0\na -1\n0\n"

# Command -> its arguments for an input, and the exit code where all goes well.
COMMANDS: dict[str, tuple[Callable[[str, Path], list[str]], int]] = {
    "predict": (lambda name, place: ["predict", name, "-o", str(place / "rows.csv"), "--overwrite"], 0),
    "select": (lambda name, _: ["select", name, "--estimator", "forest"], 0),
    "schedule": (lambda name, _: ["schedule", name], 0),
    "explain": (lambda name, _: ["explain", name, "--estimator", "forest"], 0),
    "solve": (lambda name, _: ["solve", name, "--time-limit", "60"], 10),
    "batch-solve": (lambda name, place: ["batch-solve", name, "-o", str(place / "rows.csv"), "--overwrite"], 0),
    "collect": (lambda name, place: ["collect", name, "-o", str(place / "set"), "--cpu", "5"], 0),
    "cubes": (lambda name, place: ["cubes", name, str(place / "c.icnf")], 0),
    "generate cubes": (lambda name, place: ["generate", "cubes", "--from", name, "-k", "1", "-o", str(place / "g")], 0),
}


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@contextmanager
def pipe_with(data: bytes) -> Iterator[str]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        stream.write(data)
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)


@pytest.mark.parametrize("command", COMMANDS)
def test_pipes_warnings_and_short_files(command: str, tmp_path: Path) -> None:
    make, good = COMMANDS[command]
    (tmp_path / "c.icnf").write_bytes(CUBES)
    with pipe_with(ODD) as name:
        found = call(*make(name, tmp_path))
    assert found.exit_code == good, found.output
    assert "the header announces 2 variables, the clauses use 3" in found.stderr
    assert "the header announces 1 clauses, the file has 3" in found.stderr
    short = tmp_path / "short.cnf"
    short.write_bytes(SHORT)
    refused = call(*make(str(short), tmp_path))
    # On a terminal it may be broken into lines.
    said = " ".join((refused.output + str(refused.exception)).split())
    assert refused.exit_code in (1, 2), refused.output
    assert "announces 8 clauses, the file has 3; it may be truncated" in said
    taken = (
        call(*make(str(short), tmp_path / "relaxed"), "--relaxed")
        if command != "cubes"
        else call(*make(str(short), tmp_path), "--relaxed")
    )
    assert taken.exit_code == good, taken.output
    assert "announces 8 clauses, the file has 3" in taken.stderr


@pytest.mark.parametrize("command", ["predict", "solve", "batch-solve", "collect", "cubes"])
def test_standard_input(command: str, tmp_path: Path) -> None:
    make, good = COMMANDS[command]
    (tmp_path / "c.icnf").write_bytes(CUBES)
    found = CliRunner().invoke(app, make("-", tmp_path), input=EASY)
    assert found.exit_code == good, found.output
    if command == "collect":
        (row,) = read_manifest(tmp_path / "set" / "manifest.parquet")
        assert row.path is None and row.n_clauses == 3


@pytest.mark.parametrize("command", ["select", "schedule", "explain", "solve"])
def test_json_has_the_warnings(command: str, tmp_path: Path) -> None:
    make, good = COMMANDS[command]
    odd = tmp_path / "odd.cnf"
    odd.write_bytes(ODD)
    found = call(*make(str(odd), tmp_path), "--json")
    assert found.exit_code == good, found.output
    warnings = json.loads(found.stdout)["warnings"]
    assert len(warnings) == 2 and "announces 2 variables" in " ".join(warnings)


def test_a_schedule_for_several_files_names_those_with_warnings(tmp_path: Path) -> None:
    (tmp_path / "odd.cnf").write_bytes(ODD)
    (tmp_path / "even.cnf").write_bytes(EASY)
    found = call("schedule", str(tmp_path), "--json")
    warnings = json.loads(found.stdout)["warnings"]
    assert len(warnings) == 2 and all(warning.startswith(f"{tmp_path / 'odd.cnf'}: ") for warning in warnings)


def test_predictions_have_a_column_of_warnings(tmp_path: Path) -> None:
    odd, even, listing = tmp_path / "odd.cnf", tmp_path / "even.cnf", tmp_path / "list"
    odd.write_bytes(ODD)
    even.write_bytes(EASY)
    listing.write_bytes(f"\ufeff{odd}\r\n{even}\r\n".encode())
    out = tmp_path / "rows.csv"
    assert call("predict", f"@{listing}", "-o", str(out), "--solvers", "cadical195").exit_code == 0
    with out.open(newline="") as stream:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(stream)}
    assert list(rows["odd.cnf"])[-1] == "warnings"
    assert "announces 2 variables" in rows["odd.cnf"]["warnings"] and not rows["even.cnf"]["warnings"]


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("solve", "cubes", "generate cubes")])
def test_empty_names_are_wrong_usage(command: str, tmp_path: Path) -> None:
    make, _ = COMMANDS[command]
    for name in ("", "@"):
        found = call(*make(name, tmp_path))
        assert "found an empty file name" in found.output + str(found.exception)
        assert found.exit_code != 0


def test_bad_names_get_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = tmp_path / "good.cnf"
    good.write_bytes(EASY)
    names = ["x" * 300, f"@{tmp_path}/none", f"{tmp_path}/none/*.cnf", str(good), str(tmp_path / "gone.cnf")]
    out = tmp_path / "rows.jsonl"
    found = call("predict", *names, "-o", str(out), "--solvers", "cadical195")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert found.exit_code == 1
    assert [row["path"] for row in rows if row["status"] == "solved"] == [str(good)]
    assert {row["path"]: bool(row["error"]) for row in rows if row["status"] == "error"} == dict.fromkeys(
        [name for name in names if name != str(good)], True
    )


def test_solve_waits_for_a_pipe_no_longer_than_its_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[Result] = []
    thread = threading.Thread(target=lambda: found.append(call("solve", str(pipe), "--time-limit", "1")), daemon=True)
    thread.start()
    thread.join(60)
    assert found and found[0].exit_code == 0
    assert found[0].stdout.startswith("s UNKNOWN\nc ") and "reading ran out of time" in found[0].stderr


def test_gaps_in_the_numbering_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sparse.cnf"
    path.write_bytes(SPARSE)
    assert call("solve", str(path), "--time-limit", "60", "-q").stdout == "s SATISFIABLE\nv 1 2 20000000 0\n"
    out = tmp_path / "rows.jsonl"
    call("predict", str(path), "-o", str(out), "--solvers", "cadical195")
    row = json.loads(out.read_text())
    assert row["status"] == "solved" and row["result"] == "SAT"
    cubes = tmp_path / "c"
    cubes.write_text("a 20000000 1 0\na 5\n-1 0\n")
    for features in ("probe", "static"):
        listed = call("cubes", str(path), str(cubes), "--features", features, "--format", "json")
        assert listed.exit_code == 0, listed.output
        assert [row["literals"] for row in json.loads(listed.stdout)["rows"]] == ["20000000 1", "5 -1"]


def test_clauses_with_the_cubes_must_be_the_formulas(tmp_path: Path) -> None:
    formula, both = tmp_path / "f.cnf", tmp_path / "both.icnf"
    formula.write_bytes(EASY)
    both.write_bytes(b"p inccnf\n" + EASY.split(b"\n", 1)[1] + CUBES)
    assert call("cubes", str(formula), str(both), "--features", "static").exit_code == 0
    both.write_bytes(b"p inccnf\n1 2 0\n" + CUBES)
    found = call("cubes", str(formula), str(both), "--features", "static")
    assert "not those of" in str(found.exception)
