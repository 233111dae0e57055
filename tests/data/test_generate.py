"""Families: repeatable bytes, recipes, and answers that are known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from pysat.solvers import Solver

from satcost_gnn.data.generate import FAMILIES, from_recipe, get_family, parse_recipe, recipe
from satcost_gnn.data.generate.arithmetic import factoring_clauses, is_prime, subset_sum_clauses
from satcost_gnn.data.generate.base import Family, Value
from satcost_gnn.data.generate.graph_problems import colouring_clauses
from satcost_gnn.data.generate.latin_squares import latin_clauses, random_latin_square
from satcost_gnn.data.generate.random_graph import gnm_edges, grid_edges, neighbours, regular_edges
from satcost_gnn.data.generate.scheduling import shop_clauses, timetable_clauses
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws


def solve(formula: Formula) -> list[int] | None:
    """Return a model (a literal for each variable), or None if there is none."""
    with Solver("cadical195", bootstrap_with=formula.clauses()) as solver:
        return list(solver.get_model()) if solver.solve() else None


def satisfiable(family: str, seed: int = 0, **params: Value) -> bool:
    return solve(FAMILIES[family].generate(seed, **params)) is not None


def digest(formula: Formula) -> str:
    return hashlib.sha256(formula.to_dimacs().encode()).hexdigest()[:16]


def small(family: Family, **params: Value) -> Formula:
    """Return an instance of the smallest size of the family's range that fits these parameters."""
    kind = family.parameter(family.size_parameter).type
    low, high = family.size_range
    for step in range(400):
        size = min(low + step, high)
        try:
            return family.generate(5, **{**params, family.size_parameter: int(size) if kind is int else size})
        except ConfigError:
            continue
    raise AssertionError(f"{family.name}: no size fits {params}")


# ------------------------------------------------------------------------------------------ bytes and recipes


# These digests must never change: recipes in data sets name these bytes.
PINNED: dict[str, str] = {
    "random-ksat": "d061adb3b39e8108",
    "regular-ksat": "984c42f47f125b27",
    "planted-ksat": "132aa52dcdf1a518",
    "modular-ksat": "d96d01f8502d2fd3",
    "powerlaw-ksat": "e9f4f9b3f43097df",
    "two-plus-p": "411455bdd13325d2",
    "random-xor": "418d55bfa9302371",
    "tseitin": "d0003ddc4d38ff60",
    "tseitin-grid": "0dcabc55aa213180",
    "parity-orders": "6429fc43eafb0972",
    "parity-noisy": "0c22ecee25e3c1bd",
    "perfect-matching": "6fc48e80be587a9a",
    "pigeonhole": "c8a59526385b9258",
    "pigeons-per-hole": "13846d5110f84582",
    "clique-colouring": "d68cc87f111ce714",
    "ordering": "316a9c66631a9183",
    "subset-cardinality": "08b9550507de6404",
    "pebbling": "f2a1227dd1198d0f",
    "small-unsat": "2232188acd13da03",
    "ramsey": "232347e38e49770d",
    "van-der-waerden": "bdaf64c71d1dca96",
    "schur": "31d5bea3eb539b13",
    "social-golfer": "5318e9b52e60baf3",
    "langford": "058e7601e1b50609",
    "graph-colouring": "cd1f612244d98aa1",
    "regular-colouring": "82d473351117fec9",
    "flat-colouring": "69ae0dd1b88d2211",
    "clique": "052db9e6f7e539b4",
    "dominating-set": "c5cbcdb4fdf44dc2",
    "vertex-cover": "619392da4e4bcd7f",
    "hamiltonian-cycle": "fafec9cc35c089aa",
    "graph-isomorphism": "df3dc3f319e4a4c0",
    "quasigroup-holes": "1f7f8171af2891b3",
    "quasigroup-completion": "9f05b07cd00d84b7",
    "sudoku": "9570bf58420c222c",
    "factoring": "18d9518678a26948",
    "subset-sum": "5629d98739891899",
    "multiplier-miter": "f249ed834a9c4c1d",
    "adder-miter": "8b9e33d5f9819430",
    "sorter-miter": "4d13d3bafad61f37",
    "count-miter": "c556d51387da6634",
    "mixed-boolean-arithmetic": "6f5d5c896e793a2a",
    "bmc-counter": "185ea20becfd8542",
    "bmc-queue": "9fcd0614b4ce8d34",
    "bmc-lock": "a88fe5d637ea689c",
    "netlist-miter": "1f4be89699c0f30c",
    "md4-preimage": "f157437b1215ab66",
    "keccak-preimage": "8c1c2eafec96dad2",
    "speck-key": "591733dd3764dcce",
    "trivium-state": "091f73bb8f2a9fe4",
    "filter-generator": "a888a408ae69a4dd",
    "shop-scheduling": "cc0223e81347c083",
    "timetable": "a8c14824e8426c65",
}


