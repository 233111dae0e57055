"""The ways to go about an instance, each as a policy: what `satcost select`, `schedule` and `solve` would run on it.

:func:`~satcost_gnn.decide.scoring.score` says what comes of it.
"""

from __future__ import annotations

import numpy as np

from satcost_gnn.decide.schedule import schedule_after, schedule_of
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import Plan, Slice
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.decide.turns import needed_for_prediction_s, presolving_turns
from satcost_gnn.serve.prediction import Prediction


def select_plan(
    prediction: Prediction, overhead_s: float, statistics: TrainingStatistics, settings: SelectionSettings
) -> Plan:
    """Return the run of one solver, chosen by its prediction, for all the time that is left.

    Parameters
    ----------
    prediction
        In CPU seconds.
    overhead_s
        CPU seconds of the prediction: see :func:`~satcost_gnn.decide.scoring.charge`.
    """
    if prediction.result:
        return Plan(())
    chosen = decide(prediction, statistics, settings, overhead_s).chosen
    return Plan(((Slice(chosen or statistics.single_best(prediction.solvers), np.inf),),))


def schedule_plan(
    prediction: Prediction, overhead_s: float, statistics: TrainingStatistics, settings: ScheduleSettings
) -> Plan:
    """Return the runs of several solvers in turn, or on several cores (parameters of :func:`select_plan`).

    The settings' limit is that of everything.
    """
    if prediction.result or prediction.distribution is None:
        return Plan(())
    return Plan(schedule_of(prediction, statistics, settings.after(overhead_s), overhead_s).cores)


def solve_plan(
    prediction: Prediction,
    overhead_s: float,
    statistics: TrainingStatistics,
    settings: ScheduleSettings,
    *,
    parity: bool = True,
) -> Plan:
    """Return the run of the single best solver, and others in its place if they promise much more when it is late.

    The parameters are those of :func:`select_plan`; the settings' limit is that of everything. It is `satcost solve` on
    one core, where the turns before a prediction are those of :func:`~satcost_gnn.decide.turns.presolving_turns`, and
    the solver is paused while the instance is predicted. Without ``parity`` the solver of that name has no turn, as
    where the user has named the solvers.
    """
    first, limit_s = statistics.single_best(prediction.solvers), settings.time_limit_s
    turns = tuple(presolving_turns(statistics, prediction.solvers, limit_s, parity=parity))
    before = sum(part.cpu_s for part in turns)
    spent, alone = before + overhead_s, ((Slice(first, np.inf),),)
    if limit_s - before < needed_for_prediction_s(statistics.prediction_s, loaded=False):
        return Plan(alone, turns, predicted=False)
    if prediction.result:
        return Plan((), turns)
    if prediction.distribution is None or spent >= limit_s:
        return Plan(alone, turns)
    left = settings.after(spent)
    return Plan(schedule_after(prediction, statistics, left, first, statistics.first_look_s, limit_s).cores, turns)
