"""One run of a solver for its answer: model, proof, and what it is doing meanwhile.

:mod:`satcost_gnn.search.solver_run` runs solvers for their costs; here the answer is what counts. :func:`answer_child`
is executed in a sandboxed child.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.renumbering import Renumbering, renumbered
from satcost_gnn.formula.shuffle import seeded, unseeded
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime.sandbox import report
from satcost_gnn.search.loading import append_clauses, open_solver
from satcost_gnn.search.solvers import Budget, Proof, SolverSpec, solver_spec

if TYPE_CHECKING:
    from satcost_gnn.core.distribution import CostDistribution

ANSWER_CHILD = "satcost_gnn.decide.solver_child:answer_child"
CHECK_CHILD = "satcost_gnn.decide.solver_child:check_child"


def can_prove(solver: str) -> bool:
    """Whether a solver, by our name of it, writes a proof of unsatisfiability."""
    return solver_spec(solver).proof is not Proof.NONE


@dataclass(frozen=True)
class Watch:
    """How a running solver is to be watched.

    Parameters
    ----------
    every_s
        CPU seconds between two reports, about.
    prior
        Distribution of the cost of this run in CPU seconds, of shape ``()``; None if there is none.
    later
        File that its cumulative probabilities, and the cost up to which they are known, may be written to while the
        solver runs already (numpy's format).
    limit_s
        CPU seconds that the run has.
    """

    every_s: float = 1.0
    prior: CostDistribution | None = None
    later: str | None = None
    limit_s: float = math.inf


@dataclass(frozen=True)
class Reading:
    """That a formula has been read, and what was odd about it: a report of the child."""

    wall_s: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Glimpse:
    """What a running solver has done so far, handed over by :func:`~satcost_gnn.runtime.sandbox.report`.

    Parameters
    ----------
    cpu_s, conflicts, restarts
        So far; restarts are None where the solver doesn't tell.
    remaining_s
        Median of the CPU seconds that are left, and the ends of their 80 % interval; None while it would be a guess.
    unknown
        Why it would be one.
    late
        Whether the run will probably not end within its limit.
    total, limit_s
        What the three before are told from: the estimated distribution of all its CPU seconds, and the most of them.
    """

    cpu_s: float
    conflicts: int
    restarts: int | None
    remaining_s: tuple[float, float, float] | None
    unknown: str = ""
    late: bool = False
    total: CostDistribution | None = None
    limit_s: float = math.inf

    def after(self, more_s: float) -> Glimpse:
        """Return what can be said when the solver has used so many more CPU seconds, and has not been looked at."""
        used_s = self.cpu_s + more_s
        if self.total is None:
            return replace(self, cpu_s=used_s)
        from satcost_gnn.decide.time_left import time_left

        remaining_s, unknown, late = time_left(self.total, used_s, self.limit_s)
        return replace(self, cpu_s=used_s, remaining_s=remaining_s, unknown=unknown, late=late)


def answer_child(
    solver: str,
    formula: FormulaInChild,
    *,
    seed: int = 0,
    proof: str | None = None,
    watch: Watch | None = None,
    program: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run a solver to its end and check its model; executed in a sandboxed child, whose limits end it.

    The formula is read here, once, and nothing of it need be known to whoever asks.

    Parameters
    ----------
    solver
        Our name of a solver of PySAT, or of the program.
    formula
        The formula, or the file that has it.
    seed
        0 for the formula as it is, else the seed of :func:`~satcost_gnn.formula.shuffle.seeded`.
    proof
        File to write a proof of unsatisfiability to; None for none.
    watch
        How to report on the run; None for not at all, which leaves the search exactly as it is.
    program
        Arguments of :func:`~satcost_gnn.search.external.solve_external_child` but for the formula, if a program is run.

    Returns
    -------
    dict
        ``status`` (``SAT``, ``UNSAT``, ``UNKNOWN``, or ``WRONG`` for a model that does not satisfy the formula),
        ``detail``, ``cpu_s`` of loading and solving, ``model`` (int32, a literal of each variable, without those of
        encodings), ``trivial`` if no solver was needed, and ``proof_error`` if the proof couldn't be written.
    """
    begin = time.monotonic()
    given = load(formula)
    report(Reading(time.monotonic() - begin, given.warnings))
    # Answers are checked with the variables of encodings; only what is returned leaves them out.
    formula = given.with_auxiliary(0)
    if not formula.n_clauses or formula.has_empty_clause:
        found = _trivial(formula, proof)
    elif program is not None:
        from satcost_gnn.search.external import solve_external_child

        found = solve_external_child(**program, formula=formula, seed=seed, with_model=True)
    else:
        found = _answer(solver, formula, seed, proof, watch)
    if found["status"] == "SAT":
        if satisfies(formula, found["model"]):
            found["model"] = given.without_auxiliary(complete_model(formula, found["model"]))
        else:
            del found["model"]
            found |= {"status": "WRONG", "detail": "its model does not satisfy the formula"}
    return {"detail": "", **found}


def complete_model(formula: Formula, model: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Return a literal for each variable of the formula: the model's, and the negative one where it has none.

    Where there are large gaps in the numbering (see :func:`~satcost_gnn.formula.renumbering.renumbered`), only
    variables that occur have one.
    """
    numbering = renumbered(formula)[1]
    if numbering.numbers is not None:
        true = np.isin(numbering.numbers, model)
        return np.where(true, numbering.numbers, -numbering.numbers).astype(np.int32)
    literals = np.asarray(model, dtype=np.int64)
    literals = literals[np.abs(literals) <= formula.n_vars]
    full = -np.arange(1, formula.n_vars + 1, dtype=np.int32)
    full[np.abs(literals) - 1] = literals
    return full


def check_child(formula: FormulaInChild, model: NDArray[np.int32]) -> dict[str, Any]:
    """Check a model that was found elsewhere, such as by the early search; executed in a sandboxed child.

    Returns
    -------
    dict
        ``status``: ``SAT`` or ``WRONG``; ``model`` as :func:`answer_child` returns it.
    """
    given = load(formula)
    whole = given.with_auxiliary(0)
    if not satisfies(whole, model):
        return {"status": "WRONG"}
    return {"status": "SAT", "model": given.without_auxiliary(complete_model(whole, model))}


def _trivial(formula: Formula, proof: str | None) -> dict[str, Any]:
    """Answer what no solver need be asked: a formula without clauses, or with an empty one."""
    if not formula.n_clauses:
        return {"status": "SAT", "trivial": "it has no clauses", "cpu_s": 0.0, "model": np.zeros(0, dtype=np.int32)}
    found: dict[str, Any] = {"status": "UNSAT", "trivial": "it has an empty clause", "cpu_s": 0.0}
    if proof is not None:
        try:
            Path(proof).write_text("0\n")
        except OSError as error:
            found["proof_error"] = error.strerror or str(error)
    return found


def _answer(solver: str, formula: Formula, seed: int, proof: str | None, watch: Watch | None) -> dict[str, Any]:
    """Run a solver of PySAT; the model is of the formula, whatever the seed."""
    spec = solver_spec(solver)
    begin = time.process_time()
    engine = open_solver(spec, None, **({"with_proof": True} if proof is not None else {}))
    dense, numbering = renumbered(formula)
    append_clauses(engine, seeded(dense, seed))
    answer = _watched(engine, spec, watch) if watch is not None else _plain(engine, spec)
    found: dict[str, Any] = {
        "status": {True: "SAT", False: "UNSAT", None: "UNKNOWN"}[answer],
        "cpu_s": time.process_time() - begin,
    }
    if answer:
        model = np.array(engine.get_model() or [], dtype=np.int32)
        found["model"] = numbering.original(unseeded(model, dense, seed))
    if answer is False and proof is not None:
        try:
            _write_proof(engine, Path(proof), numbering, binary=spec.proof is Proof.BINARY)
        except OSError as error:
            # The answer stands without it: the disk may be full.
            found["proof_error"] = error.strerror or str(error)
    return found


def _plain(engine: Any, spec: SolverSpec) -> bool | None:
    answer: bool | None = engine.solve() if spec.budget is Budget.NONE else engine.solve_limited()
    return answer


def _watched(engine: Any, spec: SolverSpec, watch: Watch) -> bool | None:
    from satcost_gnn.core.distribution import CostDistribution, grid_for
    from satcost_gnn.decide.monitor import CostMonitor, Estimate

    def tell(estimate: Estimate) -> bool:
        if not monitor.priors and watch.later is not None and Path(watch.later).exists():
            *cdf, bound = np.load(watch.later, allow_pickle=False)
            monitor.priors = {"cpu_seconds": CostDistribution(grid_for("cpu_seconds"), np.array(cdf))}
            monitor.bounds = {"cpu_seconds": float(bound)}
        state, total = estimate.state, estimate.distribution
        counts = state.cpu_s, state.conflicts, state.restarts
        report(Glimpse(*counts, None, estimate.unknown, False, total, watch.limit_s).after(0.0))
        return False

    try:
        monitor = CostMonitor(engine, watch.prior, unit="cpu_seconds", every_s=watch.every_s)
    except SolverError:
        # It shows nothing while it runs.
        return _plain(engine, spec)
    return monitor.run(callback=tell)


def _write_proof(engine: Any, path: Path, numbering: Renumbering, *, binary: bool) -> None:
    import pysolvers

    # What PySAT's get_proof() does, without holding the proof in memory or decoding what is binary.
    pysolvers.flushpr(engine.solver.prfp)
    source = engine.solver.prfile
    source.seek(0)
    with path.open("wb") as target:
        numbering.write_original_proof(source, target, binary=binary)
