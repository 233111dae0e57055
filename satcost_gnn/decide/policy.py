"""The ways to go about an instance, each as a policy: what `satcost select`, `schedule` and `solve` would run on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from satcost_gnn.decide.schedule import schedule_after, schedule_of
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import Plan, Slice
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.decide.turns import needed_for_prediction_s, presolving_turns
from satcost_gnn.serve.prediction import Prediction


class Policy(Protocol):
    """Says what to run; :func:`~satcost_gnn.decide.scoring.score` says what comes of it."""

    def decide(self, prediction: Prediction, overhead_s: float, statistics: TrainingStatistics) -> Plan:
        """Return what is run on an instance.

        Parameters
        ----------
        prediction
            In CPU seconds.
        overhead_s
            CPU seconds of the prediction: see :func:`~satcost_gnn.decide.scoring.charge`.
        statistics
            What the training side says.
        """


@dataclass(frozen=True)
class SelectPolicy:
    """One solver, chosen by its prediction, for all the time that is left."""

    settings: SelectionSettings

    def decide(self, prediction: Prediction, overhead_s: float, statistics: TrainingStatistics) -> Plan:
        """Return the run of the chosen solver (see :class:`Policy`)."""
        if prediction.result:
            return Plan(())
        chosen = decide(prediction, statistics, self.settings, overhead_s).chosen
        return Plan(((Slice(chosen or statistics.single_best(prediction.solvers), np.inf),),))


@dataclass(frozen=True)
class SchedulePolicy:
    """Several solvers in turn, or on several cores; the settings' limit is that of everything."""

    settings: ScheduleSettings

    def decide(self, prediction: Prediction, overhead_s: float, statistics: TrainingStatistics) -> Plan:
        """Return the runs of the schedule (see :class:`Policy`)."""
        if prediction.result or prediction.distribution is None:
            return Plan(())
        return Plan(schedule_of(prediction, statistics, self.settings.after(overhead_s), overhead_s).cores)


@dataclass(frozen=True)
class SolvePolicy:
    """The single best solver at once, and others in its place if they promise much more when it is late.

    The settings' limit is that of everything. It is `satcost solve` on one core, where the turns before a prediction
    are those of :func:`~satcost_gnn.decide.turns.presolving_turns`, and the solver is paused while the instance is
    predicted. Without ``parity`` the solver of that name has no turn, as where the user has named the solvers.
    """

    settings: ScheduleSettings
    parity: bool = True

    def decide(self, prediction: Prediction, overhead_s: float, statistics: TrainingStatistics) -> Plan:
        """Return presolving, and the runs after it (see :class:`Policy`)."""
        first, limit_s = statistics.single_best(prediction.solvers), self.settings.time_limit_s
        turns = tuple(presolving_turns(statistics, prediction.solvers, limit_s, parity=self.parity))
        before = sum(part.cpu_s for part in turns)
        spent, alone = before + overhead_s, ((Slice(first, np.inf),),)
        if limit_s - before < needed_for_prediction_s(statistics.prediction_s, loaded=False):
            return Plan(alone, turns, predicted=False)
        if prediction.result:
            return Plan((), turns)
        if prediction.distribution is None or spent >= limit_s:
            return Plan(alone, turns)
        left = self.settings.after(spent)
        return Plan(schedule_after(prediction, statistics, left, first, statistics.first_look_s, limit_s).cores, turns)
