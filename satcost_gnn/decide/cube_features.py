"""What is left of a formula under a cube, and its static features: many cubes in one limited child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.features import static_features
from satcost_gnn.runtime.sandbox import Limits, Sandbox, report

_CHUNK = 64
# Of the child that deals with a chunk.
_LIMITS = Limits(cpu_s=600.0, wall_s=1800.0, memory_mb=8192)


def check_fits(formula: Formula, literals: Sequence[int]) -> None:
    """Raise a ConfigError if a cube's literal is zero, of a variable that the formula lacks, or there twice."""
    variables = [abs(literal) for literal in literals]
    if not all(0 < variable <= formula.n_vars for variable in variables) or len(set(variables)) < len(variables):
        raise ConfigError(f"found cube {list(literals)}; expected distinct variables in 1..{formula.n_vars}")


def simplified(formula: Formula, literals: Sequence[int]) -> Formula:
    """Return what is left of a formula under a cube that fits it (:func:`check_fits`) after unit propagation.

    Satisfied clauses, false literals and fixed variables go; the variables that are left are numbered anew, in the same
    order. A refuted formula becomes a single empty clause.
    """
    value = np.zeros(formula.n_vars + 1, dtype=np.int8)
    variables, signs = np.abs(formula.literals), np.sign(formula.literals).astype(np.int8)
    owner = np.repeat(np.arange(formula.n_clauses), formula.clause_lengths)
    units = np.array(literals, dtype=np.int64)
    refuted = Formula.from_arrays([], [0, 0], 0, formula.source)
    while True:
        if (value[np.abs(units)] == -np.sign(units)).any() or len(np.unique(np.abs(units))) < len(np.unique(units)):
            return refuted
        value[np.abs(units)] = np.sign(units)
        truth = value[variables] * signs
        satisfied = np.zeros(formula.n_clauses, dtype=bool)
        satisfied[owner[truth > 0]] = True
        open_literals = (truth == 0) & ~satisfied[owner]
        left = np.bincount(owner[open_literals], minlength=formula.n_clauses)
        if ((left == 0) & ~satisfied).any():
            return refuted
        fresh = open_literals & (left == 1)[owner]
        if not fresh.any():
            break
        units = np.unique(formula.literals[fresh].astype(np.int64))
    kept = formula.literals[open_literals]
    used, fresh_names = np.unique(np.abs(kept), return_inverse=True)
    return Formula.from_arrays(
        (fresh_names + 1) * np.sign(kept),
        np.concatenate([[0], np.cumsum(left[left > 0])]).astype(np.int64),
        len(used),
        formula.source,
    )


def cube_features_child(formula: Formula, cubes: Sequence[Sequence[int]]) -> list[Any]:
    """Return for each cube ``SAT`` or ``UNSAT``, or the features of what is left; executed in a sandboxed child."""
    found: list[Any] = []
    for literals in cubes:
        left = simplified(formula, literals)
        if left.has_empty_clause:
            found.append("UNSAT")
        elif not left.n_clauses:
            found.append("SAT")
        else:
            found.append(static_features(left))
        # gbdc is C++: should it die, what was found before is kept.
        report(found)
    return found


def cube_features(formula: Formula, cubes: Sequence[Sequence[int]], sandbox: Sandbox) -> list[FeatureVector | str]:
    """Return for each cube what unit propagation makes of it, in children forked in the sandbox.

    The formula is sent to the child once for many cubes, which fit it (see :func:`check_fits`).

    Returns
    -------
    list
        ``SAT`` or ``UNSAT`` where unit propagation decides the cube; the static features of what is left otherwise; and
        where the child died on the cube, why, as ``failed: ...``.
    """
    results: list[FeatureVector | str] = []
    while len(results) < len(cubes):
        wanted = [list(map(int, literals)) for literals in cubes[len(results) : len(results) + _CHUNK]]
        outcome = sandbox.run(
            "satcost_gnn.decide.cube_features:cube_features_child", {"formula": formula, "cubes": wanted}, _LIMITS
        )
        found = list(outcome.value or [])
        if outcome.status != "OK" and len(found) < len(wanted):
            found.append(f"failed: {outcome.status} in the features of the cube {outcome.detail}".rstrip())
        results += found
    return results
