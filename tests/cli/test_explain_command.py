import json
from pathlib import Path

import pytest

from satcost_gnn.cli.explain import ExplainOptions, run_explain
from satcost_gnn.errors import ConfigError

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


def options(*names: str, plot: Path | None = None, as_json: bool = False, estimator: str = "forest") -> ExplainOptions:
    paths = [str(SAMPLES / name) for name in names]
    return ExplainOptions(paths, None, "conflicts", None, "auto", estimator, plot, as_json)


def test_rows_in_json_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("random3-240.cnf", "pigeonhole-5.cnf", "malformed.cnf")
    assert run_explain(options(*names, as_json=True)) == 1
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "solved", "error"]
    assert [bool(row["effects"]) for row in rows] == [True, False, False]
    first = rows[0]
    total = first["background_median_log10"] + sum(effect["decades"] for effect in first["effects"])
    assert total == pytest.approx(first["median_log10"])
    assert "1 of 3 files could not be read" in printed.err


def test_text_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "why.png"
    assert run_explain(options("random3-240.cnf", plot=picture)) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    # The path may be so long that the sentence goes on in the next line.
    assert "is predicted to need" in " ".join(out.split()) and "|" in out and "█" in out


def test_nothing_to_draw_and_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "why.png"
    assert run_explain(options("pigeonhole-5.cnf", plot=picture)) == 0
    assert not picture.exists() and "nothing to draw" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="one instance"):
        run_explain(options("random3-240.cnf", "pigeonhole-5.cnf", plot=picture))
