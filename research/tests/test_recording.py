from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recording import LONG, Recording, record

from satcost_gnn.data.generate import FAMILIES
from satcost_gnn.errors import DatasetError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeSettings

SOLVERS = ("minisatep", "ergo", "cadical195", "cadical300")


@pytest.fixture(scope="module")
def formula() -> Formula:
    return FAMILIES["random-ksat"].generate(seed=5, n=150, ratio=4.3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_recording_is_the_probe_with_a_large_budget(formula: Formula, solver: str, tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    settings = replace(LONG, solver=solver)
    made = record(formula, path, settings)
    direct = run_probe(formula, settings)
    assert made.status == direct.status in ("SAT", "UNSAT")
    assert made.conflicts == direct.conflicts and made.detail == ""
    recording = Recording.load(path)
    assert recording.solved and recording.solver == solver and recording.conflicts == direct.conflicts
    assert direct.trace is not None and direct.numbers is not None
    np.testing.assert_array_equal(recording.trace.events, direct.trace.events)
    np.testing.assert_array_equal(recording.numbers, direct.numbers)
    assert [file.name for file in tmp_path.iterdir()] == ["one.npz"]


def test_a_stopped_search_is_recorded_up_to_there(formula: Formula, tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    assert record(formula, path, ProbeSettings(solver="minisatep", conflicts=300)).status == "UNKNOWN"
    recording = Recording.load(path)
    assert not recording.solved and 300 <= recording.conflicts <= 310
    assert 290 <= recording.numbers[-1] <= recording.conflicts


def test_a_child_that_dies_leaves_no_file(formula: Formula, tmp_path: Path) -> None:
    made = record(formula, tmp_path / "one.npz", replace(LONG, wall_s=0.001))
    assert made.status == "TIMEOUT" and made.conflicts is None and made.detail
    assert list(tmp_path.glob("*.npz")) == []


def test_files_hold_no_pickle_and_damaged_ones_are_named(formula: Formula, tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    Recording.from_probe(run_probe(formula, ProbeSettings(conflicts=100))).save(path)
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"one\.npz.*record it again"):
        Recording.load(path)
    with pytest.raises(DatasetError, match=r"two\.npz"):
        Recording.load(tmp_path / "two.npz")
