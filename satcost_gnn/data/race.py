"""Racing: the solvers of an instance one after the other under rising CPU limits, the slow ones stopped early.

What an instance costs matters most for the solvers that are any good on it. So all solvers begin under a low limit, and
those that have not answered go on under the next one. As soon as one has answered, the others get a multiple of its
time at most: their runs are censored there, at a moment that depends on another solver. What that does to a fit is
measured by ``benchmarks/race_effect.py``.
Whatever the directory holds already counts, whoever made it under whatever limit, so that a race can be continued at
any point and with more solvers or higher limits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from satcost_gnn.data.execution import Request, Unmade
from satcost_gnn.data.run_outcome import survived_s
from satcost_gnn.data.run_store import RunStore
from satcost_gnn.data.schema import Run, RunStatus
from satcost_gnn.errors import DatasetError

# How many times the best time so far the other solvers are given: by default, and all that a race may be told. They are
# few, so that the limits in a table tell which runs a race has stopped.
CAP_FACTOR = 4.0
CAP_FACTORS = (CAP_FACTOR, 16.0)
# No race stops a solver before this: times of milliseconds say little of each other.
LEAST_CAP_S = 1.0


@dataclass(frozen=True)
class RaceRules:
    """Rules of a race.

    Parameters
    ----------
    limits_s
        Rising CPU limits in seconds.
    scouts
        How many of the solvers, the first ones, run before one has answered; the others come in once there is a best
        time, under a multiple of it. None for all.
    factor
        How many times the best time so far the others are given: one of :data:`CAP_FACTORS`.

    Raises
    ------
    DatasetError
        If the limits are none, or not positive and rising, there is no scout, or the factor is another.
    """

    limits_s: tuple[float, ...] = (10.0, 30.0, 100.0, 300.0)
    scouts: int | None = None
    factor: float = CAP_FACTOR

    def __post_init__(self) -> None:
        """Check the values."""
        limits = self.limits_s
        if not limits or not all(before < limit for before, limit in pairwise((0.0, *limits))):
            found = ", ".join(f"{limit:g}" for limit in limits) or "none"
            raise DatasetError(f"limits of a race: found {found}, expected rising CPU seconds")
        if self.scouts is not None and self.scouts < 1:
            raise DatasetError(f"scouts of a race: found {self.scouts}, expected at least 1")
        if self.factor not in CAP_FACTORS:
            expected = " or ".join(f"{factor:g}" for factor in CAP_FACTORS)
            raise DatasetError(f"times the best time in a race: found {self.factor:g}, expected {expected}")

    def within(self, most_s: float) -> RaceRules:
        """Return the rules with the limits up to ``most_s``, which takes the place of those beyond it."""
        below = tuple(limit for limit in self.limits_s if limit < most_s)
        return self if len(below) == len(self.limits_s) else replace(self, limits_s=(*below, most_s))


def cap_s(best_s: float, factor: float = CAP_FACTOR) -> float:
    """Return the CPU limit of the others once a solver has answered within ``best_s``."""
    # Milliseconds, so that the limits in a table can be read.
    return round(max(LEAST_CAP_S, factor * best_s), 3)


def race_factor(run: Run, others: Iterable[Run]) -> float | None:
    """Return how many times another solver's time the limit of a run is; None if no other solver has set it.

    Parameters
    ----------
    run
        The run.
    others
        Runs of the same instance and seed; ``run`` itself may be among them.
    """
    times = [other.cpu_s for other in others if other.status.solved and other.solver != run.solver]
    for factor in CAP_FACTORS:
        if any(cap_s(time, factor) == run.cpu_limit_s for time in times):
            return factor
    return None


def next_run(solvers: Sequence[str], rules: RaceRules, runs: Iterable[Run]) -> tuple[str, float] | None:
    """Return the solver that runs next on an instance and its CPU limit, None if the race is over.

    Parameters
    ----------
    solvers
        Solvers that take part, the likely best first: the sooner one answers, the less the others are given.
    rules
        Rules of the race.
    runs
        Runs of the instance and seed so far, of any solver and under any limit.

    Notes
    -----
    A solver is out when it has answered, ran out of memory, crashed, or can't take the formula; a time-out is not made
    again under a limit that the solver has survived. Once there is a best time, the others go to their last limit at
    once, the smaller one of the cap and the highest limit: what lies below would be paid twice.
    """
    best: float | None = None
    survived = dict.fromkeys(solvers, 0.0)
    made: set[tuple[str, float]] = set()
    out: set[str] = set()
    for run in runs:
        made.add((run.solver, run.cpu_limit_s))
        if run.status.solved:
            best = run.cpu_s if best is None else min(best, run.cpu_s)
        if run.status is not RunStatus.TIMEOUT:
            out.add(run.solver)
        elif run.solver in survived:
            survived[run.solver] = max(survived[run.solver], survived_s(run))
    entrants, limits_s = list(survived), rules.limits_s
    if best is None:
        entrants = entrants[: rules.scouts]
    else:
        limits_s = (min(limits_s[-1], cap_s(best, rules.factor)),)
    # Who has had least is next; of equals, who comes first.
    going = sorted((solver for solver in entrants if solver not in out), key=survived.__getitem__)
    for limit in limits_s:
        for solver in going:
            if limit > survived[solver] and (solver, limit) not in made:
                return solver, limit
    return None


class Race:
    """The runs of a race, one at a time on each instance; an iterator for an executor.

    Parameters
    ----------
    requests
        Instance x solver x seed; solvers run in the order in which they are here, instances begin in theirs.
    rules
        Rules of the race.
    store
        The runs so far. What is handed out is found in it before :meth:`ended` is called.
    on_over
        Called when an instance is done with, with its last run of this race, or None if no run was made.
    on_missing
        Called instead for a request whose file has vanished.
    """

    def __init__(
        self,
        requests: Iterable[Request],
        rules: RaceRules,
        store: RunStore,
        *,
        on_over: Callable[[Run | None], None],
        on_missing: Callable[[Request], None],
    ) -> None:
        self._rules = rules
        self._store = store
        self._on_over, self._on_missing = on_over, on_missing
        entries: dict[tuple[str, int], dict[str, Request]] = {}
        for request in requests:
            entries.setdefault((request.instance, request.seed), {}).setdefault(request.solver, request)
        self._waiting = deque(entries.items())
        # Begun, and nothing of them is under way: what they are, and the last run made.
        self._ready: deque[tuple[tuple[str, int], dict[str, Request], Run | None]] = deque()
        self._under_way: dict[tuple[str, int], dict[str, Request]] = {}

    def __iter__(self) -> Iterator[Request | None]:
        """Yield the next run; None while all that could run depends on runs that are under way."""
        while self._ready or self._waiting or self._under_way:
            last = None
            if self._ready:
                key, entrants, last = self._ready.popleft()
            elif self._waiting:
                key, entrants = self._waiting.popleft()
                # An instance that another collector is at is left to it.
                if not self._store.claim((*key, "race")):
                    self._on_over(None)
                    continue
            else:
                yield None
                continue
            self._store.refresh()
            found = next_run(list(entrants), self._rules, self._store.runs_of(*key))
            if found is None:
                self._on_over(last)
                continue
            solver, limit = found
            request = replace(entrants[solver], cpu_s=limit)
            if not request.path.is_file():
                self._on_missing(request)
            elif not self._store.claim((request.instance, solver, request.seed, limit)):
                # A collector that doesn't race makes this very run.
                self._on_over(last)
            else:
                self._under_way[key] = entrants
                yield request

    def ended(self, found: Run | Unmade) -> None:
        """Take in that a run has ended, and is in the store, or that it could not be made."""
        key = (found.instance, found.seed) if isinstance(found, Run) else (found.request.instance, found.request.seed)
        entrants = self._under_way.pop(key)
        if isinstance(found, Run):
            # In front: whole instances rather than the beginnings of many.
            self._ready.appendleft((key, entrants, found))
