from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.random_dives import DiveSettings, branching_order, random_dives


def random_3sat(variables: int, ratio: float, seed: int) -> Formula:
    rng = random.Random(seed)
    clauses = [
        [v * rng.choice((-1, 1)) for v in rng.sample(range(1, variables + 1), 3)]
        for _ in range(round(ratio * variables))
    ]
    return Formula.from_clauses(clauses, variables)


def propagated(clauses: list[list[int]], literals: set[int]) -> set[int] | None:
    """Close a set of literals under unit propagation, slowly; None for a conflict."""
    literals = set(literals)
    while True:
        before = len(literals)
        for clause in clauses:
            if any(literal in literals for literal in clause):
                continue
            left = [literal for literal in clause if -literal not in literals]
            if not left:
                return None
            if len(left) == 1:
                literals.add(left[0])
        if len(literals) == before:
            return literals


def tree_nodes(clauses: list[list[int]], order: list[int], literals: set[int]) -> int:
    """Count the nodes of the tree, leaves that are models included."""
    closed = propagated(clauses, literals)
    variable = None if closed is None else next((v for v in order if v not in closed and -v not in closed), None)
    if closed is None or variable is None:
        return 1
    return 1 + sum(tree_nodes(clauses, order, closed | {literal}) for literal in (variable, -variable))


@pytest.mark.parametrize("units", [[], [[3], [-3, 1]]], ids=["no units", "fixed from the start"])
def test_the_estimate_is_right_on_average(units: list[list[int]]) -> None:
    formula = random_3sat(30, 4.0, 3)
    clauses = formula.clauses() + units
    formula = Formula.from_clauses(clauses, 30)
    truth = tree_nodes(clauses, branching_order(formula).tolist(), set())
    assert truth > 8
    dives = random_dives(formula, DiveSettings(dives=1500, max_work=10_000_000))
    assert dives is not None and len(dives.depth) == 1500 and (dives.conflict | dives.model).all()
    nodes = 2.0**dives.log2_nodes
    # Within four standard errors.
    assert abs(nodes.mean() - truth) < 4 * nodes.std() / np.sqrt(len(nodes))


def test_the_order_is_by_weighted_occurrences() -> None:
    formula = Formula.from_clauses([[1, 2, 3], [1, -2, 4], [5, -6], [9]], 9)
    # 9: 1/2; 5 and 6: 1/4 each; 1 and 2: 2/8; 3 and 4: 1/8.
    assert branching_order(formula).tolist() == [9, 1, 2, 5, 6, 3, 4]


def test_the_same_seed_gives_the_same_dives() -> None:
    formula = random_3sat(100, 4.26, 1)
    one, two = random_dives(formula), random_dives(formula)
    other = random_dives(formula, DiveSettings(seed=1))
    assert one is not None and two is not None and other is not None
    np.testing.assert_array_equal(one.depth, two.depth)
    np.testing.assert_array_equal(one.assigned, two.assigned)
    assert one.depth.tolist() != other.depth.tolist()


def test_dives_that_end_in_models() -> None:
    dives = random_dives(Formula.from_clauses([[1, 2], [3, 4]], 4), DiveSettings(dives=200))
    assert dives is not None and dives.model.all() and not dives.conflict.any()
    # One decision a clause if it makes the other literal true, else two.
    assert set(dives.depth.tolist()) == {2, 3, 4}
    assert (dives.assigned == 4).all()


def test_a_contradiction_from_the_start_is_a_tree_of_one_node() -> None:
    dives = random_dives(Formula.from_clauses([[1], [-1, 2], [-2]], 2), DiveSettings(dives=3))
    assert dives is not None
    assert dives.depth.tolist() == [0, 0, 0] and dives.conflict.all()
    assert dives.log2_nodes.tolist() == [0.0, 0.0, 0.0]


def test_no_clauses() -> None:
    dives = random_dives(Formula.from_clauses([]), DiveSettings(dives=2))
    assert dives is not None and dives.model.all() and dives.n_active == 0


def test_the_budget_cuts_dives_short() -> None:
    formula = random_3sat(2000, 3.0, 1)
    cut = random_dives(formula, DiveSettings(max_work=5_000))
    assert cut is not None and len(cut.depth) == 1
    assert not cut.conflict.any() and not cut.model.any() and cut.depth[0] > 3
    few = random_dives(formula, DiveSettings(max_work=1_000_000))
    assert few is not None and 1 < len(few.depth) < 32
    assert few.depth[0] > cut.depth[0]


def test_a_large_formula_is_left_alone() -> None:
    assert random_dives(random_3sat(50, 4.0, 1), DiveSettings(max_literals=100)) is None


def test_the_key_tells_settings_apart() -> None:
    base = DiveSettings()
    changes = [{"dives": 3}, {"max_work": 3}, {"max_literals": 3}, {"seed": 3}]
    keys = {base.key(), *(replace(base, **change).key() for change in changes)}
    assert len(keys) == 5
