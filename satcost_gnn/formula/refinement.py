"""Colour refinement of a formula: what clauses look like to one who knows neither names nor orders.

Nodes that a renaming or a shuffle could exchange have the same colour, so that whatever is chosen by colour is chosen
alike in all isomorphic copies. It is the one-dimensional Weisfeiler-Leman test (Weisfeiler and Leman, 1968) on hashes,
stopped after a few rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.mixing import mixed

Colours = NDArray[np.uint64]
#: Some clauses: their literal nodes (``2 * variable + sign``), joined, and the length of each clause.
Clauses = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]

#: Rounds in which literals hear from their clauses; clauses hear once more. With what a probe did with the variables,
#: four tell apart what any number of rounds does on almost all formulas; without it, circuits and counters need more.
ROUNDS: Final = 4

# Of a hash so many of its lowest and of its highest bits are heard.
_HALF_BITS: Final = 26
_HALF: Final = np.uint64((1 << _HALF_BITS) - 1)


def row_colours(rows: NDArray[np.float16]) -> Colours:
    """Return a hash of each row of numbers, bit by bit."""
    found = np.zeros(len(rows), dtype=np.uint64)
    for column in np.ascontiguousarray(rows.T).view(np.uint16):
        found = mixed(found ^ column)
    return found


def literal_colours(variables: Colours) -> Colours:
    """Return ``uint64[2 n]``, the colours of both literal nodes of variables of some colours."""
    found = np.empty(2 * len(variables), dtype=np.uint64)
    found[0::2] = mixed(variables)
    found[1::2] = mixed(~variables)
    return found


def clause_colours(pieces: Callable[[], Iterable[Clauses]], literals: Colours, rounds: int = ROUNDS) -> Colours:
    """Refine colours of literals by the formula they are in.

    Parameters
    ----------
    pieces
        Called once a round, returns the clauses of the formula, all of them or some at a time.
    literals
        ``uint64[2 n]``: colours to start from, of the literal nodes.
    rounds
        How often the literals hear from their clauses.

    Returns
    -------
    uint64[clauses]
        Equal for clauses that the refinement can't tell apart; otherwise different but for collisions of hashes of 52
        bits. Renaming variables or shuffling clauses or literals changes no colour.
    """
    for _ in range(rounds):
        hashes = mixed(literals)
        heard = np.zeros(len(literals), dtype=np.uint64)
        for nodes, lengths in pieces():
            sent = mixed(_heard(nodes, lengths, hashes))
            sent = (sent & _HALF) + ((sent >> np.uint64(64 - _HALF_BITS)) << np.uint64(_HALF_BITS))
            np.add.at(heard, nodes, np.repeat(sent, lengths))
        negated = literals.reshape(-1, 2)[:, ::-1].reshape(-1)
        literals = mixed(mixed(hashes ^ negated) ^ heard)
    hashes = mixed(literals)
    return np.concatenate([np.zeros(0, dtype=np.uint64), *(_heard(*piece, hashes) for piece in pieces())])


def _heard(nodes: NDArray[np.integer[Any]], lengths: NDArray[np.integer[Any]], hashes: Colours) -> Colours:
    """Return the colours of clauses: a hash of the sum over their literals' hashes, which no order changes."""
    ends = np.cumsum(lengths, dtype=np.int64)
    # Wrapping round is no loss: differences of running sums are exact again.
    running = np.zeros(len(nodes) + 1, dtype=np.uint64)
    np.cumsum(hashes[nodes], out=running[1:])
    return mixed(running[ends] - running[ends - lengths])
