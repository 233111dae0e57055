"""A CNF formula as flat arrays: the form that every later stage reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import FormulaError

if TYPE_CHECKING:
    from pysat.formula import Formula as PysatFormula

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
    n_auxiliary
        How many of the variables, the last ones, are no variables of what was given but of an encoding of it.
    """

    literals: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_vars: int
    source: str = "<memory>"
    warnings: tuple[str, ...] = field(default=())
    n_auxiliary: int = 0

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

    def dense_variables(self) -> tuple[NDArray[np.int32], int]:
        """Return the variable of each literal, and one more than the largest: what per-variable counts are indexed by.

        Variables are numbered as in the formula, unless so few of the numbers occur that counts would be mostly
        zeros (or not fit in memory): then those that occur are numbered from 0 in the same order.

        Returns
        -------
        tuple
            ``int32[n_literals]`` and the number of counts to allocate (0 without literals).
        """
        variables = np.abs(self.literals)
        if self.n_vars > 4 * self.n_literals + 1024:
            used, compact = np.unique(variables, return_inverse=True)
            return compact.astype(np.int32), len(used)
        return variables, int(variables.max(initial=-1)) + 1

    def clauses(self) -> list[list[int]]:
        """Return the clauses as lists of Python integers (what PySAT's solvers take)."""
        flat = self.literals.tolist()
        bounds = self.offsets.tolist()
        return [flat[a:b] for a, b in pairwise(bounds)]

    def to_dimacs(self) -> str:
        """Return the formula as DIMACS text."""
        from satcost_gnn.formula.dimacs import write_dimacs

        text = BytesIO()
        write_dimacs(self, text)
        return text.getvalue().decode("ascii")

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
        wide = _integers(literals, "literals", source)
        bounds = _integers(offsets, "offsets", source)
        if wide.ndim != 1 or bounds.ndim != 1:
            raise FormulaError("literals and offsets must be one-dimensional", source)
        if not len(bounds) or bounds[0] != 0 or bounds[-1] != len(wide) or (np.diff(bounds) < 0).any():
            raise FormulaError(
                f"offsets must rise from 0 to the number of literals ({len(wide)}); got {bounds[:5].tolist()}…", source
            )
        if (wide == 0).any():
            raise FormulaError("found literal 0 inside a clause; expected signed variable numbers", source)
        # Not of the array's absolute values: that of the least integer of 64 bits is negative.
        largest = max(int(wide.max(initial=0)), -int(wide.min(initial=0)))
        if largest > MAX_VARIABLE:
            raise FormulaError(f"literal {largest} is out of range; the largest variable is {MAX_VARIABLE}", source)
        return cls(wide.astype(np.int32), bounds, max(largest, n_vars or 0), source)

    @classmethod
    def from_clauses(
        cls, clauses: Iterable[Iterable[int]], n_vars: int | None = None, source: str = "<clauses>"
    ) -> Formula:
        """Build a formula from an iterable of clauses, each an iterable of signed variable numbers."""
        try:
            lists = [_clause(clause) for clause in clauses]
        except TypeError as error:
            raise FormulaError(f"expected clauses as lists of signed variable numbers: {error}", source) from error
        offsets = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(clause) for clause in lists], out=offsets[1:])
        return cls.from_arrays([lit for clause in lists for lit in clause], offsets, n_vars, source)

    @classmethod
    def from_pysat(cls, formula: PysatFormula, source: str = "") -> Formula:
        """Build a formula from an object of ``pysat.formula``; see :mod:`satcost_gnn.formula.in_memory`."""
        from satcost_gnn.formula.in_memory import from_memory

        return from_memory(formula, source)

    def with_auxiliary(self, count: int) -> Formula:
        """Return the formula with so many of its last variables known to be those of an encoding."""
        return replace(self, n_auxiliary=count)

    def without_auxiliary(self, model: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the literals of a model that are of variables of what was given."""
        return model[np.abs(model) <= self.n_vars - self.n_auxiliary] if self.n_auxiliary else model

    def __repr__(self) -> str:
        return (
            f"Formula({self.source!r}, n_vars={self.n_vars}, n_clauses={self.n_clauses}, n_literals={self.n_literals})"
        )


def _clause(clause: Iterable[int]) -> list[int]:
    # Iterating over bytes gives integers, and over a formula of PySAT its clauses.
    if isinstance(clause, bytes | bytearray | memoryview | str | dict) or type(clause).__module__ == "pysat.formula":
        raise TypeError(f"found {type(clause).__name__}")
    return list(clause)


def _integers(values: NDArray[np.integer] | Sequence[int], what: str, source: str) -> NDArray[np.int64]:
    """Return values as ``int64``; FormulaError, rather than a rounded number, for anything else than integers."""
    try:
        array = np.asarray(values)
        if not len(array):
            return np.zeros(0, dtype=np.int64)
        if array.dtype.kind in "iu" and (array.dtype != np.uint64 or int(array.max()) < 2**63):
            return array.astype(np.int64)
        found = "integers beyond 64 bits" if array.dtype.kind in "uO" else f"an array of {array.dtype}"
    except (TypeError, ValueError, OverflowError) as error:
        found = f"{type(values).__name__} ({error})"
    raise FormulaError(f"{what} must be integers; found {found}", source)


def satisfies(formula: Formula, model: NDArray[np.integer[Any]] | list[int]) -> bool:
    """Whether a (possibly partial) model makes every clause true."""
    true = np.zeros(formula.n_vars + 1, dtype=np.int8)
    literals = np.asarray(model, dtype=np.int64)
    literals = literals[np.abs(literals) <= formula.n_vars]
    true[np.abs(literals)] = np.sign(literals)
    hit = true[np.abs(formula.literals)] == np.sign(formula.literals)
    if formula.has_empty_clause:
        return False
    return bool(np.logical_or.reduceat(hit, formula.offsets[:-1]).all()) if formula.n_clauses else True
