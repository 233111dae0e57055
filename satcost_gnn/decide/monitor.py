"""Watch a solver of PySAT at work, and say how much it will still take.

::

    from pysat.solvers import Solver
    from satcost_gnn.decide.monitor import CostMonitor

    with Solver(name="cadical195", bootstrap_with=clauses) as solver, CostMonitor(solver) as monitor:
        answer = monitor.run(callback=lambda estimate: print(estimate))

Solvers that give up Python's lock while they search (MiniSat, Glucose, Maple and their kin) run in a thread of their
own and their counters are read from outside: the search is exactly what it would be alone. CaDiCaL keeps the lock, so
it runs in slices by conflict budget that grow with what has been done; it restarts at the end of each, which changes
its search a little. Nothing here imports torch.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from satcost_gnn.core.distribution import UNIT_LABELS, CostDistribution
from satcost_gnn.core.observed import bound_of, extrapolated, observed_up_to
from satcost_gnn.decide.reestimate import Reestimator, SearchState, conditional
from satcost_gnn.decide.time_left import COVERAGE, WIDEST, short_number, why_unknown
from satcost_gnn.errors import SolverError
from satcost_gnn.search.solvers import SOLVERS, Watching, spec_of_engine


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a run is estimated to cost at one point of it.

    Parameters
    ----------
    state
        Counters of the run so far.
    distribution
        Distribution of the whole cost, of shape ``()``, what has been used included; None if there is nothing to
        estimate from.
    unknown
        Why the estimate would be a guess; empty if it is one to go by.
    """

    unit: str
    state: SearchState
    distribution: CostDistribution | None
    unknown: str
    wall_s: float

    @property
    def used(self) -> float:
        """Cost so far, in the unit."""
        return self.state.cost(self.unit)

    def quantile(self, q: float) -> float:
        """Return a quantile of the whole cost, in the unit; infinite where only a lower bound is known.

        Raises
        ------
        SolverError
            If there is no distribution.
        """
        found = self._found()
        return math.inf if bool(found.censored_above(q)) else 10.0 ** float(found.quantile(q))

    def remaining(self, q: float = 0.5) -> float:
        """Return a quantile of the cost that is left, in the unit."""
        return max(self.quantile(q) - self.used, 0.0)

    def remaining_interval(self, coverage: float = COVERAGE) -> tuple[float, float]:
        """Return the ends of the central interval of the cost that is left, in the unit."""
        return self.remaining(0.5 - coverage / 2), self.remaining(0.5 + coverage / 2)

    def p_solved_within(self, more: float) -> float:
        """Return the probability that the run ends within so much more of the cost unit; NaN where that is unknown."""
        return float(self._found().p_solved_by(self.used + more))

    def _found(self) -> CostDistribution:
        if self.distribution is None:
            raise SolverError(f"there is no estimate: {self.unknown}")
        return self.distribution

    def __str__(self) -> str:
        restarts = "" if self.state.restarts is None else f"{self.state.restarts:,} restarts, "
        head = f"{self.state.cpu_s:.1f} CPU s, {restarts}{self.state.conflicts:,} conflicts"
        if self.unknown:
            return f"{head}; remaining: unknown ({self.unknown})"
        low, high = self.remaining_interval()
        label = UNIT_LABELS[self.unit]
        return (
            f"{head}; remaining: {short_number(self.remaining())} ({short_number(low)} to {short_number(high)}) {label}"
        )


#: Called at every checkpoint; True stops the run.
Callback = Callable[[Estimate], object]


def give_up_below(p: float, limit: float) -> Callback:
    """Return a callback that stops a run whose probability of ending within a limit has fallen below ``p``.

    The limit is that of the whole cost, in the monitor's unit.
    """

    def callback(estimate: Estimate) -> bool:
        return not estimate.unknown and estimate.p_solved_within(max(limit - estimate.used, 0.0)) < p

    return callback


