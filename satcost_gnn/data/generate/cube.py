"""Cubes: a formula with a few unit clauses added, so that an instance out of reach becomes one of middling cost.

The units are chosen so that unit propagation neither refutes them nor already implies one of them: each is a decision
that a solver could have taken, in that order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.search.loading import open_solver

METHODS = ("random", "lookahead", "activity")
# Variables that look-ahead tries at each step, with two propagations each.
_CANDIDATES = 32

_RECIPE = re.compile(r"[a-z0-9-]+:(\S+,)?seed=\d+|cube:literals=.*|cnfgen:version=.*")


def identity(formula: Formula) -> str:
    """Return a name by which a cube knows its parent.

    That is the parent's own recipe if it was generated; else ``sha256-`` and the first half of the digest of its
    DIMACS text.
    """
    if _RECIPE.fullmatch(formula.source):
        return formula.source
    return "sha256-" + hashlib.sha256(formula.to_dimacs().encode()).hexdigest()[:32]


def with_units(formula: Formula, literals: Sequence[int], parent: str | None = None) -> Formula:
    """Return the formula with these unit clauses at its end; its ``source`` is the cube's recipe.

    Raises
    ------
    ConfigError
        If a literal is zero, of a variable that the formula lacks, or there twice.
    """
    units = [int(literal) for literal in literals]
    variables = [abs(literal) for literal in units]
    if not all(0 < variable <= formula.n_vars for variable in variables) or len(set(variables)) != len(variables):
        raise ConfigError(
            f"cube of {formula.source}: found literals {units}, expected distinct variables in 1..{formula.n_vars}"
        )
    ends = formula.offsets[-1] + np.arange(1, len(units) + 1, dtype=np.int64)
    return Formula.from_arrays(
        np.concatenate([formula.literals, np.array(units, dtype=np.int32)]),
        np.concatenate([formula.offsets, ends]),
        formula.n_vars,
        f"cube:literals={'_'.join(map(str, units))},parent={parent or identity(formula)}",
    )


def parse_cube_recipe(text: str) -> tuple[list[int], str]:
    """Return literals and parent of a cube's recipe ``cube:literals=3_-17,parent=IDENTITY``.

    Raises
    ------
    ConfigError
        If the text is not such a recipe.
    """
    head, found, parent = text.strip().partition(",parent=")
    listed = head.removeprefix("cube:literals=")
    try:
        if not found or not parent or listed == head:
            raise ValueError
        return [int(literal) for literal in listed.split("_") if listed], parent
    except ValueError:
        raise ConfigError(f"found {text!r}, expected cube:literals=3_-17,parent=IDENTITY") from None


class _Propagator:
    """Unit propagation of one formula under assumptions (MiniSat's, through PySAT)."""

    def __init__(self, formula: Formula) -> None:
        self.occurs = np.bincount(np.abs(formula.literals), minlength=formula.n_vars + 1)
        # PySAT leaves out of the answer what holds without assumptions. So unit clauses become assumptions.
        self._units: dict[int, None] = {}
        longer: list[list[int]] = []
        for clause in formula.clauses():
            if len(set(clause)) == 1:
                self._units[clause[0]] = None
            else:
                longer.append(clause)
        contradiction = formula.has_empty_clause or any(-unit in self._units for unit in self._units)
        self._solver: Any = open_solver("minisat22")
        self._solver.append_formula(longer)
        self.root = None if contradiction else self.closure([])

    def close(self) -> None:
        self._solver.delete()

    def closure(self, decisions: list[int]) -> set[int] | None:
        """Return what the decisions imply, themselves included; None if they are refuted."""
        assumptions = [*self._units, *decisions]
        consistent, implied = self._solver.propagate(assumptions=assumptions)
        return {*implied, *assumptions} if consistent else None

    def free(self, fixed: set[int]) -> NDArray[np.int64]:
        """Return the variables that occur and are not fixed, rising."""
        open_ = self.occurs > 0
        open_[[abs(literal) for literal in fixed]] = False
        return np.flatnonzero(open_)


# A rule picks the next decision among free variables, or None when it has none to offer.
_Rule = Callable[[_Propagator, list[int], set[int], Draws], int | None]


def _pick_random(propagator: _Propagator, decisions: list[int], fixed: set[int], draws: Draws) -> int | None:
    free = propagator.free(fixed)
    while len(free):
        i = draws.one_below(len(free))
        literal = int(free[i]) * int(draws.signs(1)[0])
        if propagator.closure([*decisions, literal]) is not None:
            return literal
        # A failed literal: its negation is implied, and so is no decision.
        free = np.delete(free, i)
    return None


def _pick_lookahead(propagator: _Propagator, decisions: list[int], fixed: set[int], draws: Draws) -> int | None:
    free = propagator.free(fixed)
    # Half the candidates are those with most occurrences, half are drawn at random.
    by_count = free[np.argsort(-propagator.occurs[free], kind="stable")][: _CANDIDATES // 2]
    rest = np.setdiff1d(free, by_count)
    pool = np.concatenate([by_count, rest[draws.sample(len(rest), min(_CANDIDATES // 2, len(rest)))]])
    best, best_score = 0, (-1, -1)
    for variable in pool.tolist():
        gains = [
            len(side) - len(fixed)
            for sign in (1, -1)
            if (side := propagator.closure([*decisions, sign * variable])) is not None
        ]
        if len(gains) < 2:
            continue
        # The usual product score of look-ahead solvers, the sum breaking ties (Heule and others, 2012).
        score = (gains[0] * gains[1], gains[0] + gains[1])
        if score > best_score:
            best, best_score = variable, score
    if not best:
        return _pick_random(propagator, decisions, fixed, draws)
    return best * int(draws.signs(1)[0])


def _pick_active(activity: NDArray[np.float64], pool: int) -> _Rule:
    def pick(propagator: _Propagator, decisions: list[int], fixed: set[int], draws: Draws) -> int | None:
        order = propagator.free(propagator.root or set())
        order = order[np.argsort(-activity[order - 1], kind="stable")]
        # The pool first, in random order, then the next as many, and so on.
        for start in range(0, len(order), pool):
            group = order[start : start + pool]
            for variable in group[draws.permutation(len(group))].tolist():
                literal = variable * int(draws.signs(1)[0])
                if literal in fixed or -literal in fixed:
                    continue
                for decision in (literal, -literal):
                    if propagator.closure([*decisions, decision]) is not None:
                        return int(decision)
        return None

    return pick


def cubes(
    formula: Formula,
    k: int,
    method: str = "random",
    seed: int = 0,
    count: int = 1,
    *,
    activity: Sequence[float] | NDArray[np.floating] | None = None,
    parent: str | None = None,
) -> list[Formula]:
    """Return up to ``count`` different cubes of ``k`` unit clauses each.

    Parameters
    ----------
    formula
        The parent.
    k
        Units in a cube.
    method
        ``random``: any free variable. ``lookahead``: of 32 variables the one whose two values together imply
        most (by the product). ``activity``: one of the ``2 k`` most active free variables. The sign is random.
    seed
        Of the random choices.
    count
        Cubes wanted; fewer come back when no more different ones are found in ``10 * count`` attempts.
    activity
        For ``activity``: ``float[n_vars]``, for instance how often a probe decided or assigned each variable.
    parent
        Identity of the parent for the recipe; the default is its own recipe if it was generated, else the digest
        of its text.

    Raises
    ------
    ConfigError
        If the method is unknown, ``activity`` is missing or of the wrong length, or no cube of ``k`` units exists
        because unit propagation decides the formula before.
    """
    if method not in METHODS:
        raise ConfigError(f"cubes: method: found {method!r}, expected one of {', '.join(METHODS)}")
    if k < 1 or count < 1:
        raise ConfigError(f"cubes: found k={k}, count={count}; expected 1 or more of each")
    rule: _Rule = _pick_lookahead if method == "lookahead" else _pick_random
    if method == "activity":
        values = np.asarray([] if activity is None else activity, dtype=np.float64)
        if values.shape != (formula.n_vars,):
            raise ConfigError(
                f"cubes: activity: found shape {values.shape}, expected ({formula.n_vars},): one number a variable"
            )
    # Numbers that stand for nothing cost memory in the solver; the order of those that are left is the same.
    dense, numbering = renumbered(formula)
    if method == "activity":
        rule = _pick_active(values if numbering.numbers is None else values[numbering.numbers - 1], 2 * k)
    name = parent or identity(formula)
    draws = Draws(seed, f"cube-{method}")
    found: dict[tuple[int, ...], list[int]] = {}
    longest = 0
    with closing(_Propagator(dense)) as propagator:
        root = propagator.root
        for _ in range(10 * count):
            if root is None or len(found) == count:
                break
            decisions: list[int] = []
            fixed = root
            while len(decisions) < k:
                literal = rule(propagator, decisions, fixed, draws)
                if literal is None:
                    break
                decisions.append(literal)
                fixed = propagator.closure(decisions) or set()
            longest = max(longest, len(decisions))
            if len(decisions) == k:
                found.setdefault(tuple(sorted(decisions)), decisions)
    if not found:
        raise ConfigError(
            f"cubes of {formula.source}: unit propagation decides the formula after {longest} units, expected k={k} "
            "free ones; choose a smaller k"
        )
    return [
        with_units(formula, numbering.original(np.array(decisions, dtype=np.int32)).tolist(), name)
        for decisions in found.values()
    ]
