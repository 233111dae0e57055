"""What runs under several limits tell together."""

from __future__ import annotations

from collections.abc import Iterable

from satcost_gnn.data.schema import Run, RunStatus


def survived_s(run: Run) -> float:
    """Return the CPU seconds that a censored run has gone through without an answer.

    The CPU limit, or the time used if the wall-clock limit struck well before.
    """
    early = run.status is RunStatus.TIMEOUT and run.cpu_s < 0.95 * run.cpu_limit_s
    return run.cpu_s if early else run.cpu_limit_s


def outcome_within(runs: Iterable[Run], cutoff_s: float) -> tuple[Run, RunStatus] | None:
    """Return what one solver does within a CPU limit, as told by its runs under whatever limits.

    Parameters
    ----------
    runs
        Runs of one solver on one instance with one seed.
    cutoff_s
        CPU seconds.

    Returns
    -------
    The run that tells, and its status within the cutoff: that of the run, or ``TIMEOUT`` if the run took longer. None
    if no run tells, because all ended at limits below the cutoff.
    """
    candidates = list(runs)
    for run in candidates:
        if run.status.solved and run.cpu_s <= cutoff_s:
            return run, run.status
    for run in candidates:
        if run.cpu_s > cutoff_s and (run.status.solved or run.status.censored):
            return run, RunStatus.TIMEOUT
    for run in candidates:
        if run.status.censored and survived_s(run) >= cutoff_s:
            return run, run.status
    for run in candidates:
        if not (run.status.solved or run.status.censored):
            return run, run.status
    return None


def effective_run(runs: Iterable[Run]) -> Run | None:
    """Return the one run that tells most of a solver on an instance, of runs that differ by their limit only.

    One with an answer, else the one that went on longest without; None if all failed for other reasons.
    """
    candidates = list(runs)
    solved = [run for run in candidates if run.status.solved]
    if solved:
        return min(solved, key=lambda run: run.cpu_s)
    return max((run for run in candidates if run.status.censored), key=survived_s, default=None)
