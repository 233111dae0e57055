"""Finite combinatorics: Ramsey, van der Waerden and Schur colourings, golfers, Langford sequences."""

from __future__ import annotations

from itertools import combinations

from satcost_gnn.data.generate.base import Family, Parameter, require, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

_FIXED = Parameter("fixed", 0, "variables set at random by the seed (0: the plain problem)", 0, 100_000)


def _fix_at_random(draws: Draws, formula: ClauseBuilder, variables: list[int], count: int, family: str) -> None:
    require(count <= len(variables), family, f"fixed={count} is more than the {len(variables)} variables")
    signs = draws.signs(count).tolist()
    for i, sign in zip(draws.sample(len(variables), count).tolist(), signs, strict=True):
        formula.add(sign * variables[i])


def _ramsey(draws: Draws, n: int, s: int, t: int, fixed: int) -> Formula:
    formula = ClauseBuilder()
    edge = {pair: formula.new_var() for pair in combinations(range(n), 2)}
    for size, sign in ((s, 1), (t, -1)):
        for group in combinations(range(n), size):
            formula.add_clause(sign * edge[pair] for pair in combinations(group, 2))
    _fix_at_random(draws, formula, list(edge.values()), fixed, "ramsey")
    return formula.formula()


def _van_der_waerden(draws: Draws, n: int, first: int, second: int, fixed: int) -> Formula:
    formula = ClauseBuilder(n)
    for length, sign in ((first, 1), (second, -1)):
        for step in range(1, (n - 1) // (length - 1) + 1):
            for start in range(1, n - step * (length - 1) + 1):
                formula.add_clause(sign * (start + i * step) for i in range(length))
    _fix_at_random(draws, formula, list(range(1, n + 1)), fixed, "van-der-waerden")
    return formula.formula()


def _schur(draws: Draws, n: int, colours: int, fixed: int) -> Formula:
    formula = ClauseBuilder()
    table = formula.new_table(n, colours)
    for row in table:
        formula.add_clause(row)
    for a in range(1, n + 1):
        for b in range(a, n - a + 1):
            for c in range(colours):
                clause = [-table[a - 1][c], -table[b - 1][c], -table[a + b - 1][c]]
                formula.add_clause(clause if a != b else clause[1:])
    require(fixed <= n, "schur", f"fixed={fixed} is more than n={n}")
    given = draws.below(colours, fixed).tolist()
    for i, colour in zip(draws.sample(n, fixed).tolist(), given, strict=True):
        formula.add(table[i][colour])
    return formula.formula()


def _golfer(draws: Draws, groups: int, size: int, weeks: int, fixed: int) -> Formula:
    players = groups * size
    formula = ClauseBuilder()
    # plays[w][p][g]: in week w player p is in group g. The first week is fixed: groups in order.
    plays = [formula.new_table(players, groups) for _ in range(weeks)]
    for week in plays:
        for row in week:
            formula.exactly_one(row)
        for g in range(groups):
            column = [row[g] for row in week]
            formula.at_most(column, size)
            formula.at_least(column, size)
    for p in range(players):
        formula.add(plays[0][p][p // size])
    for week in plays[1:]:
        for p in range(min(size, groups)):
            formula.add(week[p][p])
    for p, q in combinations(range(players), 2):
        together = formula.new_vars(weeks)
        for week, met in zip(plays, together, strict=True):
            for g in range(groups):
                formula.add(-week[p][g], -week[q][g], met)
        formula.at_most_one(together)
    places = draws.sample(players, min(fixed, players)).tolist()
    for p, g in zip(places, draws.below(groups, len(places)).tolist(), strict=True):
        formula.add(plays[-1][p][g])
    return formula.formula()


def _langford(draws: Draws, n: int, fixed: int) -> Formula:
    formula = ClauseBuilder()
    slots: list[list[int]] = [[] for _ in range(2 * n)]
    every: list[int] = []
    for number in range(1, n + 1):
        places = []
        for start in range(2 * n - number - 1):
            variable = formula.new_var()
            places.append(variable)
            slots[start].append(variable)
            slots[start + number + 1].append(variable)
        formula.exactly_one(places)
        every += places
    for slot in slots:
        formula.at_most_one(slot)
    require(fixed <= len(every), "langford", f"fixed={fixed} is more than the {len(every)} variables")
    for i in draws.sample(len(every), fixed).tolist():
        formula.add(-every[i])
    return formula.formula()


FAMILIES = (
    Family(
        "ramsey",
        "Two-colour the edges of the complete graph without a clique of s in one colour or t in the other. "
        "R(3,3)=6, R(3,4)=9, R(3,5)=14, R(4,4)=18: unsatisfiable from there on.",
        (
            Parameter("n", 8, "vertices", 2, 60),
            Parameter("s", 3, "forbidden clique of the first colour", 2, 10),
            Parameter("t", 4, "forbidden clique of the second colour", 2, 10),
            _FIXED,
        ),
        "n",
        (5, 30),
        _ramsey,
        variants=vary("s t fixed", (3, 4, 0), (4, 4, 20), (4, 4, 8), (3, 5, 10), (3, 6, 20), (4, 5, 80)),
    ),
    Family(
        "van-der-waerden",
        "Two-colour 1..n without an arithmetic progression of `first` terms in one colour or `second` in the other. "
        "W(3,3)=9, W(3,4)=18, W(4,4)=35, W(3,9)=77, W(3,12)=135.",
        (
            Parameter("n", 34, "numbers", 3, 5000),
            Parameter("first", 4, "forbidden length of the first colour", 2, 30),
            Parameter("second", 4, "forbidden length of the second colour", 2, 30),
            _FIXED,
        ),
        "n",
        (9, 300),
        _van_der_waerden,
        variants=vary(
            "first second fixed", (3, 7, 2), (3, 9, 3), (3, 10, 4), (3, 12, 6), (4, 4, 2), (4, 5, 4), (4, 6, 10)
        ),
    ),
    Family(
        "schur",
        "Split 1..n into classes without a + b = c inside one. Schur numbers: 4, 13, 44, 160 for 2, 3, 4, 5 classes.",
        (
            Parameter("n", 43, "numbers", 1, 1000),
            Parameter("colours", 4, "classes", 1, 7),
            Parameter("fixed", 0, "numbers put into a random class by the seed", 0, 1000),
        ),
        "n",
        (10, 160),
        _schur,
        variants=vary("colours fixed", (4, 4), (4, 8), (5, 30)),
    ),
    Family(
        "social-golfer",
        "Groups of golfers, week after week, without two of them meeting twice; the first week and the first players "
        "are fixed against symmetry.",
        (
            Parameter("groups", 4, "groups a week", 1, 12),
            Parameter("size", 3, "players in a group", 1, 8),
            Parameter("weeks", 3, "weeks", 1, 15),
            Parameter("fixed", 0, "players put into a random group of the last week by the seed", 0, 100),
        ),
        "weeks",
        (2, 11),
        _golfer,
        variants=vary("groups size fixed", (4, 3, 3), (5, 3, 3), (6, 3, 4), (7, 3, 4), (5, 4, 3), (4, 4, 0)),
    ),
    Family(
        "langford",
        "Langford sequences: two copies of each number i in 2n slots with i slots between them; solvable just when n "
        "is 0 or 3 modulo 4.",
        (
            Parameter("n", 8, "numbers", 1, 200),
            Parameter("fixed", 0, "places forbidden at random by the seed", 0, 10_000),
        ),
        "n",
        (4, 60),
        _langford,
        lambda p: False if p["n"] % 4 in (1, 2) else (None if p["fixed"] else True),
        variants=vary("fixed", 10, 30, 50, 60, 100),
    ),
)
