"""Several models of a satisfiable formula, and the part of its backbone that is cheap to prove.

The labels of phase prediction (:mod:`satcost_gnn.serve.phases`): per variable the share of models in which it is true,
and the literals that are true in all models (the *backbone*; Monasson et al., Nature 400, 1999).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.search.loading import open_solver

# Conflicts for one question whether a literal is in the backbone.
_BACKBONE_CONFLICTS = 200


@dataclass(frozen=True, eq=False)
class SampledModels:
    """Models of one formula.

    Parameters
    ----------
    models
        ``bool[n_models, n_vars]``: value of each variable, number 1 first.
    backbone
        ``int8[n_vars]``: 1 or -1 for a variable proved to have this sign in all models, 0 if that isn't known.
    """

    models: NDArray[np.bool_]
    backbone: NDArray[np.int8]

    @property
    def true_share(self) -> NDArray[np.float64]:
        """``float64[n_vars]``: share of models in which each variable is true, 1 or 0 for the backbone."""
        share = self.models.mean(axis=0) if len(self.models) else np.full(self.models.shape[1], 0.5)
        return np.where(self.backbone != 0, (self.backbone + 1) / 2, share)


def sample_models(
    formula: Formula, count: int, *, seed: int = 0, conflicts: int = 50_000, deadline: float | None = None
) -> NDArray[np.bool_]:
    """Find models by searches from random phases with the clauses in random order, one search for each of ``count``.

    They are what a solver finds, not a uniform sample of all models: ``bool[n_models, n_vars]``, at most ``count``
    rows.

    Parameters
    ----------
    seed
        Of the phases and orders.
    conflicts
        Limit on each search; one that reaches it gives no model.
    deadline
        Value of ``time.process_time()`` after which no further search is begun.

    Raises
    ------
    SolverError
        If the formula is unsatisfiable, or a model does not satisfy it.
    """
    draws = Draws(seed, "models")
    found = []
    for _ in range(count):
        if deadline is not None and time.process_time() > deadline:
            break
        # A solver without a seed is made to start elsewhere by negating variables: its phases are then random ones.
        sign = draws.signs(formula.n_vars)
        order = draws.permutation(formula.n_clauses)
        flipped = formula.literals * sign[np.abs(formula.literals) - 1]
        bounds = formula.offsets
        with open_solver("cadical195") as solver:
            solver.append_formula([flipped[bounds[i] : bounds[i + 1]].tolist() for i in order])
            solver.conf_budget(conflicts)
            answer = solver.solve_limited()
            if answer is None:
                continue
            if not answer:
                raise SolverError(f"{formula.source}: found it to be unsatisfiable; expected a formula with models")
            literals = np.array(solver.get_model() or [], dtype=np.int64)
        model = np.zeros(formula.n_vars, dtype=np.int64)
        literals = literals[np.abs(literals) <= formula.n_vars]
        model[np.abs(literals) - 1] = np.sign(literals)
        # What no clause needs is where the search would have put it.
        model = np.where(model == 0, -1, model) * sign
        if not satisfies(formula, model * np.arange(1, formula.n_vars + 1)):
            raise SolverError(f"{formula.source}: cadical195 gave a model that does not satisfy it")
        found.append(model > 0)
    return np.array(found, dtype=bool).reshape(-1, formula.n_vars)


def find_backbone(formula: Formula, models: NDArray[np.bool_], *, deadline: float) -> NDArray[np.int8]:
    """Prove literals to be in all models of a satisfiable formula, until a deadline.

    Candidates are the literals that all known models share. One is assumed false: if that is refuted within a few
    conflicts it is in the backbone, and if a model is found, all candidates that are false in it are dropped (the
    iterative algorithm of Marques-Silva, Janota and Lynce, ECAI 2010).

    Parameters
    ----------
    models
        ``bool[n_models, n_vars]``, at least one.
    deadline
        Value of ``time.process_time()`` at which it ends.

    Returns
    -------
    NDArray
        ``int8[n_vars]``: the sign of each proved literal, 0 for all other variables.
    """
    backbone = np.zeros(formula.n_vars, dtype=np.int8)
    used = np.zeros(formula.n_vars + 1, dtype=bool)
    used[np.abs(formula.literals)] = True
    candidate = used[1:] & (models == models[0]).all(axis=0)
    with open_solver("glucose42", formula) as solver:
        for variable in np.flatnonzero(candidate).tolist():
            if time.process_time() > deadline:
                break
            if not candidate[variable]:
                continue
            value = bool(models[0, variable])
            literal = variable + 1 if value else -variable - 1
            solver.conf_budget(_BACKBONE_CONFLICTS)
            answer = solver.solve_limited(assumptions=[-literal])
            if answer is None:
                continue
            if not answer:
                backbone[variable] = 1 if value else -1
                solver.add_clause([literal])
                continue
            other = np.array(solver.get_model() or [], dtype=np.int64)
            other = other[np.abs(other) <= formula.n_vars]
            candidate[np.abs(other) - 1] &= (other > 0) == models[0, np.abs(other) - 1]
    return backbone


def sample_models_child(
    formula: FormulaInChild, *, count: int, seed: int, conflicts: int, models_cpu_s: float, backbone_cpu_s: float
) -> dict[str, Any]:
    """Sample models and prove a part of the backbone, for :class:`SampledModels`; executed in a sandboxed child.

    Parameters
    ----------
    models_cpu_s
        CPU seconds after which no further search is begun.
    backbone_cpu_s
        CPU seconds for the backbone.
    """
    formula, numbering = renumbered(load(formula))
    models = sample_models(formula, count, seed=seed, conflicts=conflicts, deadline=time.process_time() + models_cpu_s)
    backbone = np.zeros(formula.n_vars, dtype=np.int8)
    if len(models):
        backbone = find_backbone(formula, models, deadline=time.process_time() + backbone_cpu_s)
    if numbering.numbers is not None:
        columns = numbering.numbers - 1
        wide_models = np.zeros((len(models), numbering.n_vars), dtype=bool)
        wide_models[:, columns] = models
        wide_backbone = np.zeros(numbering.n_vars, dtype=np.int8)
        wide_backbone[columns] = backbone
        models, backbone = wide_models, wide_backbone
    return {"models": models, "backbone": backbone}
