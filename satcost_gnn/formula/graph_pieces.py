"""The occurrences of a formula in pieces of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from satcost_gnn.formula.cnf import Formula


# Literal occurrences that are worked on at a time; or as many as there are variables, if those are more, since each
# piece costs a count for every variable.
_PIECE_LITERALS: Final = 2_000_000

# Literal occurrences of a formula that is held in its reduced form, 4 bytes each, rather than reduced again each time.
_HELD_LITERALS: Final = 64_000_000


@dataclass(frozen=True)
class Occurrences:
    """Literal occurrences of a reduced formula: sorted by clause, then by literal node."""

    literals: NDArray[np.int64] | NDArray[np.int32]
    lengths: NDArray[np.int64]
    duplicates: int = 0
    tautologies: int = 0

    @property
    def clause_of(self) -> NDArray[np.int64]:
        """Return the clause of each occurrence."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def _reduced(formula: Formula, first: int, last: int) -> Occurrences:
    """Drop tautologies and repeated literals of the clauses ``first:last``, and sort the literals of each."""
    offsets = formula.offsets[first : last + 1]
    literals = formula.literals[offsets[0] : offsets[-1]].astype(np.int64)
    nodes = 2 * (np.abs(literals) - 1) + (literals < 0)
    # One sort of integers, clause in the high bits: far faster than sorting pairs, and its result is decoded by shifts.
    bits = max(1, int(2 * formula.n_vars).bit_length())
    n_clauses = last - first
    keys = (np.repeat(np.arange(n_clauses, dtype=np.int64), np.diff(offsets)) << bits) | nodes
    keys.sort()
    same_clause_and_variable = (keys[1:] >> 1) == (keys[:-1] >> 1)
    repeated = keys[1:] == keys[:-1]
    tautological = np.zeros(n_clauses, dtype=bool)
    tautological[keys[1:][same_clause_and_variable & ~repeated] >> bits] = True
    kept = np.ones(len(keys), dtype=bool)
    kept[1:] = ~repeated
    duplicates = len(keys) - int(kept.sum())
    if tautological.any():
        kept &= ~tautological[keys >> bits]
    keys = keys[kept]
    counts = np.bincount(keys >> bits, minlength=n_clauses)[~tautological]
    return Occurrences(keys & ((1 << bits) - 1), counts, duplicates, int(tautological.sum()))


class Pieces:
    """The reduced formula, some clauses at a time, as often as it is gone through.

    Reducing costs a sort: what was reduced is held as long as it is not the larger part of the memory.
    """

    def __init__(self, formula: Formula) -> None:
        self._formula = formula
        size = max(_PIECE_LITERALS, formula.n_vars)
        cuts = np.searchsorted(formula.offsets, np.arange(0, formula.n_literals, size))
        bounds = np.unique(np.concatenate([[0], cuts, [formula.n_clauses]])).tolist()
        self._ranges = list(pairwise(bounds)) if formula.n_literals > size else []
        self._held = [] if self._ranges else [_reduced(formula, 0, formula.n_clauses)]

    def __iter__(self) -> Iterator[Occurrences]:
        if self._held:
            yield from self._held
            return
        held: list[Occurrences] | None = [] if self._formula.n_literals <= _HELD_LITERALS else None
        for first, last in self._ranges:
            piece = _reduced(self._formula, first, last)
            if held is not None:
                held.append(replace(piece, literals=piece.literals.astype(np.int32)))
            yield piece
        self._held = held or []
