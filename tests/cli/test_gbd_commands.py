"""Instances from a GBD database, and predictions back into one, as the real gbd-tools read them."""

import csv
import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.data.gbd import write_features
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.features import static_features
from satcost_gnn.formula.identity import gbdhash

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


def satcost(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, words)))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gbd") / "cnf_mine.db"
    one, other = SAMPLES / "factoring-12.cnf", SAMPLES / "sudoku-9.cnf"
    hashes = [gbdhash(read_dimacs(file)) for file in (one, other)]
    write_features(
        path, {hashes[0]: {"family": "factoring"}, hashes[1]: {"family": "sudoku"}, "f" * 32: {"family": "nowhere"}}
    )
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE features ADD local TEXT NOT NULL DEFAULT None")
        connection.execute("CREATE TABLE local (hash TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(hash, value))")
        connection.execute(
            "INSERT INTO local VALUES ('None', 'None'), (?, ?), (?, ?)", (hashes[0], str(one), hashes[1], str(other))
        )
        connection.execute("UPDATE features SET local = hash WHERE hash IN (SELECT hash FROM local)")
    connection.close()
    return path


def test_there_and_back(database: Path, tmp_path: Path) -> None:
    table, exported = tmp_path / "costs.csv", tmp_path / "cnf_costs.db"
    code, _, told = satcost("predict", "--gbd", database, "--query", "family != sudoku", "-o", table)
    assert code == 1, told
    assert "1 of 2 instances have no path" in told
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["gbdhash"] for row in rows if row["status"] != "error"} == {
        gbdhash(read_dimacs(SAMPLES / "factoring-12.cnf"))
    }
    assert next(row["error"] for row in rows if row["status"] == "error").startswith("f" * 32)

    code, _, told = satcost("export", table, "--gbd", exported, "-o", tmp_path / "by_hash.csv", "--features")
    assert code == 0, told
    api = pytest.importorskip("gbd_core.api")
    solved = next(row for row in rows if row["status"] == "solved")
    names = ["satcost_cadical195_conflicts_q50", "satcost_result", "satcost_vars_log"]
    with api.GBD([str(exported)]) as gbd:
        found = gbd.query("satcost_cadical195_conflicts_q50 > 0", resolve=names).rows()
    assert found == [(solved["gbdhash"], solved["q50"].removesuffix(".0"), "sat", found[0][3])]
    static = static_features(read_dimacs(SAMPLES / "factoring-12.cnf"))
    assert float(found[0][3]) == pytest.approx(static.values[static.names.index("vars_log")], rel=1e-5)
    with (tmp_path / "by_hash.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["hash"], *(row[name] for name in names)) == found[0]


def test_outputs_are_not_replaced_unasked(tmp_path: Path) -> None:
    table = tmp_path / "costs.jsonl"
    code, text, _ = satcost("predict", SAMPLES / "sudoku-9.cnf", "--json")
    assert code == 0
    table.write_text(text)
    target = tmp_path / "p.db"
    assert satcost("export", table, "--gbd", target)[0] == 0
    result = CliRunner().invoke(app, ["export", str(table), "--gbd", str(target)])
    assert "--overwrite" in str(result.exception)
    assert satcost("export", table, "--gbd", target, "--overwrite")[0] == 0


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    table = tmp_path / "costs.jsonl"
    table.write_text(json.dumps({"path": "a.cnf"}) + "\n")
    result = CliRunner().invoke(app, ["export", str(table), "-o", str(tmp_path / "x.csv")])
    assert "costs.jsonl:1: found no column gbdhash" in str(result.exception)
    table.write_text("{\n")
    result = CliRunner().invoke(app, ["export", str(table), "-o", str(tmp_path / "x.csv")])
    assert "costs.jsonl:1: found no JSON" in str(result.exception)
