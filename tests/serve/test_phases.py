import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pysat.solvers import Solver

from satcost_gnn.errors import CheckpointError, PhaseError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.learn.network.phase_model import PhaseModel, PhaseModelConfig
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.serve.phases import PhasePredictor, Phases, find_phase_checkpoint, read_phases, save_phase_checkpoint

FORMULA = Formula.from_clauses([[2, -5], [5, 9, -2], [-9, 2, 5]], n_vars=11)


def some_phases():
    return Phases(
        np.array([2, 5, 9], dtype=np.int32), np.array([0.9, 0.25, 0.6], dtype=np.float32), "network", "phases-v0"
    )


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    model = PhaseModel(PhaseModelConfig(width=8, rounds=1, mean_channels=4, extreme_channels=2))
    save_phase_checkpoint(tmp_path / "phases-v7", model, {"dataset": "none"})
    return tmp_path / "phases-v7"


def test_literals_are_the_likelier_ones():
    assert some_phases().literals().tolist() == [2, -5, 9]
    assert some_phases().literals(confidence=0.7).tolist() == [2, -5]


@pytest.mark.parametrize("name", ["out.txt", "out.csv"])
def test_files_are_read_back(tmp_path, name):
    some_phases().write(tmp_path / name)
    assert read_phases(tmp_path / name) == [2, -5, 9]


def test_a_table_keeps_the_probabilities(tmp_path):
    some_phases().write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == ["variable,probability_true", "2,0.9", "5,0.25", "9,0.6"]
    assert read_phases(tmp_path / "out.csv", confidence=0.7) == [2, -5]


def test_long_lists_are_broken_into_lines(tmp_path):
    variables = np.arange(1, 101, dtype=np.int32)
    Phases(variables, np.zeros(100, dtype=np.float32), "network", "phases-v0").write(tmp_path / "out")
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[0].startswith("c phases by phases-v0")
    assert max(map(len, lines)) < 100
    assert read_phases(tmp_path / "out") == (-variables).tolist()


@pytest.mark.parametrize(
    ("name", "text"), [("a", "v 1 -2\n"), ("b", "v 1 x 0\n"), ("c.csv", "variable\n1\n"), ("d", "")]
)
def test_other_files_are_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(PhaseError, match=name):
        read_phases(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PhaseError, match="cannot be read"):
        read_phases(tmp_path / "none")


def test_a_saved_network_predicts_the_same(checkpoint):
    torch.manual_seed(0)
    model = PhaseModel(PhaseModelConfig(width=8, rounds=1, mean_channels=4, extreme_channels=2))
    with PhasePredictor.from_checkpoint(checkpoint) as loaded, PhasePredictor(model, "same") as same:
        found, expected = loaded.predict(FORMULA), same.predict(FORMULA)
    assert found.variables.tolist() == [2, 5, 9]
    assert found.probability.tolist() == expected.probability.tolist()
    assert (found.source, found.label) == ("network", "phases-v7")


def test_a_model_that_the_probe_finds_is_taken(checkpoint):
    with PhasePredictor.from_checkpoint(checkpoint) as predictor:
        found = predictor.predict(FORMULA, probe=ProbeSettings())
    assert found.source == "model"
    with Solver("minisat22", FORMULA.clauses()) as solver:
        assert solver.solve(assumptions=found.literals().tolist())


def test_unsatisfiable_and_unreadable_formulas_are_refused(checkpoint, tmp_path):
    with PhasePredictor.from_checkpoint(checkpoint) as predictor:
        with pytest.raises(PhaseError, match="unsatisfiable"):
            predictor.predict(Formula.from_clauses([[1], [-1]]), probe=ProbeSettings())
        with pytest.raises(PhaseError, match=r"none\.cnf"):
            predictor.predict(tmp_path / "none.cnf")
        with pytest.raises(PhaseError, match="at most 3"):
            predictor.predict(FORMULA, size_limit=3)


def test_a_formula_without_clauses_has_no_phases(checkpoint):
    with PhasePredictor.from_checkpoint(checkpoint) as predictor:
        found = predictor.predict(Formula.from_clauses([], n_vars=4))
    assert len(found.variables) == len(found.probability) == 0


def test_checkpoints_are_never_overwritten(checkpoint):
    with pytest.raises(CheckpointError, match="exists"):
        save_phase_checkpoint(checkpoint, PhaseModel(PhaseModelConfig()), {})


def test_damaged_and_newer_checkpoints_are_refused(checkpoint):
    header = json.loads((checkpoint / "phases.json").read_text())
    (checkpoint / "phases.json").write_text(json.dumps(header | {"format_version": 99}))
    with pytest.raises(CheckpointError, match="format version 99"):
        PhasePredictor.from_checkpoint(checkpoint)
    (checkpoint / "phases.json").write_text(json.dumps(header))
    with (checkpoint / "model.safetensors").open("ab") as stream:
        stream.write(b"0")
    with pytest.raises(CheckpointError, match="differs"):
        PhasePredictor.from_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match=r"phases\.json"):
        find_phase_checkpoint(checkpoint.parent)


def test_the_shipped_network_is_found_and_knows_what_must_be_so():
    with PhasePredictor.from_checkpoint() as predictor:
        # Every clause that a variable is in wants it to be true.
        found = predictor.predict(Formula.from_clauses([[1], [1, 2], [-2, 3], [1, -3]]))
    assert predictor.label.startswith("phases-v")
    assert found.probability[0] > 0.8


@pytest.mark.parametrize("name", ["out", "out.csv"])
def test_phases_are_read_as_other_texts_are(tmp_path: Path, name: str) -> None:
    text = "variable,probability_true\n1,0.9\n2,0.2\n" if name.endswith("csv") else "v 1 -2 0\n"
    plain = text.replace("\n", "\r\n").encode()
    for data in (plain, b"\xef\xbb\xbf" + plain, gzip.compress(plain)):
        (tmp_path / name).write_bytes(data)
        assert read_phases(tmp_path / name) == [1, -2]
    (tmp_path / name).write_bytes(gzip.compress(plain)[:-6])
    with pytest.raises(PhaseError, match=name):
        read_phases(tmp_path / name)
