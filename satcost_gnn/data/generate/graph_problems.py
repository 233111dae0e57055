"""Problems on random graphs: colouring, cliques, dominating sets, Hamiltonian cycles, isomorphism."""

from __future__ import annotations

from itertools import combinations

from satcost_gnn.data.generate.base import Family, Parameter, require, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.data.generate.random_graph import Edge, gnm_edges, neighbours, regular_edges
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws


def colouring_clauses(edges: list[Edge], n: int, colours: int) -> Formula:
    """Return the direct encoding of a colouring: a colour for each vertex, different ones along each edge."""
    formula = ClauseBuilder()
    table = formula.new_table(n, colours)
    for row in table:
        formula.exactly_one(row)
    for a, b in edges:
        for x, y in zip(table[a], table[b], strict=True):
            formula.add(-x, -y)
    return formula.formula()


def _colouring(draws: Draws, n: int, colours: int, density: float) -> Formula:
    return colouring_clauses(gnm_edges(draws, n, round(density * n)), n, colours)


def _colouring_regular(draws: Draws, n: int, colours: int, degree: int) -> Formula:
    return colouring_clauses(regular_edges(draws, n, degree), n, colours)


def _colouring_flat(draws: Draws, n: int, colours: int, density: float) -> Formula:
    m = round(density * n)
    classes = draws.permutation(n) % colours
    sizes = [int((classes == c).sum()) for c in range(colours)]
    pairs = sum(a * b for a, b in combinations(sizes, 2))
    require(m <= pairs, "flat-colouring", f"{m} edges asked for, but the hidden classes leave only {pairs} pairs")
    members = [[v for v in range(n) if classes[v] == c] for c in range(colours)]
    between = list(combinations(range(colours), 2))
    edges: dict[Edge, None] = {}
    # As flat as can be: the pairs of classes take turns, so that degrees carry no hint of the classes.
    placed = [0] * len(between)
    turn = 0
    while len(edges) < m:
        c, d = between[turn]
        while placed[turn] < sizes[c] * sizes[d]:
            a, b = members[c][draws.one_below(sizes[c])], members[d][draws.one_below(sizes[d])]
            if (min(a, b), max(a, b)) not in edges:
                edges[min(a, b), max(a, b)] = None
                placed[turn] += 1
                break
        turn = (turn + 1) % len(between)
    return colouring_clauses(sorted(edges), n, colours)


def _clique(draws: Draws, n: int, density: float, clique: int) -> Formula:
    edges = gnm_edges(draws, n, round(density * n * (n - 1) / 2))
    joined = neighbours(edges, n)
    formula = ClauseBuilder()
    # Members in rising order of vertices, which removes the symmetry between them.
    member = formula.new_table(clique, n)
    for row in member:
        formula.exactly_one(row)
    for first, second in combinations(member, 2):
        for a in range(n):
            allowed = set(joined[a])
            for b in range(n):
                if b <= a or b not in allowed:
                    formula.add(-first[a], -second[b])
    return formula.formula()


def _dominating_set(draws: Draws, n: int, degree: int, size: int) -> Formula:
    table = neighbours(regular_edges(draws, n, degree), n)
    formula = ClauseBuilder(n)
    for v in range(n):
        formula.add_clause([v + 1, *(u + 1 for u in table[v])])
    formula.at_most(list(range(1, n + 1)), size)
    return formula.formula()


def _vertex_cover(draws: Draws, n: int, density: float, share: float) -> Formula:
    formula = ClauseBuilder(n)
    for a, b in gnm_edges(draws, n, round(density * n)):
        formula.add(a + 1, b + 1)
    formula.at_most(list(range(1, n + 1)), round(share * n))
    return formula.formula()


def _hamiltonian(draws: Draws, n: int, degree: int, removed: int) -> Formula:
    edges = regular_edges(draws, n, degree)
    require(removed < len(edges), "hamiltonian-cycle", f"removed={removed} leaves no edge of {len(edges)}")
    gone = set(draws.sample(len(edges), removed).tolist())
    table = neighbours([edge for i, edge in enumerate(edges) if i not in gone], n)
    formula = ClauseBuilder()
    # successor[u, v]: the cycle goes from u to v; place[v][t]: v is the t-th vertex.
    successor = {(u, v): formula.new_var() for u in range(n) for v in table[u]}
    place = formula.new_table(n, n)
    for v in range(n):
        formula.exactly_one([successor[v, u] for u in table[v]])
        formula.exactly_one([successor[u, v] for u in table[v]])
        formula.exactly_one(place[v], "sequential")
    formula.add(place[0][0])
    for (u, v), arc in successor.items():
        if v != 0:
            for t in range(n - 1):
                formula.add(-arc, -place[u][t], place[v][t + 1])
            formula.add(-arc, -place[u][n - 1])
        else:
            formula.add(-arc, place[u][n - 1])
    return formula.formula()


