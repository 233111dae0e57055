"""Solve an instance with a portfolio: presolving, probe, schedule, limited child processes, a checked answer.

The single best solver of the training side begins at once, so that easy instances cost no more than they must. If it
has not answered after presolving, it is paused and the instance probed and predicted: the probe's own answer is
taken if it solves the instance; otherwise the solver goes on, unless the predictions promise much more of the others,
who then run by a schedule in its place. With several cores it goes on in any case, and the others run beside it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from satcost_gnn.decide.concurrent_runs import SHORTEST_S, ConcurrentRuns
from satcost_gnn.decide.late_predictor import LatePredictor
from satcost_gnn.decide.planned_schedule import Schedule
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.solver_child import CHECK_CHILD, can_prove
from satcost_gnn.decide.solving import Attempt, Member, Progress, Solution, SolveSettings
from satcost_gnn.decide.training_statistics import UNIT, TrainingStatistics
from satcost_gnn.decide.turns import PREDICTION_SHARE, needed_for_prediction_s, presolving_turns
from satcost_gnn.errors import ConfigError, ReadingTimeoutError, SatcostError, SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.sources import FormulaFile, FormulaSource, for_children
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs, publish, staging_directory
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.binary_proof import is_binary, write_as_text
from satcost_gnn.search.solvers import SOLVERS, solver_spec

if TYPE_CHECKING:
    from satcost_gnn.serve.prediction import Prediction
    from satcost_gnn.serve.predictor import Predictor

T = TypeVar("T")
# Share of what is left that reading off features and probing may take.
_SHARE = 0.4
_LOOK_S = 0.1


@dataclass(frozen=True)
class Conclusion:
    """What was decided on the way, and what the prediction has brought.

    Parameters
    ----------
    found
        What is known of an answer that the early search has given: see
        :func:`~satcost_gnn.decide.solver_child.check_child`; empty if it has given none.
    source
        Where the schedule comes from if nothing was predicted.
    problem
        Why nothing could be predicted, if that is so.
    """

    schedule: Schedule | None = None
    prediction: Prediction | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    source: str = "presolving"
    problem: str = ""


class PortfolioSolver:
    """Solves instances with a checkpoint's predictions.

    Parameters
    ----------
    predictor
        In CPU seconds, with the solvers that may be run.

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

    def __init__(
        self,
        predictor: Predictor | LatePredictor,
        settings: SolveSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if predictor.unit != UNIT:
            raise ConfigError(f"found a predictor of {predictor.unit}; expected one of {UNIT}")
        self.training = TrainingStatistics.of_checkpoint(predictor.checkpoint).at(settings.time_limit_s)
        # A program may be a member for several cores without a prediction of it.
        places = dict.fromkeys([*predictor.solvers, *(Member.of(name).solver for name in self.training.parallel)])
        unknown = [name for name in settings.programs if name not in places]
        if unknown:
            raise ConfigError(f"found a program in place of {unknown[0]!r}; expected one of {', '.join(places)}")
        self.settings = settings
        self._given, self._clock = predictor, clock
        programs = {name: settings.programs.get(name, name) for name in predictor.solvers}
        for name in programs.values():
            solver_spec(name)
        self.solvers = tuple(name for name, run in programs.items() if settings.proof is None or can_prove(run))
        if not self.solvers:
            raise ConfigError(f"none of {', '.join(programs.values())} writes a proof; choose others by --solvers")
        #: Whether solvers may run that nothing is predicted of: not where the user has named those that may.
        self._others_too = set(predictor.solvers) == set(predictor.checkpoint.config.solvers)
        for name in places if settings.cores > 1 and self._others_too else ():
            if name not in {*predictor.solvers, *SOLVERS, *settings.programs}:
                log.warning(f"{name} of the portfolio is left out: name it with --program '{name}=COMMAND {{cnf}}'")

    @classmethod
    def from_checkpoint(
        cls,
        where: str | Path | None,
        settings: SolveSettings,
        *,
        solvers: Sequence[str] | None = None,
        device: str = "auto",
    ) -> Self:
        """Open a checkpoint (None: the newest that ships with the package) to solve with it.

        Nothing of its models is read, nor what computes them imported, before something is predicted.

        Parameters
        ----------
        where
            Directory or name of the checkpoint.
        solvers, device
            See :class:`~satcost_gnn.serve.predictor.Predictor`.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint, or it predicts no CPU seconds.
        ConfigError
            If a solver is not in the checkpoint.
        """
        options = {"device": device, "relaxed": settings.read.relaxed, "limit_s": settings.time_limit_s}
        return cls(LatePredictor.of(where, solvers, **options), settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the helper process of the predictor."""
        self._given.close()

    @property
    def predictor(self) -> Predictor:
        """What predicts; opened when it is first asked for."""
        return self._given.open() if isinstance(self._given, LatePredictor) else self._given

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
        begin
            Value of the clock (``time.monotonic()``) from which the time limit counts; None for that of the call.

        Raises
        ------
        FormulaError
            If the formula cannot be read.
        OutputError
            If the proof can't be written where it is wanted. Should that only come out once there is an answer, the
            answer is returned, with the reason and without a proof.
        """
        begin = self._clock() if begin is None else begin
        check_outputs({"proof": self.settings.proof}, [source] if isinstance(source, (str, os.PathLike)) else [])
        if on_progress is not None:
            on_progress(Progress(self._clock() - begin, "reading"))
        with ExitStack() as stack:
            deadline = time.monotonic() + begin + self.settings.time_limit_s - self._clock()
            try:
                formula = stack.enter_context(for_children(source, self.settings.read, deadline))
            except ReadingTimeoutError as error:
                wall_s = self._clock() - begin
                return Solution(error.source, "UNKNOWN", None, "", (), None, None, "", str(error), wall_s)
            proof = self.settings.proof
            staging = stack.enter_context(staging_directory(proof)) if proof is not None else None
            known = len(self.training.parallel) + len(self.solvers)
            members = list(islice(self._members(), self.settings.cores + known))
            with ConcurrentRuns(formula, members, self.settings, begin, staging, self._clock) as portfolio:
                if self.settings.cores > 1:
                    plan = self._without_prediction(members[: self.settings.cores], self.settings.time_limit_s)
                    portfolio.begin_all(members, parity=self._parity)
                    portfolio.watch(on_progress, every_s)
                    outcome = Conclusion(plan, source="portfolio")
                else:
                    outcome = self._on_one_core(portfolio, on_progress, every_s)
            return self._solution(portfolio, outcome)

    def _members(self) -> Iterator[str]:
        """Return who runs on the cores, the best first: what was chosen on the training side, then seeds of these."""
        usual = self.training.order(self.solvers)
        chosen = [name for name in self.training.parallel if self._can_run(Member.of(name))]
        first = usual[0]
        # On one core the first is the one that the predictions are about.
        order = [first] if self.settings.cores == 1 else []
        order += [name for name in (*chosen, *usual) if name not in order]
        distinct = list(dict.fromkeys(order))
        yield from distinct
        if self.settings.proof is None:
            for seed in count(1):
                yield from (name for one in usual if (name := Member(one, seed).name) not in distinct)

    @property
    def _parity(self) -> bool:
        """Whether the solver of parity constraints may run beside those of the checkpoint; it writes no proof."""
        return self._others_too and self.settings.proof is None

    def _can_run(self, member: Member) -> bool:
        """Whether a member chosen on the training side may run here: it is there, wanted, writes proofs if need be."""
        solver = member.solver
        known = solver in SOLVERS or solver in self.settings.programs
        further = self._others_too and known and solver not in self.training.par2
        if solver not in self.solvers and not further:
            return False
        spec = solver_spec(self.settings.programs.get(solver, solver))
        return spec.available and (self.settings.proof is None or (not member.seed and can_prove(spec.name)))

    def _without_prediction(self, members: Sequence[str], limit_s: float) -> Schedule:
        """Return the schedule of members that all have the whole time, a core each; nothing is known of its worth."""
        cores, nothing = tuple((Slice(name, limit_s),) for name in members), float("nan")
        return Schedule(cores, limit_s, str(self.settings.objective), nothing, nothing, nothing, 0.0)

    def _on_one_core(
        self, portfolio: ConcurrentRuns, on_progress: Callable[[Progress], None] | None, every_s: float
    ) -> Conclusion:
        """Give the single best solver and those after it their turns, then predict and go on as predicted."""
        usual = self.training.order(self.solvers)
        limit_s = self.settings.time_limit_s
        portfolio.begin_presolving(presolving_turns(self.training, self.solvers, limit_s, parity=self._parity))
        over = portfolio.watch(on_progress, every_s)
        # A first run that has ended by its limit has had all the time there was.
        if portfolio.has_answer() or not (over or portfolio.failed) or portfolio.left_s() < SHORTEST_S:
            return Conclusion()
        prediction, problem = self._predicted_in_time(portfolio, on_progress, every_s)
        if portfolio.has_answer():
            return Conclusion(problem=problem)
        if prediction is not None and prediction.result and (found := self._usable(prediction, portfolio)):
            return Conclusion(prediction=prediction, found=found)
        schedule = None if prediction is None else self._schedule(prediction, portfolio, usual[0])
        # Where there was no time for a prediction, the usual solver goes on.
        alone = (Slice(usual[0], max(portfolio.left_s(), SHORTEST_S)),)
        portfolio.follow(alone if schedule is None else schedule.cores[0], prediction)
        portfolio.watch(on_progress, every_s)
        return Conclusion(schedule, prediction, problem=problem)

    def _solution(self, portfolio: ConcurrentRuns, conclusion: Conclusion) -> Solution:
        """Return what came of it all, and keep the proof of the run that has answered."""
        prediction, found = conclusion.prediction, conclusion.found
        status, solver, attempts = "UNKNOWN", "", tuple(portfolio.attempts)
        source = conclusion.source if prediction is None else prediction.source
        reason = "" if prediction is None else prediction.reason
        written = None
        if portfolio.won is not None:
            attempt, outcome, proof = portfolio.won
            found, status, solver = outcome.value, attempt.status, attempt.solver
            if "trivial" in found:
                # No solver was asked.
                solver, attempts, source, reason = "", (), "", found["trivial"]
            if status == "UNSAT" and proof is not None and self.settings.proof is not None:
                lost = str(found.get("proof_error", "")) or _delivered(proof, self.settings)
                written = None if lost else self.settings.proof
                if lost:
                    reason = "; ".join(filter(None, [reason, f"{self.settings.proof}: the proof is lost: {lost}"]))
        elif found and prediction is not None:
            status, solver = prediction.result, prediction.answered_by
        else:
            tried = [f"{one.solver} {one.status} {one.detail}".strip() for one in portfolio.attempts]
            reason = "; ".join(tried) or f"time limit of {self.settings.time_limit_s:g} s"
        reading = portfolio.reading
        return Solution(
            path=portfolio.formula.name if isinstance(portfolio.formula, FormulaFile) else portfolio.formula.source,
            status=status,
            model=found.get("model"),
            solver=solver,
            attempts=attempts,
            schedule=conclusion.schedule,
            proof=written,
            source=source,
            reason=reason,
            wall_s=self._clock() - portfolio.begin,
            timings={**({} if prediction is None else prediction.timings), "parse": reading.wall_s if reading else 0.0},
            warnings=(*(reading.warnings if reading else ()), *filter(None, [conclusion.problem])),
        )

    def _predicted_in_time(
        self, portfolio: ConcurrentRuns, on_progress: Callable[[Progress], None] | None, every_s: float
    ) -> tuple[Prediction | None, str]:
        """Predict, if there is time for it; what runs goes on while the estimators are loaded, and is paused then.

        Return the prediction, None if there is an answer or too little time; and why there can be none, if so.
        """
        prediction_s = self.training.prediction_s
        if portfolio.left_s() < needed_for_prediction_s(prediction_s, loaded=False):
            return None, ""
        loading = _in_background(self._loaded)
        # With fewer seconds left, a prediction would not be there in its share.
        loaded_s = needed_for_prediction_s(prediction_s, loaded=True)
        try:
            while not loading.done() and not portfolio.has_answer() and portfolio.left_s() >= loaded_s:
                portfolio.watch(on_progress, every_s, _LOOK_S)
                # Nothing to wait for but the loading, if no run is left.
                wait([loading], _LOOK_S if portfolio.failed else 0.0)
            left = portfolio.left_s()
            predictor = loading.result() if loading.done() else None
            if predictor is None or portfolio.has_answer() or left < loaded_s:
                return None, ""
            if on_progress is not None:
                on_progress(Progress(self._clock() - portfolio.begin, "probing"))
            portfolio.pause()
            work = _in_background(lambda: self._predict(predictor, portfolio.formula, _SHARE * left))
            wait([work], PREDICTION_SHARE * left)
            return work.result() if work.done() else None, ""
        except SatcostError as error:
            return None, f"nothing is predicted: {error}"

    def _loaded(self) -> Predictor:
        predictor = self.predictor
        predictor.load()
        return predictor

    def _predict(self, predictor: Predictor, formula: Formula | FormulaFile, within_s: float) -> Prediction:
        """Predict within some seconds, but for the inference; a fallback answers if that is too little."""
        settings = predictor.settings
        limits, plain = settings.limits, settings.features.plain
        # Where the run that is paused meanwhile is of the same solver, it is the plain run.
        if (
            plain is not None
            and plain.solver == self.training.single_best(self.solvers)
            and plain.solver not in self.settings.programs
        ):
            plain = None
        predictor.settings = settings.with_features(plain=plain).with_limits(
            wall_s=min(limits.wall_s, within_s), cpu_s=min(limits.cpu_s, within_s)
        )
        try:
            return predictor.predict(formula)
        finally:
            predictor.settings = settings

    def _usable(self, prediction: Prediction, portfolio: ConcurrentRuns) -> dict[str, Any]:
        """Return the probe's answer if it is all that is wanted: it writes no proof, and its model must be right."""
        if prediction.result == "UNSAT":
            return {"status": "UNSAT"} if self.settings.proof is None else {}
        if prediction.model is None:
            return {}
        left = max(portfolio.left_s(), SHORTEST_S)
        with Sandbox() as sandbox:
            arguments = {"formula": portfolio.formula, "model": prediction.model}
            outcome = sandbox.run(CHECK_CHILD, arguments, Limits(left, left, self.settings.memory_limit_mb))
        return outcome.value if outcome.status == "OK" and outcome.value["status"] == "SAT" else {}

    def _schedule(self, prediction: Prediction, portfolio: ConcurrentRuns, first: str) -> Schedule:
        left = max(portfolio.left_s(), SHORTEST_S)
        able = [name for name in self.training.order(self.solvers) if name not in portfolio.failed] or [*self.solvers]
        if prediction.distribution is None:
            # Nothing is known: the best of the training side.
            return self._without_prediction(able[:1], left)
        copula_correlation = self.settings.copula_correlation
        if copula_correlation is None:
            copula_correlation = self.training.copula_correlation
        from satcost_gnn.decide import schedule as schedules
        from satcost_gnn.decide.schedule_search import ScheduleSettings

        columns = [prediction.solvers.index(name) for name in able]
        among = replace(prediction, solvers=tuple(able), distribution=prediction.distribution[columns])
        settings = ScheduleSettings(self.settings.objective, left, 1, copula_correlation)
        if first in portfolio.failed:
            return schedules.schedule_of(among, self.training, settings)
        spent_s = self.training.first_look_s
        return schedules.schedule_after(among, self.training, settings, first, spent_s, self.settings.time_limit_s)


def _in_background(work: Callable[[], T]) -> Future[T]:
    """Call a function in a thread that doesn't keep the process from ending, as those of executors do."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="satcost-background").start()
    return future


def _delivered(written: Path, settings: SolveSettings) -> str:
    """Move a proof to where it is wanted; return what is in the way, empty if nothing is."""
    assert settings.proof is not None
    try:
        if settings.proof_as_text and is_binary(written):
            text = written.with_name(f"{written.name}.text")
            write_as_text(written, text)
            written = text
        publish(written, settings.proof)
    except OSError as error:
        return error.strerror or str(error)
    except SolverError as error:
        return str(error)
    return ""


def programs_of(definitions: Sequence[str]) -> dict[str, str]:
    """Register programs that are to be run in place of solvers of a checkpoint.

    Parameters
    ----------
    definitions
        ``NAME=COMMAND`` each, NAME being a solver of the checkpoint or of its portfolio, such as
        ``cadical195=cadical {cnf}``.

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
    "Attempt",
    "PortfolioSolver",
    "Progress",
    "Solution",
    "SolveSettings",
    "programs_of",
]
