"""The one place where solvers are opened: by their names in the registry, with a formula in them."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import Any

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.solvers import SolverSpec, solver_spec

_CLAUSES_AT_ONCE = 1 << 16


def append_clauses(solver: Any, formula: Formula) -> None:
    """Add a formula's clauses to a PySAT solver, in portions: Python's integers take eight times the arrays' room."""
    for start in range(0, formula.n_clauses, _CLAUSES_AT_ONCE):
        bounds = formula.offsets[start : start + _CLAUSES_AT_ONCE + 1]
        portion = formula.literals[bounds[0] : bounds[-1]].tolist()
        cuts = (bounds - bounds[0]).tolist()
        solver.append_formula([portion[a:b] for a, b in pairwise(cuts)])


def open_solver(solver: str | SolverSpec, formula: Formula | None = None, **options: Any) -> Any:
    """Return a solver's engine in its configuration, with PySAT's interface; a context manager where PySAT's is.

    Parameters
    ----------
    solver
        Name in the registry, or an entry of it.
    formula
        What is loaded; None for nothing yet.
    options
        Further arguments of :class:`pysat.solvers.Solver`, such as ``with_proof``.

    Raises
    ------
    SolverError
        If there is no such solver, or its package is not installed.
    """
    spec = solver_spec(solver) if isinstance(solver, str) else solver
    module, _, name = spec.engine.partition(":")
    made = getattr(import_module(module), name)
    engine = made(name=spec.pysat_name, **options) if spec.pysat_name else made()
    if spec.options:
        engine.configure(dict(spec.options))
    if formula is not None:
        append_clauses(engine, formula)
    return engine
