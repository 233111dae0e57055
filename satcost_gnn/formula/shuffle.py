"""Isomorphic copies of a formula: what a solver's luck with names and orders is measured on."""

from __future__ import annotations

import numpy as np

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.random_stream import Draws


def shuffled(formula: Formula, draws: Draws) -> Formula:
    """Return an isomorphic copy: variables renamed, signs flipped, clauses and the literals in them reordered."""
    rename = draws.permutation(formula.n_vars) + 1
    flip = draws.signs(formula.n_vars)
    literals = formula.literals.astype(np.int64)
    variables = np.abs(literals) - 1
    renamed = np.sign(literals) * rename[variables] * flip[variables]
    order = draws.permutation(formula.n_clauses)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    clause = np.repeat(place, formula.clause_lengths)
    # Sorted by the clause's new place, then by a random word: a random order inside each clause.
    arranged = np.lexsort((draws.words(len(literals)), clause))
    offsets = np.zeros(formula.n_clauses + 1, dtype=np.int64)
    np.cumsum(formula.clause_lengths[order], out=offsets[1:])
    return Formula.from_arrays(renamed[arranged], offsets, formula.n_vars, formula.source)
