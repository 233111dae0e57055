import csv
import hashlib
import lzma
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from satcost_gnn.cli import app
from satcost_gnn.cli.collect import CollectOptions, run_collect
from satcost_gnn.cli.generate import parse_range, stem_of
from satcost_gnn.cli.instance_writer import INDEX_COLUMNS
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.generate import FAMILIES, from_recipe
from satcost_gnn.data.materialise import materialise
from satcost_gnn.errors import ConfigError, DatasetError, OutputError, SatcostError, SolverError
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.identity import gbdhash

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()", "generate"]


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["generate", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def refused(kind: type[SatcostError], *arguments: object) -> str:
    result = CliRunner().invoke(app, ["generate", *map(str, arguments)])
    assert isinstance(result.exception, kind), (result.output, result.exception)
    return str(result.exception)


def index(directory: Path) -> list[dict[str, str]]:
    with (directory / "INDEX.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def test_family_with_index(tmp_path: Path) -> None:
    run("random-ksat", "-o", tmp_path, "-n", 3, "--seed", 5, "--set", "n=20", "--set", "ratio=4")
    rows = index(tmp_path)
    assert [row["file"] for row in rows] == [f"random-ksat-n_20-ratio_4.0-{seed}.cnf" for seed in (5, 6, 7)]
    assert tuple(rows[0]) == INDEX_COLUMNS
    for row in rows:
        formula = read_dimacs(tmp_path / row["file"])
        assert (row["family"], row["origin"], row["parent"], row["licence"]) == ("random-ksat", "generated", "", "MIT")
        assert row["gbdhash"] == gbdhash(formula) == gbdhash(from_recipe(row["recipe"]))
        assert (int(row["n_vars"]), int(row["n_clauses"])) == (20, 80)
        assert int(row["bytes"]) == (tmp_path / row["file"]).stat().st_size


def test_same_command_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("tseitin", "-o", tmp_path / name, "-n", 2, "--set", "n=8", "--compress", "xz")
        run("tseitin", "-o", tmp_path / name, "--target-cost", "10..300", "--seed", 3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(digests(tmp_path / "a")) == 4


def test_xz_holds_the_same_text(tmp_path: Path) -> None:
    run("ordering", "-o", tmp_path, "--set", "n=5")
    run("ordering", "-o", tmp_path, "--set", "n=5", "--compress", "xz")
    plain, packed = (tmp_path / f"ordering-n_5-0.cnf{end}" for end in ("", ".xz"))
    assert lzma.decompress(packed.read_bytes()) == plain.read_bytes()
    assert {row["bytes"] for row in index(tmp_path)} == {str(plain.stat().st_size)}


def test_index_keeps_rows_of_earlier_calls(tmp_path: Path) -> None:
    run("langford", "-o", tmp_path, "--set", "n=4")
    run("schur", "-o", tmp_path, "--set", "n=6")
    assert [row["family"] for row in index(tmp_path)] == ["langford", "schur"]


def test_refuses_to_overwrite(tmp_path: Path) -> None:
    run("langford", "-o", tmp_path, "--set", "n=4", "--seed", 1)
    before = digests(tmp_path)
    # The second of the three names is taken: nothing at all is written.
    assert "--overwrite" in refused(DatasetError, "langford", "-o", tmp_path, "--set", "n=4", "-n", 3)
    assert digests(tmp_path) == before
    run("langford", "-o", tmp_path, "--set", "n=4", "--seed", 1, "--overwrite")
    assert digests(tmp_path) == before


def test_seeds_that_change_nothing_are_left_out(tmp_path: Path) -> None:
    result = run("pigeonhole", "-o", tmp_path, "-n", 2, "--set", "holes=3", code=1)
    assert "same formula as pigeonhole-holes_3-0.cnf" in result.stderr and "shuffle" in result.stderr
    assert len(index(tmp_path)) == 1


def test_target_cost(tmp_path: Path) -> None:
    result = run("random-ksat", "-o", tmp_path, "-n", 3, "--target-cost", "10..1e3", "--seed", 1)
    costs = sorted(
        int(line.rsplit(" ", 2)[1])
        for line in result.stderr.splitlines()
        if line.startswith("satcost: random-ksat-") and line.endswith(" conflicts")
    )
    assert len(costs) == len(index(tmp_path)) == 3
    # One in each third of the range in logarithms.
    assert 10 <= costs[0] <= 46.5 <= costs[1] <= 215.5 <= costs[2] <= 1000


def test_generated_cube_and_parent_collect_and_come_back_from_recipes(tmp_path: Path) -> None:
    cnf = tmp_path / "cnf"
    run("random-ksat", "-o", cnf, "--set", "n=60", "--seed", 2)
    parent = index(cnf)[0]
    run("cubes", "--from", cnf / parent["file"], "-k", 3, "-n", 2, "-o", cnf)
    cubes = [row for row in index(cnf) if row["origin"] == "cube"]
    assert len(cubes) == 2
    for row in cubes:
        assert (row["family"], row["parent"], row["licence"]) == ("random-ksat", parent["gbdhash"], "MIT")
        assert row["recipe"].endswith(",parent=" + parent["recipe"])
        assert int(row["n_clauses"]) == int(parent["n_clauses"]) + 3
    options = CollectOptions([str(cnf / "INDEX.csv")], tmp_path / "set", ["minisat22"], [0], 10.0, None, 2048, 1, None)
    assert run_collect(options) == 0
    dataset = Dataset.open(tmp_path / "set")
    assert sorted(row.instance for row in dataset.manifest) == sorted(row["gbdhash"] for row in index(cnf))
    assert len(dataset.runs) == 3
    problems: list[str] = []
    assert len(materialise(dataset, None, tmp_path / "made", on_problem=problems.append)) == 3, problems


def test_cube_whose_parent_is_no_instance_of_the_data_set(tmp_path: Path) -> None:
    cnf, cubes = tmp_path / "cnf", tmp_path / "cubes"
    run("random-ksat", "-o", cnf, "--set", "n=60", "--seed", 2)
    (parent,) = index(cnf)
    # As a real instance: known by its file only.
    (cnf / "INDEX.csv").write_text(f"file,gbdhash\n{parent['file']},{parent['gbdhash']}\n")
    run("cubes", "--from", cnf / parent["file"], "-k", 3, "-o", cubes)
    index_file = str(cubes / "INDEX.csv")
    options = CollectOptions([index_file], tmp_path / "set", ["minisat22"], [0], 10.0, None, 2048, 1, None)
    assert run_collect(options) == 0
    dataset = Dataset.open(tmp_path / "set")
    assert len(materialise(dataset, cnf, tmp_path / "made")) == 1
    problems: list[str] = []
    assert not materialise(dataset, None, tmp_path / "again", on_problem=problems.append)
    assert parent["gbdhash"] in problems[0]


@pytest.mark.parametrize("method", ["lookahead", "activity"])
def test_cubes_of_a_file_of_unknown_origin(tmp_path: Path, method: str) -> None:
    source = tmp_path / "real" / "hard.cnf"
    source.parent.mkdir()
    source.write_text(FAMILIES["random-ksat"].generate(3, n=150).to_dimacs())
    parent = gbdhash(read_dimacs(source))
    out = tmp_path / "out"
    run("cubes", "--from", source, "-k", 4, "-o", out, "--method", method)
    (row,) = index(out)
    assert row["file"] == f"hard-{method}-k_4-0-0.cnf"
    assert (row["family"], row["parent"], row["origin"], row["licence"]) == ("real", parent, "cube", "")
    # From its recipe and the parent's file, the same bytes.
    run("recipe", row["recipe"], "--from", source, "-o", tmp_path / "again.cnf")
    assert (tmp_path / "again.cnf").read_bytes() == (out / row["file"]).read_bytes()
    assert "--from" in refused(ConfigError, "recipe", row["recipe"])
    assert parent in refused(ConfigError, "recipe", row["recipe"], "--from", out / row["file"])


def test_activity_needs_conflicts(tmp_path: Path) -> None:
    (tmp_path / "easy.cnf").write_text("p cnf 2 1\n1 2 0\n")
    message = refused(
        SolverError, "cubes", "--from", tmp_path / "easy.cnf", "-k", 1, "-o", tmp_path / "x", "--method", "activity"
    )
    assert "easy.cnf" in message and "lookahead" in message


def test_recipe_to_standard_output_and_file(tmp_path: Path) -> None:
    text = "random-ksat:k=3,n=30,ratio=4.0,seed=9"
    expected = from_recipe(text).to_dimacs()
    assert run("recipe", text).stdout == expected
    run("recipe", text, "-o", tmp_path / "a.cnf.xz")
    assert lzma.decompress((tmp_path / "a.cnf.xz").read_bytes()).decode() == expected
    assert "--overwrite" in refused(OutputError, "recipe", text, "-o", tmp_path / "a.cnf.xz")


def test_list_names_every_family_and_its_bounds() -> None:
    lines = run("list").stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(FAMILIES)
    described = run("list", "keccak-preimage").stdout
    assert "1|2|4|8|16" in described and "0..1600" not in described
    for parameter in FAMILIES["keccak-preimage"].parameters:
        assert parameter.help in described


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["nosuch"], "random-ksat"),
        (["random-ksat", "--set", "n"], "name=value"),
        (["random-ksat", "--set", "m=3"], "unknown parameter 'm'"),
        (["random-ksat", "--set", "n=1"], "n: found 1"),
        (["random-ksat", "--set", "n=30", "--set", "n=40"], "once"),
        (["random-ksat", "--target-cost", "5"], "LOW..HIGH"),
        (["random-ksat", "--target-cost", "1e3..10"], "LOW < HIGH"),
        (["random-ksat", "--target-cost", "10..100", "--set", "n=30"], "n is what a target cost tunes"),
        (["random-ksat", "--compress", "zip"], "none, xz"),
    ],
)
def test_wrong_usage_names_what_was_expected(tmp_path: Path, arguments: list[str], found: str) -> None:
    assert found in refused(ConfigError, *arguments, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_foreign_index_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "INDEX.csv").write_text("a,b\n1,2\n")
    assert "gbdhash" in refused(DatasetError, "langford", "-o", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["INDEX.csv"]


@pytest.mark.parametrize("text", ["1e2..1e4", "100..10000"])
def test_range(text: str) -> None:
    assert parse_range(text) == (100.0, 10000.0)


def test_names_of_files_tell_parameters_apart() -> None:
    assert stem_of("factoring:bits=9,kind=prime,multiplier=array,seed=3") == "factoring-bits_9-kind_prime-3"
    assert stem_of(FAMILIES["random-ksat"].generate(1, n=30, shuffle=4).source) == "random-ksat-n_30-shuffle_4-1"


def test_cnfgen(tmp_path: Path) -> None:
    if shutil.which("cnfgen") is None:
        assert "PATH" in refused(SolverError, "cnfgen", "-o", tmp_path / "a.cnf", "--", "php", "3", "2")
        return
    result = run("cnfgen", "-o", tmp_path / "a.cnf", "--", "php", "3", "2")
    assert read_dimacs(tmp_path / "a.cnf").n_vars == 6 and "args=php 3 2" in result.stderr


def test_through_the_shell(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "schur", "-o", str(tmp_path), "--set", "n=-1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("satcost: schur: n: found -1, expected a value in 1..1000")