def test_every_family_has_a_pinned_digest() -> None:
    assert set(PINNED) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_bytes_never_change(name: str) -> None:
    assert digest(small(FAMILIES[name])) == PINNED.get(name)


def test_random_words_are_those_of_philox() -> None:
    # First words of Philox4x64-10 under this key, as numpy 1.26 to 2.x and Python 3.11 to 3.13 give them.
    assert Draws(7, "random-ksat").words(3).tolist() == [2641831102776087478, 12199132146991615949, 9199143628414180863]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_variants_are_valid_and_their_recipes_regenerate_them(family: Family) -> None:
    for variant in family.variants:
        formula = small(family, **variant)
        assert formula.n_clauses > 0
        assert formula.source.startswith(f"{family.name}:")
        again = from_recipe(formula.source)
        assert again.to_dimacs() == formula.to_dimacs()
        assert again.source == formula.source
        assert int(np.abs(formula.literals).max(initial=0)) <= formula.n_vars


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_variants_keep_what_they_promise_about_satisfiability(family: Family) -> None:
    for variant in family.variants:
        formula = small(family, **variant)
        _, _, params = parse_recipe(formula.source)
        promise = family.satisfiable(**params)
        with Solver("cadical195", bootstrap_with=formula.clauses()) as solver:
            solver.conf_budget(20_000)
            answer = solver.solve_limited()
        assert promise is None or answer is None or answer == promise


def test_seeds_differ_and_repeat() -> None:
    family = FAMILIES["random-ksat"]
    assert family.generate(1).to_dimacs() == family.generate(1).to_dimacs()
    assert family.generate(1).to_dimacs() != family.generate(2).to_dimacs()


def test_recipe_text() -> None:
    family = FAMILIES["random-ksat"]
    assert recipe(family, 7, {"n": 250}) == "random-ksat:k=3,n=250,ratio=4.26,seed=7"
    assert family.generate(7, n=250).source == recipe(family, 7, {"n": 250})
    assert parse_recipe("random-ksat:n=250,seed=7")[1:] == (7, {"k": 3, "n": 250, "ratio": 4.26, "shuffle": 0})


def test_a_shuffled_copy_is_isomorphic_and_has_its_own_recipe() -> None:
    family = FAMILIES["pigeonhole"]
    plain, mixed = family.generate(0, holes=4), family.generate(0, holes=4, shuffle=3)
    assert "shuffle" not in plain.source
    assert mixed.source.endswith("shuffle=3,seed=0")
    assert from_recipe(mixed.source).to_dimacs() == mixed.to_dimacs() != plain.to_dimacs()
    assert sorted(mixed.clause_lengths) == sorted(plain.clause_lengths)
    occurrences = [np.sort(np.bincount(np.abs(f.literals))).tolist() for f in (plain, mixed)]
    assert occurrences[0] == occurrences[1]
    assert solve(mixed) is None
    assert solve(family.generate(0, holes=4, surplus=0, shuffle=3)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "no-such-family:seed=1",
        "random-ksat:k=3,nn=5,seed=1",
        "random-ksat:n=12.5",
        "random-ksat:n=1",
        "random-ksat:n=nan",
        "random-ksat:ratio=nan",
        "random-ksat:n=10,n=11",
        "random-ksat:n",
        "random-ksat:seed=-1",
        "random-ksat:seed=99999999999999999999999",
        "tseitin:charge=blue",
        "random-ksat:k=9,n=5",
        "tseitin:n=7,degree=3",
        "random-ksat:n=5000000,ratio=10000",
        "cube:literals=1,parent=sha256-unknown",
        "cube:literals=x,parent=pigeonhole:holes=3,seed=0",
        "",
    ],
)
def test_wrong_recipes_are_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected|recipe|vertices|at least|more than"):
        from_recipe(text)


