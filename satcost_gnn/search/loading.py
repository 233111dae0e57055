"""Solvers by their names in the registry, with a formula in them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.solvers import open_engine, solver_spec

_CLAUSES_AT_ONCE = 1 << 16


def append_clauses(solver: Any, formula: Formula) -> None:
    """Add a formula's clauses to a PySAT solver, in portions: Python's integers take eight times the arrays' room."""
    for start in range(0, formula.n_clauses, _CLAUSES_AT_ONCE):
        bounds = formula.offsets[start : start + _CLAUSES_AT_ONCE + 1]
        portion = formula.literals[bounds[0] : bounds[-1]].tolist()
        cuts = (bounds - bounds[0]).tolist()
        solver.append_formula([portion[a:b] for a, b in pairwise(cuts)])


def open_solver(name: str, formula: Formula | None = None, **options: Any) -> Any:
    """Return a solver of the registry, in its configuration, with a formula in it; a context manager.

    Parameters
    ----------
    name
        Name in the registry.
    formula
        None for none yet.
    options
        See :func:`~satcost_gnn.search.solvers.open_engine`.

    Raises
    ------
    SolverError
        If there is no such solver, or its package is not installed.
    """
    engine = open_engine(solver_spec(name), **options)
    if formula is not None:
        append_clauses(engine, formula)
    return engine
