"""Random k-SAT and what is derived from it: regular, planted, modular, scale-free, mixed lengths, random parity."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import sqrt

import numpy as np

from satcost_gnn.data.generate.base import MAX_LITERALS, Family, Parameter, from_rows, require, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws, Ints

_K = Parameter("k", 3, "literals in a clause", 2, 15)
_N = Parameter("n", 200, "variables", 3, 5_000_000)
_RATIO = Parameter("ratio", 4.26, "clauses per variable", 0.0, 10_000.0)


def _check_k(k: int, n: int, family: str) -> None:
    require(k <= n, family, f"k={k} literals need at least as many variables, found n={n}")


def _clause_count(k: int, n: int, ratio: float, family: str) -> int:
    count = round(ratio * n)
    require(
        count * k <= MAX_LITERALS,
        family,
        f"{count:,} clauses of {k} literals are more than {MAX_LITERALS:,} literals; choose a smaller size",
    )
    return count


def _random_ksat(draws: Draws, k: int, n: int, ratio: float) -> Formula:
    _check_k(k, n, "random-ksat")
    m = _clause_count(k, n, ratio, "random-ksat")
    rows = draws.distinct_rows(m, k, n) + 1
    return from_rows(rows * draws.signs(m * k).reshape(m, k), n)


def _regular_ksat(draws: Draws, k: int, n: int, ratio: float) -> Formula:
    _check_k(k, n, "regular-ksat")
    m = _clause_count(k, n, ratio, "regular-ksat")
    # Literal codes 0..2n-1; each occurs floor or ceil of m k / 2n times.
    each, rest = divmod(m * k, 2 * n)
    codes = np.concatenate([np.repeat(np.arange(2 * n), each), draws.sample(2 * n, rest)])
    codes = codes[draws.permutation(len(codes))]
    for _ in range(10_000):
        ordered = np.sort(codes.reshape(m, k) >> 1, axis=1)
        bad = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(bad):
            break
        # Each bad clause trades one of its literals for one anywhere else: the occurrence counts stay.
        for row in bad.tolist():
            here = row * k + draws.one_below(k)
            there = draws.one_below(m * k)
            codes[here], codes[there] = codes[there], codes[here]
    else:
        require(False, "regular-ksat", f"no clauses of {k} different variables found with n={n}; take more variables")
    table = codes.reshape(m, k)
    return from_rows(((table >> 1) + 1) * (1 - 2 * (table & 1)), n)


def _planted_ksat(draws: Draws, k: int, n: int, ratio: float, q: float) -> Formula:
    _check_k(k, n, "planted-ksat")
    m = _clause_count(k, n, ratio, "planted-ksat")
    hidden = draws.signs(n)
    # A pattern says which literals of a clause the hidden assignment satisfies; t of them have weight q^t, none 0.
    weights = [0.0]
    for pattern in range(1, 1 << k):
        weight = 1.0
        for _ in range(pattern.bit_count()):
            weight *= q
        weights.append(weight)
    patterns = draws.weighted(np.array(list(accumulate(weights))), m)
    variables = draws.distinct_rows(m, k, n)
    satisfied = (patterns[:, None] >> np.arange(k)) & 1
    return from_rows((variables + 1) * hidden[variables] * (2 * satisfied - 1), n)


def _modular_ksat(draws: Draws, k: int, n: int, ratio: float, communities: int, modularity: float) -> Formula:
    size = n // communities
    require(
        communities >= k and size >= k,
        "modular-ksat",
        f"communities={communities} and n/communities={size} must both be at least k={k}",
    )
    n = size * communities
    m = _clause_count(k, n, ratio, "modular-ksat")
    inside = draws.uniform(m) < modularity + 1 / communities
    count = int(inside.sum())
    rows = np.empty((m, k), dtype=np.int64)
    home = draws.below(communities, count)
    rows[inside] = home[:, None] * size + draws.distinct_rows(count, k, size)
    apart = draws.distinct_rows(m - count, k, communities)
    rows[~inside] = apart * size + draws.below(size, (m - count) * k).reshape(-1, k)
    return from_rows((rows + 1) * draws.signs(m * k).reshape(m, k), n)


def _powerlaw_ksat(draws: Draws, k: int, n: int, ratio: float, quarters: int) -> Formula:
    _check_k(k, n, "powerlaw-ksat")
    m = _clause_count(k, n, ratio, "powerlaw-ksat")
    # i ** (-quarters / 4) by square roots only: the power function is not rounded alike everywhere.
    roots: dict[int, Callable[[float], float]] = {
        1: lambda i: sqrt(sqrt(i)),
        2: sqrt,
        3: lambda i: sqrt(i) * sqrt(sqrt(i)),
        4: float,
    }
    root = roots[quarters]
    cumulative = np.array(list(accumulate(1.0 / root(float(i)) for i in range(1, n + 1))))
    rows = draws.distinct(lambda count: draws.weighted(cumulative, count * k).reshape(count, k), m)
    return from_rows((rows + 1) * draws.signs(m * k).reshape(m, k), n)


def _two_plus_p(draws: Draws, n: int, ratio: float, p: float) -> Formula:
    m = _clause_count(3, n, ratio, "two-plus-p")
    three = round(p * m)
    formula = ClauseBuilder(n)
    for width, count in ((2, m - three), (3, three)):
        formula.add_rows((draws.distinct_rows(count, width, n) + 1) * draws.signs(count * width).reshape(count, width))
    return formula.formula()


def _random_xor(draws: Draws, k: int, n: int, ratio: float, kind: str) -> Formula:
    _check_k(k, n, "random-xor")
    m = _clause_count(k, n, ratio, "random-xor")
    rows = draws.distinct_rows(m, k, n)
    if kind == "random":
        odd = draws.flags(m)
    else:
        odd = (draws.flags(n).astype(np.int64)[rows].sum(axis=1) & 1).astype(np.bool_)
    if kind == "contradiction":
        # One more equation: the sum of a random half of the others, with the wrong right-hand side.
        chosen = np.flatnonzero(draws.flags(m))
        parity = np.bincount(rows[chosen].reshape(-1), minlength=n) & 1
        extra: Ints = np.flatnonzero(parity)
        flipped = not (int(odd[chosen].sum()) & 1)
    formula = ClauseBuilder(n)
    for row, one in zip(rows.tolist(), odd.tolist(), strict=True):
        formula.parity([v + 1 for v in row], one)
    if kind == "contradiction":
        if len(extra):
            formula.parity_chain([v + 1 for v in extra.tolist()], flipped)
        else:
            formula.add()
    return formula.formula()


FAMILIES = (
    Family(
        "random-ksat",
        "Uniform random k-SAT of fixed clause length. Thresholds: about 4.267 (k=3), 21.12 (k=5), 87.79 (k=7).",
        (_K, _N, _RATIO),
        "n",
        (20, 500),
        _random_ksat,
        variants=vary(
            "k ratio",
            (3, 3.9),
            (3, 4.26),
            (3, 4.6),
            (3, 5.5),
            (5, 20.0),
            (5, 21.1),
            (5, 24.0),
            (7, 84.0),
            (7, 88.0),
            (4, 9.9),
        ),
    ),
    Family(
        "regular-ksat",
        "Random k-SAT in which every literal occurs equally often (up to one), which is harder at the same size.",
        (
            _K,
            Parameter("n", 150, "variables", 3, 1_000_000),
            Parameter("ratio", 3.6, "clauses per variable", 0.0, 1000.0),
        ),
        "n",
        (20, 400),
        _regular_ksat,
        variants=vary("k ratio", (3, 3.5), (3, 3.8), (4, 9.2), (5, 20.0)),
    ),
    Family(
        "planted-ksat",
        "Random k-SAT with a hidden solution; a clause with t literals satisfied by it has weight q^t, and q=0.618 "
        "hides a solution of 3-SAT from its literals' majority.",
        (_K, _N, _RATIO, Parameter("q", 0.618, "weight of each satisfied literal", 0.01, 1.0)),
        "n",
        (20, 600),
        _planted_ksat,
        lambda _: True,
        variants=vary("k ratio q", (3, 4.26, 0.618), (3, 5.0, 0.618), (3, 4.2, 1.0), (5, 21.0, 0.8), (4, 9.9, 0.75)),
    ),
    Family(
        "modular-ksat",
        "Community attachment (Giráldez-Cru and Levy, AIJ 2016): clauses lie inside one community more often than by "
        "chance, like in industrial formulas.",
        (
            _K,
            Parameter("n", 400, "variables", 9, 1_000_000),
            Parameter("ratio", 4.1, "clauses per variable", 0.0, 1000.0),
            Parameter("communities", 8, "communities of equal size", 2, 100_000),
            Parameter("modularity", 0.5, "expected modularity Q", 0.0, 0.99),
        ),
        "n",
        (40, 6000),
        _modular_ksat,
        variants=vary(
            "communities modularity ratio", (8, 0.3, 4.2), (10, 0.5, 4.1), (20, 0.7, 4.0), (40, 0.8, 3.9), (6, 0.6, 4.3)
        ),
    ),
    Family(
        "powerlaw-ksat",
        "Scale-free random k-SAT (Ansótegui, Bonet and Levy, CP 2009): variable i occurs in proportion to "
        "i^(-quarters/4).",
        (
            _K,
            Parameter("n", 400, "variables", 3, 1_000_000),
            Parameter("ratio", 3.5, "clauses per variable", 0.0, 1000.0),
            Parameter("quarters", 2, "quarters of the exponent", choices=(1, 2, 3, 4)),
        ),
        "n",
        (30, 5000),
        _powerlaw_ksat,
        variants=vary("quarters ratio", (1, 4.1), (2, 3.4), (3, 2.6), (2, 3.8)),
    ),
    Family(
        "two-plus-p",
        "Random (2+p)-SAT: a share p of clauses of three literals, the rest of two.",
        (
            _N,
            Parameter("ratio", 2.9, "clauses per variable", 0.0, 1000.0),
            Parameter("p", 0.6, "share of clauses with three literals", 0.0, 1.0),
        ),
        "n",
        (40, 3000),
        _two_plus_p,
        variants=vary("p ratio", (0.8, 2.9), (0.9, 3.4), (0.7, 2.4), (0.85, 3.3)),
    ),
    Family(
        "random-xor",
        "A random system of parity equations of k variables: consistent, with random right-hand sides, or with one "
        "equation added that contradicts the others. Easy by elimination, hard by resolution.",
        (
            Parameter("k", 3, "variables in an equation", 2, 8),
            Parameter("n", 40, "variables", 3, 100_000),
            Parameter("ratio", 0.95, "equations per variable", 0.0, 100.0),
            Parameter("kind", "random", "right-hand sides", choices=("random", "consistent", "contradiction")),
        ),
        "n",
        (10, 200),
        _random_xor,
        lambda p: {"random": None, "consistent": True, "contradiction": False}[p["kind"]],
        variants=vary(
            "k ratio kind",
            (3, 1.0, "random"),
            (3, 0.95, "contradiction"),
            (3, 1.1, "consistent"),
            (4, 0.98, "consistent"),
            (4, 1.0, "random"),
        ),
    ),
)
