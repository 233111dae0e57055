"""Runs of solvers on a formula under limits, for what they cost.

Every run happens in a sandboxed child (:mod:`satcost_gnn.runtime.sandbox`); :func:`solve_child` is what that child
executes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import satisfies
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.shuffle import seeded
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime.process_limits import before_kernels_limit
from satcost_gnn.runtime.sandbox import Sandbox, report
from satcost_gnn.search.cpu_alarm import at_cpu_limit
from satcost_gnn.search.loading import open_solver
from satcost_gnn.search.solvers import ALL_COUNTERS, Budget, SolverSpec, Stop, solver_spec

#: Errors of a child that are of the formula.
_UNREAD = ("FormulaError", "FormulaTooLargeError", "ReadingTimeoutError")


@dataclass(frozen=True)
class SolverRun:
    """Result of one run of a solver.

    Parameters
    ----------
    status
        ``SAT``, ``UNSAT``, ``TIMEOUT``, ``MEMOUT``, ``CRASHED`` or ``UNSUPPORTED``. For all but the first two the
        counters are lower bounds of the cost, never the cost.
    conflicts, decisions, propagations, restarts
        Counters; None where the solver doesn't tell.
    cpu_s, wall_s
        Seconds of loading the clauses and solving; reading the file is not in them.
    peak_memory_mb
        Largest resident set of the child in mebibytes.
    detail
        What happened, for all but SAT and UNSAT.
    unread
        Why the formula could not be read; the solver has not been run then.
    """

    status: str
    conflicts: int | None
    decisions: int | None
    propagations: int | None
    restarts: int | None
    cpu_s: float
    wall_s: float
    peak_memory_mb: float
    detail: str = ""
    unread: str = ""


def stopper(spec: SolverSpec, engine: Any, cpu_s: float) -> Callable[[], None] | None:
    """Return what the signal handler calls at the CPU limit."""
    if spec.stop is Stop.TERMINATE:
        terminator: Callable[[], None] | None = engine.terminator()
        return terminator
    if spec.stop is Stop.SNAPSHOT:
        # MiniSat and its kin look at interrupt() only when they restart, which can be long after the limit. Their
        # counters are plain fields, to be read at any time.
        def snapshot() -> None:
            report({"status": "TIMEOUT", **engine.accum_stats(), "cpu_s": cpu_s})
            os._exit(0)

        return snapshot
    return None


def solve_child(
    solver: str, formula: FormulaInChild, seed: int, cpu_s: float, conflicts: int | None = None
) -> dict[str, Any]:
    """Run a solver to its end or limit; executed in a sandboxed child. See :func:`run_solver` for the parameters.

    Returns
    -------
    dict
        ``status``, the counters, ``cpu_s``, ``wall_s`` and for SAT whether the model was ``verified``.
    """
    spec = solver_spec(solver)
    formula = seeded(renumbered(load(formula))[0], seed)
    clauses = formula.clauses()
    cpu, wall = time.process_time(), time.monotonic()
    # If this child is ended from outside, what it used until here is not the solver's.
    report({"before_cpu_s": cpu})
    engine = open_solver(spec)
    if spec.stop is not Stop.KILL:
        # Reading counts for the kernel; if its limit struck first, the counters would be lost.
        cpu_s = before_kernels_limit(cpu_s, time.process_time())
    stop = stopper(spec, engine, cpu_s)
    disarm = at_cpu_limit(cpu_s, stop) if stop is not None else None
    for clause in clauses:
        engine.add_clause(clause)
    if conflicts is not None:
        if spec.budget is Budget.NONE:
            raise NotImplementedError(f"{spec.name} takes no limit on conflicts")
        engine.conf_budget(conflicts)
    if spec.stop is Stop.BUDGET:
        engine.time_budget(cpu_s - (time.process_time() - cpu))
    answer = engine.solve() if spec.budget is Budget.NONE else engine.solve_limited()
    if disarm is not None:
        disarm()
    # Past the limit by a hair before the handler struck, or a run that the handler couldn't stop: no answer in time.
    if time.process_time() - cpu > 1.05 * cpu_s + 0.05:
        answer = None
    used = {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - wall}
    status = {True: "SAT", False: "UNSAT", None: "TIMEOUT"}[answer]
    result: dict[str, Any] = {"status": status, **engine.accum_stats(), **used}
    if answer:
        result["verified"] = satisfies(formula, engine.get_model() or [])
    return result


def run_solver(
    sandbox: Sandbox,
    solver: str,
    formula: FormulaInChild,
    *,
    seed: int = 0,
    cpu_s: float = 10.0,
    wall_s: float | None = None,
    memory_mb: int = 4096,
    conflicts: int | None = None,
) -> SolverRun:
    """Run a solver on a formula in a limited child.

    Parameters
    ----------
    solver
        Name in :data:`~satcost_gnn.search.solvers.SOLVERS`.
    formula
        The formula, or the path of its file (read in the child, so nothing large is sent).
    seed
        0 for the formula as it is, else the seed of :func:`~satcost_gnn.formula.shuffle.seeded` (or the program's own,
        if its command names it).
    cpu_s, wall_s, memory_mb
        Limits. The wall limit defaults to three times the CPU limit and a minute; a run that it ends has used less
        CPU time than its limit.
    conflicts
        Limit on conflicts; such a run ends as ``TIMEOUT`` too.

    Raises
    ------
    SolverError
        If the solver is unknown, or is a program that can't be started.
    """
    spec = solver_spec(solver)
    if not spec.available:
        return SolverRun("UNSUPPORTED", None, None, None, None, 0.0, 0.0, 0.0, spec.missing)
    call = spec.child_call(
        formula,
        seed=seed,
        cpu_s=cpu_s,
        wall_s=wall_s if wall_s is not None else 3 * cpu_s + 60.0,
        memory_mb=memory_mb,
        conflicts=conflicts,
    )
    outcome = sandbox.run(call.function, call.kwargs, call.limits)
    if outcome.error_type == "SolverError":
        raise SolverError(outcome.detail)
    value: dict[str, Any] = outcome.value or {}
    counts = {name: int(value[name]) if name in spec.counters and name in value else None for name in ALL_COUNTERS}
    status, detail = value.get("status", outcome.status), value.get("detail", outcome.detail)
    if outcome.status in ("MEMOUT", "CRASHED") and "status" not in value:
        status = outcome.status
    elif outcome.status == "ERROR":
        status = "UNSUPPORTED" if outcome.error_type in ("NotImplementedError", "NoSuchSolverError") else "CRASHED"
        detail = f"{outcome.error_type}: {outcome.detail}"
    elif status == "TIMEOUT" and "detail" not in value and outcome.status != "TIMEOUT":
        detail = f"CPU limit of {cpu_s:g} s" if conflicts is None else f"{cpu_s:g} s CPU or {conflicts} conflicts"
    if value.get("verified") is False:
        status, detail = "CRASHED", "wrong answer: its model does not satisfy the formula"
    own_s = max(0.0, outcome.cpu_s - value.get("before_cpu_s", 0.0))
    return SolverRun(
        status=status,
        **counts,
        cpu_s=float(value.get("cpu_s", min(own_s, cpu_s) if status == "TIMEOUT" else own_s)),
        wall_s=float(value.get("wall_s", outcome.wall_s)),
        peak_memory_mb=float(value.get("peak_memory_mb", outcome.peak_memory_mb)),
        detail="" if status in ("SAT", "UNSAT") else detail,
        unread=outcome.detail if outcome.error_type in _UNREAD else "",
    )
