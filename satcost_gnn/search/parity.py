"""A solver for parity alone: Gaussian elimination of the XOR constraints that a formula's clauses spell out.

It answers what their contradiction refutes, and formulas that are nothing else. It takes no other formula, which it
finds out in milliseconds: one for the first place in a portfolio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import process_time

import numpy as np

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.parity import parity_constraints, solution


class Parity:
    """The part of PySAT's interface that is used here."""

    def __init__(self) -> None:
        self._clauses: list[Sequence[int]] = []
        self._deadline_s = np.inf
        self._model: list[int] = []

    def add_clause(self, clause: Sequence[int]) -> None:
        """Add a clause."""
        self._clauses.append(clause)

    def append_formula(self, clauses: Iterable[Sequence[int]]) -> None:
        """Add clauses."""
        self._clauses.extend(clauses)

    def time_budget(self, cpu_s: float) -> None:
        """Set the limit on CPU seconds of the elimination."""
        self._deadline_s = process_time() + cpu_s

    def solve(self) -> bool | None:
        """Run it; None at the limit.

        Raises
        ------
        NotImplementedError
            If parity alone doesn't decide the formula.
        """
        formula = Formula.from_clauses(self._clauses)
        if formula.has_empty_clause:
            return False
        found = parity_constraints(formula)
        try:
            model = solution(found, self._deadline_s)
        except TimeoutError:
            return None
        if model is None:
            return False
        if not found.whole:
            raise NotImplementedError("its parity constraints alone do not decide the formula")
        self._model = model.tolist()
        return True

    def get_model(self) -> list[int]:
        """Return the model's literals."""
        return self._model

    def accum_stats(self) -> dict[str, int]:
        """Return no counters."""
        return {}
