"""Who has a turn before anything is predicted, and for how long: one rule for ``solve``, its policy and batches.

The single best solver begins. What it has not answered after :data:`AFTER_S` is shown to ``parity`` (Gaussian
elimination, :mod:`satcost_gnn.search.parity`), which answers or declines; then the single best goes on. Clause learning
doesn't answer what ``parity`` is for, however long it runs, so nothing is lost by the wait. It is no member of a
checkpoint's portfolio: what it declines tells nothing on its costs, and what it answers takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.training_statistics import TrainingStatistics

#: The solver that answers or declines.
PARITY = "parity"
#: CPU seconds that the single best solver has before: on the training side the least of those tried at which what
#: `parity` declines slows no family down by more than 3 %; none lowers PAR2 more. docs/portfolio.md has the numbers.
AFTER_S = 7.0
#: What ``parity`` may use, reading the file included: a share of the limit, and CPU seconds at most.
SHARE, MOST_S = 0.01, 1.0
#: With less than this it isn't asked: starting it takes as long.
LEAST_S = 0.2

#: Share of the clauses in XOR constraints from which on it is named where no run of it is planned: on the training side
#: it answers those, and hardly any other.
MOSTLY_XOR = 0.9
#: CPU seconds that declining costs on average, starting the helper process included: for replays where it was not run.
DECLINING_S = 0.3

# Seconds that loading the estimators takes, about, and the share of what is left that a prediction may take: the solver
# that is paused meanwhile has the rest.
_LOADING_S, PREDICTION_SHARE = 2.0, 0.5


def needed_for_prediction_s(prediction_s: float, *, loaded: bool) -> float:
    """Return the seconds that must be left for a prediction of so many; with fewer nothing is predicted."""
    return (0.0 if loaded else _LOADING_S) + prediction_s / PREDICTION_SHARE


def parity_s(limit_s: float) -> float:
    """Return the CPU seconds that ``parity`` may use under a limit of everything; 0 if it isn't worth asking."""
    share = min(SHARE * limit_s, MOST_S)
    return share if share >= LEAST_S else 0.0


def with_parity(turns: Sequence[Slice], limit_s: float) -> list[Slice]:
    """Return turns (one at least), the first divided: ``parity`` has its own after :data:`AFTER_S` of it."""
    first, *others = turns
    seconds = parity_s(limit_s)
    if not seconds:
        return list(turns)
    before = min(first.cpu_s, AFTER_S)
    return [Slice(first.solver, before), Slice(PARITY, seconds), Slice(first.solver, first.cpu_s - before), *others]


def presolving_turns(
    training: TrainingStatistics, among: Sequence[str], limit_s: float, *, parity: bool = True
) -> list[Slice]:
    """Return the turns on one core before anything is predicted; whoever had the last one goes on meanwhile.

    ``among`` are the solvers that may run, and ``parity`` says whether that one may run beside them; the limit is in
    seconds of everything.
    """
    turns = [Slice(training.single_best(among), training.first_look_s)]
    turns += [part for part in training.presolving if part.solver in among]
    return with_parity(turns, limit_s) if parity and PARITY not in among else turns
