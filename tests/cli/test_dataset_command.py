"""`satcost dataset import-runtimes`, `split` and `check` on the command line: exit codes and what is said."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app, main
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.schema import read_runs
from satcost_gnn.data.splits import SIDES

ONE, TWO = "0" * 31 + "1", "0" * 31 + "2"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "INDEX.csv"
    path.write_text(
        "file,family,gbdhash,isohash,n_vars,n_clauses,bytes\n"
        f"f/a.cnf,f,{ONE},iso1,3,4,50\nf/b.cnf,f,{TWO},iso2,3,4,50\n"
    )
    return path


def run(tmp_path: Path, index: Path, rows: str) -> tuple[int, str]:
    table = tmp_path / "sc2022.csv"
    table.write_text("hash,verified-result,kissat\n" + rows)
    result = CliRunner().invoke(
        app, ["dataset", "import-runtimes", str(table), "-o", str(tmp_path / "out"), "--index", str(index)]
    )
    return result.exit_code, result.output


def test_all_imported(tmp_path: Path, index: Path) -> None:
    code, said = run(tmp_path, index, f"{ONE},sat,3.5\n{TWO},unknown,10000\nelsewhere,sat,1.0\n")
    assert code == 0
    assert "imported 2 runs (1 SAT, 1 TIMEOUT); 2 instances are new" in said and "unknown hash: 1" in said
    assert [run.solver for run in read_runs(tmp_path / "out" / "runs.parquet")] == ["kissat@sc2022"] * 2


def test_some_left_out(tmp_path: Path, index: Path) -> None:
    code, said = run(tmp_path, index, f"{ONE},sat,3.5\n{TWO},sat,7200\n")
    assert code == 1 and "time above the limit: 1" in said
    assert len(read_runs(tmp_path / "out" / "runs.parquet")) == 1


def test_split_and_check_say_what_came_of_them(tmp_path: Path, index: Path) -> None:
    run(tmp_path, index, f"{ONE},sat,3.5\n{TWO},unknown,10000\n")
    split, checked = (CliRunner().invoke(app, ["dataset", name, str(tmp_path / "out")]) for name in ("split", "check"))
    assert split.exit_code == checked.exit_code == 0 and not split.stdout and not checked.stdout
    splits = Dataset.open(tmp_path / "out").splits
    assert splits is not None
    counts = {side: list(splits.side.values()).count(side) for side in SIDES}
    assert sum(counts.values()) == 2
    sides = ", ".join(f"{side} {count}" for side, count in counts.items())
    assert split.stderr == f"satcost: instances: {sides}; blocks of families: 1, in 5 folds\n"
    assert checked.stderr == f"satcost: {tmp_path / 'out'}: no problem found\n"


def test_nothing_can_be_imported(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["satcost", "dataset", "import-runtimes", str(index), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "found no instances to join the tables to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_info_as_json_and_as_a_picture(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, index, f"{ONE},sat,3.5\n{TWO},unknown,10000\n")
    words = ["dataset", "info", str(tmp_path / "out")]
    picture = tmp_path / "h.png"
    result = CliRunner().invoke(app, [*words, "--json", "--plot", str(picture)])
    assert result.exit_code == 0 and picture.stat().st_size > 1000
    content = json.loads(result.stdout)
    assert content["instances"] == 2 and content["families"][0]["family"] == "f"
    assert content["histogram"]["unit"] == "cpu_seconds" and content["splits"]["fold 0"] >= 0
    (tmp_path / "out" / "runs.parquet").unlink()
    result = CliRunner().invoke(app, [*words, "--plot", str(picture)])
    assert result.exit_code != 0 and "found no runs, expected some to draw" in str(result.exception)
