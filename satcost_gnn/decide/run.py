"""Solve an instance with a portfolio: presolving, probe, schedule, limited child processes, a checked answer.

The single best solver of the training side begins at once, so that easy instances cost no more than they must. If it
has not answered after presolving, it is paused and the instance probed and predicted: the probe's own answer is
taken if it solves the instance; otherwise the solver goes on, unless the predictions promise much more of the others,
who then run by a schedule in its place. With several cores it goes on in any case, and the others run beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.decide.background import Background
from satcost_gnn.decide.concurrent_runs import SHORTEST_S, Attempt, ConcurrentRuns, Progress, SolveSettings
from satcost_gnn.decide.deciding import DecidesByPredictor
from satcost_gnn.decide.planned_schedule import Schedule
from satcost_gnn.decide.schedule import schedule_after, schedule_of
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.solver_child import can_prove
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.errors import ConfigError, OutputError, ReadingTimeoutError, SolverError
from satcost_gnn.features.preprocessing import name_of
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.sources import FormulaSource, load
from satcost_gnn.runtime.output_files import check_outputs, publish, staging_directory, write_text
from satcost_gnn.search.solvers import satisfies, solver_spec
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

#: Exit codes of the SAT competitions.
EXIT_CODES: Mapping[str, int] = {"SAT": 10, "UNSAT": 20, "UNKNOWN": 0}

# With a core to spare a prediction takes nobody's time: it waits only for what is answered at once.
_PRESOLVING_ALONE_S = 0.2
# With fewer seconds left nothing is predicted: it would take too much of them.
_LEAST_TO_PREDICT_S = 4.0
# Shares of what is left that reading off features and probing may take, and the prediction in all: the solver that is
# paused meanwhile has the rest.
_SHARE, _LONGEST_SHARE = 0.4, 0.5
_LOOK_S = 0.1


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
        Where the prediction comes from; ``presolving`` if none was needed.
    reason
        Why there is no answer, or why the prediction is a fallback's.
    wall_s
        Wall seconds for everything.
    timings
        Seconds of the stages before the runs: CPU time, and for reading the file (``parse``) wall time.
    warnings
        What was odd about the input but readable.
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
    warnings: tuple[str, ...] = ()

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
            "warnings": list(self.warnings),
        }


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


def _told(solution: Solution, given: Formula) -> Solution:
    """Return a solution in terms of what was given: without variables of encodings, with the reader's warnings."""
    model = None if solution.model is None else given.without_auxiliary(solution.model)
    return replace(solution, model=model, warnings=given.warnings)


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
        self.training = TrainingStatistics.of_checkpoint(predictor.checkpoint)

    def solve(
        self,
        source: FormulaSource,
        on_progress: Callable[[Progress], None] | None = None,
        every_s: float = 0.2,
        begin: float | None = None,
    ) -> Solution:
        """Solve one instance.

        Parameters
        ----------
        source
            See :meth:`satcost_gnn.serve.predictor.Predictor.predict`; ``-`` is standard input. The model of a formula
            with constraints that were encoded leaves the variables of the encoding out.
        on_progress
            Called every ``every_s`` seconds and at each change.
        every_s
            Seconds.
        begin
            Value of ``time.monotonic()`` from which the time limit counts; None for that of the call.

        Raises
        ------
        FormulaError
            If the formula cannot be read.
        OutputError
            If the proof can't be written where it is wanted. Should that only come out once there is an answer, the
            answer is returned, with the reason and without a proof.
        """
        begin = time.monotonic() if begin is None else begin
        check_outputs({"proof": self.settings.proof}, [source] if isinstance(source, (str, os.PathLike)) else [])

        def tell(phase: str) -> None:
            if on_progress is not None:
                on_progress(Progress(time.monotonic() - begin, phase))

        reading = time.monotonic()
        tell("reading")
        try:
            given = load(source, self.settings.read, begin + self.settings.time_limit_s)
        except ReadingTimeoutError as error:
            return self._unread(name_of(source), str(error), begin)
        # Answers are checked with the variables of encodings; only what is returned leaves them out.
        formula = given.with_auxiliary(0)
        parse_s = time.monotonic() - reading
        trivial = self._trivial(formula, begin, parse_s)
        if trivial is not None:
            return _told(trivial, given)
        usual = self.training.order(self.solvers)
        prediction: Prediction | None = None
        schedule: Schedule | None = None
        with ExitStack() as stack:
            proof = self.settings.proof
            staging = stack.enter_context(staging_directory(proof)) if proof is not None else None
            with ConcurrentRuns(formula, usual, self.settings, begin, staging) as portfolio:
                portfolio.start(usual[0])
                presolving_s = self._presolving_s()
                over = portfolio.watch(on_progress, every_s, presolving_s)
                # A first run that has ended by its limit has had all the time there was.
                if portfolio.won is None and (over or portfolio.failed) and portfolio.left_s() >= SHORTEST_S:
                    prediction = self._predicted_in_time(formula, portfolio, on_progress, every_s)
                    if prediction is None:
                        # There was an answer, or no time for a prediction: the usual solvers go on.
                        portfolio.go_on()
                        portfolio.watch(on_progress, every_s)
                    elif not prediction.result or not self._usable(prediction, formula):
                        running = "" if usual[0] in portfolio.failed else usual[0]
                        schedule = self._schedule(prediction, portfolio, running, presolving_s)
                        portfolio.follow(schedule.cores, prediction, running)
                        portfolio.resume()
                        portfolio.watch(on_progress, every_s)
            return _told(self._solution(portfolio, prediction, schedule, parse_s), given)

    def _unread(self, path: str, reason: str, begin: float) -> Solution:
        """Return what there is to say of an input that had not ended when the time was up."""
        wall_s = time.monotonic() - begin
        return Solution(path, "UNKNOWN", None, "", (), None, None, "", reason, wall_s, {"parse": wall_s})

    def _presolving_s(self) -> float:
        """Return the wall seconds after which the first solver is looked at."""
        seconds = self.training.first_look_s
        return min(seconds, _PRESOLVING_ALONE_S) if self.settings.cores > 1 else seconds

    def _solution(
        self, portfolio: ConcurrentRuns, prediction: Prediction | None, schedule: Schedule | None, parse_s: float
    ) -> Solution:
        """Return what came of it all, and keep the proof of the run that has answered."""
        status, solver, reason = "UNKNOWN", "", "" if prediction is None else prediction.reason
        model, written = None, None
        if portfolio.won is not None:
            attempt, outcome, proof = portfolio.won
            status, solver = attempt.status, attempt.solver
            if status == "UNSAT" and proof is not None and self.settings.proof is not None:
                lost = str(outcome.value.get("proof_error", "")) or _delivered(proof, self.settings.proof)
                if lost:
                    reason = f"{self.settings.proof}: the proof is lost: {lost}"
                else:
                    written = self.settings.proof
            if status == "SAT":
                model = complete_model(portfolio.formula, outcome.value["model"])
        elif prediction is not None and schedule is None:
            status, solver = prediction.result, prediction.answered_by
            if prediction.model is not None:
                model = complete_model(portfolio.formula, prediction.model)
        else:
            tried = [f"{one.solver} {one.status} {one.detail}".strip() for one in portfolio.attempts]
            reason = "; ".join(tried) or f"time limit of {self.settings.time_limit_s:g} s"
        return Solution(
            path=portfolio.formula.source,
            status=status,
            model=model,
            solver=solver,
            attempts=tuple(portfolio.attempts),
            schedule=schedule,
            proof=written,
            source="presolving" if prediction is None else prediction.source,
            reason=reason,
            wall_s=time.monotonic() - portfolio.begin,
            timings={**({} if prediction is None else prediction.timings), "parse": parse_s},
        )

    def _trivial(self, formula: Formula, begin: float, parse_s: float) -> Solution | None:
        """Answer what no solver need be asked: a formula without clauses, or with an empty one."""
        if formula.n_clauses and not formula.has_empty_clause:
            return None
        unsatisfiable = bool(formula.n_clauses)
        proof = self.settings.proof if unsatisfiable else None
        lost = ""
        if proof is not None:
            try:
                write_text(proof, "0\n")
            except OutputError as error:
                proof, lost = None, f"; the proof is lost: {error}"
        return Solution(
            path=formula.source,
            status="UNSAT" if unsatisfiable else "SAT",
            model=None if unsatisfiable else complete_model(formula, np.zeros(0, dtype=np.int32)),
            solver="",
            attempts=(),
            schedule=None,
            proof=proof,
            source="",
            reason=("it has an empty clause" if unsatisfiable else "it has no clauses") + lost,
            wall_s=time.monotonic() - begin,
            timings={"parse": parse_s},
        )

    def _predicted_in_time(
        self,
        formula: Formula,
        portfolio: ConcurrentRuns,
        on_progress: Callable[[Progress], None] | None,
        every_s: float,
    ) -> Prediction | None:
        """Predict, if there is time for it; what runs goes on while the estimators are loaded, and is paused then."""
        if portfolio.left_s() < _LEAST_TO_PREDICT_S:
            return None
        loading = Background(self.predictor.load)
        while not loading.done and portfolio.won is None and portfolio.left_s() >= _LEAST_TO_PREDICT_S:
            portfolio.watch(on_progress, every_s, _LOOK_S)
            # Nothing to wait for but the loading, if the first run has failed.
            loading.result(0.0 if not portfolio.failed else _LOOK_S)
        left = portfolio.left_s()
        if portfolio.won is not None or left < _LEAST_TO_PREDICT_S:
            return None
        if on_progress is not None:
            on_progress(Progress(time.monotonic() - portfolio.begin, "probing"))
        if self.settings.cores == 1:
            portfolio.pause()
        found = Background(lambda: self._predict(formula, _SHARE * left)).result(_LONGEST_SHARE * left)
        if found is None:
            portfolio.resume()
        return found

    def _predict(self, formula: Formula, within_s: float) -> Prediction:
        """Predict within some seconds, but for the inference; a fallback answers if that is too little."""
        settings = self.predictor.settings
        wall_s, cpu_s = min(settings.wall_s, within_s), min(settings.cpu_s, within_s)
        # The run that is paused meanwhile is the plain run, unless another program has been put in its place.
        plain = (
            settings.plain if settings.plain is not None and settings.plain.solver in self.settings.programs else None
        )
        self.predictor.settings = replace(settings, wall_s=wall_s, cpu_s=cpu_s, plain=plain)
        try:
            return self.predictor.predict(formula)
        finally:
            self.predictor.settings = settings

    def _usable(self, prediction: Prediction, formula: Formula) -> bool:
        """Whether the probe's answer is all that is wanted: it writes no proof, and its model must be there."""
        if prediction.result == "UNSAT":
            return self.settings.proof is None
        return prediction.model is not None and satisfies(formula, prediction.model)

    def _schedule(self, prediction: Prediction, portfolio: ConcurrentRuns, running: str, spent_s: float) -> Schedule:
        left = max(portfolio.left_s(), SHORTEST_S)
        able = [name for name in self.training.order(self.solvers) if name not in portfolio.failed] or [*self.solvers]
        if prediction.distribution is None:
            # Nothing is known: the best of the training side.
            cores = tuple((Slice(name, left),) for name in able[: self.settings.cores])
            nothing = float("nan")
            return Schedule(cores, left, str(self.settings.objective), nothing, nothing, nothing, 0.0)
        copula_correlation = (
            self.training.copula_correlation
            if self.settings.copula_correlation is None
            else self.settings.copula_correlation
        )
        columns = [prediction.solvers.index(name) for name in able]
        among = replace(prediction, solvers=tuple(able), distribution=prediction.distribution[columns])
        settings = ScheduleSettings(self.settings.objective, left, self.settings.cores, copula_correlation)
        if not running:
            return schedule_of(among, self.training, settings)
        return schedule_after(among, self.training, settings, running, spent_s, self.settings.time_limit_s)


def _delivered(written: Path, proof: Path) -> str:
    """Move a proof to where it is wanted; return what is in the way, empty if nothing is."""
    try:
        publish(written, proof)
    except OSError as error:
        return error.strerror or str(error)
    return ""


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


__all__ = [
    "EXIT_CODES",
    "Attempt",
    "PortfolioSolver",
    "Progress",
    "Solution",
    "SolveSettings",
    "complete_model",
    "programs_of",
]
