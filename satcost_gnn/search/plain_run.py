"""The start of the very run that a label is about: the solver as it is labelled, with nobody listening.

A solver with a listener attached is another one: CaDiCaL then leaves out its lucky phases and some of its
inprocessing. What the plain run answers is therefore the solver's cost, exactly; what it doesn't answer is a lower
bound of it.

The run is made in stages of growing conflict budgets. A search that is called again with a fresh budget is not the
uninterrupted one: CaDiCaL tries its lucky phases and sets its restarts anew in each call. So the formula is loaded
once, and each stage is a fork of the loaded solver that searches from the start, under its own budget. A budget changes
nothing before it is used up, so each stage is a prefix of the next one, and of the run without a budget; with stages
that grow tenfold all of them together cost a ninth more than the last.

Whether a further stage is made depends on counts alone (conflicts, and the propagations that the last stage needed for
them), so that the same formula gives the same stages on any machine. CPU time stands behind it; a run that it ended
says so.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.runtime.process_tree import die_with_parent
from satcost_gnn.runtime.sandbox import read_frame, write_frame
from satcost_gnn.search.cpu_alarm import at_cpu_limit
from satcost_gnn.search.loading import open_solver
from satcost_gnn.search.solver_run import stopper
from satcost_gnn.search.solvers import SolverSpec, Stop, solver_spec

PLAIN_RUN_VERSION = 1
"""Raised whenever the same settings would give other counts."""

PlainStatus = Literal["SAT", "UNSAT", "UNKNOWN", "TIMEOUT", "CRASHED"]


@dataclass(frozen=True)
class PlainSettings:
    """Which solver, and how far.

    Parameters
    ----------
    solver
        Name of a CaDiCaL in :data:`~satcost_gnn.search.solvers.SOLVERS`: the others look at a budget only when they
        restart.
    stages
        Conflict budgets, rising.
    propagations
        A further stage is made only if it is expected to need at most as many, by what the stage before needed.
    literals
        Literal occurrences beyond which the run is not made.
    cpu_s
        CPU seconds of all stages together after which the run is ended wherever it is.
    """

    solver: str = "cadical195"
    stages: tuple[int, ...] = (200, 2_000, 20_000)
    propagations: int = 20_000_000
    literals: int = 20_000_000
    cpu_s: float = 30.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(int(stage) for stage in self.stages))
        if solver_spec(self.solver).stop is not Stop.TERMINATE:
            raise SolverError(f"found solver {self.solver!r}; expected a CaDiCaL, which keeps to a budget of conflicts")
        if not self.stages or self.stages[0] < 1 or any(b <= a for a, b in pairwise(self.stages)):
            raise SolverError(f"found stages {list(self.stages)}; expected rising numbers of conflicts, at least one")
        if not self.cpu_s > 0:
            raise SolverError(f"PlainSettings.cpu_s must be positive; got {self.cpu_s!r}")

    def key(self) -> str:
        """Return a string that changes with anything that may change the result: for keys of caches."""
        import pysat

        stages = ".".join(map(str, self.stages))
        return (
            f"plain{PLAIN_RUN_VERSION}-{self.solver}@{pysat.__version__}-c{stages}-p{self.propagations}"
            f"-l{self.literals}-{self.cpu_s:g}s"
        )


@dataclass(frozen=True)
class PlainStage:
    """What one stage came to.

    Parameters
    ----------
    budget
        Conflicts that it was given.
    status
        ``SAT`` or ``UNSAT``: answered. ``UNKNOWN``: the budget was used up. ``TIMEOUT``: ended by CPU time.
        ``CRASHED``: the solver died, of a lack of memory perhaps.
    conflicts, decisions, propagations, restarts
        The solver's counters from the start of its search; 0 after a crash.
    cpu_s
        CPU seconds of loading the clauses and of this stage: what an uninterrupted run has used by now.
    """

    budget: int
    status: PlainStatus
    conflicts: int = 0
    decisions: int = 0
    propagations: int = 0
    restarts: int = 0
    cpu_s: float = 0.0


@dataclass(frozen=True, eq=False)
class PlainRun:
    """What the plain run came to.

    Parameters
    ----------
    spent_s
        CPU seconds of everything, all stages together.
    model
        ``int32[n]``: literals of the model where it found one; not kept in caches.
    """

    solver: str
    stages: tuple[PlainStage, ...]
    spent_s: float
    model: NDArray[np.int32] | None = None

    @property
    def status(self) -> PlainStatus:
        """Status of the last stage."""
        return self.stages[-1].status

    @property
    def solved(self) -> bool:
        """Whether it answered."""
        return self.status in ("SAT", "UNSAT")

    @property
    def ended_by_time(self) -> bool:
        """Whether CPU time ended it: another run may get less far, or farther."""
        return self.status == "TIMEOUT"

    @property
    def conflicts(self) -> int:
        """Conflicts that the solver was seen to make."""
        return max(stage.conflicts for stage in self.stages)

    def spent(self, unit: str) -> float:
        """Return what the solver was seen to spend, in a cost unit: its cost if it answered, else less than that."""
        name = "cpu_s" if unit == "cpu_seconds" else unit
        counts = [float(getattr(stage, name)) for stage in self.stages]
        return counts[-1] if self.solved else max(counts)


def _in_fork(function: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any] | None, float]:
    """Call a function in a fork of this process; return its value (None if it died) and its CPU seconds."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            die_with_parent(signal.SIGKILL)
            if os.getppid() == parent:
                write_frame(writer, function())
        finally:
            os._exit(0)
    os.close(writer)
    value = None
    try:
        value = read_frame(reader)
    except EOFError:
        pass
    finally:
        os.close(reader)
        if value is None:
            os.kill(pid, signal.SIGKILL)
        _, _, usage = os.wait4(pid, 0)
    return value, usage.ru_utime + usage.ru_stime


