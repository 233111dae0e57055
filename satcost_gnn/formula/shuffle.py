"""Isomorphic copies of a formula: what a solver's luck with names and orders is measured on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

if TYPE_CHECKING:
    from satcost_gnn.search.trace import Trace

_T = TypeVar("_T", bound=np.generic)


def signed_renaming(n_vars: int, draws: Draws, *, flip: bool = True) -> NDArray[np.int64]:
    """Return the literal that each variable becomes in the copy that :func:`shuffled` makes with draws in this state.

    It is ``int64[n_vars]``: entry ``v - 1`` is what literal ``v`` becomes.
    """
    rename = draws.permutation(n_vars) + 1
    sign = draws.signs(n_vars)
    return rename * sign if flip else rename


def shuffled(formula: Formula, draws: Draws, *, flip: bool = True) -> Formula:
    """Return an isomorphic copy: variables renamed, signs flipped, clauses and the literals in them reordered.

    Without ``flip`` what a solver's default phases are worth is kept, since modellers choose signs with a meaning.
    """
    renaming = signed_renaming(formula.n_vars, draws, flip=flip)
    literals = formula.literals.astype(np.int64)
    renamed = np.sign(literals) * renaming[np.abs(literals) - 1]
    order = draws.permutation(formula.n_clauses)
    lengths = formula.clause_lengths
    offsets = np.zeros(formula.n_clauses + 1, dtype=np.int64)
    np.cumsum(lengths[order], out=offsets[1:])
    target = np.empty_like(order)
    target[order] = offsets[:-1]
    # In each clause the literals are ordered by random words: a short sort for each, over all clauses of a length at
    # once, which takes a fraction of the time of one long sort by clause and word.
    words = draws.words(len(literals))
    arranged = np.empty(len(literals), dtype=np.int64)
    by_length = np.argsort(lengths, kind="stable")
    different, first = np.unique(lengths[by_length], return_index=True)
    last = [*first[1:].tolist(), len(by_length)]
    for length, begin, end in zip(different.tolist(), first.tolist(), last, strict=False):
        clauses = by_length[begin:end]
        inside = np.arange(length)
        literal = formula.offsets[clauses][:, None] + inside
        rank = np.argsort(words[literal], axis=1, kind="stable")
        arranged[target[clauses][:, None] + inside] = np.take_along_axis(literal, rank, axis=1)
    return Formula.from_arrays(renamed[arranged], offsets, formula.n_vars, formula.source)


def seeded(formula: Formula, seed: int) -> Formula:
    """Return what a run with a seed is made on: for seed 0 the formula as it is, else an isomorphic copy of it.

    Seeds of different solvers mean different things and some have none; an isomorphic copy means the same to each.
    """
    return shuffled(formula, Draws(seed, "shuffle")) if seed else formula


def unseeded(model: NDArray[np.int32], formula: Formula, seed: int) -> NDArray[np.int32]:
    """Return a model of what :func:`seeded` returned as one of the formula."""
    if not seed:
        return model
    became = signed_renaming(formula.n_vars, Draws(seed, "shuffle"))
    value = np.zeros(formula.n_vars + 1, dtype=np.int64)
    value[np.abs(model)] = np.sign(model)
    # Variables that the model says nothing about are left out.
    signs = value[np.abs(became)] * np.sign(became)
    found: NDArray[np.int32] = (signs * np.arange(1, formula.n_vars + 1))[signs != 0].astype(np.int32)
    return found


def renamed_trace(trace: Trace, renaming: NDArray[np.int64]) -> Trace:
    """Return what a search would have left that went the same way on the copy that :func:`signed_renaming` is of.

    Raises
    ------
    FormulaError
        If the trace is of a formula with another number of variables.
    """
    if trace.n_vars != len(renaming):
        raise FormulaError(f"found a trace over {trace.n_vars} variables; expected one over {len(renaming)}")
    place, flipped = np.abs(renaming) - 1, renaming < 0

    def moved(values: NDArray[_T]) -> NDArray[_T]:
        placed = np.empty_like(values)
        placed[place] = values
        return placed

    def turned(positive: NDArray[np.int32], both: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(flipped & (positive >= 0) & (both >= 0), both - positive, positive)

    return replace(
        trace,
        assigned=moved(trace.assigned),
        decided=moved(trace.decided),
        flips=moved(trace.flips),
        positive=moved(turned(trace.positive, trace.assigned)),
        learnt=moved(trace.learnt),
        learnt_positive=moved(turned(trace.learnt_positive, trace.learnt)),
        observed=moved(trace.observed),
    )
