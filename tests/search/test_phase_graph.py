import numpy as np
import pytest

from satcost_gnn.errors import FormulaTooLargeError, PhaseError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import VARIABLE_INPUTS
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.phase_graph import phase_graph, read_phase_graph
from satcost_gnn.search.probe_settings import ProbeSettings


def test_nodes_are_the_variables_that_occur():
    found = phase_graph(Formula.from_clauses([[2, -7], [7, 9, 2]], n_vars=12))
    assert found.variables.tolist() == [2, 7, 9]
    assert found.graph.n_variables == 3
    assert found.n_vars == 12
    assert found.result == ""


def test_variables_in_tautologies_alone_are_no_nodes():
    found = phase_graph(Formula.from_clauses([[1, 5], [3, -3, 4], [-5, 6, 6]]))
    assert found.variables.tolist() == [1, 5, 6]
    assert found.graph.n_variables == 3


def test_a_probe_tells_what_it_found():
    rng = np.random.default_rng(0)
    variables = np.array([rng.choice(150, size=3, replace=False) + 1 for _ in range(630)])
    formula = Formula.from_clauses((variables * rng.choice([-1, 1], size=variables.shape)).tolist())
    found = phase_graph(formula, ProbeSettings(conflicts=20))
    assert found.result == ""
    assert found.graph.variable_inputs[:, VARIABLE_INPUTS.index("assigned_rate")].max() > 0
    solved = phase_graph(Formula.from_clauses([[1, 2], [-1, 2]]), ProbeSettings())
    assert solved.result == "SAT"
    assert 2 in solved.model


def test_too_large_formulas_are_refused():
    with pytest.raises(FormulaTooLargeError):
        phase_graph(Formula.from_clauses([[1, 2], [3, 4]]), size_limit=3)


def test_errors_of_the_child_name_the_file(tmp_path):
    (tmp_path / "bad.cnf").write_text("p cnf 1 1\none 0\n")
    (tmp_path / "good.cnf").write_text("p cnf 2 1\n1 2 0\n")
    with Sandbox() as sandbox:
        with pytest.raises(PhaseError, match=r"bad\.cnf"):
            read_phase_graph(sandbox, str(tmp_path / "bad.cnf"))
        with pytest.raises(PhaseError, match=r"good\.cnf.*at most 1"):
            read_phase_graph(sandbox, str(tmp_path / "good.cnf"), size_limit=1)
        assert read_phase_graph(sandbox, str(tmp_path / "good.cnf")).variables.tolist() == [1, 2]