def test_unknown_family_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="random-ksat, regular-ksat"):
        get_family("random")


# --------------------------------------------------------------------------------------------------- random formulas


@pytest.mark.parametrize(("k", "n"), [(3, 200), (5, 60), (7, 12), (15, 15)])
def test_random_ksat_has_distinct_variables_and_fair_signs(k: int, n: int) -> None:
    formula = FAMILIES["random-ksat"].generate(3, k=k, n=n, ratio=20.0)
    rows = formula.literals.reshape(-1, k)
    assert len(rows) == 20 * n
    assert all(len(set(row)) == k for row in np.abs(rows).tolist())
    positive = float((rows > 0).mean())
    assert abs(positive - 0.5) < 5 * 0.5 / rows.size**0.5


def test_regular_ksat_uses_each_literal_equally_often() -> None:
    formula = FAMILIES["regular-ksat"].generate(1, k=3, n=90, ratio=3.7)
    counts = [int((formula.literals == sign * v).sum()) for v in range(1, 91) for sign in (1, -1)]
    assert max(counts) - min(counts) <= 1
    assert all(len(set(map(abs, clause))) == 3 for clause in formula.clauses())


def test_planted_solution_hides_its_majority() -> None:
    # With q = 0.618 a literal agrees with the hidden assignment as often as not: q (1 + q) = 1.
    formula = FAMILIES["planted-ksat"].generate(1, n=3000, ratio=4.0, q=0.618)
    hidden = Draws(1, "planted-ksat").signs(3000)
    agree = np.sign(formula.literals) == hidden[np.abs(formula.literals) - 1]
    assert agree.reshape(-1, 3).any(axis=1).all()
    assert abs(float(agree.mean()) - 0.5) < 0.015


def test_modularity_of_community_attachment() -> None:
    formula = FAMILIES["modular-ksat"].generate(1, n=4000, communities=20, modularity=0.7)
    home = (np.abs(formula.literals).reshape(-1, 3) - 1) // 200
    inside = float((home == home[:, :1]).all(axis=1).mean())
    apart = float((np.sort(home)[:, 1:] != np.sort(home)[:, :-1]).all(axis=1).mean())
    assert abs(inside - 0.75) < 0.02
    assert inside + apart == pytest.approx(1.0)


def test_powerlaw_degrees_fall_with_the_exponent() -> None:
    formula = FAMILIES["powerlaw-ksat"].generate(1, n=10_000, quarters=2)
    counts = np.bincount(np.abs(formula.literals), minlength=10_001)[1:]
    # Occurrences of the first tenth of the variables: about sqrt(1/10) of all with exponent 1/2.
    assert abs(counts[:1000].sum() / counts.sum() - 0.1**0.5) < 0.02


def test_random_parity_systems() -> None:
    for seed in range(5):
        assert satisfiable("random-xor", seed, n=15, ratio=1.2, kind="consistent")
        assert not satisfiable("random-xor", seed, n=15, ratio=0.9, kind="contradiction")


# ---------------------------------------------------------------------------------------------------- known answers

