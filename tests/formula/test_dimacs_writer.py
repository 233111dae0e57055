import io

import numpy as np

from satcost_gnn.formula import Formula, parse_dimacs, write_dimacs


def test_write_to_file_and_stream(tmp_path):
    formula = parse_dimacs(b"c three clauses\np cnf 4 3\n1 -2 0\n3 0\n-4 2 1 0\n")
    write_dimacs(formula, tmp_path / "out.cnf")
    assert (tmp_path / "out.cnf").read_bytes() == b"p cnf 4 3\n1 -2 0\n3 0\n-4 2 1 0\n"
    stream = io.BytesIO()
    write_dimacs(Formula.from_clauses([]), stream)
    assert stream.getvalue() == b"p cnf 0 0\n"


def test_write_many_clauses_in_pieces():
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 9, 40_000)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    literals = rng.integers(1, 10**6, offsets[-1]) * rng.choice([-1, 1], offsets[-1])
    formula = Formula.from_arrays(literals, offsets)
    again = parse_dimacs(formula.to_dimacs().encode())
    assert np.array_equal(again.literals, formula.literals)
    assert np.array_equal(again.offsets, formula.offsets)
