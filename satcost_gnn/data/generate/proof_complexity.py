"""Formulas known from proof complexity: pigeons, clique colouring, ordering, subset cardinality, pebbling."""

from __future__ import annotations

from itertools import combinations, permutations

from satcost_gnn.data.generate.base import Family, Parameter, require, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.data.generate.random_graph import neighbours, regular_edges
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

_AMO = Parameter("encoding", "pairwise", "at-most-one encoding", choices=("pairwise", "sequential"))


def _pigeonhole(draws: Draws, holes: int, surplus: int, variant: str, degree: int, encoding: str) -> Formula:
    pigeons = holes + surplus
    require(pigeons >= 1, "pigeonhole", f"holes + surplus is {pigeons}; expected at least one pigeon")
    require(degree <= holes, "pigeonhole", f"degree={degree} is more than holes={holes}")
    formula = ClauseBuilder()
    inside: list[list[int]] = [[] for _ in range(holes)]
    for _ in range(pigeons):
        allowed = sorted(draws.sample(holes, degree).tolist()) if degree else range(holes)
        places = formula.new_vars(len(allowed))
        formula.add_clause(places)
        if variant in ("functional", "bijective"):
            formula.at_most_one(places, encoding)
        for hole, place in zip(allowed, places, strict=True):
            inside[hole].append(place)
    for places in inside:
        formula.at_most_one(places, encoding)
        if variant in ("onto", "bijective"):
            formula.add_clause(places)
    return formula.formula()


def _pigeonhole_known(p: dict[str, int | str]) -> bool | None:
    surplus = int(p["surplus"])
    if surplus > 0 or (surplus < 0 and p["variant"] == "bijective"):
        return False
    # With all holes open, pigeons without "functional" may fill several holes, so that "onto" can hold as well.
    return None if p["degree"] else True


def _two_pigeons(draws: Draws, holes: int, surplus: int, capacity: int) -> Formula:
    pigeons = holes * capacity + surplus
    require(pigeons >= 1, "pigeons-per-hole", "there must be at least one pigeon; raise surplus")
    formula = ClauseBuilder()
    table = formula.new_table(pigeons, holes)
    for row in table:
        formula.add_clause(row)
    for hole in range(holes):
        formula.at_most_direct([row[hole] for row in table], capacity)
    return formula.formula()


def _clique_colouring(draws: Draws, n: int, clique: int, colours: int) -> Formula:
    formula = ClauseBuilder()
    edge = {pair: formula.new_var() for pair in combinations(range(n), 2)}
    member = formula.new_table(clique, n)
    colour = formula.new_table(n, colours)
    for row in member:
        formula.add_clause(row)
        formula.at_most_one(row)
    for v in range(n):
        formula.at_most_one([row[v] for row in member])
    for first, second in permutations(member, 2):
        for (a, b), joined in edge.items():
            formula.add(-first[a], -second[b], joined)
    for row in colour:
        formula.add_clause(row)
    for (a, b), joined in edge.items():
        for c in range(colours):
            formula.add(-joined, -colour[a][c], -colour[b][c])
    return formula.formula()


