"""Formulas with large gaps in their numbering, as solvers get them: only variables that occur, numbered from 1.

Solvers hold memory for every number up to the largest. Formulas whose numbers are used (more than a tenth of them, or
none above 100,000) are left exactly as they are, so that nothing measured or learnt on them changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.cnf import Formula

__all__ = ["Renumbering", "renumbered"]

#: Formulas with no larger variable are never renumbered.
MOST_HARMLESS: Final = 100_000
#: How many numbers there are for each that occurs, at least, where a formula is renumbered.
_SPARSE: Final = 10
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Renumbering:
    """Which variable of a formula each variable of its renumbered form stands for.

    Parameters
    ----------
    numbers
        ``int32[n]``, rising: variable ``i + 1`` stands for ``numbers[i]``; None if nothing has been renumbered.
    n_vars
        Variables of the formula.
    """

    numbers: NDArray[np.int32] | None
    n_vars: int

    def original(self, literals: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return literals of the renumbered formula as literals of the formula; a closing 0 stays one.

        Variables that a solver has added (for an extended resolution) come behind all variables, in both.
        """
        if self.numbers is None:
            return literals
        variables = np.abs(literals).astype(np.int64)
        known = np.concatenate([[0], self.numbers])
        behind = variables - len(self.numbers) + self.n_vars
        found = np.where(variables < len(known), known[np.minimum(variables, len(known) - 1)], behind)
        return np.where(literals < 0, -found, found).astype(np.int32)

    def dense(self, literals: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return literals of the formula as literals of the renumbered one, without those of variables not in it."""
        wide = np.asarray(literals, dtype=np.int64)
        if self.numbers is None:
            return wide.astype(np.int32)
        wide = wide[np.isin(np.abs(wide), self.numbers)]
        return (np.sign(wide) * (np.searchsorted(self.numbers, np.abs(wide)) + 1)).astype(np.int32)

    def write_original_proof(self, source: BinaryIO, target: BinaryIO, *, binary: bool) -> None:
        """Copy a proof (DRAT or DRUP) of the renumbered formula as one of the formula."""
        for piece in _complete_pieces(source, b"\0" if binary else b"\n"):
            if self.numbers is None:
                target.write(piece)
            elif binary:
                target.write(self._binary_piece(piece))
            else:
                target.write(self._text_piece(piece))

    def _text_piece(self, piece: bytes) -> bytes:
        lines = []
        for line in piece.split(b"\n"):
            words = line.split()
            head = words[:1] if words[:1] == [b"d"] else []
            literals = self.original(np.array([int(word) for word in words[len(head) :]], dtype=np.int32))
            lines.append(b" ".join([*head, *(b"%d" % literal for literal in literals.tolist())]))
        return b"\n".join(lines)

    def _binary_piece(self, piece: bytes) -> bytes:
        """Renumber whole lines of a binary proof: ``a`` or ``d``, literals of 7 bits a byte, and a zero byte."""
        codes = np.frombuffer(piece, dtype=np.uint8)
        last = np.flatnonzero(codes < 128)
        first = np.concatenate([[0], last[:-1] + 1])
        place = np.arange(len(codes)) - np.repeat(first, last - first + 1)
        parts = (codes & 127).astype(np.int64) << (7 * place)
        values = np.add.reduceat(parts, first) if len(first) else parts
        # A line's first byte says what it is: it stands at the beginning, and behind each zero.
        is_kind = np.concatenate([[True], values[:-1] == 0])
        is_literal = ~is_kind & (values > 1)
        literals = np.where(values[is_literal] & 1, -(values[is_literal] >> 1), values[is_literal] >> 1)
        found = self.original(literals.astype(np.int32)).astype(np.int64)
        values[is_literal] = 2 * np.abs(found) + (found < 0)
        length = np.ones(len(values), dtype=np.int64)
        for more in range(1, 5):
            length += values >= 1 << (7 * more)
        end = np.cumsum(length)
        text = np.zeros(int(end[-1]) if len(end) else 0, dtype=np.uint8)
        for k in range(5):
            chosen = np.flatnonzero(length > k)
            goes_on = length[chosen] > k + 1
            text[end[chosen] - length[chosen] + k] = ((values[chosen] >> (7 * k)) & 127) | np.where(goes_on, 128, 0)
        return text.tobytes()


def _complete_pieces(source: BinaryIO, end: bytes) -> Iterator[bytes]:
    """Yield a stream in pieces that end where a line does (the last one wherever it does)."""
    held = b""
    while read := source.read(_CHUNK):
        held += read
        cut = held.rfind(end) + 1
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def renumbered(formula: Formula, keep: NDArray[np.integer] | None = None) -> tuple[Formula, Renumbering]:
    """Return a formula as solvers are to get it, and what its variables stand for.

    Parameters
    ----------
    formula
        The formula.
    keep
        Literals whose variables are kept although they may occur in no clause.

    Returns
    -------
    (Formula, Renumbering)
        The formula itself unless fewer than a tenth of its numbers occur and there are more than
        :data:`MOST_HARMLESS`.
    """
    same = Renumbering(None, formula.n_vars)
    if formula.n_vars <= MOST_HARMLESS:
        return formula, same
    variables = np.abs(formula.literals)
    if formula.n_vars > 4 * formula.n_literals + 1024:
        used = np.unique(variables)
    else:
        occurs = np.zeros(formula.n_vars + 1, dtype=bool)
        occurs[variables] = True
        used = np.flatnonzero(occurs)
    if keep is not None:
        used = np.union1d(used, np.abs(keep))
    if _SPARSE * len(used) >= formula.n_vars:
        return formula, same
    numbers = used.astype(np.int32)
    dense = (np.searchsorted(numbers, variables) + 1).astype(np.int32)
    literals = np.where(formula.literals < 0, -dense, dense).astype(np.int32)
    made = replace(formula, literals=literals, n_vars=len(numbers), n_auxiliary=0)
    return made, Renumbering(numbers, formula.n_vars)