class CostMonitor:
    """Runs a solver object of PySAT, reads its counters at checkpoints and re-estimates its cost there.

    Parameters
    ----------
    solver
        A ``pysat.solvers.Solver``, or an object of one of its solver classes, with its clauses added. It stays the
        caller's: options, clauses, models and proofs are as without a monitor.
    prior
        Prediction before the run: a distribution of shape ``()``, or several by unit; see :func:`prior_of`. None for
        what is known of any run in the training data.
    unit
        Cost unit of the estimates; default: that of the prior, ``cpu_seconds`` if it has both or there is none.
    reestimator
        None to condition the prior on what has been survived; ``shipped`` for the model that comes with the package,
        which looks at the search so far as well, and is not better yet (docs/monitor.md).
    first, growth
        The first checkpoint, in conflicts, and how much further each next one lies, as a share of the conflicts so
        far.
    every_s
        CPU seconds after which there is a checkpoint however few conflicts there were; for a sliced solver its slices
        are sized to last about so long. None for checkpoints by conflicts alone.
    widest
        Decades of the 80 % interval of the whole cost beyond which an estimate is called unknown.
    mode
        ``watch`` or ``slices``, see the module; ``auto`` takes ``watch`` where it is possible.

    Raises
    ------
    SolverError
        If the solver can be neither watched nor run in slices, or the mode doesn't fit it.

    Notes
    -----
    Glucose and its kin look at interrupts and budgets only when they restart: a stop may take effect late.
    """

    def __init__(
        self,
        solver: Any,
        prior: CostDistribution | Mapping[str, CostDistribution] | None = None,
        *,
        unit: str | None = None,
        reestimator: Reestimator | Literal["shipped"] | None = None,
        first: int = 1000,
        growth: float = 0.25,
        every_s: float | None = None,
        widest: float = WIDEST,
        mode: Literal["auto", "watch", "slices"] = "auto",
    ) -> None:
        self.solver = solver
        engine = getattr(solver, "solver", None)
        engine = solver if engine is None else engine
        kind, spec = type(engine).__name__, spec_of_engine(engine)
        watching = Watching.NONE if spec is None else spec.watching
        # A propagator in Python needs the lock while the solver searches.
        can_watch = watching is Watching.THREAD and getattr(engine, "pengine", None) is None
        can_slice = watching is not Watching.NONE
        possible = [name for name, can in (("watch", can_watch), ("slices", can_slice)) if can]
        if not possible:
            raise SolverError(
                f"found solver {kind}, which takes no limit on conflicts and shows no counters while it runs; expected "
                f"one of {', '.join(name for name, one in SOLVERS.items() if one.watching is not Watching.NONE)}"
            )
        if mode != "auto" and mode not in possible:
            raise SolverError(f"found mode {mode!r}; {kind} can be monitored in mode {' or '.join(possible)}")
        if first < 1 or growth < 0:
            raise SolverError(f"found first={first}, growth={growth}; expected first >= 1, growth >= 0")
        self.mode: str = possible[0] if mode == "auto" else mode
        priors = {prior.grid.unit: prior} if isinstance(prior, CostDistribution) else dict(prior or {})
        for distribution in priors.values():
            if distribution.shape != ():
                raise SolverError(
                    f"found a prior of shape {distribution.shape}; expected one distribution: that of this solver"
                )
        self.priors = {unit: extrapolated(found) for unit, found in priors.items()}
        #: Unit -> cost beyond which the labels behind the prior tell nothing.
        self.bounds = {unit: bound_of(found) for unit, found in priors.items()}
        self.unit = unit or (next(iter(priors)) if len(priors) == 1 else "cpu_seconds")
        shipped = Reestimator.shipped() if reestimator == "shipped" or not priors else None
        self.reestimator = shipped if reestimator == "shipped" else reestimator
        #: What is known of any run, if nothing is known of this one.
        self.population = shipped.population if shipped is not None and not priors else {}
        self._first, self._growth, self._every_s, self._widest = first, growth, every_s, widest
        self._counts_propagations = spec is not None and "propagations" in spec.counters
        #: States at the checkpoints of the run, the last one after its end.
        self.history: list[SearchState] = []
        #: Estimates at the checkpoints of the run.
        self.estimates: list[Estimate] = []
        #: Why the run was stopped: ``callback`` or ``limit``; empty if it ended by itself.
        self.stopped_by = ""
        #: CPU seconds spent on reading counters, estimating and the callback.
        self.overhead_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held: the solver is the caller's."""

    @property
    def estimate(self) -> Estimate | None:
        """The latest estimate."""
        return self.estimates[-1] if self.estimates else None

    def run(
        self, assumptions: Sequence[int] = (), callback: Callback | None = None, limit_s: float | None = None
    ) -> bool | None:
        """Run the solver to its end, or until it is stopped.

        Parameters
        ----------
        assumptions
            Assumed literals.
        callback
            Called at every checkpoint with the estimate there; True stops the run.
        limit_s
            CPU seconds after which the run is stopped (a sliced solver: at the end of the slice that reaches them,
            which is sized for it).

        Returns
        -------
        bool or None
            The solver's answer; None if it was stopped (see :attr:`stopped_by`) or ran out of a budget of its own.
        """
        self.history, self.estimates, self.stopped_by, self.overhead_s = [], [], "", 0.0
        self._base = dict(self.solver.accum_stats())
        self._begin = time.monotonic()
        runner = self._watch if self.mode == "watch" else self._slices
        return runner(list(assumptions), callback, math.inf if limit_s is None else limit_s)

    def solve_limited(self, assumptions: Sequence[int] = (), expect_interrupt: bool = False) -> bool | None:
        """Run the solver as :meth:`run` does, with the signature of PySAT's method."""
        del expect_interrupt
        return self.run(assumptions)

    def _state(self, cpu_s: float) -> SearchState:
        found = {name: int(value) - int(self._base.get(name, 0)) for name, value in self.solver.accum_stats().items()}
        return SearchState(
            conflicts=found["conflicts"],
            decisions=found["decisions"],
            propagations=found["propagations"] if self._counts_propagations else None,
            restarts=found["restarts"],
            cpu_s=cpu_s,
        )

    def _due(self, conflicts: int) -> int:
        """Return the conflicts at which the next checkpoint is due."""
        return conflicts + max(self._first, int(self._growth * conflicts))

    def _checkpoint(self, state: SearchState, callback: Callback | None) -> bool:
        """Estimate anew and return whether to stop."""
        self.history.append(state)
        self.estimates.append(self._estimated(state))
        if callback is not None and callback(self.estimates[-1]) is True:
            self.stopped_by = "callback"
        return bool(self.stopped_by)

    def _estimated(self, state: SearchState) -> Estimate:
        distribution, why = self._distribution(state)
        if distribution is not None:
            distribution = observed_up_to(distribution, self.bounds.get(self.unit, math.inf))
            why = why_unknown(distribution, state.cost(self.unit), self._widest)
        return Estimate(self.unit, state, distribution, why, time.monotonic() - self._begin)

    def _distribution(self, state: SearchState) -> tuple[CostDistribution | None, str]:
        if not state.cost(self.unit) > 0:
            return None, "the search has not begun"
        prior = self.priors.get(self.unit)
        model = self.reestimator
        if model is not None and self.unit in model.stages and (prior is not None or not self.priors):
            return model.reestimate(self.unit, prior, self.history), ""
        before = prior if prior is not None else self.population.get(self.unit)
        if before is not None:
            return conditional(before, state.cost(self.unit)), ""
        for unit, other in self.priors.items():
            # In another unit: its estimate at the rate so far.
            used = state.cost(unit)
            if used > 0:
                known = model is not None and unit in model.stages
                found = model.reestimate(unit, other, self.history) if known and model else conditional(other, used)
                shift = math.log10(state.cost(self.unit) / used)
                grid = type(found.grid)(self.unit, found.grid.low + shift, found.grid.high + shift, found.grid.bins)
                return CostDistribution(grid, found.cdf), ""
        return None, "no prediction before the run"

    def _slices(self, assumptions: list[int], callback: Callback | None, limit_s: float) -> bool | None:
        try:
            return self._slices_of_budget(assumptions, callback, limit_s)
        finally:
            # However it ends, a later call of the caller's own is not cut short; CaDiCaL forgets its limits by itself
            # once it has searched.
            self.solver.conf_budget(-1)

    def _slices_of_budget(self, assumptions: list[int], callback: Callback | None, limit_s: float) -> bool | None:
        answer: bool | None = None
        state = self._state(0.0)
        while True:
            begin = time.thread_time()
            budget = self._due(state.conflicts) - state.conflicts
            left_s = min(limit_s - state.cpu_s, self._every_s or math.inf)
            if math.isfinite(left_s):
                # At the speed so far; before it is known, a small slice measures it.
                speed = state.conflicts / state.cpu_s if state.cpu_s > 0 else 100.0
                budget = min(budget, max(int(speed * left_s), 10))
            self.solver.conf_budget(budget)
            start = time.thread_time()
            answer = self.solver.solve_limited(assumptions=assumptions)
            end = time.thread_time()
            self.overhead_s += start - begin
            before, state = state, self._state(state.cpu_s + end - start)
            stop = answer is None and self._checkpoint(state, callback)
            if answer is not None:
                self.history.append(state)
            elif not stop and state.cpu_s >= limit_s:
                self.stopped_by = "limit"
            # A solver that comes back empty-handed without using its budget has run out of another one.
            idle = state.conflicts == before.conflicts and state.decisions == before.decisions
            self.overhead_s += time.thread_time() - end
            if answer is not None or self.stopped_by or idle:
                break
        return answer

    def _watch(self, assumptions: list[int], callback: Callback | None, limit_s: float) -> bool | None:
        found: list[bool | None] = [None]
        failure: list[BaseException] = []
        spent: list[float] = []
        clock: list[int] = []
        ready, done = threading.Event(), threading.Event()

        def search() -> None:
            # Asked for here: from outside the thread may have ended already.
            clock.append(time.pthread_getcpuclockid(threading.get_ident()))
            ready.set()
            start = time.thread_time()
            try:
                found[0] = self.solver.solve_limited(assumptions=assumptions, expect_interrupt=True)
            except BaseException as error:
                failure.append(error)
            finally:
                spent.append(time.thread_time() - start)
                done.set()

        begin = time.thread_time()
        worker = threading.Thread(target=search, name="satcost-monitored-solver", daemon=True)
        worker.start()
        ready.wait()
        due, due_s, wait = self._first, self._every_s or math.inf, 0.005
        stopping = False
        try:
            while not done.wait(wait):
                try:
                    cpu_s = time.clock_gettime(clock[0])
                except OSError:  # it has just ended
                    continue
                # Often at first, later a few times in each tenth of the time spent; less often where looking costs more
                # than a hundredth of what the solver gets (it may get little on a busy machine).
                costly = time.thread_time() - begin > 0.01 * cpu_s
                wait = min(4.0 * wait, 2.0) if costly else min(max(0.02 * cpu_s, 0.01), 0.5)
                if stopping:
                    continue
                state = self._state(cpu_s)
                if state.conflicts >= due or cpu_s >= due_s:
                    stopping = self._checkpoint(state, callback)
                    due, due_s = self._due(state.conflicts), cpu_s + (self._every_s or math.inf)
                if not stopping and cpu_s >= limit_s:
                    self.stopped_by, stopping = "limit", True
                if stopping:
                    self.solver.interrupt()
        except BaseException:
            self.solver.interrupt()
            raise
        finally:
            worker.join()
            self.solver.clear_interrupt()
        self.overhead_s = time.thread_time() - begin
        if failure:
            raise failure[0]
        if found[0] is not None:
            self.stopped_by = ""
        self.history.append(self._state(spent[0]))
        return found[0]


def prior_of(predictions: Sequence[Any], solver: str) -> dict[str, CostDistribution]:
    """Return what a monitor takes as its prior from predictions of one instance, each in a unit of its own.

    Returns
    -------
    dict
        Unit -> distribution of shape ``()``; empty if none of them predicts the solver.
    """
    return {
        found.unit: found.distribution[found.solvers.index(solver)]
        for found in predictions
        if found.distribution is not None and solver in found.solvers
    }
