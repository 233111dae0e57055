"""Runs of several solvers on one formula in limited child processes: the first answer ends them all.

Each run has a helper process of its own. A solver whose slice of a schedule is used up is paused, and goes on where it
was when it comes again. One that crashes, runs out of memory or gives a wrong model is passed over and the next one
begins. If a schedule ends early that way, the solvers that have not failed are given what is left of the time.
All of them share one limit on memory: whoever stands last in the order makes room.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from satcost_gnn.decide.one_run import OneRun
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.solver_child import ANSWER_CHILD, Glimpse, Reading, Watch
from satcost_gnn.decide.solving import Attempt, Member, Progress, SolveSettings
from satcost_gnn.decide.turns import with_parity
from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.sources import FormulaFile
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.runtime.sandbox import Limits, Outcome
from satcost_gnn.runtime.scratch_space import ScratchSpace
from satcost_gnn.search.solvers import SOLVERS, solver_spec

if TYPE_CHECKING:
    from satcost_gnn.core.distribution import CostDistribution
    from satcost_gnn.serve.prediction import Prediction

#: A run shorter than this many seconds is not worth its start.
SHORTEST_S = 0.01
# Runs end by their own limits; after so many seconds more nobody waits for that.
_LATE_S = 0.3
# Seconds between two looks at what several runs hold together, and the least between two at what one has used.
_MEMORY_LOOK_S, _LEAST_LOOK_S = 0.25, 0.01
# Wall-clock seconds that a slice may take for each of its CPU seconds, and besides.
_WAITING, _WAITING_S = 4.0, 1.0
# A program with more threads than this may have more than its slice.
_THREADS = 4.0
# Errors of a child that are of the formula, and so of every child.
_UNREAD = ("FormulaError", "FormulaTooLargeError", "ReadingTimeoutError")


class _Unread(FormulaError):
    """The error of a child that could not read the formula, as it said it."""

    def __init__(self, text: str, source: str) -> None:
        Exception.__init__(self, text)
        self.source, self.line = source, None


@dataclass
class _Core:
    """What one core is to run, and what runs on it."""

    number: int
    waiting: list[Slice] = field(default_factory=list)
    running: OneRun | None = None
    #: Nothing more is begun: there is no room for it.
    closed: bool = False


class ConcurrentRuns:
    """The runs on one formula: first those of presolving, then, once it is known, those of a schedule.

    Use as a context manager: at its end, whatever happens, no process is left behind.

    Parameters
    ----------
    formula
        What children are sent.
    order
        Who is run where a schedule has nothing more to say, the best first.
    begin
        When everything began, on the clock.
    proofs
        Directory that proofs are written into; None for no proofs.
    """

    def __init__(
        self,
        formula: Formula | FormulaFile,
        order: Sequence[str],
        settings: SolveSettings,
        begin: float,
        proofs: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.formula, self.settings, self.begin, self._proofs, self._clock = formula, settings, begin, proofs, clock
        self.ended: queue.SimpleQueue[tuple[OneRun, Outcome] | BaseException] = queue.SimpleQueue()
        self.attempts: list[Attempt] = []
        self.won: tuple[Attempt, Outcome, Path | None] | None = None
        self.failed: set[str] = set()
        self._declined: set[str] = set()
        #: What the children said of reading the formula; None as long as none has read it.
        self.reading: Reading | None = None
        self._order = list(order)
        self._cores = [_Core(k) for k in range(settings.cores)]
        self._paused: dict[str, OneRun] = {}
        self._begun: list[OneRun] = []
        # Before there is a schedule, cores that have nothing to do wait for one.
        self._planned = False
        self._prediction: Prediction | None = None
        self._granted: dict[str, float] = {}
        # What was last seen of a run, and the CPU seconds of its helper and all below it then.
        self._glimpses: dict[str, tuple[Glimpse, float]] = {}
        self._next_memory_look = 0.0
        # Holds what solvers that run already are told later.
        self._letters = ScratchSpace.make() if settings.watch else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._alive():
            run.sandbox.cancel()
        # Those that have ended may still be taking their helpers down.
        for run in self._begun:
            run.join(timeout=10)
        with contextlib.suppress(queue.Empty):
            while True:
                item = self.ended.get_nowait()
                if isinstance(item, tuple):
                    self.attempts.append(self._attempt(*item)[0])
        if self._letters is not None:
            self._letters.remove()

    def _alive(self) -> list[OneRun]:
        running = [core.running for core in self._cores if core.running is not None]
        return [*running, *self._paused.values()]

    def has_answer(self) -> bool:
        """Whether a run has found the answer."""
        return self.won is not None

    def left_s(self) -> float:
        """Wall seconds that are left."""
        return self.settings.time_limit_s - (self._clock() - self.begin)

    # What is to be run ----------------------------------------------------------------------------------------------

    def begin_all(self, members: Sequence[str], *, parity: bool = False) -> None:
        """Let one member begin on each core, with all the time that is left; the last may make room for ``parity``."""
        self._planned = True
        for core, name in zip(self._cores, members, strict=False):
            core.waiting = [Slice(name, self.left_s())]
        if parity:
            core = self._cores[-1]
            core.waiting = with_parity(core.waiting, self.settings.time_limit_s) if core.waiting else []
        self._turn()

    def begin_presolving(self, slices: Sequence[Slice]) -> None:
        """Let solvers have turns on the first core; the last one then goes on until there is a schedule."""
        self._cores[0].waiting = list(slices)
        self._turn()

    def follow(self, slices: Sequence[Slice], prediction: Prediction | None) -> None:
        """Follow a schedule on the first core; solvers that have run already go on where they are."""
        self._planned, self._prediction = True, prediction
        core = self._cores[0]
        core.waiting = list(slices)
        if core.running is not None:
            if slices and slices[0].solver == core.running.member:
                core.waiting = list(slices[1:])
                core.running.sandbox.resume()
                self._grant(core.running, slices[0].cpu_s, last=len(slices) == 1)
            else:
                self._pause(core)
        for run in self._alive():
            self._send_prior(run.member)
        self._turn()

    def pause(self) -> None:
        """Stop the solvers where they are, until there is a schedule."""
        for run in self._alive():
            run.sandbox.pause()

    def _turn(self) -> None:
        """Pause who has used up a slice, and give cores that have nothing to do something."""
        for core in self._cores:
            if core.waiting and self._used_up(core):
                self._pause(core)
            if core.running is None and not core.closed and self.won is None:
                self._next(core)

    def _pause(self, core: _Core) -> None:
        run, core.running = core.running, None
        assert run is not None
        if (spec := SOLVERS.get(run.member)) is not None and not spec.complete:
            # What answers at once or declines has one turn only.
            run.turn_over = True
            run.sandbox.cancel()
            return
        run.sandbox.pause()
        self._paused[run.member] = run

    def _next(self, core: _Core) -> None:
        """Let a core have what comes next; nothing if there is nothing."""
        left = self.left_s()
        if left < SHORTEST_S:
            return
        part = self._part(core, left)
        if part is None:
            return
        run = self._paused.pop(part.solver, None)
        if run is None:
            run = self._new(part.solver, core.number)
        else:
            run.core = core.number
            run.sandbox.resume()
        core.running = run
        # Nothing comes after the last one: it may have all that is left.
        self._grant(run, part.cpu_s, last=self._planned and not core.waiting)

    def _part(self, core: _Core, left: float) -> Slice | None:
        while core.waiting:
            part = core.waiting.pop(0)
            if part.solver not in self.failed:
                return part
        if not self._planned:
            return None
        # Runs have ended before their time: whoever is paused goes on, then whoever has not failed begins again with
        # more than it had.
        busy = {run.member for run in self._alive()}
        useless = {Member.of(name).solver for name in (*self.failed, *self._declined)}
        for name in [*self._paused, *self._order]:
            new = name not in busy and self._granted.get(name, 0.0) < 0.5 * left
            if Member.of(name).solver not in useless and (name in self._paused or new):
                return Slice(name, left)
        return None

    def _grant(self, run: OneRun, cpu_s: float, *, last: bool) -> None:
        left = self.left_s()
        used = run.used_s()
        run.slice_ends_s = float("inf") if last else used + cpu_s
        # One that waits for something else than the processor must not keep the others from it.
        run.slice_ends_at = float("inf") if last else self._clock() + _WAITING * cpu_s + _WAITING_S
        run.look_at = float("inf") if last else 0.0
        run.limit_s = used + (max(cpu_s, left) if last else cpu_s)
        self._granted[run.member] = max(self._granted.get(run.member, 0.0), run.limit_s)

    def _new(self, name: str, core: int) -> OneRun:
        """Start a run."""
        member, settings = Member.of(name), self.settings
        spec = solver_spec(settings.programs.get(member.solver, member.solver))
        left = max(self.left_s(), SHORTEST_S)
        limits = Limits(left, left, settings.memory_limit_mb)
        arguments: dict[str, Any] = {"solver": spec.name, "formula": self.formula, "seed": member.seed}
        proof = self._proofs / str(core) if self._proofs is not None else None
        if spec.name not in SOLVERS:
            # A program.
            call = spec.child_call(
                self.formula, seed=0, cpu_s=left, wall_s=left, memory_mb=limits.memory_mb, conflicts=None
            )
            arguments["program"] = {k: v for k, v in call.kwargs.items() if k not in ("formula", "seed", "conflicts")}
            limits = call.limits
        else:
            arguments["proof"] = str(proof) if proof is not None else None
            if self._letters is not None:
                arguments["watch"] = Watch(prior=self._prior(name), later=self._letter(name), limit_s=left)
        run = OneRun(name, core, (ANSWER_CHILD, arguments), limits, self.ended, proof, self._note)
        run.start()
        self._begun.append(run)
        return run

    # What has come of it --------------------------------------------------------------------------------------------

    def watch(
        self, on_progress: Callable[[Progress], None] | None, every_s: float, for_s: float = float("inf")
    ) -> bool:
        """Wait for an answer, until no core has anything to do, or for some time; return whether the time was up.

        Before there is a schedule, the time is up, too, when the last slice is used up.
        """
        end = self._clock() + for_s
        while self.won is None:
            self._turn()
            busy = [core for core in self._cores if core.running is not None]
            if not busy:
                return False
            left = end - self._clock()
            if left <= 0:
                return True
            run = busy[0].running
            if not self._planned and not busy[0].waiting and run is not None and self._used_up(busy[0]):
                # It goes on until something is decided.
                run.slice_ends_s = run.slice_ends_at = run.look_at = float("inf")
                return True
            try:
                item = self.ended.get(timeout=min(every_s, left, *(self._until_turn(core) for core in busy)))
            except queue.Empty:
                if self.left_s() < -_LATE_S:
                    break
            else:
                self._take(item)
            self._share_memory()
            if on_progress is not None:
                on_progress(Progress(self._clock() - self.begin, "solving", self._now()))
        return False

    def _used_up(self, core: _Core) -> bool:
        """Whether the slice of what runs is used up; it is looked at only when it may be."""
        run, now = core.running, self._clock()
        if run is None or now < run.look_at:
            return False
        left = min(run.slice_ends_s - run.used_s(), run.slice_ends_at - now)
        run.look_at = now + max(left / _THREADS, _LEAST_LOOK_S)
        return left <= 0

    def _until_turn(self, core: _Core) -> float:
        """Return the seconds for which a core needs no look."""
        return max(core.running.look_at - self._clock(), _LEAST_LOOK_S) if core.running is not None else float("inf")

    def _take(self, item: tuple[OneRun, Outcome] | BaseException) -> None:
        if isinstance(item, BaseException):
            raise item
        run, outcome = item
        attempt, error = self._attempt(run, outcome)
        if error is not None:
            raise error
        self.attempts.append(attempt)
        self._paused.pop(run.member, None)
        for core in self._cores:
            if core.running is run:
                core.running = None
        if attempt.status in ("MEMOUT", "CRASHED", "WRONG"):
            self.failed.add(run.member)
        if attempt.status == "DECLINED":
            self._declined.add(run.member)
        if attempt.status in ("SAT", "UNSAT"):
            self.won = (attempt, outcome, run.proof)

    def _attempt(self, run: OneRun, outcome: Outcome) -> tuple[Attempt, FormulaError | None]:
        """Return what came of a run, and what is wrong with the formula if it could not be read."""
        member = Member.of(run.member)
        program = self.settings.programs.get(member.solver, "")
        value = outcome.value if isinstance(outcome.value, dict) else {}
        status: str = outcome.status
        detail = outcome.detail
        if status == "OK":
            status, detail = value["status"], value.get("detail", "")
        elif status == "ERROR" and outcome.error_type == "NotImplementedError":
            status = "DECLINED"
        elif status == "ERROR":
            status, detail = "CRASHED", f"{outcome.error_type}: {outcome.detail}"
        if status == "UNKNOWN":
            status, detail = "CRASHED", "gave up within its limits"
        if status == "CANCELLED" and run.turn_over:
            status, detail = "TIMEOUT", f"its turn of {run.limit_s:g} CPU seconds is over"
        elif status == "CANCELLED" and run.member in self.failed:
            status, detail = "MEMOUT", f"memory limit of {self.settings.memory_limit_mb} MiB, shared by all that run"
        elif status == "CANCELLED" and self.left_s() <= 0:
            status, detail = "TIMEOUT", f"time limit of {self.settings.time_limit_s:g} s"
        ended = run.ended_at if run.ended_at == run.ended_at else time.monotonic()
        attempt = Attempt(
            solver=run.member,
            program=program,
            status=status,
            limit_s=run.limit_s,
            cpu_s=float(value.get("cpu_s", outcome.cpu_s)),
            wall_s=ended - run.began,
            start_s=run.began - self.begin,
            core=run.core,
            detail=detail,
        )
        unread = outcome.error_type in _UNREAD
        return attempt, _Unread(outcome.detail, getattr(self.formula, "name", "")) if unread else None

    def _share_memory(self) -> None:
        """End the run that stands last in the order if all of them together hold more than the limit."""
        alive, now = self._alive(), time.monotonic()
        if len(alive) < 2 or now < self._next_memory_look:
            return
        self._next_memory_look = now + _MEMORY_LOOK_S
        limit = self.settings.memory_limit_mb
        if sum(run.memory_mb() for run in alive) <= limit:
            return
        if sum(run.memory_mb(shared_once=True) for run in alive) <= limit:
            return
        rank = {name: k for k, name in enumerate(self._order)}
        last = max(alive, key=lambda run: (run.member in self._paused, rank.get(run.member, len(rank))))
        self.failed.add(last.member)
        for core in self._cores:
            # There is no room for another one on its core.
            core.closed = core.closed or (core.running is last and len(alive) > 1)
        last.sandbox.cancel()

    # Watched solvers ------------------------------------------------------------------------------------------------

    def _note(self, run: OneRun, told: Glimpse | Reading) -> None:
        if isinstance(told, Reading):
            self.reading = told
        else:
            self._glimpses[run.member] = (told, run.sandbox.spent_s())

    def _prior(self, name: str) -> CostDistribution | None:
        if self._prediction is None or self._prediction.distribution is None:
            return None
        solver = Member.of(name).solver
        known = self._prediction.solvers
        return self._prediction.distribution[known.index(solver)] if solver in known else None

    def _letter(self, name: str) -> str:
        assert self._letters is not None
        return str(self._letters.path / f"{name.replace(':', '-')}.npy")

    def _send_prior(self, name: str) -> None:
        prior = self._prior(name)
        if self._letters is not None and prior is not None:
            import numpy as np

            from satcost_gnn.core.observed import bound_of

            with replacing(Path(self._letter(name))) as temporary, temporary.open("wb") as stream:
                np.save(stream, np.append(prior.cdf, bound_of(prior)), allow_pickle=False)

    def _now(self) -> dict[str, Glimpse | None]:
        """Return what runs, with the CPU seconds that it has used since it was looked at."""
        found: dict[str, Glimpse | None] = {}
        for core in self._cores:
            if core.running is not None:
                name = core.running.member
                seen = self._glimpses.get(name)
                more = core.running.sandbox.spent_s() - seen[1] if seen is not None else 0.0
                found[name] = seen[0].after(max(more, 0.0)) if seen is not None else None
        return found
