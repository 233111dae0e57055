import numpy as np
from structure_inputs import gates, in_parity_constraints, learnt_clauses, structure_columns

from satcost_gnn.formula.cnf import Formula

AND_GATE = [[1, -2, -3], [-1, 2], [-1, 3]]
PARITY = [[4, 5, 6], [4, -5, -6], [-4, 5, -6], [-4, -5, 6]]
AT_MOST_ONE = [[-7, -8], [-7, -9], [-8, -9]]


def test_the_output_of_an_and_gate_is_told_and_its_inputs_are_not() -> None:
    outputs, defining = gates(Formula.from_clauses(AND_GATE))
    assert outputs.tolist() == [1, 0, 0]
    assert defining.tolist() == [True, False, False]


def test_a_gate_that_lacks_one_clause_is_none() -> None:
    outputs, defining = gates(Formula.from_clauses(AND_GATE[:-1]))
    assert not outputs.any()
    assert not defining.any()


def test_clauses_of_a_parity_constraint_are_told_from_others() -> None:
    inside = in_parity_constraints(Formula.from_clauses([*PARITY, [4, 5, 7]]))
    assert inside.tolist() == [True] * 4 + [False]


def test_columns_are_shares_of_occurrences_and_logarithms_of_counts() -> None:
    variables, clauses = structure_columns(Formula.from_clauses([*AND_GATE, *PARITY, *AT_MOST_ONE]))
    parity, exclusive, outputs, inputs = variables.T
    assert parity.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert exclusive.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(outputs, np.log1p([1, 0, 0, 0, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(inputs, np.log1p([0, 1, 1, 0, 0, 0, 0, 0, 0]))
    assert clauses[:, 0].sum() == 4
    assert clauses[:, 1].tolist() == [1] + [0] * 9


def test_learnt_clauses_are_short_new_and_follow_from_the_formula() -> None:
    from pysat.solvers import Solver

    pigeons = [[3 * p + h + 1 for h in range(3)] for p in range(4)]
    pigeons += [[-(3 * p + h + 1), -(3 * q + h + 1)] for h in range(3) for p in range(4) for q in range(p)]
    found = learnt_clauses(pigeons)
    given = {tuple(sorted(clause)) for clause in pigeons}
    assert all(len(clause) <= 8 and tuple(clause) not in given for clause in found)
    for clause in found:
        with Solver(name="minisat22", bootstrap_with=pigeons) as solver:
            assert not solver.solve(assumptions=[-one for one in clause])