ANSWERS: list[tuple[str, dict[str, Value], bool]] = [
    *[("pigeonhole", {"holes": 4, "variant": v}, False) for v in ("plain", "functional", "onto", "bijective")],
    *[("pigeonhole", {"holes": 4, "surplus": 0, "variant": v}, True) for v in ("plain", "functional", "bijective")],
    ("pigeonhole", {"holes": 6, "surplus": 0, "encoding": "sequential", "variant": "bijective"}, True),
    ("pigeonhole", {"holes": 6, "encoding": "sequential", "variant": "bijective"}, False),
    ("pigeonhole", {"holes": 4, "surplus": -1, "variant": "onto"}, True),
    ("pigeonhole", {"holes": 4, "surplus": -1, "variant": "bijective"}, False),
    ("pigeons-per-hole", {"holes": 3, "surplus": 0}, True),
    ("pigeons-per-hole", {"holes": 3, "surplus": 1}, False),
    ("ramsey", {"n": 5, "s": 3, "t": 3}, True),
    ("ramsey", {"n": 6, "s": 3, "t": 3}, False),
    ("ramsey", {"n": 8, "s": 3, "t": 4}, True),
    ("ramsey", {"n": 9, "s": 3, "t": 4}, False),
    ("van-der-waerden", {"n": 8, "first": 3, "second": 3}, True),
    ("van-der-waerden", {"n": 9, "first": 3, "second": 3}, False),
    ("van-der-waerden", {"n": 17, "first": 3, "second": 4}, True),
    ("van-der-waerden", {"n": 18, "first": 3, "second": 4}, False),
    ("van-der-waerden", {"n": 34, "first": 4, "second": 4}, True),
    ("van-der-waerden", {"n": 35, "first": 4, "second": 4}, False),
    ("schur", {"n": 4, "colours": 2}, True),
    ("schur", {"n": 5, "colours": 2}, False),
    ("schur", {"n": 13, "colours": 3}, True),
    ("schur", {"n": 14, "colours": 3}, False),
    ("social-golfer", {"groups": 3, "size": 3, "weeks": 4}, True),
    ("social-golfer", {"groups": 3, "size": 3, "weeks": 5}, False),
    ("social-golfer", {"groups": 2, "size": 2, "weeks": 3}, True),
    ("social-golfer", {"groups": 2, "size": 2, "weeks": 4}, False),
    *[("langford", {"n": n}, n % 4 in (0, 3)) for n in range(3, 10)],
    ("clique-colouring", {"n": 6, "clique": 3, "colours": 3}, True),
    ("clique-colouring", {"n": 6, "clique": 4, "colours": 3}, False),
    ("clique-colouring", {"n": 3, "clique": 4, "colours": 4}, False),
    ("perfect-matching", {"n": 6}, True),
    ("perfect-matching", {"n": 7}, False),
    ("clique", {"n": 6, "density": 1.0, "clique": 6}, True),
    ("clique", {"n": 6, "density": 1.0, "clique": 7}, False),
    ("clique", {"n": 6, "density": 0.0, "clique": 1}, True),
    ("clique", {"n": 6, "density": 0.0, "clique": 2}, False),
    ("dominating-set", {"n": 8, "degree": 7, "size": 1}, True),
    ("dominating-set", {"n": 8, "degree": 1, "size": 4}, True),
    ("dominating-set", {"n": 8, "degree": 1, "size": 3}, False),
    ("vertex-cover", {"n": 8, "density": 3.5, "share": 0.875}, True),
    ("vertex-cover", {"n": 8, "density": 3.5, "share": 0.75}, False),
    ("hamiltonian-cycle", {"n": 6, "degree": 5, "removed": 0}, True),
    ("hamiltonian-cycle", {"n": 6, "degree": 1, "removed": 0}, False),
    ("parity-orders", {"n": 12}, False),
    ("small-unsat", {"groups": 4}, False),
    ("pebbling", {"height": 6, "width": 6}, False),
    ("pebbling", {"height": 3, "width": 9}, False),
    ("ordering", {"n": 8}, False),
    ("ordering", {"n": 10, "degree": 3}, False),
    ("subset-cardinality", {"n": 7}, False),
    ("bmc-counter", {"depth": 5, "kind": "safe", "width": 6}, False),
    *[("sorter-miter", {"n": 6, "second": s}, False) for s in ("merge", "transposition", "insertion")],
    *[("count-miter", {"n": n, "second": s}, False) for s in ("tree", "chain", "sorter") for n in (5, 8)],
    *[("adder-miter", {"words": 3, "width": 3, "second": s}, False) for s in ("ripple", "prefix", "select")],
    *[
        ("multiplier-miter", {"bits": 3, "identity": i, "second": s}, False)
        for i in ("same", "commuted", "distributed", "square")
        for s in ("array", "tree")
    ],
    ("netlist-miter", {"gates": 60, "fault": "no"}, False),
]


