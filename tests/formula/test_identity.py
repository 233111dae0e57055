import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satcost_gnn.formula import Formula, parse_dimacs, write_dimacs
from satcost_gnn.formula.gbdc_process import call_gbdc
from satcost_gnn.formula.identity import Identity, gbdhash, identity, isohash

SMALL = b"p cnf 3 2\n1 -2 0\n2 3 0\n"
# Printed by gbdc 0.4.3.
SMALL_IDENTITY = Identity("5c199826eee734c6484e691f3c129214", "7a4ef8e0d590685df450891b502cd7d4")

clause_lists = st.lists(
    st.lists(st.integers(1, 40).flatmap(lambda v: st.sampled_from([v, -v])), max_size=5), min_size=1, max_size=30
)


def random_formula(seed=0, n_vars=300, n_clauses=1200):
    rng = np.random.default_rng(seed)
    literals = rng.integers(1, n_vars + 1, 3 * n_clauses) * rng.choice([-1, 1], 3 * n_clauses)
    return Formula.from_arrays(literals, np.arange(0, 3 * n_clauses + 1, 3))


def renamed(formula, seed=1):
    """Rename and flip variables, and shuffle clauses and the literals in them."""
    rng = np.random.default_rng(seed)
    name = np.concatenate([[0], rng.permutation(formula.n_vars) + 1])
    flip = rng.choice([-1, 1], formula.n_vars + 1)
    clauses = [
        rng.permutation([int(np.sign(lit) * flip[abs(lit)] * name[abs(lit)]) for lit in clause]).tolist()
        for clause in formula.clauses()
    ]
    rng.shuffle(clauses)
    return Formula.from_clauses(clauses, formula.n_vars)


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        gzip.compress(SMALL, mtime=0),
        b"1 -2 0 2\nc inside\n3 0",
        b"p cnf 9 2\r\n1 -02 0\r\n2 3 0\r\n%\r\n0\r\n",
    ],
)
def test_layout_does_not_matter(tmp_path, text):
    path = tmp_path / "formula"
    path.write_bytes(text)
    assert identity(parse_dimacs(text)) == SMALL_IDENTITY
    assert gbdhash(path) == gbdhash(str(path)) == SMALL_IDENTITY.gbdhash


def test_empty_formula_and_empty_clause():
    assert identity(parse_dimacs(b"p cnf 5 0")).gbdhash == "d41d8cd98f00b204e9800998ecf8427e"  # MD5 of nothing
    assert gbdhash(parse_dimacs(SMALL + b"0\n")) == "3af48c6d76823c3449e0dd80025e1d19"  # printed by gbdc 0.4.3
    assert isohash(parse_dimacs(SMALL + b"0\n")) == SMALL_IDENTITY.isohash


@settings(deadline=None, max_examples=60)
@given(clause_lists)
def test_agrees_with_gbdc(tmp_path_factory, clauses):
    formula = Formula.from_clauses(clauses)
    path = tmp_path_factory.getbasetemp() / "agrees.cnf"
    write_dimacs(formula, path)
    assert gbdhash(formula) == call_gbdc("gbdhash", str(path))
    assert isohash(formula) == call_gbdc("isohash", str(path))


def test_agrees_with_gbdc_on_a_larger_formula(tmp_path):
    formula = random_formula(n_vars=50_000, n_clauses=100_000)
    path = tmp_path / "large.cnf"
    write_dimacs(formula, path)
    assert identity(formula) == Identity(call_gbdc("gbdhash", str(path)), call_gbdc("isohash", str(path)))


def test_invariance():
    formula, other = random_formula(), renamed(random_formula())
    assert gbdhash(formula) != gbdhash(other)
    assert isohash(formula) == isohash(other)
    changed = Formula.from_clauses([*formula.clauses()[:-1], [1, 2]])
    assert isohash(changed) != isohash(formula)
    spread = Formula.from_arrays(formula.literals * 7, formula.offsets)
    assert isohash(spread) == isohash(formula)


def test_sparse_numbering_costs_no_memory():
    near, far = Formula.from_clauses([[1, -2], [2, 3]]), Formula.from_clauses([[5, -2_000_000_000], [2_000_000_000, 9]])
    assert isohash(far) == isohash(near) == SMALL_IDENTITY.isohash
