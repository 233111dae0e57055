"""Solve an instance with a portfolio: presolver, probe, schedule, limited child processes, a checked answer.

A presolver that the training side has found worth its while comes first, for a moment, so that easy instances cost no
more than they must. Then the probe: its own answer is taken if it solves the instance. Otherwise a schedule is made and
run, each core a helper process of its own; the first answer ends the others. A model is checked against the formula
before it counts; a solver that crashes, runs out of memory or gives a wrong model is passed over and the next one of
the schedule begins. If a schedule ends early that way, the solvers that have not failed are given what is left of the
time.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import ConfigError, SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.portfolio.deciding import DecidesByPredictor
from satcost_gnn.portfolio.objective import Objective
from satcost_gnn.portfolio.schedule import Schedule, ScheduleSettings, Slice, plan
from satcost_gnn.portfolio.solver_child import ANSWER_CHILD, Glimpse, Watch, can_prove
from satcost_gnn.portfolio.training_side import TrainingPortfolio
from satcost_gnn.predictor import Prediction, Predictor
from satcost_gnn.search.external import ExternalSpec
from satcost_gnn.search.sandbox import Limits, Outcome, Sandbox
from satcost_gnn.search.solvers import satisfies, solver_spec

if TYPE_CHECKING:
    from pysat.formula import CNF

#: Exit codes of the SAT competitions.
EXIT_CODES: Mapping[str, int] = {"SAT": 10, "UNSAT": 20, "UNKNOWN": 0}

# A run shorter than this is not worth its start.
_SHORTEST_S = 0.01


@dataclass(frozen=True)
class SolveSettings:
    """How to solve.

    Parameters
    ----------
    time_limit_s
        Wall-clock seconds for everything: reading, probe, prediction, runs. (The slices of a schedule are CPU seconds.)
    memory_limit_mb
        Mebibytes of each solver.
    cores
        Solvers that run at a time.
    objective
        What the schedule minimises.
    dependence
        See :class:`~satcost_gnn.portfolio.schedule.ScheduleSettings`; None for the checkpoint's.
    proof
        File for a proof of unsatisfiability; only solvers that write one are run then.
    programs
        Solver of the checkpoint -> registered name of the program that is run in its place.
    watch
        Whether running solvers are watched, so that progress tells what they have done. It slows them down a little,
        and changes the search of CaDiCaL.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    time_limit_s: float = 5000.0
    memory_limit_mb: int = 4096
    cores: int = 1
    objective: Objective = Objective.PAR2
    dependence: float | None = None
    proof: Path | None = None
    programs: Mapping[str, str] = field(default_factory=dict)
    watch: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.time_limit_s) and self.time_limit_s > 0):
            raise ConfigError(f"found a time limit of {self.time_limit_s:g} s; expected a positive number of seconds")
        if self.memory_limit_mb < 1:
            raise ConfigError(f"found a memory limit of {self.memory_limit_mb} MiB; expected at least 1")
        if self.cores < 1:
            raise ConfigError(f"found {self.cores} cores; expected at least 1")


