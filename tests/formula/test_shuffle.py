from __future__ import annotations

import numpy as np
import pytest
from synthetic_graphs import random_formula, random_trace

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import VARIABLE_INPUTS
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.formula.identity import gbdhash, isohash
from satcost_gnn.formula.shuffle import renamed_trace, shuffled, signed_renaming
from satcost_gnn.runtime.random_stream import Draws


def test_copies_of_recipes_are_the_same_for_ever() -> None:
    formula = Formula.from_clauses([[1, -2, 3], [-1, 4], [2, -3, -4], [-4]], n_vars=5)
    assert shuffled(formula, Draws(7, "test")).clauses() == [[-4], [-3, 4], [1, 5, 3], [-5, -4, -1]]


@pytest.mark.parametrize("flips", [False, True])
def test_a_copy_is_the_formula_under_the_new_names(flips: bool) -> None:
    formula = random_formula(np.random.default_rng(0), 20, 60)
    copy = shuffled(formula, Draws(1, "test"), flip=flips)
    renaming = signed_renaming(20, Draws(1, "test"), flip=flips)
    assert sorted(np.abs(renaming).tolist()) == list(range(1, 21))
    assert (renaming < 0).any() == flips
    there = sorted(sorted(int(np.sign(x) * renaming[abs(x) - 1]) for x in clause) for clause in formula.clauses())
    assert there == sorted(sorted(clause) for clause in copy.clauses())
    assert gbdhash(copy) != gbdhash(formula)
    assert isohash(copy) == isohash(formula)


def test_trace_follows_the_names() -> None:
    rng = np.random.default_rng(2)
    formula, trace = random_formula(rng, 30, 90), random_trace(rng, 30)
    copy, renaming = shuffled(formula, Draws(3, "test")), signed_renaming(30, Draws(3, "test"))
    moved = renamed_trace(trace, renaming)
    new = np.abs(renaming) - 1
    flipped = (renaming < 0) & (trace.assigned >= 0)
    np.testing.assert_array_equal(moved.assigned[new], trace.assigned)
    np.testing.assert_array_equal(moved.observed[new], trace.observed)
    np.testing.assert_array_equal(moved.positive[new][~flipped], trace.positive[~flipped])
    np.testing.assert_array_equal(moved.positive[new][flipped], (trace.assigned - trace.positive)[flipped])
    assert (moved.positive[new][trace.assigned < 0] == -1).all()
    # On the graph's nodes a flip turns the balances and exchanges the signs, and changes nothing else.
    before, after = clause_variable_graph(formula, trace), clause_variable_graph(copy, moved)
    used = np.flatnonzero(np.bincount(np.abs(formula.literals), minlength=31)[1:])
    rows = np.searchsorted(np.sort(new[used]), new[used])
    for name in ("positive_balance", "learnt_balance", "sign_balance"):
        column = VARIABLE_INPUTS.index(name)
        expected = before.variable_inputs[:, column] * np.sign(renaming)[used]
        np.testing.assert_allclose(after.variable_inputs[rows, column], expected, atol=1e-3)
    column = VARIABLE_INPUTS.index("assigned_rate")
    np.testing.assert_array_equal(after.variable_inputs[rows, column], before.variable_inputs[:, column])
    with pytest.raises(FormulaError, match="trace over 4 variables"):
        renamed_trace(random_trace(rng, 4), renaming)
