"""Handing a formula to a solver of PySAT."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from satcost_gnn.formula.cnf import Formula

_CLAUSES_AT_ONCE = 1 << 16


def append_clauses(solver: Any, formula: Formula) -> None:
    """Add a formula's clauses to a PySAT solver, in portions: Python's integers take eight times the arrays' room."""
    for start in range(0, formula.n_clauses, _CLAUSES_AT_ONCE):
        bounds = formula.offsets[start : start + _CLAUSES_AT_ONCE + 1]
        portion = formula.literals[bounds[0] : bounds[-1]].tolist()
        cuts = (bounds - bounds[0]).tolist()
        solver.append_formula([portion[a:b] for a, b in pairwise(cuts)])
