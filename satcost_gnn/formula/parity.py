"""Parity constraints (XOR) found in the clauses of a formula, and what follows from them alone.

A constraint x1 + ... + xk = b modulo 2 is written as the 2^(k-1) clauses over its variables that have an even (b = 1)
or an odd (b = 0) number of negative literals. Clause learning needs exponentially many steps to refute some systems of
such constraints (Urquhart, "Hard examples for resolution", JACM 34, 1987) that Gaussian elimination refutes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.cnf import Formula

#: Longest constraint that is looked for, which takes 2^9 clauses.
LONGEST: Final = 10


@dataclass(frozen=True, eq=False)
class ParityConstraints:
    """The parity constraints that a formula's clauses spell out in full.

    Parameters
    ----------
    constraints
        Variables, ascending, and the parity of the number of true ones, 0 or 1. Unit clauses are among them.
    whole
        Whether they are all of the formula: a solution of theirs is a model.
    """

    constraints: tuple[tuple[tuple[int, ...], int], ...]
    whole: bool


def parity_constraints(formula: Formula, longest: int = LONGEST) -> ParityConstraints:
    """Return the parity constraints of up to so many variables; other clauses are left aside."""
    lengths = formula.clause_lengths
    found: list[tuple[tuple[int, ...], int]] = []
    covered = 0
    for length in range(1, longest + 1):
        starts = formula.offsets[:-1][lengths == length]
        clauses_of_one = 2 ** (length - 1)
        if len(starts) < clauses_of_one:
            continue
        literals = formula.literals[starts[:, None] + np.arange(length)].astype(np.int64)
        literals = np.take_along_axis(literals, np.abs(literals).argsort(axis=1), axis=1)
        variables, negative = np.abs(literals), literals < 0
        proper = (np.diff(variables, axis=1) > 0).all(axis=1)
        signs = negative @ (1 << np.arange(length))
        rows = np.column_stack([variables, negative.sum(axis=1) & 1, signs])[proper]
        distinct, copies = np.unique(rows, axis=0, return_counts=True)
        groups, first, sizes = np.unique(distinct[:, :-1], axis=0, return_index=True, return_counts=True)
        full = sizes == clauses_of_one
        written = np.add.reduceat(copies, first) if len(first) else copies
        covered += int(written[full].sum())
        # An assignment that falsifies a clause makes its negative literals' variables true.
        found += [(tuple(row[:-1]), 1 - row[-1]) for row in groups[full].tolist()]
    return ParityConstraints(tuple(found), covered == formula.n_clauses)


def solution(constraints: ParityConstraints, deadline_s: float = np.inf) -> NDArray[np.int64] | None:
    """Return the literals of a solution, every variable of a constraint given; None if there is none.

    Gaussian elimination over rows held as integers, a bit for each variable.

    Parameters
    ----------
    constraints
        The constraints.
    deadline_s
        CPU seconds of this process (``time.process_time``) at which it is given up.

    Raises
    ------
    TimeoutError
        If it has been given up.
    """
    numbers = sorted({variable for variables, _ in constraints.constraints for variable in variables})
    bit = {variable: k + 1 for k, variable in enumerate(numbers)}
    pivots: dict[int, int] = {}
    for variables, parity in sorted(constraints.constraints, key=lambda one: len(one[0])):
        if process_time() > deadline_s:
            raise TimeoutError
        row = parity
        for variable in variables:
            row ^= 1 << bit[variable]
        while row > 1:
            pivot = row.bit_length() - 1
            if pivot not in pivots:
                pivots[pivot] = row
                break
            row ^= pivots[pivot]
        if row == 1:
            return None
    # A pivot is the highest bit of its row: from the lowest on, all others are known. Those without a row are false.
    true = 1
    for pivot in sorted(pivots):
        if (pivots[pivot] & true).bit_count() & 1:
            true |= 1 << pivot
    return np.array([variable if true >> bit[variable] & 1 else -variable for variable in numbers], dtype=np.int64)
