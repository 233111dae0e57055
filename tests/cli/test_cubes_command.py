import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.cli.cubes import COLUMNS
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.data.generate.cube import cubes, parse_cube_recipe
from satcost_gnn.errors import ConfigError, FormulaError

PARENT = from_recipe("random-ksat:k=3,n=190,ratio=4.4,seed=3")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("cubes")
    formula, listing = directory / "f.cnf", directory / "c.icnf"
    formula.write_text(PARENT.to_dimacs())
    made = [parse_cube_recipe(cube.source)[0] for cube in cubes(PARENT, 2, "random", count=6)]
    lines = [f"a {' '.join(map(str, literals))} 0" for literals in made]
    listing.write_text("\n".join([*lines, f"a {' '.join(map(str, range(1, 120)))} 0"]) + "\n")
    return formula, listing


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["cubes", *map(str, arguments)])


def test_json_says_all_of_it(files: tuple[Path, Path]) -> None:
    found = call(*files, "--format", "json")
    assert found.exit_code == 0, found.output
    summary: dict[str, Any] = json.loads(found.stdout)
    assert summary["cubes"] == 7 and summary["failed"] == 0
    assert summary["solver"] == "cadical195" and summary["cost_unit"] == "conflicts"
    rows = summary["rows"]
    assert [row["number"] for row in rows] == list(range(7))
    assert sorted(summary["order"]) == list(range(7))
    assert rows[6]["status"] == "solved" and rows[6]["known"] == rows[6]["q50"]
    assert rows[6]["order"] == 6
    total = summary["predicted_total"]
    assert 0 < total["low"] <= total["median"] <= total["high"]
    assert summary["sampled_total"] is None


def test_a_sample_refines_the_total(files: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    found = call(*files, "--features", "static", "--sample", 4, "-o", target)
    assert found.exit_code == 0, found.output
    assert "all together, from 4 runs:" in found.stdout
    with target.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(COLUMNS)
    measured = [row for row in rows if row["measured"]]
    assert len(measured) == 4
    assert all(row["measured_status"] in ("SAT", "UNSAT") and float(row["measured"]) >= 0 for row in measured)


def test_censored_runs_are_said_to_be(files: tuple[Path, Path]) -> None:
    hard = files[0].with_name("hard.cnf")
    hard.write_text(from_recipe("random-ksat:k=3,n=400,ratio=4.26,seed=3").to_dimacs())
    listing = files[0].with_name("hard.icnf")
    listing.write_text("a 1 0\na -1 2 0\na -1 -2 0\n")
    found = call(hard, listing, "--features", "static", "--sample", 2, "--cpu", 0.2, "--format", "json")
    assert found.exit_code == 0, found.output
    sampled = json.loads(found.stdout)["sampled_total"]
    assert sampled["censored"] == 2
    assert sampled["lower_bound"] < sampled["value"]


def test_formula_and_cubes_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "one.icnf"
    path.write_text("p inccnf\n1 2 0\n-1 3 0\n-3 -2 0\na 1 0\na -1 0\n")
    found = call(path)
    assert found.exit_code == 0, found.output
    assert "2 cubes for cadical195, 2 solved already" in found.stdout
    assert "satisfiable: cube 0" in found.stdout


def test_a_cube_that_does_not_fit_gets_a_row(files: tuple[Path, Path], tmp_path: Path) -> None:
    listing, target = tmp_path / "c.txt", tmp_path / "rows.parquet"
    listing.write_text("1 -2 0\n999 0\n")
    found = call(files[0], listing, "--features", "static", "-o", target)
    assert found.exit_code == 1, found.output
    rows = pq.read_table(target).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert "1..190" in rows[1]["error"]
    assert "the 1 that could be predicted, predicted: " in found.stdout and "all together" not in found.stdout
    listing.write_text("999 0\n")
    none = call(files[0], listing, "--features", "static")
    assert none.exit_code == 1 and "predicted: " not in none.stdout


def test_jsonl_and_overwrite(files: tuple[Path, Path], tmp_path: Path) -> None:
    listing, target = tmp_path / "c.txt", tmp_path / "rows.jsonl"
    listing.write_text("1 -2 0\n")
    assert call(files[0], listing, "--features", "static", "-o", target).exit_code == 0
    again = call(files[0], listing, "--features", "static", "-o", target)
    assert isinstance(again.exception, ConfigError) and "--overwrite" in str(again.exception)
    assert call(files[0], listing, "--features", "static", "-o", target, "--overwrite").exit_code == 0
    assert len(target.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xml"], "expected text or json"),
        (["-o", "rows.txt"], "found suffix '.txt'"),
        (["--features", "all"], "expected one of probe, shared-graph, shared, static"),
        (["--solver", "nosuch"], "nosuch"),
    ],
)
def test_wrong_options(arguments: list[str], message: str, files: tuple[Path, Path]) -> None:
    found = call(*files, *arguments)
    assert isinstance(found.exception, ConfigError)
    assert message in str(found.exception)


def test_cubes_without_a_formula(files: tuple[Path, Path]) -> None:
    found = call(files[1])
    assert isinstance(found.exception, FormulaError)
    assert "no clauses" in str(found.exception)
