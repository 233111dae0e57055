"""Isomorphic copies of a formula: what a solver's luck with names and orders is measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.random_stream import Draws


def signed_renaming(n_vars: int, draws: Draws, *, flip: bool = True) -> NDArray[np.int64]:
    """Return the literal that each variable becomes in the copy that :func:`shuffled` makes with the same draws.

    Parameters
    ----------
    n_vars
        Variables of the formula.
    draws
        In the state in which :func:`shuffled` would take them.
    flip
        Whether signs are flipped.

    Returns
    -------
    NDArray
        ``int64[n_vars]``: entry ``v - 1`` is what literal ``v`` becomes.
    """
    rename = draws.permutation(n_vars) + 1
    sign = draws.signs(n_vars)
    return rename * sign if flip else rename


def shuffled(formula: Formula, draws: Draws, *, flip: bool = True) -> Formula:
    """Return an isomorphic copy: variables renamed, signs flipped, clauses and the literals in them reordered.

    Parameters
    ----------
    formula
        The formula.
    draws
        Where the randomness comes from.
    flip
        Whether signs are flipped. Without it what a solver's default phases are worth is kept, since modellers choose
        signs with a meaning.
    """
    renaming = signed_renaming(formula.n_vars, draws, flip=flip)
    literals = formula.literals.astype(np.int64)
    renamed = np.sign(literals) * renaming[np.abs(literals) - 1]
    order = draws.permutation(formula.n_clauses)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    clause = np.repeat(place, formula.clause_lengths)
    # Sorted by the clause's new place, then by a random word: a random order inside each clause.
    arranged = np.lexsort((draws.words(len(literals)), clause))
    offsets = np.zeros(formula.n_clauses + 1, dtype=np.int64)
    np.cumsum(formula.clause_lengths[order], out=offsets[1:])
    return Formula.from_arrays(renamed[arranged], offsets, formula.n_vars, formula.source)