@dataclass(frozen=True)
class Attempt:
    """One run of a solver on the way to an answer.

    Parameters
    ----------
    solver
        The solver of the schedule; ``program`` is what was run in its place, if anything.
    status
        ``SAT``, ``UNSAT``, ``TIMEOUT``, ``MEMOUT``, ``CRASHED``, ``WRONG`` (its model doesn't satisfy the formula) or
        ``CANCELLED`` (another one was first).
    limit_s
        CPU seconds that it was given.
    cpu_s, wall_s
        Seconds used; the CPU seconds of a cancelled run aren't known.
    start_s
        Wall seconds from the beginning of everything to its start.
    core
        Where it ran, from 0.
    detail
        What happened, for all but the answers.
    """

    solver: str
    program: str
    status: str
    limit_s: float
    cpu_s: float
    wall_s: float
    start_s: float
    core: int
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """What is going on, for a live line.

    Parameters
    ----------
    elapsed_s
        Wall seconds since the beginning of everything.
    phase
        ``reading``, ``probing`` or ``solving``.
    running
        Solver -> what it has been seen to have done, None as long as nothing is known.
    """

    elapsed_s: float
    phase: str
    running: Mapping[str, Glimpse | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Solution:
    """What came of solving an instance.

    Parameters
    ----------
    path
        Which instance.
    status
        ``SAT``, ``UNSAT`` or ``UNKNOWN``.
    model
        ``int32[n_vars]``: a literal of each variable that satisfies the formula; None unless satisfiable.
    solver
        Who found the answer; ``probe``, or empty for formulas that need no solver.
    attempts
        Runs in the order in which they ended.
    schedule
        What was to be run; None if nothing was.
    proof
        Where the proof of unsatisfiability was written.
    source
        Where the prediction comes from; ``presolver`` if that was enough.
    reason
        Why there is no answer, or why the prediction is a fallback's.
    wall_s
        Wall seconds for everything.
    timings
        Wall seconds of the stages before the runs.
    """

    path: str
    status: str
    model: NDArray[np.int32] | None
    solver: str
    attempts: tuple[Attempt, ...]
    schedule: Schedule | None
    proof: Path | None
    source: str
    reason: str
    wall_s: float
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """10, 20 or 0, as in the SAT competitions."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, without the model; docs/portfolio.md describes them."""
        return {
            "path": self.path,
            "status": self.status,
            "solver": self.solver,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "schedule": self.schedule.to_json() if self.schedule is not None else None,
            "proof": str(self.proof) if self.proof is not None else None,
            "source": self.source,
            "reason": self.reason,
            "wall_s": self.wall_s,
            "timings": dict(self.timings),
        }


def complete_model(formula: Formula, model: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Return a literal for each variable of the formula: the model's, and the negative one where it has none."""
    literals = np.asarray(model, dtype=np.int64)
    literals = literals[np.abs(literals) <= formula.n_vars]
    full = -np.arange(1, formula.n_vars + 1, dtype=np.int32)
    full[np.abs(literals) - 1] = literals
    return full


class _Core(threading.Thread):
    """Runs one solver after another in a helper process of its own and reports how each has ended."""

    def __init__(self, number: int, portfolio: _Portfolio) -> None:
        super().__init__(name=f"satcost-core-{number}", daemon=True)
        self.number = number
        self.sandbox = Sandbox()
        self._portfolio = portfolio

    def run(self) -> None:
        portfolio = self._portfolio
        try:
            while (part := portfolio.next_slice(self.number)) is not None:
                portfolio.ended.put(portfolio.attempt(self, part))
            portfolio.ended.put(None)
        except BaseException as error:
            portfolio.ended.put(error)
        finally:
            self.sandbox.close()


class _Portfolio:
    """The runs of one schedule on one formula."""

    def __init__(
        self,
        formula: Formula,
        schedule: Schedule,
        prediction: Prediction | None,
        fallbacks: Sequence[str],
        settings: SolveSettings,
        begin: float,
        whole: bool = True,
    ) -> None:
        self.formula, self.settings, self.begin = formula, settings, begin
        # Whether the last slice of a core may have all the time that is left.
        self._whole = whole
        self.ended: queue.SimpleQueue[tuple[Attempt, Outcome, Path | None] | BaseException | None] = queue.SimpleQueue()
        self.glimpses: dict[str, Glimpse | None] = {}
        self._prediction = prediction
        self._waiting = [list(core) for core in schedule.cores]
        self._fallbacks = list(fallbacks)
        self._limits: dict[str, float] = {}
        self._out: set[str] = set()
        self._over = False
        self._lock = threading.Lock()
        self.cores = [_Core(k, self) for k in range(len(self._waiting))]

    def left_s(self) -> float:
        """Wall seconds that are left."""
        return self.settings.time_limit_s - (time.monotonic() - self.begin)

    def next_slice(self, core: int) -> Slice | None:
        """Return what a core is to run next; None for nothing more."""
        with self._lock:
            left = self.left_s()
            if left < _SHORTEST_S or self._over:
                return None
            own = self._waiting[core]
            if own:
                part = own.pop(0)
                # Nothing comes after the last one: it may have all that is left.
                part = part if own or not self._whole else replace(part, cpu_s=max(part.cpu_s, left))
            else:
                # Runs have ended before their time: whoever has not failed begins again with more than it had.
                able = [
                    name
                    for name in self._fallbacks
                    if name not in self._out and name not in self.glimpses and self._limits.get(name, 0.0) < 0.5 * left
                ]
                if not able:
                    return None
                part = Slice(able[0], left)
            self._limits[part.solver] = max(self._limits.get(part.solver, 0.0), part.cpu_s)
            self.glimpses[part.solver] = None
            return part

    def attempt(self, core: _Core, part: Slice) -> tuple[Attempt, Outcome, Path | None]:
        """Run one slice; executed in the core's thread."""
        start = time.monotonic()
        settings = self.settings
        program = settings.programs.get(part.solver, part.solver)
        proof = None
        if settings.proof is not None:
            proof = settings.proof.with_name(f".{settings.proof.name}.{os.getpid()}-{core.number}")
        limits = Limits(part.cpu_s, max(self.left_s(), _SHORTEST_S), settings.memory_limit_mb)
        spec = solver_spec(program)
        if isinstance(spec, ExternalSpec):
            call = spec.child_call(
                self.formula,
                seed=0,
                cpu_s=limits.cpu_s,
                wall_s=limits.wall_s,
                memory_mb=limits.memory_mb,
                conflicts=None,
            )
            outcome = core.sandbox.run(call.function, {**call.kwargs, "with_model": True}, call.limits)
        else:
            watch = None
            if settings.watch:
                watch = Watch(prior=self._prior(part.solver))

            def note(glimpse: Glimpse) -> None:
                self.glimpses[part.solver] = glimpse

            outcome = core.sandbox.run(
                ANSWER_CHILD,
                {
                    "solver": program,
                    "formula": self.formula,
                    "proof": str(proof) if proof is not None else None,
                    "watch": watch,
                },
                limits,
                note if settings.watch else None,
            )
        status, detail = self._judged(outcome)
        if status == "CANCELLED" and self.left_s() <= 0:
            status, detail = "TIMEOUT", f"time limit of {settings.time_limit_s:g} s"
        with self._lock:
            self.glimpses.pop(part.solver, None)
            if status in ("MEMOUT", "CRASHED", "WRONG"):
                self._out.add(part.solver)
            self._over = self._over or status in ("SAT", "UNSAT")
        value = outcome.value if isinstance(outcome.value, dict) else {}
        attempt = Attempt(
            solver=part.solver,
            program=program if program != part.solver else "",
            status=status,
            limit_s=part.cpu_s,
            cpu_s=float(value.get("cpu_s", outcome.cpu_s)),
            wall_s=time.monotonic() - start,
            start_s=start - self.begin,
            core=core.number,
            detail=detail,
        )
        return attempt, outcome, proof

    def _prior(self, solver: str) -> Any:
        if self._prediction is None or self._prediction.distribution is None:
            return None
        return self._prediction.distribution[self._prediction.solvers.index(solver)]

    def _judged(self, outcome: Outcome) -> tuple[str, str]:
        """Return the status of a run, with its model checked, and what happened."""
        if outcome.status != "OK":
            if outcome.status == "ERROR":
                return "CRASHED", f"{outcome.error_type}: {outcome.detail}"
            return outcome.status, outcome.detail
        status, detail = str(outcome.value["status"]), str(outcome.value.get("detail", ""))
        if status == "UNKNOWN":
            return "CRASHED", "gave up within its limits"
        if status == "SAT" and not satisfies(self.formula, outcome.value["model"]):
            return "WRONG", "its model does not satisfy the formula"
        return status, detail

    def run(
        self, on_progress: Callable[[Progress], None] | None, every_s: float
    ) -> tuple[list[Attempt], Attempt | None, Outcome | None, Path | None]:
        """Run everything to the first answer; whatever happens, no process is left behind."""
        attempts: list[Attempt] = []
        won: tuple[Attempt, Outcome, Path | None] | None = None
        for core in self.cores:
            core.start()
        try:
            busy = len(self.cores)
            while busy and won is None:
                try:
                    item = self.ended.get(timeout=every_s)
                except queue.Empty:
                    if self.left_s() < -1.0:
                        break
                else:
                    if isinstance(item, BaseException):
                        raise item
                    if item is None:
                        busy -= 1
                        continue
                    attempts.append(item[0])
                    if item[0].status in ("SAT", "UNSAT"):
                        won = item
                if on_progress is not None:
                    on_progress(Progress(time.monotonic() - self.begin, "solving", dict(self.glimpses)))
        finally:
            self._over = True
            for core in self.cores:
                core.sandbox.cancel()
            for core in self.cores:
                core.join(timeout=10)
        with contextlib.suppress(queue.Empty):
            while True:
                item = self.ended.get_nowait()
                if isinstance(item, tuple):
                    attempts.append(item[0])
        return attempts, *(won or (None, None, None))


class PortfolioSolver(DecidesByPredictor):
    """Solves instances with a checkpoint's predictions.

    Parameters
    ----------
    predictor
        In CPU seconds, with the solvers that may be run.
    settings
        Limits, cores, proof, programs.

    Raises
    ------
    ConfigError
        If the predictor is of another unit, a proof is wanted and no solver writes one, or a program stands for a
        solver that isn't there.
    SolverError
        If a solver is neither one of the package nor registered, nor has a program in its place.

    Examples
    --------
    >>> predictor = Predictor.from_checkpoint(unit="cpu_seconds")  # doctest: +SKIP
    >>> with PortfolioSolver(predictor, SolveSettings(time_limit_s=60)) as solver:  # doctest: +SKIP
    ...     solver.solve("instance.cnf").status
    'UNSAT'
    """

    def __init__(self, predictor: Predictor, settings: SolveSettings) -> None:
        super().__init__(predictor)
        unknown = [name for name in settings.programs if name not in predictor.solvers]
        if unknown:
            raise ConfigError(
                f"found a program in place of {unknown[0]!r}; expected one of {', '.join(predictor.solvers)}"
            )
        self.settings = settings
        programs = {name: settings.programs.get(name, name) for name in predictor.solvers}
        for name in programs.values():
            solver_spec(name)
        self.solvers = tuple(name for name, run in programs.items() if settings.proof is None or can_prove(run))
        if not self.solvers:
            raise ConfigError(f"none of {', '.join(programs.values())} writes a proof; choose others by --solvers")
        self.training = TrainingPortfolio.of_checkpoint(predictor.checkpoint)

    def solve(
        self,
        source: Formula | CNF | str | Path | Iterable[Iterable[int]],
        on_progress: Callable[[Progress], None] | None = None,
        every_s: float = 0.2,
    ) -> Solution:
        """Solve one instance.

        Parameters
        ----------
        source
            Path of a DIMACS file (``-``: standard input), a :class:`Formula`, a PySAT formula or an iterable of
            clauses.
        on_progress
            Called every ``every_s`` seconds and at each change.
        every_s
            Seconds.

        Raises
        ------
        FormulaError
            If the formula cannot be read.
        """
        begin = time.monotonic()

        def tell(phase: str) -> None:
            if on_progress is not None:
                on_progress(Progress(time.monotonic() - begin, phase))

        tell("reading")
        if isinstance(source, (str, Path)):
            formula = read_dimacs(str(source))
        elif isinstance(source, Formula):
            formula = source
        else:
            formula = Formula.from_pysat(source) if hasattr(source, "clauses") else Formula.from_clauses(source)
        parse_s = time.monotonic() - begin
        trivial = self._trivial(formula, begin, parse_s)
        if trivial is not None:
            return trivial
        early = self._presolve(formula, begin, parse_s, on_progress, every_s)
        if early is not None and early.status != "UNKNOWN":
            return early
        before = early.attempts if early is not None else ()
        tell("probing")
        prediction = self._predict(formula, begin)
        timings = {**prediction.timings, "parse": parse_s}
        done: dict[str, Any] = {"path": formula.source, "source": prediction.source, "timings": timings}
        if prediction.status == "solved" and self._usable(prediction, formula):
            model = None if prediction.model is None else complete_model(formula, prediction.model)
            return Solution(
                status=prediction.result,
                model=model,
                solver="probe",
                attempts=before,
                schedule=None,
                proof=None,
                reason="",
                wall_s=time.monotonic() - begin,
                **done,
            )
        schedule = self._schedule(prediction, begin)
        portfolio = _Portfolio(formula, schedule, prediction, self.training.order(self.solvers), self.settings, begin)
        found = self._run(portfolio, schedule, done, on_progress, every_s)
        reason = prediction.reason
        if found.status == "UNKNOWN":
            what = "; ".join(
                f"{attempt.solver} {attempt.status} {attempt.detail}".strip() for attempt in found.attempts
            )
            reason = what or f"time limit of {self.settings.time_limit_s:g} s"
        return replace(found, attempts=(*before, *found.attempts), reason=reason)

    def _presolve(
        self,
        formula: Formula,
        begin: float,
        parse_s: float,
        on_progress: Callable[[Progress], None] | None,
        every_s: float,
    ) -> Solution | None:
        """Run the presolver of the training side for its short time; None if there is none, or no time for it."""
        presolver = self.training.presolver
        if presolver is None or presolver[0] not in self.solvers or presolver[1] > 0.2 * self.settings.time_limit_s:
            return None
        name, seconds = presolver
        schedule = Schedule(((Slice(name, seconds),),), seconds, str(self.settings.objective), 0.0, seconds, 0.0, 0.0)
        done = {"path": formula.source, "source": "presolver", "timings": {"parse": parse_s}}
        portfolio = _Portfolio(formula, schedule, None, (), self.settings, begin, whole=False)
        return self._run(portfolio, schedule, done, on_progress, every_s)

    def _run(
        self,
        portfolio: _Portfolio,
        schedule: Schedule,
        done: Mapping[str, Any],
        on_progress: Callable[[Progress], None] | None,
        every_s: float,
    ) -> Solution:
        """Run a schedule, and keep the proof of the run that has answered."""
        written = None
        try:
            attempts, won, outcome, proof = portfolio.run(on_progress, every_s)
            if won is not None and won.status == "UNSAT" and proof is not None and self.settings.proof is not None:
                proof.replace(self.settings.proof)
                written = self.settings.proof
        finally:
            self._remove_proofs(len(portfolio.cores))
        model = None
        if won is not None and won.status == "SAT" and outcome is not None:
            model = complete_model(portfolio.formula, outcome.value["model"])
        return Solution(
            status=won.status if won is not None else "UNKNOWN",
            model=model,
            solver=won.solver if won is not None else "",
            attempts=tuple(attempts),
            schedule=schedule,
            proof=written,
            reason="",
            wall_s=time.monotonic() - portfolio.begin,
            **done,
        )

    def _trivial(self, formula: Formula, begin: float, parse_s: float) -> Solution | None:
        """Answer what no solver need be asked: a formula without clauses, or with an empty one."""
        if formula.n_clauses and not formula.has_empty_clause:
            return None
        unsatisfiable = bool(formula.n_clauses)
        proof = self.settings.proof if unsatisfiable else None
        if proof is not None:
            proof.write_text("0\n")
        return Solution(
            path=formula.source,
            status="UNSAT" if unsatisfiable else "SAT",
            model=None if unsatisfiable else complete_model(formula, np.zeros(0, dtype=np.int32)),
            solver="",
            attempts=(),
            schedule=None,
            proof=proof,
            source="",
            reason="it has an empty clause" if unsatisfiable else "it has no clauses",
            wall_s=time.monotonic() - begin,
            timings={"parse": parse_s},
        )

    def _predict(self, formula: Formula, begin: float) -> Prediction:
        """Predict within what is left of the time; a fallback answers if that is too little."""
        settings = self.predictor.settings
        left = max(self.settings.time_limit_s - (time.monotonic() - begin), _SHORTEST_S)
        self.predictor.settings = replace(settings, wall_s=min(settings.wall_s, left), cpu_s=min(settings.cpu_s, left))
        try:
            return self.predictor.predict(formula)
        finally:
            self.predictor.settings = settings

    def _usable(self, prediction: Prediction, formula: Formula) -> bool:
        """Whether the probe's answer is all that is wanted: it writes no proof, and its model must be there."""
        if prediction.result == "UNSAT":
            return self.settings.proof is None
        return prediction.model is not None and satisfies(formula, prediction.model)

    def _schedule(self, prediction: Prediction, begin: float) -> Schedule:
        left = max(self.settings.time_limit_s - (time.monotonic() - begin), _SHORTEST_S)
        if prediction.distribution is None:
            # Nothing is known: the best of the training side.
            best = self.training.order(self.solvers)[: self.settings.cores]
            cores = tuple((Slice(name, left),) for name in best)
            return Schedule(cores, left, str(self.settings.objective), left, left, 0.0, 0.0)
        dependence = self.training.dependence if self.settings.dependence is None else self.settings.dependence
        columns = [prediction.solvers.index(name) for name in self.solvers]
        return plan(
            prediction.distribution[columns],
            self.solvers,
            ScheduleSettings(self.settings.objective, left, self.settings.cores, dependence),
            paths=(prediction.path,),
        )

    def _remove_proofs(self, cores: int) -> None:
        proof = self.settings.proof
        for k in range(cores if proof is not None else 0):
            assert proof is not None
            proof.with_name(f".{proof.name}.{os.getpid()}-{k}").unlink(missing_ok=True)


def programs_of(definitions: Sequence[str]) -> dict[str, str]:
    """Register programs that are to be run in place of solvers of a checkpoint.

    Parameters
    ----------
    definitions
        ``NAME=COMMAND`` each, NAME being a solver of the checkpoint, such as ``cadical195=cadical {cnf}``.

    Returns
    -------
    dict
        Solver of the checkpoint -> registered name of the program.

    Raises
    ------
    SolverError
        If a definition is malformed, names a solver twice, or there is no such program.
    """
    from satcost_gnn.search.external import register_external

    found: dict[str, str] = {}
    for text in definitions:
        name, equals, command = text.partition("=")
        if not equals or not command.strip():
            raise SolverError(f"found program {text!r}; expected SOLVER=COMMAND such as cadical195=cadical {{cnf}}")
        if name in found:
            raise SolverError(f"found two programs in place of {name}; expected one")
        found[name] = register_external(f"program-{name.replace(':', '-')}={command}")
    return found
