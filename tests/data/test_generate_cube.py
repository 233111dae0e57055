"""Cubes: units that are real decisions, and recipes that lead back to the parent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pysat.solvers import Solver

from satcost_gnn.data.generate import FAMILIES, from_recipe
from satcost_gnn.data.generate.cube import METHODS, cubes, identity, parse_cube_recipe, with_units
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.loading import open_solver

PARENT = FAMILIES["random-ksat"].generate(1, n=60, ratio=4.0)


def units_of(cube: Formula, parent: Formula) -> list[int]:
    assert cube.literals[: parent.n_literals].tolist() == parent.literals.tolist()
    assert cube.n_vars == parent.n_vars
    added = cube.clauses()[parent.n_clauses :]
    assert all(len(clause) == 1 for clause in added)
    return [clause[0] for clause in added]


def closure(formula: Formula, units: list[int]) -> set[int] | None:
    """Unit propagation by its definition, as a reference."""
    true = set(units)
    while True:
        before = len(true)
        for clause in formula.clauses():
            if any(literal in true for literal in clause):
                continue
            left = {literal for literal in clause if -literal not in true}
            if not left:
                return None
            if len(left) == 1:
                true |= left
        if len(true) == before:
            return true


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "parent",
    [
        PARENT,
        FAMILIES["factoring"].generate(2, bits=6),
        FAMILIES["langford"].generate(2, n=8, fixed=3),
        Formula.from_clauses([[1], [1, 1], [-1, 2, 3], [3, 4, 5], [-4, 5, 6], [7, -6, 5]]),
    ],
    ids=["random", "circuit with units", "exactly one", "repeated literals"],
)
def test_each_unit_is_a_free_decision_and_nothing_is_refuted(parent: Formula, method: str) -> None:
    found = cubes(parent, 2, method, seed=3, count=4, activity=np.arange(parent.n_vars, dtype=float))
    assert found
    for cube in found:
        units = units_of(cube, parent)
        assert len(units) == 2
        for i, unit in enumerate(units):
            implied = closure(parent, units[:i])
            assert implied is not None
            assert unit not in implied
            assert -unit not in implied
        assert closure(parent, units) is not None


@pytest.mark.parametrize("method", METHODS)
def test_cubes_repeat_for_a_seed_and_differ_from_each_other(method: str) -> None:
    def make(seed: int) -> list[str]:
        activity = np.linspace(0, 1, PARENT.n_vars)
        return [c.to_dimacs() for c in cubes(PARENT, 3, method, seed=seed, count=6, activity=activity)]

    assert make(1) == make(1)
    assert make(1) != make(2)
    assert len(set(make(1))) == 6


def test_recipe_leads_back_through_the_parents_recipe() -> None:
    cube = cubes(PARENT, 3, seed=1, parent=PARENT.source)[0]
    literals, parent = parse_cube_recipe(cube.source)
    assert parent == PARENT.source
    assert literals == units_of(cube, PARENT)
    assert from_recipe(cube.source).to_dimacs() == cube.to_dimacs()
    assert from_recipe(cube.source).source == cube.source


def test_cube_of_a_cube() -> None:
    first = cubes(PARENT, 2, seed=1, parent=PARENT.source)[0]
    second = cubes(first, 2, seed=2, parent=first.source)[0]
    assert from_recipe(second.source).to_dimacs() == second.to_dimacs()


def test_a_generated_parent_is_named_by_its_recipe_and_a_read_one_by_its_text() -> None:
    assert parse_cube_recipe(cubes(PARENT, 1)[0].source)[1] == PARENT.source
    read = Formula.from_clauses(PARENT.clauses(), PARENT.n_vars, "some/file.cnf")
    cube = cubes(read, 2, seed=5)[0]
    name = identity(read)
    assert parse_cube_recipe(cube.source)[1] == name
    again = from_recipe(cube.source, {name: read}.__getitem__)
    assert again.to_dimacs() == cube.to_dimacs()
    with pytest.raises(ConfigError, match="not a recipe"):
        from_recipe(cube.source)


def test_activity_takes_the_most_active_variables() -> None:
    activity = np.zeros(PARENT.n_vars)
    chosen = [4, 17, 31, 50]
    activity[np.array(chosen) - 1] = [5.0, 6.0, 7.0, 8.0]
    for cube in cubes(PARENT, 2, "activity", seed=1, count=5, activity=activity):
        assert {abs(unit) for unit in units_of(cube, PARENT)} <= set(chosen)


def test_lookahead_finds_the_variable_that_propagates_most() -> None:
    # Variable 1 implies ten others both ways, the others nothing much.
    clauses = (
        [[-1, v] for v in range(2, 12)] + [[1, -v] for v in range(2, 12)] + [[v, v + 1, v + 2] for v in range(12, 40)]
    )
    parent = Formula.from_clauses(clauses)
    for seed in range(3):
        cube = cubes(parent, 1, "lookahead", seed=seed)[0]
        assert abs(units_of(cube, parent)[0]) <= 11


def test_lookahead_cubes_propagate_more_than_random_ones() -> None:
    parent = FAMILIES["factoring"].generate(2, bits=8)

    def implied(method: str) -> float:
        found = cubes(parent, 3, method, seed=1, count=8)
        return float(np.mean([len(closure(parent, units_of(cube, parent)) or ()) for cube in found]))

    assert implied("lookahead") > implied("random")


@pytest.mark.parametrize(
    "parent",
    [
        Formula.from_clauses([[]], 3),
        Formula.from_clauses([[1], [-1], [2, 3]]),
        Formula.from_clauses([[1], [-1, 2], [-2, 3]]),
        Formula.from_clauses([], 5),
        Formula.from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]]),
    ],
    ids=["empty clause", "contradicting units", "decided by propagation", "no clauses", "every value fails"],
)
def test_formulas_without_a_free_decision_are_refused(parent: Formula) -> None:
    with pytest.raises(ConfigError, match="smaller k"):
        cubes(parent, 1)


def test_more_units_than_decisions() -> None:
    parent = Formula.from_clauses([[1, 2], [-1, -2], [3, 4], [-3, -4]])
    with pytest.raises(ConfigError, match="after 2 units"):
        cubes(parent, 3)


def test_fewer_cubes_than_asked_when_there_are_no_more() -> None:
    found = cubes(Formula.from_clauses([[1, 2], [-1, -2]]), 1, count=50)
    assert sorted(units_of(cube, Formula.from_clauses([[1, 2], [-1, -2]]))[0] for cube in found) == [-2, -1, 1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        {"k": 0},
        {"k": 1, "count": 0},
        {"k": 1, "method": "best"},
        {"k": 1, "method": "activity"},
        {"k": 1, "method": "activity", "activity": [1.0, 2.0]},
    ],
)
def test_wrong_arguments(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        cubes(PARENT, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("literals", [[0], [61], [1, -1], [5, 5]])
def test_units_must_fit_the_formula(literals: list[int]) -> None:
    with pytest.raises(ConfigError, match="distinct variables"):
        with_units(PARENT, literals)


def test_cubes_split_a_hard_instance_into_easier_ones() -> None:
    parent = FAMILIES["pigeonhole"].generate(0, holes=7)

    def conflicts(formula: Formula) -> int:
        with Solver("cadical195", bootstrap_with=formula.clauses()) as solver:
            assert not solver.solve()
            return int(solver.accum_stats()["conflicts"])

    whole = conflicts(parent)
    parts = [conflicts(cube) for cube in cubes(parent, 4, "lookahead", seed=1, count=4)]
    assert max(parts) < whole


@pytest.mark.parametrize("method", METHODS)
def test_gaps_in_the_numbering_change_no_cube(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Solvers hold memory for every number: they get the variables that occur.
    step = 3_000
    wide = Formula.from_clauses([[literal * step for literal in clause] for clause in PARENT.clauses()])
    largest = []

    def watched(name: str) -> Any:
        engine = open_solver(name)
        load = engine.append_formula

        def append_formula(clauses: list[list[int]]) -> None:
            largest.append(max(abs(literal) for clause in clauses for literal in clause))
            load(clauses)

        monkeypatch.setattr(engine, "append_formula", append_formula)
        return engine

    monkeypatch.setattr("satcost_gnn.data.generate.cube.open_solver", watched)
    activity = np.arange(PARENT.n_vars) % 7
    spread = np.zeros(wide.n_vars)
    spread[step - 1 :: step] = activity
    expected = cubes(PARENT, 3, method, 5, 4, activity=activity, parent="x")
    found = cubes(wide, 3, method, 5, 4, activity=spread, parent="x")
    assert largest == [PARENT.n_vars, PARENT.n_vars]
    assert [units_of(cube, wide) for cube in found] == [
        [literal * step for literal in units_of(cube, PARENT)] for cube in expected
    ]
