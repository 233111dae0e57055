"""Runs of a solver with given phases: what it is worth to tell a solver which value to try first.

``set_phases`` of PySAT means different things: MiniSat, Glucose and MapleLCM take a phase as the *initial* value of
what phase saving overwrites, CaDiCaL takes it for every decision on that variable (``Solver::phase``). So that both
meanings can be compared on CaDiCaL, a phase can also be made initial by negating variables until the phases are what
the solver starts with by itself; that works for any solver.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.shuffle import shuffled, signed_renaming
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.loading import open_solver
from satcost_gnn.search.solvers import SOLVERS, solver_spec


class Guidance(StrEnum):
    """How a solver is told phases."""

    SET = "set_phases"
    INITIAL = "initial"


@dataclass(frozen=True)
class GuidedRun:
    """Result of one run.

    Parameters
    ----------
    status
        ``SAT``, ``UNSAT``, ``TIMEOUT`` (a limit on conflicts or CPU seconds), ``MEMOUT`` or ``CRASHED``.
    conflicts
        The solver's count; where a run was killed, None.
    cpu_s
        CPU seconds of loading and solving.
    """

    status: str
    conflicts: int | None
    cpu_s: float


def guided_child(
    solver: str,
    formula: FormulaInChild,
    phases: NDArray[np.int32] | None,
    guidance: str,
    seed: int,
    conflicts: int,
) -> dict[str, Any]:
    """Run a solver with given phases; executed in a sandboxed child. The parameters are those of :func:`run_guided`."""
    formula, numbering = renumbered(load(formula))
    literals = np.zeros(0, dtype=np.int64) if phases is None else numbering.dense(phases).astype(np.int64)
    if seed:
        renaming = signed_renaming(formula.n_vars, Draws(seed, "shuffle"), flip=False)
        formula = shuffled(formula, Draws(seed, "shuffle"), flip=False)
        literals = np.sign(literals) * renaming[np.abs(literals) - 1]
    if guidance == Guidance.INITIAL:
        sign = np.ones(formula.n_vars, dtype=np.int64)
        sign[np.abs(literals) - 1] = np.sign(literals) * solver_spec(solver).first_phase
        negated = formula.literals * sign[np.abs(formula.literals) - 1]
        formula = Formula.from_arrays(negated, formula.offsets, formula.n_vars, formula.source)
    begin = time.process_time()
    with open_solver(solver, formula) as engine:
        if guidance == Guidance.SET and len(literals):
            engine.set_phases(literals.tolist())
        engine.conf_budget(conflicts)
        answer = engine.solve_limited()
        used = time.process_time() - begin
        if answer and not satisfies(formula, engine.get_model() or []):
            raise SolverError(f"{solver} gave a wrong answer: its model does not satisfy {formula.source}")
        counted = int(engine.accum_stats()["conflicts"])
    return {"status": {True: "SAT", False: "UNSAT", None: "TIMEOUT"}[answer], "conflicts": counted, "cpu_s": used}


def run_guided(
    sandbox: Sandbox,
    solver: str,
    formula: FormulaInChild,
    phases: NDArray[np.int32] | None,
    *,
    guidance: Guidance = Guidance.SET,
    seed: int = 0,
    conflicts: int = 100_000,
    cpu_s: float = 20.0,
    wall_s: float | None = None,
) -> GuidedRun:
    """Run a solver with given phases in a child with 4 GiB.

    Parameters
    ----------
    formula
        The formula, or the path of its file.
    phases
        ``int32[k]``: signed variable numbers, for any of the variables; None for the solver's own phases.
    seed
        0 for the formula as it is, else the seed of a copy with variables renamed and clauses reordered, but no sign
        flipped.
    conflicts
        Limit on conflicts.
    cpu_s, wall_s
        Limits of the child; the wall limit defaults to five times the CPU limit and half a minute.

    Raises
    ------
    SolverError
        If the solver is unknown, or its own phase isn't known and phases are to be initial.
    """
    if not solver_spec(solver).first_phase and guidance == Guidance.INITIAL:
        known = ", ".join(name for name, spec in SOLVERS.items() if spec.first_phase)
        raise SolverError(f"{solver}: which value it tries first is not known; expected one of {known}, or set_phases")
    outcome = sandbox.run(
        "satcost_gnn.search.guided:guided_child",
        {
            "solver": solver,
            "formula": formula,
            "phases": phases,
            "guidance": str(guidance),
            "seed": seed,
            "conflicts": conflicts,
        },
        Limits(cpu_s, 5 * cpu_s + 30.0 if wall_s is None else wall_s, 4096),
    )
    if outcome.error_type in ("SolverError", "FormulaError"):
        raise SolverError(outcome.detail)
    if outcome.status != "OK":
        return GuidedRun("CRASHED" if outcome.status == "ERROR" else outcome.status, None, outcome.cpu_s)
    return GuidedRun(**outcome.value)
