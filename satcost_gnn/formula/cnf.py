"""A CNF formula as flat arrays: the form that every later stage reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import FormulaError

if TYPE_CHECKING:
    from pysat.formula import CNF

MAX_VARIABLE = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Formula:
    """A formula in conjunctive normal form.

    Parameters
    ----------
    literals
        ``int32[n_literals]``: all clauses' literals one after the other, in the order of the input, as signed
        variable numbers (DIMACS), without the closing zeros. Tautologies and repeated literals are kept as read.
    offsets
        ``int64[n_clauses + 1]``: clause ``i`` is ``literals[offsets[i]:offsets[i + 1]]``; an empty clause has two
        equal offsets.
    n_vars
        Number of variables: the larger of the header's and the largest in the body.
    source
        Path or name of the input, for messages.
    warnings
        What was odd but readable (a header that disagrees with the body, a missing header).
    """

    literals: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_vars: int
    source: str = "<memory>"
    warnings: tuple[str, ...] = field(default=())

    @property
    def n_clauses(self) -> int:
        """Number of clauses."""
        return len(self.offsets) - 1

    @property
    def n_literals(self) -> int:
        """Number of literal occurrences over all clauses."""
        return len(self.literals)

    @property
    def clause_lengths(self) -> NDArray[np.int64]:
        """``int64[n_clauses]``: literals in each clause."""
        return np.diff(self.offsets)

    @property
    def has_empty_clause(self) -> bool:
        """Whether some clause is empty, so that the formula is unsatisfiable as it stands."""
        return bool(self.n_clauses) and bool((self.clause_lengths == 0).any())

    def clauses(self) -> list[list[int]]:
        """Return the clauses as lists of Python integers (what PySAT's solvers take)."""
        flat = self.literals.tolist()
        bounds = self.offsets.tolist()
        return [flat[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]

    def to_dimacs(self) -> str:
        """Return the formula as DIMACS text."""
        lines = [f"p cnf {self.n_vars} {self.n_clauses}"]
        lines += [" ".join(map(str, [*clause, 0])) for clause in self.clauses()]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_arrays(
        cls,
        literals: NDArray[np.integer] | Sequence[int],
        offsets: NDArray[np.integer] | Sequence[int],
        n_vars: int | None = None,
        source: str = "<arrays>",
    ) -> Formula:
        """Build a formula from flat literals and clause offsets.

        Raises
        ------
        FormulaError
            If a literal is zero or out of range, or the offsets do not partition the literals.
        """
        wide = np.asarray(literals, dtype=np.int64)
        bounds = np.asarray(offsets, dtype=np.int64)
        if wide.ndim != 1 or bounds.ndim != 1:
            raise FormulaError("literals and offsets must be one-dimensional", source)
        if not len(bounds) or bounds[0] != 0 or bounds[-1] != len(wide) or (np.diff(bounds) < 0).any():
            raise FormulaError(
                f"offsets must rise from 0 to the number of literals ({len(wide)}); got {bounds[:5].tolist()}…", source
            )
        if (wide == 0).any():
            raise FormulaError("found literal 0 inside a clause; expected signed variable numbers", source)
        largest = int(np.abs(wide).max(initial=0))
        if largest > MAX_VARIABLE:
            raise FormulaError(f"literal {largest} is out of range; the largest variable is {MAX_VARIABLE}", source)
        return cls(wide.astype(np.int32), bounds, max(largest, n_vars or 0), source)

    @classmethod
    def from_clauses(
        cls, clauses: Iterable[Iterable[int]], n_vars: int | None = None, source: str = "<clauses>"
    ) -> Formula:
        """Build a formula from an iterable of clauses, each an iterable of signed variable numbers."""
        lists = [list(clause) for clause in clauses]
        offsets = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(clause) for clause in lists], out=offsets[1:])
        flat = np.fromiter((lit for clause in lists for lit in clause), dtype=np.int64, count=int(offsets[-1]))
        return cls.from_arrays(flat, offsets, n_vars, source)

    @classmethod
    def from_pysat(cls, cnf: CNF, source: str = "<pysat>") -> Formula:
        """Build a formula from a :class:`pysat.formula.CNF`."""
        return cls.from_clauses(cnf.clauses, int(cnf.nv), source)

    def __repr__(self) -> str:
        return f"Formula({self.source!r}, n_vars={self.n_vars}, n_clauses={self.n_clauses}, n_literals={self.n_literals})"