@pytest.mark.parametrize(("family", "params", "answer"), ANSWERS)
def test_known_answers(family: str, params: dict[str, Value], answer: bool) -> None:
    assert satisfiable(family, 2, **params) == answer


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("family", "params", "answer"),
    [
        ("tseitin", {"n": 10, "degree": 4, "charge": "odd"}, False),
        ("tseitin", {"n": 10, "degree": 4, "charge": "even"}, True),
        ("tseitin-grid", {"rows": 3, "columns": 5, "charge": "odd"}, False),
        ("tseitin-grid", {"rows": 3, "columns": 5, "charge": "even", "torus": "yes"}, True),
        ("parity-noisy", {"n": 8}, True),
        ("flat-colouring", {"n": 30}, True),
        ("graph-isomorphism", {"n": 10, "kind": "copy"}, True),
        ("mixed-boolean-arithmetic", {"width": 4, "rewrites": 3}, False),
        ("bmc-counter", {"depth": 6, "width": 12}, True),
        ("bmc-lock", {"depth": 3, "width": 12}, True),
        ("md4-preimage", {"steps": 20, "unknown": 8}, True),
        ("speck-key", {"unknown": 8}, True),
        ("trivium-state", {"unknown": 20, "output": 60}, True),
        ("filter-generator", {"bits": 10}, True),
        ("keccak-preimage", {"unknown": 8}, True),
    ],
)
def test_known_answers_of_every_seed(family: str, params: dict[str, Value], answer: bool, seed: int) -> None:
    assert satisfiable(family, seed, **params) == answer


def test_sequential_counter_of_the_key_bits_is_the_only_solution() -> None:
    # Two plaintexts fix 10 unknown key bits: with the model forbidden, nothing is left.
    formula = FAMILIES["speck-key"].generate(1, unknown=10)
    model = solve(formula)
    assert model is not None
    with Solver("cadical195", bootstrap_with=formula.clauses()) as solver:
        solver.add_clause([-literal for literal in model[:10]])
        assert not solver.solve()


