"""Objects in memory: constraints of every kind are encoded or refused, never left out."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from pysat.card import CardEnc, EncType
from pysat.formula import (
    CNF,
    ITE,
    PYSAT_FALSE,
    PYSAT_TRUE,
    WCNF,
    And,
    Atom,
    CNFPlus,
    Equals,
    IDPool,
    Implies,
    Neg,
    Or,
    WCNFPlus,
    XOr,
)
from pysat.formula import Formula as PysatFormula
from pysat.solvers import Solver

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula import Formula
from satcost_gnn.formula.in_memory import from_memory


def projected(formula: Formula, n: int) -> set[tuple[int, ...]]:
    """All models, on the first variables."""
    found = set()
    with Solver(name="minisat22", bootstrap_with=formula.clauses()) as solver:
        for signs in itertools.product((1, -1), repeat=n):
            model = tuple(sign * (k + 1) for k, sign in enumerate(signs))
            if solver.solve(assumptions=list(model)):
                found.add(model)
    return found


def expected(formula: CNFPlus, n: int) -> set[tuple[int, ...]]:
    found = set()
    for signs in itertools.product((1, -1), repeat=n):
        model = {sign * (k + 1) for k, sign in enumerate(signs)}
        if all(model & set(clause) for clause in formula.clauses) and all(
            sum(literal in model for literal in literals) <= bound for literals, bound, *_ in formula.atmosts
        ):
            found.add(tuple(sorted(model, key=abs)))
    return found


@pytest.mark.parametrize("bound", [-1, 0, 1, 2, 3, 4, 9])
@pytest.mark.parametrize("literals", [[1, 2, 3, 4], [-1, 2, -3], [1, 1, 2], [2, -2, 3], [4]])
def test_at_most_constraints_keep_their_meaning(literals: list[int], bound: int) -> None:
    given = CNFPlus()
    given.append([1, 2, -3])
    given.append([literals, bound], is_atmost=True)
    given.append([[-1, -2, -3, -4], 3], is_atmost=True)
    found = from_memory(given)
    assert projected(found, 4) == expected(given, 4)
    assert found.n_vars - found.n_auxiliary == given.nv


def test_variables_of_an_encoding_are_new_even_where_pysats_count_lags_behind() -> None:
    given = CNFPlus(from_string="p cnf 2 1\n1 2 0\n")
    given.clauses.append([7, 3])
    given.atmosts.append([[5, 6, 7, 9], 1])
    found = from_memory(given)
    assert given.nv == 2 and found.n_vars - found.n_auxiliary == 9
    assert all(abs(literal) > 9 for literal in set(found.literals.tolist()) - set(range(-9, 10)))
    pool = IDPool(occupied=[[1, 20]])
    named = CNF(from_clauses=[[pool.id("x"), -pool.id("y")]])
    assert from_memory(named).clauses() == [[21, -22]]


def test_native_encodings_of_pysat_are_constraints_too() -> None:
    given = CardEnc.atmost(lits=[1, 2, 3], bound=1, encoding=EncType.native)
    assert given.atmosts and not given.clauses
    assert projected(from_memory(given), 3) == expected(given, 3)


def test_unit_weights_are_none_and_others_are_refused() -> None:
    given = CNFPlus()
    given.atmosts.append([[1, 2, 3], 1, [1, 1, 1]])
    assert projected(from_memory(given), 3) == expected(given, 3)
    given.atmosts.append([[1, 2], 3, [2, 2]])
    with pytest.raises(FormulaError, match=r"at-most constraint 2: found weights \[2, 2\].*PBEnc"):
        from_memory(given)


x, y, z = Atom("x"), Atom("y"), Atom("z")
OBJECTS: list[Any] = [
    x,
    Neg(y),
    And(x, Or(y, Neg(z))),
    Or(And(x, y), z),
    XOr(x, y, z),
    Implies(x, And(y, z)),
    Equals(x, y, Neg(z)),
    ITE(x, y, z),
    Neg(And(x, Neg(x))),
    And(x, Neg(x)),
    And(x, PYSAT_TRUE),
    Or(x, PYSAT_FALSE),
    And(x, PYSAT_FALSE),
    Neg(PYSAT_TRUE),
    PYSAT_TRUE,
    PYSAT_FALSE,
    (x @ y) | z,
]


@pytest.mark.parametrize("given", OBJECTS, ids=str)
def test_formula_objects_are_read_as_by_pysats_solvers(given: Any) -> None:
    found = from_memory(given)
    with Solver(name="minisat22", bootstrap_with=given) as theirs:
        satisfiable = theirs.solve()
    with Solver(name="minisat22", bootstrap_with=found.clauses()) as ours:
        assert ours.solve() == satisfiable
        model = ours.get_model()
    assert from_memory(given).clauses() == found.clauses()
    assert found.n_auxiliary == 0
    if model:
        # PySAT's own way back from the numbers.
        assert all(isinstance(one, Atom | Neg) for one in PysatFormula.formulas(model, atoms_only=True))


def test_objects_hold_clauses_and_other_objects() -> None:
    found = from_memory(And(CNF(from_clauses=[[1, 2], [-1]]), Atom("q")))
    assert found.clauses()[:2] == [[1, 2], [-1]] and found.n_clauses == 3
    with pytest.raises(FormulaError, match="PySAT cannot clausify this And: Integration of CNFPlus"):
        from_memory(And(CNFPlus(from_string="p cnf 1 1\n1 0\n"), Atom("q")))


def test_a_class_derived_from_pysats_is_what_it_is_derived_from() -> None:
    class Mine(CNFPlus):  # type: ignore[misc]
        pass

    given = Mine(from_string="p cnf 2 1\n1 2 0\n")
    given.append([[1, 2], 0], is_atmost=True)
    assert projected(from_memory(given), 2) == set()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (WCNF(from_string="p wcnf 2 2 9\n9 1 2 0\n3 -1 0\n"), "1 hard and 1 soft clauses.*MaxSAT.*formula.hard"),
        (WCNFPlus(), "found a WCNFPlus"),
        (IDPool(), "PySAT's class IDPool"),
        ({1: [2]}, "found dict"),
        ("p cnf 1 1\n1 0\n", "found str; expected"),
        (b"p cnf 1 1\n1 0\n", "found bytes"),
        (7, "found int"),
        (None, "found NoneType"),
        ([1, 2, 0], "expected clauses as lists"),
        ([[1], [2, "x"]], "must be integers"),
        ([[[1, 2, 3], 1]], "must be integers"),
        ([[1, 0]], "literal 0 inside a clause"),
        ([[1, 2.0]], "must be integers"),
        ([[True]], "must be integers"),
    ],
    ids=str,
)
def test_what_is_no_formula_is_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        from_memory(given)


@pytest.mark.parametrize(
    "found", [[b"1 2 0\n"], [bytearray(b"1")], ["1 2 0"], [{1: 2}], [Atom("x")], [[1], And(Atom("x"))]]
)
def test_texts_and_formulas_are_no_clauses(found: Any) -> None:
    # Iterating over bytes gives the codes of characters: numbers, but not those of the text.
    with pytest.raises(FormulaError, match="expected clauses as lists of signed variable numbers: found"):
        from_memory(found)


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_an_open_file_is_no_list_of_clauses(tmp_path: Path, mode: str) -> None:
    (tmp_path / "f.cnf").write_text("p cnf 2 1\n1 2 0\n")
    with (tmp_path / "f.cnf").open(mode) as stream, pytest.raises(FormulaError, match=r"found a stream.*read_dimacs"):
        from_memory(stream)
