import numpy as np
from symmetries import colours, symmetry_features

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.formula.shuffle import seeded


def test_pigeons_and_holes_may_be_exchanged() -> None:
    formula = from_recipe("pigeonhole:holes=4")
    variables, clauses, _ = colours(clause_variable_graph(formula, None))
    # One kind of variable; pigeons' clauses, and those of holes.
    assert len(np.unique(variables)) == 1 and len(np.unique(clauses)) == 2
    found = symmetry_features(clause_variable_graph(formula, None))
    assert found["symmetry_variables_largest"] == 1.0 and found["symmetry_variables_even"] == 0.0


def test_a_renamed_formula_has_the_same_features() -> None:
    formula = from_recipe("random-ksat:k=3,n=40,ratio=4.0,seed=3")
    first, other = (symmetry_features(clause_variable_graph(one, None)) for one in (formula, seeded(formula, 7)))
    assert first == other and first["symmetry_variables_unique"] > 0.9


def test_without_a_graph_nothing_is_known() -> None:
    assert np.isnan(list(symmetry_features(None).values())).all() and len(symmetry_features(None)) == 9