@pytest.mark.parametrize(("slots", "bug"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_queue_bug_shows_at_its_depth_and_not_before(slots: int, bug: int) -> None:
    family = FAMILIES["bmc-queue"]
    first = (bug + 1) * slots + 2
    for depth in (first - 1, first, first + 1):
        params: dict[str, Value] = {"slots": slots, "width": 1, "depth": depth, "bug": bug}
        assert satisfiable("bmc-queue", **params) == (depth >= first) == family.satisfiable(**params)


def test_queue_without_a_bug_never_differs() -> None:
    assert not satisfiable("bmc-queue", slots=3, width=2, depth=9)


def test_ordering_is_satisfiable_once_one_element_may_be_least() -> None:
    clauses = FAMILIES["ordering"].generate(0, n=6).clauses()
    assert solve(Formula.from_clauses(clauses[:-1])) is not None


# ------------------------------------------------------------------------------------------------- decoded solutions


@pytest.mark.parametrize("multiplier", ["array", "tree"])
def test_factoring_gives_the_factors_and_refuses_primes(multiplier: str) -> None:
    for product in range(9, 60):
        model = solve(factoring_clauses(product, 5, 5, multiplier))
        factors = [(a, product // a) for a in range(2, 32) if product % a == 0 and 1 < product // a < 32]
        assert (model is not None) == bool(factors)
        if model is not None:
            a, b = (sum(1 << i for i in range(5) if model[start + i] > 0) for start in (0, 5))
            assert (a, b) in factors


def test_factoring_families_multiply_or_are_prime() -> None:
    assert satisfiable("factoring", 4, bits=7, kind="semiprime")
    assert not satisfiable("factoring", 4, bits=6, kind="prime")
    assert [n for n in range(60) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]
    assert not is_prime(3215031751)  # a strong pseudoprime to the bases 2, 3, 5, 7
    assert is_prime(2**61 - 1)


def test_subset_sums() -> None:
    numbers = [3, 5, 9, 14]
    sums = {sum(n for i, n in enumerate(numbers) if mask >> i & 1) for mask in range(16)}
    for target in range(35):
        model = solve(subset_sum_clauses(numbers, target, 4))
        assert (model is not None) == (target in sums)
        if model is not None:
            assert sum(n for i, n in enumerate(numbers) if model[i] > 0) == target


def test_colouring_of_cycles_and_cliques() -> None:
    for n in (4, 5, 7, 8):
        cycle = [(i, (i + 1) % n) for i in range(n)]
        assert (solve(colouring_clauses(cycle, n, 2)) is not None) == (n % 2 == 0)
        model = solve(colouring_clauses(cycle, n, 3))
        assert model is not None
        colour = [next(c for c in range(3) if model[3 * v + c] > 0) for v in range(n)]
        assert all(colour[a] != colour[b] for a, b in cycle)
    clique = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    assert solve(colouring_clauses(clique, 4, 3)) is None


@pytest.mark.parametrize("seed", range(6))
def test_hamiltonian_cycles_match_exhaustive_search(seed: int) -> None:
    n, removed = 8, 2
    draws = Draws(seed, "hamiltonian-cycle")
    edges = regular_edges(draws, n, 3)
    gone = set(draws.sample(len(edges), removed).tolist())
    kept = {edge for i, edge in enumerate(edges) if i not in gone}

    def cycle(order: tuple[int, ...]) -> bool:
        tour = (0, *order)
        return all((min(a, b), max(a, b)) in kept for a, b in zip(tour, (*order, 0), strict=True))

    assert satisfiable("hamiltonian-cycle", seed, n=n, degree=3, removed=removed) == any(
        map(cycle, permutations(range(1, n)))
    )


def test_isomorphism_of_different_graphs_is_refused() -> None:
    # Two random cubic graphs on 8 vertices; whether they are isomorphic is found by trying all permutations.
    answers = set()
    for seed in range(8):
        draws = Draws(seed, "graph-isomorphism")
        first, second = regular_edges(draws, 8, 3), set(regular_edges(draws, 8, 3))
        same = any(all((min(p[a], p[b]), max(p[a], p[b])) in second for a, b in first) for p in permutations(range(8)))
        assert satisfiable("graph-isomorphism", seed, n=8, degree=3) == same
        answers.add(same)
    assert answers == {False, True}


def test_random_latin_squares_are_latin_and_differ() -> None:
    squares = [random_latin_square(Draws(seed, "test"), 9, 81) for seed in range(3)]
    for square in squares:
        assert all(sorted(line) == list(range(9)) for line in square)
        assert all(sorted(line) == list(range(9)) for line in zip(*square, strict=True))
    assert squares[0] != squares[1] != squares[2]


def test_a_square_with_one_way_to_complete_it() -> None:
    # Order 3, two givens leave one square; a clash of givens leaves none.
    assert solve(latin_clauses([[0, 1, 2], [1, None, None], [None, None, None]])) is not None
    assert solve(latin_clauses([[0, 1, None], [None, None, 2], [None, None, None]])) is None


@pytest.mark.parametrize("pattern", ["random", "balanced"])
def test_quasigroup_holes_are_as_many_as_asked(pattern: str) -> None:
    # Every hole of a square that is solved has one true variable.
    formula = FAMILIES["quasigroup-holes"].generate(1, order=12, holes=0.4, pattern=pattern)
    model = solve(formula)
    assert model is not None
    assert sum(literal > 0 for literal in model) == round(0.4 * 144)


def test_sudokus_have_a_solution_that_fills_every_hole() -> None:
    formula = FAMILIES["sudoku"].generate(1, height=3, width=3, holes=0.5)
    model = solve(formula)
    assert model is not None
    assert sum(literal > 0 for literal in model) == round(0.5 * 81)
    empty = solve(FAMILIES["sudoku"].generate(3, height=2, width=3, holes=1.0))
    assert empty is not None
    symbol = [next(s for s in range(6) if empty[6 * cell + s] > 0) for cell in range(36)]
    boxes = [[6 * (r + top) + c + left for r in range(2) for c in range(3)] for top in (0, 2, 4) for left in (0, 3)]
    lines = [list(range(6 * r, 6 * r + 6)) for r in range(6)] + [list(range(c, 36, 6)) for c in range(6)]
    assert all(sorted(symbol[cell] for cell in group) == list(range(6)) for group in [*lines, *boxes])


def _shortest(durations: list[list[int]], machines: list[list[int]] | None) -> int:
    return next(span for span in range(1, 100) if solve(shop_clauses(durations, machines, span)) is not None)


def test_shop_makespans_worked_out_by_hand() -> None:
    # Two jobs on two machines, worked out by hand: opposite routes, the same route (Johnson's rule), any order.
    assert _shortest([[3, 2], [2, 4]], [[0, 1], [1, 0]]) == 7
    assert _shortest([[3, 2], [2, 4]], [[0, 1], [0, 1]]) == 8
    assert _shortest([[3, 2], [2, 4]], None) == 6
    assert _shortest([[5]], [[0]]) == 5
    assert solve(shop_clauses([[5]], [[0]], 4)) is None


def test_timetables() -> None:
    everywhere = [[True, True]] * 3
    assert solve(timetable_clauses(everywhere, [(0, 1)], 2)) is not None
    assert solve(timetable_clauses(everywhere, [(0, 1), (1, 2), (0, 2)], 3)) is None
    assert solve(timetable_clauses(everywhere, [], 1)) is None
    assert solve(timetable_clauses([[True, False]] * 2, [(0, 1)], 2)) is None


# ------------------------------------------------------------------------------------------------------------ graphs


@pytest.mark.parametrize(("n", "degree"), [(4, 3), (10, 3), (9, 4), (30, 7), (12, 11)])
def test_regular_graphs(n: int, degree: int) -> None:
    edges = regular_edges(Draws(1, "test"), n, degree)
    assert len(set(edges)) == n * degree // 2
    assert all(a < b for a, b in edges)
    assert [len(row) for row in neighbours(edges, n)] == [degree] * n


@pytest.mark.parametrize("m", [0, 5, 30, 45])
def test_gnm_graphs(m: int) -> None:
    edges = gnm_edges(Draws(1, "test"), 10, m)
    assert len(set(edges)) == m
    assert all(0 <= a < b < 10 for a, b in edges)


def test_too_many_edges() -> None:
    with pytest.raises(ConfigError, match="45 pairs"):
        gnm_edges(Draws(1, "test"), 10, 46)


def test_grids() -> None:
    assert len(grid_edges(3, 4, False)) == 3 * 3 + 2 * 4
    assert len(grid_edges(3, 4, True)) == 2 * 12


@pytest.mark.parametrize(
    "draw",
    [
        lambda d: d.below(10, 20_000) / 10 + 0.05,
        lambda d: d.uniform(20_000),
        lambda d: d.flags(20_000).astype(float),
        lambda d: d.permutation(20_000)[:10_000] / 20_000,
    ],
)
def test_draws_are_centred(draw: Callable[[Draws], np.ndarray]) -> None:
    values = draw(Draws(1, "test"))
    assert abs(float(np.mean(values)) - 0.5) < 5 * float(np.std(values)) / len(values) ** 0.5


@pytest.mark.parametrize("name", ["ordering", "tseitin", "dominating-set"])
def test_an_impossible_graph_is_said_to_be_one_of_which_family(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: no 3-regular graph has 5 vertices; change n or degree"):
        get_family(name).generate(0, n=5, degree=3)