def _ordering(draws: Draws, n: int, degree: int) -> Formula:
    below = (
        neighbours(regular_edges(draws, n, degree), n)
        if degree
        else [[j for j in range(n) if j != i] for i in range(n)]
    )
    formula = ClauseBuilder(n * (n - 1) // 2)

    def less(a: int, b: int) -> int:
        """Variable of "a before b": one for each pair, so that the order is total and antisymmetric."""
        first, second = min(a, b), max(a, b)
        number = second * (second - 1) // 2 + first + 1
        return number if a < b else -number

    for a, b, c in combinations(range(n), 3):
        formula.add(-less(a, b), -less(b, c), less(a, c))
        formula.add(-less(b, a), -less(c, b), less(c, a))
    for v in range(n):
        formula.add_clause(less(u, v) for u in below[v])
    return formula.formula()


def _subset_cardinality(draws: Draws, n: int, ones: int) -> Formula:
    require(2 * ones < n, "subset-cardinality", f"2 * ones={2 * ones} must be less than n={n}")
    # Superposed random permutations give 2 * ones entries in each row and column (repeats repaired by swaps).
    columns: list[list[int]] = []
    for _ in range(1000):
        if len(columns) == 2 * ones:
            break
        order = draws.permutation(n).tolist()
        for i in range(n):
            for _ in range(1000):
                if all(order[i] != other[i] for other in columns):
                    break
                j = draws.one_below(n)
                if all(order[i] != other[j] and order[j] != other[i] for other in columns):
                    order[i], order[j] = order[j], order[i]
        if all(order[i] != other[i] for other in columns for i in range(n)):
            columns.append(order)
    require(len(columns) == 2 * ones, "subset-cardinality", "no such matrix was found; take a larger n or another seed")
    cells = [[column[i] for column in columns] for i in range(n)]
    free = [(i, j) for i in range(n) for j in range(n) if j not in cells[i]]
    i, j = free[draws.one_below(len(free))]
    cells[i].append(j)
    formula = ClauseBuilder()
    rows: list[list[int]] = []
    in_column: list[list[int]] = [[] for _ in range(n)]
    for row in cells:
        variables = formula.new_vars(len(row))
        rows.append(variables)
        for j, variable in zip(row, variables, strict=True):
            in_column[j].append(variable)
    for variables in rows:
        formula.at_most_direct([-variable for variable in variables], len(variables) // 2)
    for variables in in_column:
        formula.at_most_direct(variables, len(variables) // 2)
    return formula.formula()


def _pebbling(draws: Draws, height: int, width: int) -> Formula:
    formula = ClauseBuilder()
    # A pyramid whose base is `width` wide and which is cut off after `height` layers; each vertex is the parity of
    # two variables, so that a pebble is only known by both.
    layers: list[list[tuple[int, int]]] = []

    def forbid(*facts: tuple[tuple[int, int], bool]) -> None:
        """No assignment makes all these parities come out as given."""
        choices: list[list[int]] = [[]]
        for (x, y), odd in facts:
            pairs = [(x, -y), (-x, y)] if odd else [(x, y), (-x, -y)]
            choices = [[*clause, -a, -b] for clause in choices for a, b in pairs]
        for clause in choices:
            formula.add_clause(clause)

    for level in range(min(height, width)):
        row = []
        for i in range(width - level):
            vertex = (formula.new_var(), formula.new_var())
            if level == 0:
                forbid((vertex, False))
            else:
                forbid((layers[-1][i], True), (layers[-1][i + 1], True), (vertex, False))
            row.append(vertex)
        layers.append(row)
    for vertex in layers[-1]:
        forbid((vertex, True))
    return formula.formula()


def _small_unsat(draws: Draws, groups: int) -> Formula:
    n = 5 * groups
    formula = ClauseBuilder(n)
    order = list(range(1, n + 1))
    positive = True
    # At least three of five are true in each group of the first partition, at most two in those of the others.
    for _ in range(3):
        for start in range(0, n, 5):
            for chosen in combinations(order[start : start + 5], 3):
                formula.add_clause(chosen if positive else [-v for v in chosen])
        positive = False
        order = [order[i] for i in draws.permutation(n).tolist()]
    return formula.formula()


FAMILIES = (
    Family(
        "pigeonhole",
        "Pigeons into holes, complete or on a random bipartite graph; plain, functional (one hole a pigeon), onto "
        "(no empty hole) or bijective. More pigeons than holes is unsatisfiable.",
        (
            Parameter("holes", 8, "holes", 1, 500),
            Parameter("surplus", 1, "pigeons beyond the number of holes", -500, 500),
            Parameter("variant", "plain", "extra constraints", choices=("plain", "functional", "onto", "bijective")),
            Parameter("degree", 0, "holes open to each pigeon; 0: all", 0, 500),
            _AMO,
        ),
        "holes",
        (4, 60),
        _pigeonhole,
        _pigeonhole_known,  # type: ignore[arg-type]
        variants=(
            {"variant": "plain", "degree": 0},
            {"variant": "bijective", "degree": 0},
            {"variant": "functional", "degree": 4},
            {"variant": "plain", "degree": 5},
            {"variant": "onto", "degree": 6, "surplus": 2},
            {"variant": "plain", "degree": 0, "encoding": "sequential"},
            {"variant": "functional", "degree": 6, "surplus": 2},
        ),
    ),
    Family(
        "pigeons-per-hole",
        "Holes that take two (or more) pigeons each: capacity * holes + surplus pigeons.",
        (
            Parameter("holes", 5, "holes", 1, 60),
            Parameter("surplus", 1, "pigeons beyond what fits", -1000, 100),
            Parameter("capacity", 2, "pigeons in a hole", 1, 4),
        ),
        "holes",
        (2, 10),
        _two_pigeons,
        lambda p: p["surplus"] <= 0,
        variants=(
            {"capacity": 2},
            {"capacity": 2, "surplus": 2},
            {"capacity": 3},
        ),
    ),
    Family(
        "clique-colouring",
        "A graph that has a clique and yet is coloured with fewer colours: unsatisfiable when clique > colours.",
        (
            Parameter("n", 8, "vertices", 2, 60),
            Parameter("clique", 4, "vertices of the clique", 1, 40),
            Parameter("colours", 3, "colours", 1, 40),
        ),
        "n",
        (4, 30),
        _clique_colouring,
        lambda p: p["clique"] <= min(p["colours"], p["n"]),
        variants=vary("clique colours", (4, 3), (5, 4), (4, 2), (3, 2)),
    ),
    Family(
        "ordering",
        "The ordering principle GT_n: a total order without a least element; on a random regular graph (degree > 0), "
        "each vertex needs a smaller neighbour.",
        (
            Parameter("n", 20, "elements", 2, 200),
            Parameter("degree", 0, "degree of the random graph; 0: complete", 0, 50),
        ),
        "n",
        (6, 120),
        _ordering,
        lambda _: False,
        variants=vary("degree", 0, 4, 8),
    ),
    Family(
        "subset-cardinality",
        "Subset cardinality formulas (Spence; Van Gelder and Spence; Mikša and Nordström, SAT 2014): each row of a "
        "sparse matrix at least half true, each column at most half, and one entry too many.",
        (
            Parameter("n", 10, "rows and columns", 4, 500),
            Parameter("ones", 2, "half the entries in a row", 1, 4),
        ),
        "n",
        (6, 60),
        _subset_cardinality,
        lambda _: False,
        variants=vary("ones", 2, 1, 3),
    ),
    Family(
        "pebbling",
        "Pebbling a truncated pyramid, every vertex a parity of two variables: unsatisfiable, with short proofs.",
        (
            Parameter("height", 10, "layers", 1, 500),
            Parameter("width", 12, "vertices of the lowest layer", 1, 500),
        ),
        "width",
        (5, 200),
        _pebbling,
        lambda p: False,
        variants=vary("height", 500, 20),
    ),
    Family(
        "small-unsat",
        "Small hard unsatisfiable formulas (after Spence's sgen1, JSAT 2010): partitions into groups of five, at most "
        "two false in each of one, at most two true in each of two others.",
        (Parameter("groups", 9, "groups of five variables", 1, 500),),
        "groups",
        (4, 40),
        _small_unsat,
        lambda _: False,
    ),
)
