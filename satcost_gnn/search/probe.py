"""A short, deterministic early search of a real solver, watched through its interface for external propagators.

A propagator that never propagates sees the whole search: IPASIR-UP (Fazekas et al., SAT 2023), which PySAT offers for
CaDiCaL and for one MiniSat, calls it at each new decision level, backtrack and assignment of an observed variable. The
listener here writes one 32-bit number a call into a log and does no more; everything else is worked out from the log
afterwards, with numpy.

The budget is counted in conflicts and in logged calls, never in seconds, so that the same formula, solver and settings
give the same trace on any machine. Limits on time and memory stand behind it; who runs into them gets a status.
"""

from __future__ import annotations

import array
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.mixing import mixed
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.listener import BACKTRACK, Log, listen
from satcost_gnn.search.loading import append_clauses, open_solver
from satcost_gnn.search.probe_settings import ProbeResult, ProbeSettings, ProbeStatus
from satcost_gnn.search.solvers import SOLVERS, Proof
from satcost_gnn.search.trace_building import build_trace

PROBE_CHILD = "satcost_gnn.search.probe:probe_child"


def sample_variables(active: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Choose ``count`` of the variables in ascending order: pseudo-random, and the same for a seed on any machine."""
    if len(active) <= count:
        return active
    # A hash rather than a generator, whose stream may change with numpy's version.
    with np.errstate(over="ignore"):
        keys = mixed(active.astype(np.uint64) + np.uint64(seed) * np.uint64(0xD1B54A32D192ED03))
    chosen: NDArray[np.int64] = np.sort(active[np.argsort(keys, kind="stable")[:count]])
    return chosen


def _trivial(formula: Formula, settings: ProbeSettings) -> ProbeResult | None:
    """Answer what no solver need be asked: a formula without clauses or with an empty one."""
    if formula.n_clauses and not formula.has_empty_clause:
        return None
    statistics = dict.fromkeys(("conflicts", "decisions", "propagations", "restarts"), 0)
    none = np.zeros(0, dtype=np.int64)
    active = len(np.unique(np.abs(formula.literals)))
    trace, numbers = build_trace(
        Log(), 0, b"", none, active, formula.n_vars, False, bool(formula.n_clauses), statistics
    )
    status: ProbeStatus = "UNSAT" if formula.n_clauses else "SAT"
    detail = "it has an empty clause" if formula.n_clauses else "it has no clauses"
    return ProbeResult(status, trace, 0, 0, 0, 0, cpu_s=0.0, detail=detail, settings=settings, numbers=numbers)


def run_probe(
    formula: Formula,
    settings: ProbeSettings | None = None,
    *,
    deadline: float | None = None,
    search: Callable[[Any], bool | None] | None = None,
) -> ProbeResult:
    """Probe a formula in this process.

    The solver is C++ in this process: call :func:`probe` instead unless its death would do no harm. The settings'
    limits on time and memory are not enforced here.

    Parameters
    ----------
    deadline
        Value of ``time.process_time()`` at which the search ends early, with status ``TIMEOUT``. The trace is then that
        of its first conflicts, as many as the budget, or a half of it, or a quarter … so that searches that were
        stopped a little earlier or later have the same.
    search
        Runs PySAT's solver object and returns its answer, in the place of one call with the budget of conflicts. It may
        call the solver several times; where one call ends and the next begins counts as a restart.

    Raises
    ------
    SolverError
        If the solver's model does not satisfy the formula, or the formula has 2^30 variables or more.
    """
    settings = settings or ProbeSettings()
    begin = time.process_time()
    if formula.n_vars >= BACKTRACK:
        raise SolverError(f"found {formula.n_vars} variables; a formula of {BACKTRACK} or more cannot be probed")
    trivial = _trivial(formula, settings)
    if trivial is not None:
        return replace(trivial, cpu_s=time.process_time() - begin)
    has_proof, merged = SOLVERS[settings.solver].proof is Proof.BINARY, settings.probing.merges_conflicts
    with open_solver(settings.solver, None, **({"with_proof": True} if has_proof else {})) as solver:
        if settings.solver_options:
            solver.configure(settings.solver_options)
        append_clauses(solver, formula)
        active = np.flatnonzero(np.bincount(np.abs(formula.literals), minlength=formula.n_vars + 1))
        observed = sample_variables(active, settings.max_observed, settings.seed)
        log = Log()
        proof_length = _proof_length(solver) if has_proof else None
        proof_start = proof_length() if proof_length is not None else 0
        listener = listen(
            log,
            settings.max_events,
            len(observed) / len(active),
            deadline if deadline is not None else float("inf"),
            proof_length,
            solver.accum_stats if merged else None,
        )
        solver.connect_propagator(listener)
        for variable in observed.tolist():
            solver.observe(variable)
        head = len(log.calls)
        solver.conf_budget(settings.conflicts)
        loaded = time.process_time()
        answer = solver.solve_limited() if search is None else search(solver)
        searched = time.process_time()
        statistics = {name: int(value) for name, value in solver.accum_stats().items()}
        status: ProbeStatus = "UNKNOWN" if answer is None or log.stop_taken else "SAT" if answer else "UNSAT"
        model = np.array(solver.get_model() or [], dtype=np.int32) if status == "SAT" else None
        if model is not None and not satisfies(formula, model):
            raise SolverError(f"{settings.solver} gave a wrong answer: its model does not satisfy {formula.source}")
        proof = None
        if proof_length is not None:
            proof_length()
            with open(os.dup(solver.solver.prfile.fileno()), "rb") as file:
                file.seek(proof_start)
                proof = file.read()
                log.proof_ends = array.array("q", [end - proof_start for end in log.proof_ends])
        known = statistics
        if status == "UNKNOWN" and log.stopped_by == "cpu":
            # The clock never stops at the same conflict twice; the solver's totals are those at its stop.
            log.cut_to(_round_down(len(log.backtracks()), settings.conflicts))
            proof = proof and proof[: log.proof_ends[-1]]
            known = {}
        trace, numbers = build_trace(
            log,
            head,
            proof,
            observed,
            len(active),
            formula.n_vars,
            merged=merged,
            finished=status == "UNSAT",
            statistics=known,
        )
    detail = ""
    if status == "UNKNOWN" and log.stopped_by == "cpu":
        status, detail = "TIMEOUT", f"the search was ended at {deadline:.1f} s of CPU time"
    elif status == "UNKNOWN" and log.stopped_by:
        detail = f"the search was ended after {settings.max_events} events"
    done = time.process_time()
    return ProbeResult(
        status,
        trace,
        conflicts=statistics["conflicts"],
        decisions=statistics["decisions"],
        propagations=statistics["propagations"],
        restarts=statistics["restarts"],
        cpu_s=done - begin,
        detail=detail,
        truncated=bool(detail),
        events=len(log.calls) if log.length_at_stop is None else log.length_at_stop,
        timings={"load": loaded - begin, "search": searched - loaded, "trace": done - searched},
        settings=settings,
        numbers=numbers,
        model=model,
    )


def _round_down(seen: int, wanted: int) -> int:
    """Return the largest of ``wanted``, its half, its quarter … that is no more than what was seen, at least 1."""
    while wanted > max(seen, 1):
        wanted //= 2
    return max(wanted, 1)


def _proof_length(solver: Any) -> Callable[[], int]:
    """Return a function that writes the proof out and returns its length in bytes."""
    import pysolvers

    flush, stream, descriptor = pysolvers.flushpr, solver.solver.prfp, solver.solver.prfile.fileno()
    seek, end = os.lseek, os.SEEK_CUR

    def length() -> int:
        flush(stream)
        return seek(descriptor, 0, end)

    return length


def probe_child(formula: Formula | str, settings: ProbeSettings) -> ProbeResult:
    """Probe a formula, or the file at a path; executed in a sandboxed child."""
    from satcost_gnn.formula.renumbering import renumbered
    from satcost_gnn.formula.sources import load

    begin = time.process_time()
    parse = {}
    if not isinstance(formula, Formula):
        formula = load(formula)
        parse = {"parse": time.process_time() - begin}
    dense, numbering = renumbered(formula)
    # A child's CPU clock starts at nought.
    result = run_probe(dense, settings, deadline=settings.cpu_s)
    model = None if result.model is None else numbering.original(result.model)
    return replace(result, model=model, timings={**parse, **result.timings})


def probe(
    formula: Formula | str | Path, settings: ProbeSettings | None = None, sandbox: Sandbox | None = None
) -> ProbeResult:
    """Probe a formula in a limited child process.

    It never raises for what the solver does: its abort, a crash, and limits are statuses.

    Parameters
    ----------
    formula
        The formula, or the path of its DIMACS file, which the child then reads. Sending a formula that has been read
        already is faster than reading its file again.
    sandbox
        Where the child is forked; one is started for this call if None.

    Raises
    ------
    SandboxError
        If no child can be started.
    """
    settings = settings or ProbeSettings()
    if sandbox is None:
        with Sandbox() as own:
            return probe(formula, settings, own)
    sent = str(formula) if isinstance(formula, Path) else formula
    outcome = sandbox.run(PROBE_CHILD, {"formula": sent, "settings": settings}, settings.limits)
    if outcome.status == "OK":
        result: ProbeResult = outcome.value
        return replace(result, cpu_s=outcome.cpu_s, peak_memory_mb=outcome.peak_memory_mb)
    detail = f"{outcome.error_type}: {outcome.detail}" if outcome.error_type else outcome.detail
    return ProbeResult(
        outcome.status,
        None,
        None,
        None,
        None,
        None,
        cpu_s=outcome.cpu_s,
        detail=detail,
        truncated=True,
        peak_memory_mb=outcome.peak_memory_mb,
        settings=settings,
    )
