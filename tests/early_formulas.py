"""Formulas that a solver answers at once by itself, and with a listener attached only later or not at all."""

import itertools
import random
from collections.abc import Callable

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.formula.cnf import Formula

Clauses = list[list[int]]


def placements(pigeons: int, holes: int, allowed: Callable[[int, int], bool] = lambda *_: True) -> Clauses:
    """Everyone gets a place, no place is taken twice."""
    pairs = [(i, j) for i in range(pigeons) for j in range(holes) if allowed(i, j)]
    number = {pair: k for k, pair in enumerate(pairs, start=1)}
    everyone = [[number[i, j] for j in range(holes) if (i, j) in number] for i in range(pigeons)]
    taken = [[number[i, j] for i in range(pigeons) if (i, j) in number] for j in range(holes)]
    return everyone + [[-a, -b] for place in taken for a, b in itertools.combinations(place, 2)]


def edge_matching(pieces: int, colours: int, seed: int) -> Clauses:
    """Pieces in a row, neighbours of different colours."""
    draw = random.Random(seed)
    colour = [draw.randrange(colours) for _ in range(pieces)]
    clashes = [(a, b) for a in range(pieces) for b in range(pieces) if a != b and colour[a] == colour[b]]
    rows = [[-(a * pieces + j + 1), -(b * pieces + j + 2)] for j in range(pieces - 1) for a, b in clashes]
    return placements(pieces, pieces) + rows


def bipartite_matching(size: int, density: float, seed: int) -> Clauses:
    """A matching of a random bipartite graph that has the diagonal one."""
    draw = random.Random(seed)
    edges = {(i, j) for i in range(size) for j in range(size) if i == j or draw.random() < density}
    return placements(size, size, lambda i, j: (i, j) in edges)


def queens(size: int) -> Clauses:
    """Queens on a board, one a row."""
    squares = list(itertools.product(range(size), repeat=2))
    attacks = [
        [-(r * size + c + 1), -(s * size + d + 1)]
        for (r, c), (s, d) in itertools.combinations(squares, 2)
        if r == s or c == d or abs(r - s) == abs(c - d)
    ]
    return [[r * size + c + 1 for c in range(size)] for r in range(size)] + attacks


def parity_on_a_grid(rows: int, columns: int) -> Clauses:
    """An odd charge on a grid: an unsatisfiable Tseitin formula."""
    nodes = list(itertools.product(range(rows), range(columns)))
    edges = [(a, b) for a, b in itertools.combinations(nodes, 2) if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1]
    clauses = []
    for node in nodes:
        incident = [k for k, edge in enumerate(edges, start=1) if node in edge]
        for signs in itertools.product((0, 1), repeat=len(incident)):
            if sum(signs) % 2 != (node == (0, 0)):
                clauses.append([-k if sign else k for k, sign in zip(incident, signs, strict=True)])
    return clauses


def random_clauses(n: int, ratio: float, seed: int, kept: Callable[[list[int]], bool]) -> Clauses:
    """Random clauses of three literals that pass a test."""
    draw = random.Random(seed)
    clauses: Clauses = []
    while len(clauses) < ratio * n:
        clause = [v * draw.choice((-1, 1)) for v in draw.sample(range(1, n + 1), 3)]
        if kept(clause):
            clauses.append(clause)
    return clauses


def early_formulas() -> dict[str, Formula]:
    """Return the formulas by name."""

    def negative(clause: list[int]) -> bool:
        return min(clause) < 0

    clauses = {
        # Lucky phases.
        "13 pigeons in 13 holes": placements(13, 13),
        "12 pigeons in 14 holes": placements(12, 14),
        "20 pigeons in 20 holes": placements(20, 20),
        "edge matching of 10": edge_matching(10, 4, 1),
        "edge matching of 12": edge_matching(12, 5, 2),
        "bipartite matching": bipartite_matching(20, 0.5, 1),
        "a negative literal in each clause": random_clauses(300, 6.0, 1, negative),
        "a negative literal in each clause, denser": random_clauses(300, 8.0, 1, negative),
        "queens": queens(30),
        # Elimination and probing.
        "parity, 5 by 8": parity_on_a_grid(5, 8),
        "parity, 3 by 40": parity_on_a_grid(3, 40),
        "parity, 3 by 60": parity_on_a_grid(3, 60),
        "parity, 3 by 80": parity_on_a_grid(3, 80),
    }
    found = {name: Formula.from_clauses(one) for name, one in clauses.items()}
    return found | {"ordering": from_recipe("ordering:n=40,seed=0")}
