"""One run of a solver for its answer: model, proof, and what it is doing meanwhile.

:mod:`satcost_gnn.search.solvers` runs solvers for their costs; here the answer is what counts. :func:`answer_child` is
executed in a sandboxed child.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.decide.time_left import TimeLeft
from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.renumbering import Renumbering, renumbered
from satcost_gnn.runtime.sandbox import report
from satcost_gnn.search.loading import append_clauses
from satcost_gnn.search.solvers import Budget, SolverSpec, open_engine, solver_spec

ANSWER_CHILD = "satcost_gnn.decide.solver_child:answer_child"

#: Solvers of PySAT that write a proof: CaDiCaL in binary DRAT, the others as text (DRUP).
PROVING = frozenset(
    {
        "cadical103",
        "cadical153",
        "cadical195",
        "cadical300",
        "glucose3",
        "glucose4",
        "glucose42",
        "gluecard3",
        "gluecard4",
        "maplechrono",
        "maplecm",
        "maplesat",
        "lingeling",
    }
)

#: Probability of an end within the limit below which a run is said to end after it, probably.
UNLIKELY = 0.1


def can_prove(solver: str) -> bool:
    """Whether a solver, by our name of it, writes a proof of unsatisfiability."""
    return solver_spec(solver).pysat_name in PROVING


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
        if self.total is None:
            return replace(self, cpu_s=self.cpu_s + more_s)
        left = TimeLeft.of(self.total, self.cpu_s + more_s, self.limit_s, UNLIKELY)
        return replace(
            self, cpu_s=self.cpu_s + more_s, remaining_s=left.remaining_s, unknown=left.unknown, late=left.late
        )


def answer_child(
    solver: str, formula: Formula, *, proof: str | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """Run a solver of PySAT to its end; executed in a sandboxed child, whose limits end it.

    Parameters
    ----------
    solver
        Our name of it.
    formula
        The formula.
    proof
        File to write a proof of unsatisfiability to; None for none.
    watch
        How to report on the run; None for not at all, which leaves the search exactly as it is.

    Returns
    -------
    dict
        ``status`` (``SAT``, ``UNSAT`` or ``UNKNOWN``), ``cpu_s`` of loading and solving, ``model`` (int32), and
        ``proof_error`` if the proof couldn't be written.
    """
    spec = solver_spec(solver)
    begin = time.process_time()
    engine = open_engine(spec, **({"with_proof": True} if proof is not None else {}))
    dense, numbering = renumbered(formula)
    append_clauses(engine, dense)
    answer = _watched(engine, spec, watch) if watch is not None else _plain(engine, spec)
    found: dict[str, Any] = {
        "status": {True: "SAT", False: "UNSAT", None: "UNKNOWN"}[answer],
        "cpu_s": time.process_time() - begin,
    }
    if answer:
        found["model"] = numbering.original(np.array(engine.get_model() or [], dtype=np.int32))
    if answer is False and proof is not None:
        try:
            _write_proof(engine, Path(proof), numbering, binary=spec.pysat_name.startswith("cadical"))
        except OSError as error:
            # The answer stands without it: the disk may be full.
            found["proof_error"] = error.strerror or str(error)
    return found


def _plain(engine: Any, spec: SolverSpec) -> bool | None:
    answer: bool | None = engine.solve() if spec.budget is Budget.NONE else engine.solve_limited()
    return answer


def _watched(engine: Any, spec: SolverSpec, watch: Watch) -> bool | None:
    from satcost_gnn.decide.monitor import CostMonitor, Estimate

    def tell(estimate: Estimate) -> bool:
        if not monitor.priors and watch.later is not None and Path(watch.later).exists():
            *cdf, bound = np.load(watch.later, allow_pickle=False)
            monitor.priors = {"cpu_seconds": CostDistribution(grid_for("cpu_seconds"), np.array(cdf))}
            monitor.bounds = {"cpu_seconds": float(bound)}
        state = estimate.state
        seen = Glimpse(
            state.cpu_s,
            state.conflicts,
            state.restarts,
            None,
            estimate.unknown,
            total=estimate.distribution,
            limit_s=watch.limit_s,
        )
        report(seen.after(0.0))
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