def _search(engine: Any, spec: SolverSpec, budget: int, cpu_s: float) -> dict[str, Any]:
    """Search with a loaded solver, which can't be used afterwards; executed in a fork where stages follow."""
    begin = time.process_time()
    stop = stopper(spec, engine, cpu_s)
    disarm = at_cpu_limit(cpu_s, stop) if stop is not None else None
    engine.conf_budget(budget)
    answer = engine.solve_limited()
    if disarm is not None:
        disarm()
    found: dict[str, Any] = {name: int(value) for name, value in engine.accum_stats().items()}
    # A search that was ended by the timer has conflicts left.
    open_ = "UNKNOWN" if found["conflicts"] >= budget else "TIMEOUT"
    found["status"] = {True: "SAT", False: "UNSAT", None: open_}[answer]
    found["cpu_s"] = time.process_time() - begin
    if answer:
        found["model"] = np.array(engine.get_model() or [], dtype=np.int32)
    return found


def run_plain(formula: Formula, settings: PlainSettings | None = None) -> PlainRun | None:
    """Begin the plain run of a formula, from inside a sandboxed child; None if the formula is too large for it.

    Raises
    ------
    SolverError
        If the solver's model does not satisfy the formula.
    """
    settings = settings or PlainSettings()
    if formula.n_literals > settings.literals:
        return None
    spec = solver_spec(settings.solver)
    begin = time.process_time()
    stages: list[PlainStage] = []
    forked_s = 0.0
    model: NDArray[np.int32] | None = None
    with open_solver(settings.solver, formula) as engine:
        load_s = time.process_time() - begin
        for budget in settings.stages:
            # By the propagations of the last stage, how many is this one expected to need?
            last = stages[-1] if stages else None
            if last is not None and last.propagations * budget > settings.propagations * max(last.conflicts, 1):
                break
            left = settings.cpu_s - load_s - forked_s
            if left <= 0:
                break
            if len(settings.stages) == 1:
                # Nothing comes after it that would need the solver as loaded: a fork would only cost time.
                found: dict[str, Any] | None = _search(engine, spec, budget, left)
            else:
                found, used = _in_fork(lambda budget=budget, left=left: _search(engine, spec, budget, left))  # type: ignore[misc]
                forked_s += used
            if found is None:
                stages.append(PlainStage(budget, "CRASHED", cpu_s=load_s))
                break
            model = found.pop("model", None)
            counts = {name: found[name] for name in ("conflicts", "decisions", "propagations", "restarts")}
            stages.append(PlainStage(budget, found["status"], **counts, cpu_s=load_s + found["cpu_s"]))
            if stages[-1].status != "UNKNOWN":
                break
    if not stages:
        # Loading alone took all the time.
        stages.append(PlainStage(settings.stages[0], "TIMEOUT", cpu_s=load_s))
    if model is not None and not satisfies(formula, model):
        raise SolverError(f"{settings.solver} gave a wrong answer: its model does not satisfy {formula.source}")
    return PlainRun(settings.solver, tuple(stages), time.process_time() - begin + forked_s, model)
