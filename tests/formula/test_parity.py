import itertools

import numpy as np
import pytest

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.parity import ParityConstraints, parity_constraints, solution
from satcost_gnn.search.parity import Parity


def clauses_of(variables, parity):
    """Every clause that one of the assignments of the wrong parity falsifies."""
    for values in itertools.product((0, 1), repeat=len(variables)):
        if sum(values) % 2 != parity:
            yield [-v if value else v for v, value in zip(variables, values, strict=True)]


def system(rng, n_vars, count):
    made = {}
    for _ in range(count):
        width = int(rng.integers(1, 5))
        made[tuple(sorted(rng.choice(np.arange(1, n_vars + 1), width, replace=False).tolist()))] = int(rng.integers(2))
    return made


def brute_force(constraints, n_vars):
    return any(
        all(sum(values[v - 1] for v in variables) % 2 == parity for variables, parity in constraints)
        for values in itertools.product((0, 1), repeat=n_vars)
    )


@pytest.mark.parametrize("seed", range(20))
def test_constraints_are_found_and_decided_as_by_trying_all_assignments(seed):
    rng = np.random.default_rng(seed)
    made = system(rng, 7, int(rng.integers(4, 9)))
    clauses = [clause for one in made.items() for clause in clauses_of(*one)]
    clauses = [rng.permutation(clauses[k]).tolist() for k in rng.permutation(len(clauses))]
    found = parity_constraints(Formula.from_clauses([*clauses, clauses[0]]))
    assert dict(found.constraints) == made
    assert found.whole
    model = solution(found)
    assert (model is not None) == brute_force(found.constraints, 7)
    engine = Parity()
    engine.append_formula(clauses)
    assert engine.solve() == (model is not None)
    if model is not None:
        true = set(engine.get_model())
        assert all(true & set(clause) for clause in clauses)


def test_other_clauses_are_left_aside():
    clauses = [*clauses_of((1, 2, 3), 1), [4, 5], [-4, 5, 5], [4, -4]]
    # One clause short of a constraint.
    clauses += list(clauses_of((5, 6, 7), 0))[1:]
    found = parity_constraints(Formula.from_clauses(clauses))
    assert dict(found.constraints) == {(1, 2, 3): 1}
    assert not found.whole
    engine = Parity()
    engine.append_formula(clauses)
    with pytest.raises(NotImplementedError, match="parity"):
        engine.solve()
    # A contradiction among them refutes the whole.
    for clause in clauses_of((1, 2, 3), 0):
        engine.add_clause(clause)
    assert engine.solve() is False


def test_the_limit_ends_it():
    engine = Parity()
    engine.append_formula(clauses_of((1, 2), 1))
    engine.time_budget(-1.0)
    assert engine.solve() is None


def test_nothing_is_solved_by_nothing():
    assert solution(ParityConstraints((), True)).tolist() == []
    assert parity_constraints(Formula.from_clauses([])).whole
    engine = Parity()
    engine.add_clause([])
    assert engine.solve() is False
