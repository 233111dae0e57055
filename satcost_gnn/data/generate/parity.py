"""Parity problems: Tseitin formulas, parity in two orders, noisy parity, perfect matchings."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from satcost_gnn.data.generate.base import Family, Parameter, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.data.generate.random_graph import Edge, grid_edges, regular_edges
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

_CHARGE = Parameter("charge", "odd", "total charge: odd (unsatisfiable) or even (satisfiable)", choices=("odd", "even"))


def _incident(edges: list[Edge], n: int) -> list[list[int]]:
    """Return for each vertex the variables (1-based edge numbers) of its edges."""
    at: list[list[int]] = [[] for _ in range(n)]
    for number, (a, b) in enumerate(edges, start=1):
        at[a].append(number)
        at[b].append(number)
    return at


def _tseitin_on(draws: Draws, edges: list[Edge], n: int, charge: str) -> Formula:
    odd = draws.flags(n)
    if bool(int(odd.sum()) & 1) != (charge == "odd"):
        odd[0] = not odd[0]
    formula = ClauseBuilder(len(edges))
    for variables, one in zip(_incident(edges, n), odd.tolist(), strict=True):
        formula.parity(variables, one)
    return formula.formula()


def _tseitin(draws: Draws, n: int, degree: int, charge: str) -> Formula:
    return _tseitin_on(draws, regular_edges(draws, n, degree), n, charge)


def _tseitin_grid(draws: Draws, rows: int, columns: int, charge: str, torus: str) -> Formula:
    return _tseitin_on(draws, grid_edges(rows, columns, torus == "yes"), rows * columns, charge)


def _parity_orders(draws: Draws, n: int, window: int) -> Formula:
    formula = ClauseBuilder(n)
    order = np.arange(n, dtype=np.int64)
    for start in range(0, n, window):
        piece = order[start : start + window]
        order[start : start + window] = piece[draws.permutation(len(piece))]
    formula.parity_chain(list(range(1, n + 1)), False, piece=2)
    formula.parity_chain([v + 1 for v in order.tolist()], True, piece=2)
    return formula.formula()


def _parity_noisy(draws: Draws, n: int, samples: float, noise: float) -> Formula:
    m = round(samples * n)
    errors = round(noise * m)
    hidden = draws.flags(n)
    table = draws.flags(m * n).reshape(m, n)
    corrupt = np.zeros(m, dtype=np.bool_)
    corrupt[draws.sample(m, errors)] = True
    odd = ((table & hidden).sum(axis=1) % 2 == 1) ^ corrupt
    formula = ClauseBuilder(n + m)
    for i in range(m):
        chosen = [int(j) + 1 for j in np.flatnonzero(table[i])]
        formula.parity_chain([*chosen, n + 1 + i], bool(odd[i]), piece=2)
    formula.at_most(list(range(n + 1, n + m + 1)), errors)
    return formula.formula()


def _matching(draws: Draws, n: int, degree: int) -> Formula:
    edges = regular_edges(draws, n, degree) if degree else list(combinations(range(n), 2))
    formula = ClauseBuilder(len(edges))
    for variables in _incident(edges, n):
        formula.exactly_one(variables)
    return formula.formula()


FAMILIES = (
    Family(
        "tseitin",
        "Tseitin formulas on random regular graphs: the parities of the edges around the vertices; odd total charge "
        "is unsatisfiable.",
        (
            Parameter("n", 20, "vertices", 3, 10_000),
            Parameter("degree", 4, "edges at each vertex", 2, 10),
            _CHARGE,
        ),
        "n",
        (6, 120),
        _tseitin,
        lambda p: p["charge"] == "even",
        variants=vary("degree charge", (4, "odd"), (4, "even"), (6, "odd"), (5, "even")),
    ),
    Family(
        "tseitin-grid",
        "Tseitin formulas on a grid or torus: short proofs exist when the grid is narrow.",
        (
            Parameter("rows", 5, "rows of the grid", 2, 200),
            Parameter("columns", 10, "columns of the grid", 2, 2000),
            _CHARGE,
            Parameter("torus", "no", "wrap both directions", choices=("no", "yes")),
        ),
        "columns",
        (3, 100),
        _tseitin_grid,
        lambda p: p["charge"] == "even",
        variants=vary(
            "rows charge torus",
            (4, "odd", "no"),
            (5, "odd", "no"),
            (3, "odd", "yes"),
            (5, "even", "yes"),
            (7, "odd", "no"),
        ),
    ),
    Family(
        "parity-orders",
        "One parity written twice, in two orders and with opposite results (after Chew and others, AAAI 2024): "
        "unsatisfiable, easy when the second order is only shuffled inside small windows.",
        (
            Parameter("n", 40, "variables", 2, 10_000),
            Parameter("window", 10_000, "length of the stretches that are reordered", 1, 10_000),
        ),
        "n",
        (10, 200),
        _parity_orders,
        lambda _: False,
        variants=vary("window", 10000, 8, 12, 20),
    ),
    Family(
        "parity-noisy",
        "Minimal-disagreement parity (Crawford, Kearns and Schapire; the par8/16/32 benchmarks): find the subset "
        "whose parity explains all but a few of the samples.",
        (
            Parameter("n", 14, "bits", 2, 200),
            Parameter("samples", 2.0, "samples per bit", 1.0, 50.0),
            Parameter("noise", 0.125, "share of wrong samples", 0.0, 0.5),
        ),
        "n",
        (6, 60),
        _parity_noisy,
        lambda _: True,
        variants=vary("samples noise", (2.0, 0.125), (3.0, 0.1), (1.5, 0.15)),
    ),
    Family(
        "perfect-matching",
        "A perfect matching of the complete graph (degree 0) or of a random regular graph; an odd number of vertices "
        "has none, and counting alone shows it.",
        (
            Parameter("n", 11, "vertices", 3, 5000),
            Parameter("degree", 0, "edges at each vertex of a random regular graph; 0: all of them", 0, 30),
        ),
        "n",
        (5, 200),
        _matching,
        lambda p: False if p["n"] % 2 else (True if p["degree"] == 0 else None),
        variants=vary("degree", 0, 4, 6, 8),
    ),
)
