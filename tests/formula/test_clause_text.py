"""Text of clauses: by table or number by number, the same."""

import numpy as np
import pytest

from satcost_gnn.formula.clause_text import _table, clause_text
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.graph import _stable_order


@pytest.mark.parametrize("largest", [1, 9, 10, 300, 99_999, 999_999, 1_000_000, 2**31 - 1])
@pytest.mark.parametrize("newline", [True, False])
def test_every_number_is_written_as_python_writes_it(largest: int, newline: bool) -> None:
    rng = np.random.default_rng(largest)
    lengths = rng.integers(0, 6, 2 * min(largest, 40_000) + 9)
    literals = rng.integers(1, largest + 1, lengths.sum()) * rng.choice([-1, 1], lengths.sum())
    formula = Formula.from_arrays(literals.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
    clauses = np.split(literals, np.cumsum(lengths)[:-1])
    end = "0\n" if newline else "0 "
    expected = "".join("".join(f"{literal} " for literal in clause) + end for clause in clauses)
    assert b"".join(clause_text(formula, newline=newline)) == expected.encode()


@pytest.mark.parametrize("newline", [True, False])
def test_table_of_the_widest_numbers(newline: bool) -> None:
    largest = 999_999
    table = _table(largest, newline)
    for number in (-largest, -100_000, -1, 0, 1, 9, 10, 99_999, largest):
        end = "\n" if newline and number == 0 else " "
        assert table[number + largest].tobytes().rstrip(b"\0") == f"{number}{end}".encode()


def test_order_of_equal_values_is_that_of_their_places() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.random(1000), rng.integers(0, 5, 1000).astype(float), np.zeros(0), np.ones(7)):
        assert np.array_equal(_stable_order(values), np.argsort(values, kind="stable"))
