"""A formula that is gone through in pieces has the graph that it has in one."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest
from synthetic_graphs import random_formula, random_trace

from satcost_gnn.formula import graph_pieces
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import GRAPH_VERSION, CompactGraph
from satcost_gnn.formula.graph import clause_variable_graph, sample_clauses


def assert_same_bits(one: CompactGraph, other: CompactGraph) -> None:
    for name in one.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes(), name


@pytest.mark.parametrize("held", [0, 10**9])
@pytest.mark.parametrize("max_edges", [None, 0, 200, 900])
@pytest.mark.parametrize("with_trace", [False, True])
def test_pieces_give_the_same_bits_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, held: int, max_edges: int | None, with_trace: bool
) -> None:
    rng = np.random.default_rng(5)
    messy = [*random_formula(rng, 40, 400).clauses(), [], [3, -3], [5, 5, -7], [1], [], list(range(1, 36)), [2, 2]]
    formula = Formula.from_clauses([messy[i] for i in rng.permutation(len(messy))], n_vars=45)
    trace = random_trace(rng, 45) if with_trace else None
    whole = clause_variable_graph(formula, trace, max_edges=None)
    expected = whole if max_edges is None else sample_clauses(whole, max_edges)
    assert_same_bits(clause_variable_graph(formula, trace, max_edges=max_edges), expected)
    monkeypatch.setattr(graph_pieces, "_HELD_LITERALS", held)
    # Down to pieces that are shorter than the longest clause.
    for size in (700, 60, 45):
        monkeypatch.setattr(graph_pieces, "_PIECE_LITERALS", size)
        assert_same_bits(clause_variable_graph(formula, trace, max_edges=max_edges), expected)


def test_graphs_are_those_that_checkpoints_were_trained_on() -> None:
    # A change here makes every checkpoint and every cached instance worthless: GRAPH_VERSION has to change with it.
    rng = np.random.default_rng(11)
    formula, trace = random_formula(rng, 60, 500), random_trace(rng, 60)
    digest = hashlib.sha256()
    for max_edges in (None, 400):
        graph = clause_variable_graph(formula, trace, max_edges=max_edges)
        for name in graph.__dataclass_fields__:
            digest.update(getattr(graph, name).tobytes())
    assert digest.hexdigest() == "a5db1640046a4dc07d203962c747ae5b3f151e03801f04c25c619d3c2e3bb99c"
    assert GRAPH_VERSION == "2"


def test_memory_of_a_large_formula_is_that_of_its_pieces() -> None:
    rng = np.random.default_rng(0)
    n_clauses = 1_500_000
    # Clauses of four literals over few variables: six million literal occurrences, 24 MB.
    variables = rng.integers(1, 5001, size=4 * n_clauses, dtype=np.int32)
    literals = np.where(rng.random(4 * n_clauses) < 0.5, -variables, variables)
    formula = Formula(literals, np.arange(0, 4 * n_clauses + 1, 4), 5000)
    tracemalloc.start()
    graph = clause_variable_graph(formula, max_edges=40_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 39_000 < graph.n_edges <= 40_000
    # With the whole graph in memory it is 360 MB.
    assert peak < 200e6
