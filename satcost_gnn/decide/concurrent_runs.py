"""Runs of several solvers on one formula in limited child processes: the first answer ends them all.

Each core has a helper process of its own. A model is checked against the formula before it counts; a solver that
crashes, runs out of memory or gives a wrong model is passed over and the next one of the schedule begins. If a schedule
ends early that way, the solvers that have not failed are given what is left of the time.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.observed import bound_of
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.solver_child import ANSWER_CHILD, Glimpse, Watch
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.text_stream import STANDARD_LIMITS, ReadLimits
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox
from satcost_gnn.runtime.scratch_space import ScratchSpace
from satcost_gnn.search.external import ExternalSpec
from satcost_gnn.search.solvers import satisfies, solver_spec

if TYPE_CHECKING:
    from satcost_gnn.serve.prediction import Prediction

#: A run shorter than this many seconds is not worth its start.
SHORTEST_S = 0.01
# Runs end by their own limits; after so many seconds more nobody waits for that.
_LATE_S = 0.3


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
    copula_correlation
        See :class:`~satcost_gnn.decide.schedule_search.ScheduleSettings`; None for the checkpoint's.
    proof
        File for a proof of unsatisfiability; only solvers that write one are run then.
    programs
        Solver of the checkpoint -> registered name of the program that is run in its place.
    watch
        Whether running solvers are watched, so that progress tells what they have done. It slows them down a little,
        and changes the search of CaDiCaL.
    read
        How much of a file is read, and how strictly.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    time_limit_s: float = 5000.0
    memory_limit_mb: int = 4096
    cores: int = 1
    objective: Objective = Objective.PAR2
    copula_correlation: float | None = None
    proof: Path | None = None
    programs: Mapping[str, str] = field(default_factory=dict)
    watch: bool = False
    read: ReadLimits = STANDARD_LIMITS

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
        Seconds used, by a cancelled run too.
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


class _Core(threading.Thread):
    """Runs one solver after another in a helper process of its own and reports how each has ended."""

    def __init__(self, number: int, runs: ConcurrentRuns) -> None:
        super().__init__(name=f"satcost-core-{number}", daemon=True)
        self.number = number
        self.sandbox = Sandbox()
        self._runs = runs

    def run(self) -> None:
        runs = self._runs
        try:
            while (part := runs.next_slice(self.number)) is not None:
                runs.ended.put(runs.attempt(self, part))
            runs.ended.put(None)
        except BaseException as error:
            runs.ended.put(error)
        finally:
            self.sandbox.close()

    def stop_run(self) -> None:
        """End what runs; what comes next has a helper of its own."""
        former, self.sandbox = self.sandbox, Sandbox()
        former.cancel()


class ConcurrentRuns:
    """The runs on one formula: first those of presolving, then, once it is known, those of a schedule.

    Use as a context manager: at its end, whatever happens, no process is left behind. Proofs are written into the
    directory ``proofs``, if there is one.
    """

    def __init__(
        self,
        formula: Formula,
        fallbacks: Sequence[str],
        settings: SolveSettings,
        begin: float,
        proofs: Path | None = None,
    ) -> None:
        self.formula, self.settings, self.begin, self._proofs = formula, settings, begin, proofs
        self.ended: queue.SimpleQueue[tuple[Attempt, Outcome, Path | None] | BaseException | None] = queue.SimpleQueue()
        self.glimpses: dict[str, Glimpse | None] = {}
        # CPU seconds of a solver's helper and all below it at the latest look.
        self._looked: dict[str, tuple[Sandbox, float]] = {}
        self.attempts: list[Attempt] = []
        self.won: tuple[Attempt, Outcome, Path | None] | None = None
        self.failed: set[str] = set()
        self._prediction: Prediction | None = None
        self._waiting: list[list[Slice]] = [[] for _ in range(settings.cores)]
        self._fallbacks = list(fallbacks)
        self._limits: dict[str, float] = {}
        # Cores have nothing to do before there is a plan: they wait for it.
        self._planned = self._over = False
        self._change = threading.Condition()
        self._cores = [_Core(k, self) for k in range(settings.cores)]
        self._busy = 0
        # Holds what solvers that run already are told later.
        self._letters = ScratchSpace.make() if settings.watch else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._over = True
            self._change.notify_all()
        for core in self._cores:
            core.sandbox.cancel()
        for core in self._cores:
            if core.is_alive():
                core.join(timeout=10)
        with contextlib.suppress(queue.Empty):
            while True:
                item = self.ended.get_nowait()
                if isinstance(item, tuple):
                    self.attempts.append(item[0])
        if self._letters is not None:
            self._letters.remove()

    def left_s(self) -> float:
        """Wall seconds that are left."""
        return self.settings.time_limit_s - (time.monotonic() - self.begin)

    def start(self, solver: str) -> None:
        """Let a solver begin on the first core, with all the time that is left."""
        self._waiting[0] = [Slice(solver, max(self.left_s(), SHORTEST_S))]
        self._begin(self._cores[:1])

    def follow(self, cores: Sequence[Sequence[Slice]], prediction: Prediction | None, running: str = "") -> None:
        """Follow a schedule; a solver that runs already and has a slice in it goes on on the first core."""
        goes_on = any(part.solver == running for core in cores for part in core)
        with self._change:
            self._prediction = prediction
            for k, core in enumerate(cores):
                self._waiting[k] = [part for part in core if part.solver != running]
            self._planned = True
            self._change.notify_all()
        if running in self.glimpses:
            if goes_on:
                self._send_prior(running)
            else:
                self._cores[0].stop_run()
        self._begin([core for core in self._cores[: len(cores)] if core.ident is None])

    def go_on(self) -> None:
        """Let what runs go on, and the usual solvers take the cores that have nothing to do."""
        with self._change:
            self._planned = True
            self._change.notify_all()
        self._begin([core for core in self._cores if core.ident is None])

    def _begin(self, cores: Sequence[_Core]) -> None:
        for core in cores:
            core.start()
        self._busy += len(cores)

    def pause(self) -> None:
        """Stop the solvers where they are."""
        for core in self._cores:
            core.sandbox.pause()

    def resume(self) -> None:
        """Let them go on."""
        for core in self._cores:
            core.sandbox.resume()

    def next_slice(self, core: int) -> Slice | None:
        """Return what a core is to run next; None for nothing more."""
        with self._change:
            while not (self._waiting[core] or self._planned or self._over):
                self._change.wait()
            left = self.left_s()
            if left < SHORTEST_S or self._over:
                return None
            own = self._waiting[core]
            if own:
                part = own.pop(0)
                # Nothing comes after the last one: it may have all that is left.
                part = part if own else replace(part, cpu_s=max(part.cpu_s, left))
            else:
                # Runs have ended before their time: whoever has not failed begins again with more than it had.
                able = [
                    name
                    for name in self._fallbacks
                    if name not in self.failed
                    and name not in self.glimpses
                    and self._limits.get(name, 0.0) < 0.5 * left
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
        if self._proofs is not None:
            proof = self._proofs / str(core.number)
        limits = Limits(part.cpu_s, max(self.left_s(), SHORTEST_S), settings.memory_limit_mb)
        spec = solver_spec(program)
        sandbox = core.sandbox
        if isinstance(spec, ExternalSpec):
            call = spec.child_call(
                self.formula,
                seed=0,
                cpu_s=limits.cpu_s,
                wall_s=limits.wall_s,
                memory_mb=limits.memory_mb,
                conflicts=None,
            )
            outcome = sandbox.run(call.function, {**call.kwargs, "with_model": True}, call.limits)
        else:
            watch = None
            if self._letters is not None:
                watch = Watch(prior=self._prior(part.solver), later=self._letter(part.solver), limit_s=limits.cpu_s)

            def note(glimpse: Glimpse) -> None:
                self._looked[part.solver] = (sandbox, sandbox.spent_s())
                self.glimpses[part.solver] = glimpse

            outcome = sandbox.run(
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
        with self._change:
            self.glimpses.pop(part.solver, None)
            if status in ("MEMOUT", "CRASHED", "WRONG"):
                self.failed.add(part.solver)
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

    def _prior(self, solver: str) -> CostDistribution | None:
        if self._prediction is None or self._prediction.distribution is None:
            return None
        return self._prediction.distribution[self._prediction.solvers.index(solver)]

    def _letter(self, solver: str) -> str:
        assert self._letters is not None
        return str(self._letters.path / f"{self._fallbacks.index(solver)}.npy")

    def _send_prior(self, solver: str) -> None:
        prior = self._prior(solver)
        if self._letters is not None and prior is not None:
            with replacing(Path(self._letter(solver))) as temporary, temporary.open("wb") as stream:
                np.save(stream, np.append(prior.cdf, bound_of(prior)), allow_pickle=False)

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

    def watch(self, on_progress: Callable[[Progress], None] | None, every_s: float, for_s: float = np.inf) -> bool:
        """Wait for an answer, until no core has anything to do, or for some time; return whether the time was up.

        Before there is a schedule, it waits no longer than for the first run to end.
        """
        end = time.monotonic() + for_s
        while self._busy and self.won is None:
            left = end - time.monotonic()
            if left <= 0:
                return True
            try:
                item = self.ended.get(timeout=min(every_s, left))
            except queue.Empty:
                if self.left_s() < -_LATE_S:
                    break
            else:
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    self._busy -= 1
                    continue
                self.attempts.append(item[0])
                if item[0].status in ("SAT", "UNSAT"):
                    self.won = item
                elif not self._planned:
                    break
            if on_progress is not None:
                on_progress(Progress(time.monotonic() - self.begin, "solving", self._now()))
        return False

    def _now(self) -> dict[str, Glimpse | None]:
        """Return what runs, with the CPU seconds that it has used since it was looked at."""
        found = dict(self.glimpses)
        for solver, seen in found.items():
            if seen is not None and solver in self._looked:
                sandbox, then = self._looked[solver]
                found[solver] = seen.after(max(sandbox.spent_s() - then, 0.0))
        return found
