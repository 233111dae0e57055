"""Solvers on a formula with gaps in its numbering: models, proofs, phases and counts as without the gaps."""

import time
from pathlib import Path

import numpy as np
import pytest
from reverse_unit_propagation import is_refutation

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.solver_child import answer_child
from satcost_gnn.features.preprocessing import preprocess
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula import Formula
from satcost_gnn.formula.cnf import satisfies
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.guided import guided_child
from satcost_gnn.search.model_sampling import sample_models_child
from satcost_gnn.search.probe import probe_child
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.search.solver_run import solve_child

UNSAT = from_recipe("random-ksat:k=3,n=60,ratio=6.5,seed=2")
SAT = from_recipe("random-ksat:k=3,n=60,ratio=3.5,seed=1")


def spread(formula: Formula, step: int = 300_007) -> Formula:
    return Formula.from_arrays(formula.literals * step, formula.offsets, source="spread")


@pytest.mark.parametrize("solver", ["cadical195", "glucose42", "maplechrono"])
def test_proofs_are_of_the_formula_as_it_is(solver: str, tmp_path: Path) -> None:
    wide = spread(UNSAT)
    found = answer_child(solver, wide, proof=str(tmp_path / "proof"))
    assert found["status"] == "UNSAT"
    assert is_refutation(wide.clauses(), (tmp_path / "proof").read_bytes())
    assert not is_refutation(UNSAT.clauses(), (tmp_path / "proof").read_bytes())


def test_models_and_counts() -> None:
    wide = spread(SAT)
    model = answer_child("cadical195", wide)["model"]
    assert satisfies(wide, model) and np.array_equal(model, answer_child("cadical195", SAT)["model"] * 300_007)
    near, far = (solve_child("minisat22", one, 0, 60.0) for one in (SAT, wide))
    assert far["verified"] and {**far, "cpu_s": 0, "wall_s": 0} == {**near, "cpu_s": 0, "wall_s": 0}
    # The limit counts from the start of the process, which here is that of many tests.
    probed = probe_child(wide, ProbeSettings(cpu_s=time.process_time() + 60.0))
    assert probed.model is not None and satisfies(wide, probed.model)
    phases = np.sign(model) * np.abs(model)
    assert guided_child("minisat22", wide, phases, "set_phases", 0, 1000)["status"] == "SAT"
    options = {"count": 2, "seed": 1, "conflicts": 1000, "models_cpu_s": 5.0, "backbone_cpu_s": 5.0}
    small = spread(SAT, 5_003)
    sampled, plain = sample_models_child(small, **options), sample_models_child(SAT, **options)
    occurring = np.arange(1, SAT.n_vars + 1) * 5_003 - 1
    assert np.array_equal(sampled["models"][:, occurring], plain["models"])
    assert np.array_equal(sampled["backbone"][occurring], plain["backbone"])


def test_features_are_those_without_gaps() -> None:
    with Sandbox() as sandbox:
        near, far = (preprocess(one, PreprocessSettings(), sandbox).instance for one in (UNSAT, spread(UNSAT)))
    assert near is not None and far is not None and near.online is not None and far.online is not None
    same = np.array([name != "bytes" for name in near.static.names])
    assert np.array_equal(near.static.values[same], far.static.values[same], equal_nan=True)
    assert near.gbdhash != far.gbdhash
    assert near.probe is not None and far.probe is not None and near.probe.conflicts == far.probe.conflicts
