"""Constraints and formats that are no CNF are refused by name, with the line."""

import gzip
from io import BytesIO

import pytest

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula import parse_dimacs
from satcost_gnn.formula.icnf import read_cubes


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("c\np wcnf 3 2 4\n4 1 0\n", 2, "weighted formula.*hard clauses"),
        ("h 1 2 0\n3 -1 0\n", 1, "hard clause of a weighted formula"),
        ("p cnf 3 1\nh1 2 0\n", 2, "hard clause of a weighted formula"),
        ("p cnf+ 3 2\n1 2 0\n1 2 3 <= 1\n", 1, "cardinality constraints.*CardEnc"),
        ("p wcnf+ 3 2\n1 2 0\n", 1, "weighted formula with cardinality"),
        ("p cnf 3 2\n1 2 0\n1 2 3 <= 1\n", 3, "cardinality constraint"),
        ("p cnf 3 2\n1 2 0\n1 2 3 >= 2\n", 3, "cardinality or pseudo-Boolean"),
        ("p cnf 3 2\nw 1 2 3 <= 1\n", 2, "weighted constraint"),
        ("p knf 3 2\n1 2 0\nk 1 1 2 3 0\n", 1, "KNF"),
        ("p cnf 3 2\n1 2 0\nk 1 1 2 3 0\n", 3, "KNF"),
        ("p cnf 3 2\nx1 2 0\n1 2 0\n", 2, "native XOR"),
        ("p cnf 3 2\nx 1 2 0\n1 2 0\n", 2, "native XOR"),
        ("p cnf 3 2\n1 2 0 x-1 2 0\n", 2, "native XOR"),
        ("* #variable= 3 #constraint= 1\n+1 x1 +1 x2 >= 1 ;\n", 1, "pseudo-Boolean.*PBEnc"),
        ("\nmin: +1 x1 +2 x2 ;\n+1 x1 >= 1 ;\n", 2, "objective of a pseudo-Boolean"),
        ("p cnf 3 1\n~x1 2 0\n", 2, "pseudo-Boolean"),
        ("p cnf 3 1\ne 1 2 0\n1 2 0\n", 2, "QDIMACS"),
        ("p cnf 3 1\na 1 2 0\n1 2 0\n", 2, "QDIMACS.*satcost cubes"),
        ("p cnf 3 1\nd 3 1 2 0\n1 2 0\n", 2, "DQDIMACS"),
        ("p inccnf\n1 2 0\na 1 0\n", 1, "satcost cubes"),
        ("d 1 2 0\n1 0\n", 1, "proof"),
        ("+1 x1 +2 x2 >= 2 ;\n", 1, "pseudo-Boolean"),
        ("p gcnf 3 2 2\n{1} 1 2 0\n", 1, "groups.*GCNF"),
        ("{1} 1 2 0\n{2} -1 0\n", 1, "a group.*GCNF"),
        ("p pcnf 3 1 1\nvp 1 0\n1 2 0\n", 1, "projected model counting"),
        ("p cnf 3 1\nvp 1 0\n1 2 0\n", 2, "projected model counting"),
        ("p xnf 3 1\n1+2 3 0\n", 1, "XNF"),
        ("p cnf 3 1\nb 1 2 0 2 3 0\n", 2, "neural network"),
        ("s SATISFIABLE\nv 1 2 0\n", 1, "solver's answer"),
        ("p sat 4\n(*(+(1 3 -4)))\n", 1, "not in clauses"),
        ("p edge 4 3\ne 1 2\n", 1, "a graph"),
        ("aag 3 2 0 1 1\n", 1, "AIGER"),
        ("(set-logic QF_UF)\n", 1, "SMT-LIB"),
        ("<!DOCTYPE html>\n", 1, "web page"),
        ("version https://git-lfs.github.com/spec/v1\n", 1, "Git LFS"),
    ],
)
def test_other_formats_are_named_with_their_line(text: str, line: int, message: str) -> None:
    for data in (text.encode(), gzip.compress(text.replace("\n", "\r\n").encode()), b"\xef\xbb\xbf" + text.encode()):
        with pytest.raises(FormulaError, match=f"found .*{message}.*; expected") as caught:
            parse_dimacs(data)
        assert caught.value.line == line


@pytest.mark.parametrize("name", ["a.wcnf", "b.WCNF.xz", "<(x).drat", "p/q.lrat.gz"])
def test_numbers_without_a_header_are_no_clauses_in_a_file_named_as_something_else(name: str) -> None:
    # Soft clauses of a WCNF begin with their weights, and a proof can be one clause.
    with pytest.raises(FormulaError, match=r"no header.*(weighted|proof)"):
        parse_dimacs(b"c x\n3 -1 0\n5 1 0\n", name)
    assert parse_dimacs(b"p cnf 5 2\n3 -1 0\n5 1 0\n", name).n_clauses == 2
    assert parse_dimacs(b"3 -1 0\n5 1 0\n", "wcnf.cnf").n_clauses == 2


def test_a_file_of_cubes_with_another_header_is_named() -> None:
    with pytest.raises(FormulaError, match="weighted formula") as caught:
        read_cubes(BytesIO(b"c x\np wcnf 2 1 4\n4 1 0\na 1 0\n"))
    assert caught.value.line == 2
