"""CryptoMiniSat behind the part of PySAT's interface that is used here.

The package ``pycryptosat`` (extra ``cryptominisat``) has a limit on conflicts and one on CPU seconds, finds XOR
constraints in the clauses by itself, and has Gauss-Jordan elimination built in. It has no counters. It would print its
conflicts, but not in a process that has loaded gbdc: both bring a C++ library of their own, and with the other one's
its output stream fails at the first number.
"""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence
from typing import Any

from satcost_gnn.errors import SolverError


class CryptoMiniSat:
    """One solver, in one thread.

    Raises
    ------
    SolverError
        If the package is not installed.
    """

    def __init__(self) -> None:
        try:
            import pycryptosat
        except ImportError as error:
            raise SolverError(
                f"CryptoMiniSat is not installed ({error}); install it with `pip install 'satcost-gnn[cryptominisat]'`"
            ) from None
        self._solver = pycryptosat.Solver(threads=1)
        self._limits: dict[str, Any] = {}
        self._model: tuple[bool | None, ...] = ()

    def add_clause(self, clause: Sequence[int]) -> None:
        """Add a clause."""
        self._solver.add_clause(clause)

    def append_formula(self, clauses: Iterable[Sequence[int]]) -> None:
        """Add clauses, in one go: a call for each takes several times as long."""
        flat = array.array("i")
        for clause in clauses:
            if len(clause):
                flat.extend(clause)
                flat.append(0)
            else:
                self._solver.add_clause([])
        if flat:
            self._solver.add_clauses(flat)

    def conf_budget(self, budget: int) -> None:
        """Set the limit on conflicts."""
        self._limits["confl_limit"] = budget

    def time_budget(self, cpu_s: float) -> None:
        """Set the limit on CPU seconds of the search."""
        self._limits["time_limit"] = max(cpu_s, 1e-3)

    def solve_limited(self) -> bool | None:
        """Run it; None if a limit ended it."""
        answer: bool | None
        answer, model = self._solver.solve(**self._limits)
        self._model = model or ()
        return answer

    def get_model(self) -> list[int]:
        """Return the model's literals, of the variables that it gives a value."""
        return [k if value else -k for k, value in enumerate(self._model) if value is not None]

    def accum_stats(self) -> dict[str, int]:
        """Return no counters."""
        return {}
