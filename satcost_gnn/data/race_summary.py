"""What a race tells of its solvers, although most of its runs are stopped early."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.race import race_factor
from satcost_gnn.data.run_outcome import effective_run, survived_s
from satcost_gnn.data.schema import Run

# Who is faster on what takes the best solver less says little.
LEAST_BEST_S = 1.0
CLOSE = 2.0


@dataclass(frozen=True)
class RacedSolver:
    """What a race tells of one solver, by one effective run with seed 0 an instance.

    Parameters
    ----------
    solver
        The solver.
    instances, solved
        Instances that it was run on, and that it answered.
    compared
        Of the instances it was run on, those that it and another solver were run on, and that take the best at least
        :data:`LEAST_BEST_S`.
    best, close
        Of those: it was the fastest; it answered within :data:`CLOSE` times the best time.
    without_s
        Mean CPU seconds over those by which the best of the others is slower than the best of all. A lower bound: where
        all others were cut off, the least of their bounds counts.
    """

    solver: str
    instances: int
    solved: int
    compared: int
    best: int
    close: int
    without_s: float


def raced_runs(dataset: Dataset) -> list[tuple[Run, float]]:
    """Return the runs whose limit another solver's time has set, each with the factor."""
    factors = (
        (run, race_factor(run, [other for other in runs if other.seed == run.seed]))
        for runs in dataset.runs_of.values()
        for run in runs
    )
    return [(run, factor) for run, factor in factors if factor is not None]


def common_limits(dataset: Dataset) -> tuple[float, ...]:
    """Return the CPU limits of the runs in seconds, rising, without those that a race has made."""
    raced = {run.key for run, _ in raced_runs(dataset)}
    return tuple(sorted({run.cpu_limit_s for run in dataset.runs if run.key not in raced}))


def limit_counts(dataset: Dataset) -> dict[str, int]:
    """Return the number of runs by their limits, those that a race has cut short under one heading."""
    raced = {run.key: factor for run, factor in raced_runs(dataset)}

    def name(run: Run) -> str:
        if run.key in raced:
            return f"{raced[run.key]:g} x best so far / in proportion / {run.memory_limit_mb}"
        return run.limits

    return dict(Counter(name(run) for run in dataset.runs).most_common())


def race_summary(dataset: Dataset) -> tuple[RacedSolver, ...]:
    """Return what the runs tell of each solver, the one that is most often close to the best first."""
    chosen = dataset.solvers
    counts: dict[str, Counter[str]] = {solver: Counter() for solver in chosen}
    gaps: dict[str, list[float]] = defaultdict(list)
    for instance in dataset.instances:
        its = [run for run in dataset.runs_of.get(instance, ()) if run.seed == 0]
        found = {solver: effective_run(run for run in its if run.solver == solver) for solver in chosen}
        told = {solver: run for solver, run in found.items() if run is not None}
        # Seconds of the solved, bounds of the others.
        seconds = {solver: run.cpu_s if run.status.solved else survived_s(run) for solver, run in told.items()}
        answered = {solver: seconds[solver] for solver, run in told.items() if run.status.solved}
        for solver in told:
            counts[solver].update(instances=1, solved=solver in answered)
        if len(told) < 2 or not answered or min(answered.values()) < LEAST_BEST_S:
            continue
        best = min(answered.values())
        for solver in told:
            others = [time for name, time in answered.items() if name != solver]
            bounds = [time for name, time in seconds.items() if name != solver]
            gaps[solver].append(max(0.0, (min(others) if others else min(bounds)) - best))
            counts[solver].update(
                compared=1,
                best=answered.get(solver) == best,
                close=answered.get(solver, CLOSE * best + 1) <= CLOSE * best,
            )
    rows = [
        RacedSolver(
            solver,
            counts[solver]["instances"],
            counts[solver]["solved"],
            counts[solver]["compared"],
            counts[solver]["best"],
            counts[solver]["close"],
            sum(gaps[solver]) / len(gaps[solver]) if gaps[solver] else 0.0,
        )
        for solver in chosen
    ]
    return tuple(sorted(rows, key=lambda row: (-row.close / max(1, row.compared), row.solver)))
