"""Clauses as the text of a DIMACS file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from satcost_gnn.formula.cnf import Formula

# Numbers that are rendered at a time.
_STEP = 1 << 16
# Characters of a number's text in a table, its sign and the blank after it included: one word.
_WIDTH = 8


def clause_text(formula: Formula, *, newline: bool) -> Iterator[bytes]:
    """Yield the clauses' text in pieces: every number is followed by a blank, or a closing 0 by a line end if asked."""
    # Where each clause starts in the text's sequence of numbers; pieces are cut at about every `_STEP` numbers.
    starts = formula.offsets + np.arange(len(formula.offsets))
    cuts = np.unique(np.append(np.searchsorted(starts, np.arange(0, starts[-1], _STEP)), formula.n_clauses))
    largest = int(np.abs(formula.literals).max(initial=0))
    # Each number is rendered once if most come again and again.
    table = _table(largest, newline) if 4 * largest <= formula.n_literals and largest < 10 ** (_WIDTH - 2) else None
    for first, last in pairwise(cuts.tolist()):
        bounds = formula.offsets[first : last + 1]
        closed = np.insert(formula.literals[bounds[0] : bounds[-1]], bounds[1:] - bounds[0], 0)
        if table is None:
            yield render_integers(closed, line_end_after_zero=newline)
        else:
            text = table[closed + largest].view(np.uint8)
            yield text[text != 0].tobytes()


def _table(largest: int, newline: bool) -> NDArray[np.uint64]:
    """Return the text of each number from ``-largest`` to ``largest``, behind it zero bytes."""
    numbers = np.arange(-largest, largest + 1)
    text = np.frombuffer(render_integers(numbers, line_end_after_zero=newline), dtype=np.uint8)
    ends = np.flatnonzero((text == ord(" ")) | (text == ord("\n"))) + 1
    lengths = np.diff(ends, prepend=0)
    table = np.zeros((len(numbers), _WIDTH), dtype=np.uint8)
    table[np.arange(_WIDTH) < lengths[:, None]] = text
    return table.view(np.uint64)[:, 0]


def render_integers(values: NDArray[np.integer], *, line_end_after_zero: bool = False) -> bytes:
    """Return integers below 2^32 in size as decimal text, each followed by a blank (or zeros by a line end)."""
    if not len(values):
        return b""
    size = np.abs(values).astype(np.uint32)
    negative = values < 0
    digits = np.ones(len(size), dtype=np.int8)
    largest = int(size.max())
    for power in range(1, len(str(largest))):
        digits += size >= 10**power
    after = np.cumsum(digits + negative + np.int8(1), dtype=np.int64)
    text = np.full(int(after[-1]), ord(" "), dtype=np.uint8)
    place = after - 2
    text[(place - digits)[negative]] = ord("-")
    if line_end_after_zero:
        text[(after - 1)[values == 0]] = ord("\n")
    ten = np.uint32(10)
    for power in range(len(str(largest))):
        if power:
            longer = np.flatnonzero(digits > power)
            place, size, digits = place[longer] - 1, size[longer], digits[longer]
        quotient = size // ten
        text[place] = (size - quotient * ten).astype(np.uint8) + np.uint8(ord("0"))
        size = quotient
    return text.tobytes()
