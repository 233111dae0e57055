import numpy as np
import pytest
from pysat.formula import CNF

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula import Formula, parse_dimacs
from satcost_gnn.formula.cnf import satisfies

CLAUSES = [[1, -2], [], [3, 3, -3], [-4]]


def test_from_clauses_and_back():
    formula = Formula.from_clauses(CLAUSES, n_vars=7)
    assert formula.clauses() == CLAUSES
    assert (formula.n_vars, formula.n_clauses, formula.n_literals) == (7, 4, 6)
    assert formula.clause_lengths.tolist() == [2, 0, 3, 1]
    assert formula.has_empty_clause
    assert formula.literals.dtype == np.int32
    assert formula.offsets.dtype == np.int64


def test_from_pysat_and_arrays_agree():
    cnf = CNF(from_clauses=[[1, -2], [2, 5]])
    first = Formula.from_pysat(cnf)
    second = Formula.from_arrays(np.array([1, -2, 2, 5], dtype=np.int8), np.array([0, 2, 4], dtype=np.uint64))
    assert first.clauses() == second.clauses() == cnf.clauses
    assert first.n_vars == second.n_vars == 5


def test_text_round_trip():
    formula = Formula.from_clauses(CLAUSES, n_vars=7)
    assert formula.to_dimacs() == "p cnf 7 4\n1 -2 0\n0\n3 3 -3 0\n-4 0\n"
    again = parse_dimacs(formula.to_dimacs().encode())
    assert again.clauses() == CLAUSES
    assert again.n_vars == 7


def test_no_clauses():
    formula = Formula.from_clauses([])
    assert (formula.n_vars, formula.n_clauses) == (0, 0)
    assert not formula.has_empty_clause
    assert formula.dense_variables()[1] == 0


@pytest.mark.parametrize(
    ("clauses", "message"),
    [
        ([[1.5]], "must be integers; found an array of float64"),
        ([["1"]], "must be integers"),
        ([1, 2], "expected clauses as lists"),
        ([[2**31]], "2147483648 is out of range"),
        ([[-(2**31)]], "2147483648 is out of range"),
        ([[1], [-(2**63)]], "9223372036854775808 is out of range"),
        ([[2**70]], "beyond 64 bits"),
        ([[1, 0]], "literal 0"),
    ],
)
def test_bad_clauses(clauses, message):
    with pytest.raises(FormulaError, match=message):
        Formula.from_clauses(clauses)


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 1], [0, 2, 1, 2], [[0, 2]]])
def test_bad_offsets(offsets):
    with pytest.raises(FormulaError, match=r"offsets|one-dimensional"):
        Formula.from_arrays([1, 2], offsets)


def test_dense_variables_close_large_gaps_only():
    variables, size = Formula.from_clauses([[3, -9], [9]]).dense_variables()
    assert variables.tolist() == [3, 9, 9]
    assert size == 10
    variables, size = Formula.from_clauses([[3, -2_000_000_000], [9]]).dense_variables()
    assert variables.tolist() == [0, 2, 1]
    assert size == 3


def test_a_model_is_told_without_the_variables_of_an_encoding() -> None:
    formula = Formula.from_clauses([[1, -2], [3, 4]])
    model = np.array([1, -2, 3, -4], dtype=np.int32)
    assert formula.without_auxiliary(model).tolist() == [1, -2, 3, -4]
    assert formula.with_auxiliary(2).without_auxiliary(model).tolist() == [1, -2]


def test_integers_beyond_64_bits_are_refused_and_the_largest_within_are_not_rounded():
    with pytest.raises(FormulaError, match="integers beyond 64 bits"):
        Formula.from_arrays(np.array([2**63], dtype=np.uint64), [0, 1])
    assert Formula.from_arrays(np.array([7, 2**31 - 2], dtype=np.uint64), [0, 2]).literals.tolist() == [7, 2**31 - 2]


@pytest.mark.parametrize(
    ("clauses", "model", "expected"),
    [
        ([[1, -2], [3]], [1, 2, 3], True),
        ([[1, -2], [3]], [-1, -2, 3], True),
        # Every clause counts: the first, the last and the last but one.
        ([[1, -2], [3], [2, 3]], [-1, 2, 3], False),
        ([[1, -2], [3]], [1, 2, -3], False),
        ([[1], [3], [2]], [1, -3, 2], False),
        ([[1], [2], [3]], [1, 2, -3], False),
        # A model need not say everything, and may say more than is asked.
        ([[1, 2]], [2], True),
        ([[1, 2], [3]], [2], False),
        ([[1]], [1, -2, 3], True),
        ([[1], []], [1], False),
        ([], [], True),
        ([], [1], True),
    ],
)
def test_a_model_makes_every_clause_true(clauses: list[list[int]], model: list[int], expected: bool) -> None:
    assert satisfies(Formula.from_clauses(clauses), model) is expected
    assert satisfies(Formula.from_clauses(clauses), np.array(model, dtype=np.int32)) is expected


def test_gaps_are_closed_where_counts_would_be_many_times_the_literals():
    # Two literals are worth four counts each, and a thousand and twenty-four are no matter.
    for n_vars, size in ((1032, 8), (1033, 2)):
        assert Formula.from_clauses([[3, -7]], n_vars=n_vars).dense_variables()[1] == size


@pytest.mark.parametrize("clause", [b"12", bytearray(b"12"), memoryview(b"12"), "12", {1: 2}, CNF(from_clauses=[[1]])])
def test_what_is_no_clause_though_it_can_be_counted_through(clause):
    with pytest.raises(FormulaError, match="expected clauses as lists"):
        Formula.from_clauses([[1], clause])
