"""``satcost cache`` and ``predict --no-cache``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from satcost_gnn.cli import _run
from satcost_gnn.features import preprocessing
from satcost_gnn.features.preprocessing import Preprocessed


def satcost(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["satcost", *map(str, arguments)])
    return _run()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SATCOST_CACHE_MIB", raising=False)
    path = tmp_path / "a.cnf"
    path.write_text("p cnf 3 3\n1 -2 0\n2 3 0\n-1 -3 0\n")
    return path


def test_a_second_prediction_needs_no_child(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert satcost(monkeypatch, "predict", file, "--json", "--no-cache") == 0
    fresh = capsys.readouterr().out
    assert satcost(monkeypatch, "cache", "info", "--json") == 0
    about = json.loads(capsys.readouterr().out)
    assert about["entries"] == 0 and about["directory"] == str(file.parent / "cache/satcost/instances")
    assert satcost(monkeypatch, "predict", file, "--json") == 0
    capsys.readouterr()

    def no_child(*_: object) -> Preprocessed:
        raise AssertionError("the file was preprocessed again")

    monkeypatch.setattr(preprocessing, "preprocess", no_child)
    assert satcost(monkeypatch, "predict", file, "--json") == 0
    again = capsys.readouterr().out
    known = [
        [{k: v for k, v in json.loads(line).items() if not k.endswith("_s")} for line in text.splitlines()]
        for text in (fresh, again)
    ]
    assert known[0] == known[1]
    assert satcost(monkeypatch, "cache", "info") == 0
    assert "entries    1" in capsys.readouterr().out
    assert satcost(monkeypatch, "cache", "clear") == 0
    assert "1 entries removed" in capsys.readouterr().err
    with pytest.raises(AssertionError, match="again"):
        satcost(monkeypatch, "predict", file, "--json")


def test_a_limit_that_is_no_number_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SATCOST_CACHE_MIB", "-1")
    assert satcost(monkeypatch, "predict", file) == 2
    assert "SATCOST_CACHE_MIB: found '-1'" in capsys.readouterr().err
