"""Colours of clauses: the same for what looks the same, in any order, and in pieces as in one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from satcost_gnn.formula.refinement import clause_colours, literal_colours, row_colours


def colours(clauses: Sequence[Sequence[int]], n_variables: int, rounds: int, piece: int = 10**9) -> list[int]:
    """Return the clauses' colours, all variables being alike to begin with."""
    start = literal_colours(np.zeros(n_variables, dtype=np.uint64))

    def pieces():
        for first in range(0, len(clauses), piece):
            part = clauses[first : first + piece]
            nodes = [2 * (abs(literal) - 1) + (literal < 0) for clause in part for literal in clause]
            yield np.array(nodes, dtype=np.int64), np.array([len(clause) for clause in part])

    return clause_colours(pieces, start, rounds).tolist()


def test_what_a_symmetry_exchanges_looks_the_same():
    cycle = [[i, i % 12 + 1] for i in range(1, 13)]
    assert len(set(colours(cycle, 12, 5))) == 1


@pytest.mark.parametrize("rounds", range(5))
def test_a_path_is_told_apart_as_far_as_the_rounds_reach(rounds):
    path = [[i, i + 1] for i in range(1, 21)]
    found = colours(path, 21, rounds)
    assert found == found[::-1]
    # Each round tells one more clause from each end.
    assert len(set(found)) == rounds + 1


def test_signs_lengths_and_empty_clauses_count():
    found = colours([[1, 2], [-1, -2], [1, -2], [3], [], []], 3, 0)
    assert len(set(found)) == 5 and found[4] == found[5]


def test_orders_and_names_do_not_count():
    rng = np.random.default_rng(0)
    clauses = [(rng.permutation(30)[:3] + 1) * rng.choice([-1, 1], 3) for _ in range(80)]
    renaming = np.concatenate([[0], rng.permutation(30) + 1])
    order = rng.permutation(80)
    copies = [[int(np.sign(x) * renaming[abs(x)]) for x in rng.permutation(clauses[i])] for i in order]
    found = np.array(colours([c.tolist() for c in clauses], 30, 4), dtype=np.uint64)
    np.testing.assert_array_equal(found[order], np.array(colours(copies, 30, 4), dtype=np.uint64))
    assert len(set(found.tolist())) == 80


@pytest.mark.parametrize("piece", [1, 7, 80])
def test_pieces_have_the_colours_of_the_whole(piece):
    rng = np.random.default_rng(1)
    clauses = [((rng.permutation(30)[:3] + 1) * rng.choice([-1, 1], 3)).tolist() for _ in range(80)]
    assert colours(clauses, 30, 4, piece) == colours(clauses, 30, 4)
    assert colours([], 30, 4, piece) == []


def test_rows_are_told_apart_bit_by_bit():
    rows = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [np.nextafter(np.float16(0), np.float16(1)), 1.0]], np.float16)
    found = row_colours(rows)
    assert found[0] == found[2] and len(set(found.tolist())) == 3
