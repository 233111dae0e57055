"""Writing constraints as clauses: a growing clause list with parity and counting constraints."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.generate.base import MAX_LITERALS
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula


class ClauseBuilder:
    """A formula in the making.

    Clauses go into two flat arrays, so that a formula of a million literals costs megabytes rather than a list object
    for each clause.
    """

    def __init__(self, n_vars: int = 0) -> None:
        self.n_vars = n_vars
        self._literals = array("i")
        self._ends = array("q", [0])

    def new_var(self) -> int:
        """Return a fresh variable."""
        self.n_vars += 1
        return self.n_vars

    def new_vars(self, count: int) -> list[int]:
        """Return ``count`` fresh variables with rising numbers."""
        first = self.n_vars + 1
        self.n_vars += count
        return list(range(first, first + count))

    def new_table(self, rows: int, columns: int) -> list[list[int]]:
        """Return a table of fresh variables, numbered row by row."""
        return [self.new_vars(columns) for _ in range(rows)]

    def add(self, *clause: int) -> None:
        """Add the clause of these literals."""
        self.add_clause(clause)

    def add_clause(self, clause: Iterable[int]) -> None:
        """Add a clause given as an iterable.

        Raises
        ------
        ConfigError
            If the formula grows beyond the largest size that is generated.
        """
        self._literals.extend(clause)
        self._ends.append(len(self._literals))
        if len(self._literals) > MAX_LITERALS:
            raise ConfigError(f"the formula grows beyond {MAX_LITERALS:,} literals; choose a smaller size")

    def add_rows(self, rows: NDArray[np.integer]) -> None:
        """Add each row of a matrix of literals as a clause."""
        count, width = rows.shape
        start = len(self._literals)
        self._literals.frombytes(np.ascontiguousarray(rows, dtype=np.intc).tobytes())
        ends = start + width * np.arange(1, count + 1, dtype=np.int64)
        self._ends.frombytes(ends.tobytes())

    def formula(self) -> Formula:
        """Return the formula."""
        literals = np.frombuffer(self._literals, dtype=np.intc) if self._literals else np.zeros(0, dtype=np.int32)
        return Formula.from_arrays(literals, np.frombuffer(self._ends, dtype=np.int64).copy(), self.n_vars)

    # Constraints ------------------------------------------------------------------------------------------------

    def at_most_one(self, literals: Sequence[int], encoding: str = "pairwise") -> None:
        """At most one literal is true: ``pairwise``, or ``sequential`` (Sinz, CP 2005) with auxiliary variables."""
        if encoding == "pairwise" or len(literals) <= 4:
            for a, b in combinations(literals, 2):
                self.add(-a, -b)
        else:
            self.at_most(literals, 1)

    def exactly_one(self, literals: Sequence[int], encoding: str = "pairwise") -> None:
        """Exactly one literal is true."""
        self.add_clause(literals)
        self.at_most_one(literals, encoding)

    def at_most(self, literals: Sequence[int], bound: int) -> None:
        """At most ``bound`` literals are true: the sequential counter of Sinz (CP 2005)."""
        count = len(literals)
        if bound < 0:
            self.add()
            return
        if bound >= count:
            return
        if bound == 0:
            for literal in literals:
                self.add(-literal)
            return
        # reached[j] of a prefix: at least j + 1 of its literals are true.
        previous: list[int] = []
        for i, literal in enumerate(literals):
            if i == count - 1:
                if len(previous) == bound:
                    self.add(-literal, -previous[-1])
                break
            current = self.new_vars(min(bound, i + 1))
            self.add(-literal, current[0])
            for j, before in enumerate(previous):
                self.add(-before, current[j])
                if j + 1 < len(current):
                    self.add(-before, -literal, current[j + 1])
            if len(previous) == bound:
                self.add(-literal, -previous[-1])
            previous = current

    def at_least(self, literals: Sequence[int], bound: int) -> None:
        """At least ``bound`` literals are true."""
        if bound == 1:
            self.add_clause(literals)
        else:
            self.at_most([-literal for literal in literals], len(literals) - bound)

    def at_most_direct(self, literals: Sequence[int], bound: int) -> None:
        """At most ``bound`` literals are true: one clause for each ``bound + 1`` of them, no new variables."""
        for group in combinations(literals, bound + 1):
            self.add_clause(-literal for literal in group)

    def parity(self, literals: Sequence[int], odd: bool) -> None:
        """An odd (or even) number of literals is true: every forbidden combination, no new variables."""
        width = len(literals)
        for pattern in range(1 << width):
            # The clause forbids the assignment that makes its literals false, of `width - positive` trues.
            if (pattern.bit_count() % 2 == 1) != odd:
                self.add_clause(-lit if pattern >> i & 1 else lit for i, lit in enumerate(literals))

    def parity_chain(self, literals: Sequence[int], odd: bool, piece: int = 3) -> None:
        """A parity of many literals, cut into pieces of ``piece`` literals that auxiliary variables link."""
        pending = list(literals)
        if len(pending) <= piece + 1:
            self.parity(pending, odd)
            return
        link = self.new_var()
        self.parity([*pending[:piece], link], False)
        rest = pending[piece:]
        while len(rest) > piece:
            following = self.new_var()
            self.parity([link, *rest[: piece - 1], following], False)
            link, rest = following, rest[piece - 1 :]
        self.parity([link, *rest], odd)
