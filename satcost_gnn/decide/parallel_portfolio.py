"""Who runs beside whom: a portfolio for several cores, chosen jointly from the runs of a training side.

Each member is a solver in one configuration with one seed. Members are taken in turn, each the one that lowers the
mean PAR2 of the fastest of all chosen so far most: Streeter and Golovin, "An online algorithm for maximizing
submodular functions" (NIPS 2008), and portfolios of configurations as Hydra makes them (Xu, Hoos and Leyton-Brown,
AAAI 2010). The first ones of the list are the portfolio for fewer cores.

Not every candidate has runs on every instance. A candidate is judged by the share of the PAR2 that it takes away from
the members so far, on the instances on which its runs and theirs tell, and by :data:`LEAST_INSTANCES` at least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import par
from satcost_gnn.data.run_outcome import outcome_within, survived_s
from satcost_gnn.decide.solving import Member
from satcost_gnn.decide.turns import PARITY

if TYPE_CHECKING:
    from satcost_gnn.data.dataset import Dataset

#: Instances that all members and a candidate must have runs on for it to be judged.
LEAST_INSTANCES = 30
#: Members that a checkpoint lists at most.
MOST_MEMBERS = 8
#: Share of the PAR2 that a member must take away.
LEAST_GAIN = 0.002


def member_par2(
    dataset: Dataset, members: Sequence[str], instances: Collection[str], cutoff_s: float
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Return what members (by their names) take on instances.

    Published runs of other programs are left out unless a member has their name.

    Returns
    -------
    tuple
        The instances that some member has a run on; ``float64[n, m]``: PAR2 in seconds, NaN where no run tells; and
        the same shape: seconds that a member has gone through without an answer, 0 for none.
    """
    column = {Member.of(name): k for k, name in enumerate(members)}
    runs = defaultdict(list)
    for run in dataset.runs:
        member = Member(run.solver, run.seed)
        if member in column and run.instance in instances:
            runs[run.instance, column[member]].append(run)
    names = sorted({name for name, _ in runs})
    row = {name: k for k, name in enumerate(names)}
    found = np.full((len(names), len(members)), np.nan)
    survived = np.zeros(found.shape)
    for (name, k), its in runs.items():
        survived[row[name], k] = max((survived_s(run) for run in its if run.status.censored), default=0.0)
        outcome = outcome_within(its, cutoff_s)
        if outcome is not None:
            run, status = outcome
            found[row[name], k] = par(run.cpu_s, status.solved, cutoff_s, 2.0)
    return names, found, survived


def fastest(par2: NDArray[np.float64], survived: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    """Return ``float64[n]``: PAR2 in seconds of the fastest of some members, NaN where their runs don't tell.

    A run that was stopped, but not before another member had answered, tells that it isn't the fastest: were it left
    out, members that races have stopped would be judged on the instances on which they are good. The other parameters
    are those that :func:`member_par2` returns.
    """
    its = par2[:, list(columns)]
    best = np.where(np.isnan(its), np.inf, its).min(axis=1)
    tells = ~np.isnan(its) | (survived[:, list(columns)] >= best[:, None])
    return np.where(tells.all(axis=1) & np.isfinite(best), best, np.nan)


def candidates(dataset: Dataset, solvers: Collection[str]) -> list[str]:
    """Return the members that a data set has own runs of, of these solvers; ``parity`` has a turn anyway."""
    found = {Member(run.solver, run.seed) for run in dataset.runs if run.solver in solvers and run.solver != PARITY}
    return [member.name for member in sorted(found)]


def parallel_portfolio(
    par2: NDArray[np.float64],
    survived: NDArray[np.float64],
    first: int,
    most: int = MOST_MEMBERS,
    least: int = LEAST_INSTANCES,
) -> list[int]:
    """Return the columns of the members to run on several cores, the first one first.

    The list ends where no candidate takes :data:`LEAST_GAIN` of the PAR2 away.

    Parameters
    ----------
    par2, survived
        ``float64[n, m]``, in seconds: see :func:`member_par2`.
    first
        Column of the first member.
    least
        Least number of instances with runs of its own that tell by which a member is judged.
    """
    chosen = [first]
    while len(chosen) < most:
        # Where a candidate has stopped all members, what they have gone through is what they take at least.
        least_s = np.where(np.isnan(par2), survived, par2)[:, chosen].min(axis=1)
        before = fastest(par2, survived, chosen)
        before = np.where(np.isnan(before), least_s, before)
        gains = np.full(par2.shape[1], -np.inf)
        for k in sorted(set(range(par2.shape[1])) - set(chosen)):
            together = fastest(par2, survived, [*chosen, k])
            rows = np.isfinite(together)
            if (rows & np.isfinite(par2[:, k])).sum() >= least:
                gains[k] = 1.0 - together[rows].sum() / before[rows].sum()
        winner = int(gains.argmax())
        if gains[winner] < LEAST_GAIN:
            break
        chosen.append(winner)
    return chosen


def fit_parallel_portfolio(
    dataset: Dataset, solvers: Collection[str], instances: Collection[str], cutoff_s: float, single_best: str
) -> tuple[str, ...]:
    """Return the names of the members to run on several cores, by the runs on the instances of the training side.

    The first is the single best, which runs on one core; of the others only ``solvers`` may be members.
    """
    names = candidates(dataset, solvers)
    if single_best not in names:
        return ()
    _, par2, survived = member_par2(dataset, names, frozenset(instances), cutoff_s)
    return tuple(names[k] for k in parallel_portfolio(par2, survived, names.index(single_best)))
