"""A static schedule: which solvers to run, in turn and for how long, before anything is predicted.

Kadioglu, Malitsky, Sabharwal, Samulowitz and Sellmann, "Algorithm selection and scheduling" (CP 2011), run a short
schedule of complementary solvers before the solver that is chosen for the instance (3S); Hoos, Kaminski, Lindauer and
Schaub, "aspeed: solver scheduling via answer set programming" (TPLP 15, 2015) find schedules of all the time. Both
start each solver once. Here a solver that has its turn again goes on where it was paused, as ``satcost solve`` runs
it, so that a short first turn is not lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import par

Floats = NDArray[np.float64]

#: Lengths of a slice as shares of the limit, each about twice the one before.
SHARES = tuple(float(2.0**-k) for k in range(12, 0, -1))
_PENALTY = 2.0


def schedule_runtimes(runtimes: Floats, schedule: Sequence[tuple[int, float]]) -> Floats:
    """Return ``float64[n]``: seconds until a schedule answers each instance, infinite where it doesn't.

    Parameters
    ----------
    runtimes
        ``float64[n, m]``: seconds of each solver, infinite for no answer.
    schedule
        Solvers (columns) with seconds, in order. A solver that comes again goes on.
    """
    found = np.full(len(runtimes), np.inf)
    had = np.zeros(runtimes.shape[1])
    spent = 0.0
    for solver, seconds in schedule:
        need = runtimes[:, solver] - had[solver]
        found = np.where(np.isinf(found) & (need <= seconds), spent + need, found)
        had[solver] += seconds
        spent += seconds
    return found


def schedule_par2(runtimes: Floats, schedule: Sequence[tuple[int, float]], limit_s: float) -> Floats:
    """Return ``float64[n]``: PAR2 of a schedule in seconds (arguments of :func:`schedule_runtimes`)."""
    seconds = schedule_runtimes(runtimes, schedule)
    return par(seconds, np.isfinite(seconds), limit_s, _PENALTY)


def static_schedule(
    runtimes: Floats,
    limit_s: float,
    slices: int = 3,
    most_s: float = np.inf,
    standard_errors: float = 1.0,
    last: int | None = None,
) -> list[tuple[int, float]]:
    """Return the static schedule that a training side calls for.

    It grows from the single best solver alone: in turn the slice is put in, at any place before the last run, that
    lowers the mean PAR2 most, as long as it lowers it by more than some standard errors of the difference.

    Parameters
    ----------
    runtimes
        ``float64[n, m]``: seconds of training runs, infinite for no answer.
    limit_s
        Seconds of everything.
    slices, most_s
        Largest number of slices before the last run, and largest sum of their seconds.
    standard_errors
        How sure a slice has to be. With 0 each that lowers the mean is taken.
    last
        The solver that has the rest; the single best by default.

    Returns
    -------
    list of tuple
        Column and seconds of each slice, and of the last run, which has all that is left.

    Raises
    ------
    ValueError
        If there is no instance or solver, or the limit isn't positive.
    """
    if runtimes.ndim != 2 or not runtimes.size or not limit_s > 0:
        raise ValueError(
            f"found runtimes of shape {runtimes.shape} and a limit of {limit_s:g} s; expected at least one instance "
            "and one solver, and a positive limit"
        )
    if last is None:
        last = int(par(runtimes, np.isfinite(runtimes), limit_s, _PENALTY).mean(axis=0).argmin())
    chosen: list[tuple[int, float]] = []

    def whole(first: list[tuple[int, float]]) -> list[tuple[int, float]]:
        return [*first, (last, limit_s - sum(seconds for _, seconds in first))]

    lengths = [share * limit_s for share in SHARES]
    best = schedule_par2(runtimes, whole(chosen), limit_s)
    for _ in range(slices):
        left = min(most_s, limit_s) - sum(seconds for _, seconds in chosen)
        tried = [
            [*chosen[:place], (solver, seconds), *chosen[place:]]
            for place in range(len(chosen) + 1)
            for solver in range(runtimes.shape[1])
            for seconds in lengths
            if seconds <= left
        ]
        if not tried:
            break
        costs = np.stack([schedule_par2(runtimes, whole(one), limit_s) for one in tried])
        winner = int(costs.mean(axis=1).argmin())
        gain = best - costs[winner]
        if gain.mean() <= max(standard_errors * gain.std() / np.sqrt(len(gain)), 1e-9 * limit_s):
            break
        chosen, best = tried[winner], costs[winner]
    return whole(chosen)