def _isomorphism(draws: Draws, n: int, degree: int, kind: str) -> Formula:
    first = regular_edges(draws, n, degree)
    if kind == "copy":
        name = draws.permutation(n).tolist()
        second = sorted((min(name[a], name[b]), max(name[a], name[b])) for a, b in first)
    else:
        second = regular_edges(draws, n, degree)
    target = neighbours(second, n)
    formula = ClauseBuilder()
    image = formula.new_table(n, n)
    for row in image:
        formula.exactly_one(row, "sequential")
    for v in range(n):
        formula.exactly_one([row[v] for row in image], "sequential")
    for a, b in first:
        for x in range(n):
            # Both graphs have equally many edges, so mapping edges to edges maps non-edges to non-edges.
            formula.add_clause([-image[a][x], *(image[b][y] for y in target[x])])
            formula.add_clause([-image[b][x], *(image[a][y] for y in target[x])])
    return formula.formula()


_DEGREE = Parameter("degree", 3, "degree of the random regular graph", 1, 100)

FAMILIES = (
    Family(
        "graph-colouring",
        "Colouring of a random graph with n vertices and density * n edges; 3 colours turn hard near 2.3, 4 near 4.4, "
        "5 near 6.8 edges per vertex.",
        (
            Parameter("n", 120, "vertices", 2, 100_000),
            Parameter("colours", 3, "colours", 2, 30),
            Parameter("density", 2.3, "edges per vertex", 0.0, 200.0),
        ),
        "n",
        (15, 800),
        _colouring,
        variants=vary("colours density", (3, 2.3), (3, 2.33), (3, 2.5), (4, 4.3), (4, 4.5), (5, 6.7), (5, 7.2)),
    ),
    Family(
        "regular-colouring",
        "Colouring of a random regular graph.",
        (
            Parameter("n", 60, "vertices", 2, 20_000),
            Parameter("colours", 4, "colours", 2, 30),
            Parameter("degree", 9, "degree of the graph", 1, 100),
        ),
        "n",
        (10, 400),
        _colouring_regular,
        variants=vary("colours degree", (4, 9), (4, 10), (3, 5), (5, 14)),
    ),
    Family(
        "flat-colouring",
        "Graphs with a hidden colouring and equally many edges between each two classes (Culberson's flat graphs).",
        (
            Parameter("n", 150, "vertices", 2, 20_000),
            Parameter("colours", 3, "colours", 2, 30),
            Parameter("density", 2.3, "edges per vertex", 0.0, 200.0),
        ),
        "n",
        (20, 1000),
        _colouring_flat,
        lambda _: True,
        variants=vary("colours density", (3, 2.35), (4, 4.5), (5, 6.8), (5, 7.5)),
    ),
    Family(
        "clique",
        "A clique of a given size in a random graph of a given edge density.",
        (
            Parameter("n", 30, "vertices", 2, 400),
            Parameter("density", 0.5, "share of pairs that are edges", 0.0, 1.0),
            Parameter("clique", 8, "vertices of the clique", 1, 40),
        ),
        "n",
        (8, 80),
        _clique,
        variants=vary("density clique", (0.5, 7), (0.5, 8), (0.5, 9), (0.7, 12), (0.3, 5)),
    ),
    Family(
        "dominating-set",
        "A dominating set of at most `size` vertices in a random regular graph.",
        (Parameter("n", 40, "vertices", 2, 5000), _DEGREE, Parameter("size", 11, "vertices of the set", 1, 5000)),
        "size",
        (2, 60),
        _dominating_set,
        variants=vary("n degree", (40, 3), (60, 5), (54, 4), (80, 3)),
    ),
    Family(
        "vertex-cover",
        "A vertex cover of share * n vertices of a random graph.",
        (
            Parameter("n", 60, "vertices", 2, 10_000),
            Parameter("density", 2.0, "edges per vertex", 0.0, 100.0),
            Parameter("share", 0.55, "share of the vertices in the cover", 0.0, 1.0),
        ),
        "n",
        (20, 400),
        _vertex_cover,
        variants=vary("density share", (2.0, 0.53), (3.0, 0.62), (5.0, 0.72)),
    ),
    Family(
        "hamiltonian-cycle",
        "A Hamiltonian cycle of a random regular graph some of whose edges are removed: successors and positions.",
        (
            Parameter("n", 24, "vertices", 3, 300),
            _DEGREE,
            Parameter("removed", 2, "edges removed at random", 0, 10_000),
        ),
        "n",
        (8, 120),
        _hamiltonian,
        variants=vary("degree removed", (3, 0), (3, 1), (4, 4), (4, 8)),
    ),
    Family(
        "graph-isomorphism",
        "An isomorphism between two random regular graphs: one a renamed copy of the other, or drawn independently "
        "(then there is almost never one).",
        (
            Parameter("n", 20, "vertices", 2, 300),
            Parameter("degree", 4, "degree of both graphs", 1, 30),
            Parameter("kind", "independent", "second graph", choices=("copy", "independent")),
        ),
        "n",
        (8, 100),
        _isomorphism,
        lambda p: True if p["kind"] == "copy" else None,
        variants=vary(
            "degree kind",
            (3, "independent"),
            (12, "copy"),
            (12, "independent"),
            (10, "independent"),
            (16, "independent"),
        ),
    ),
)
