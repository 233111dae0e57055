"""What ``satcost solve`` would do on one core with an estimator's predictions: its own policy, replayed on the runs.

The policy and its score are those that the command and the benchmarks use
(:func:`~satcost_gnn.decide.policy.solve_plan`, :func:`~satcost_gnn.decide.scoring.score`), its settings are chosen as
training chooses those of a checkpoint (:func:`~satcost_gnn.decide.training_fit.with_settings`), on the calibration
side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.policy import solve_plan
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import charge, charged_stages, runtimes, score
from satcost_gnn.decide.training_fit import with_settings
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.decide.turns import DECLINING_S, PARITY
from satcost_gnn.evaluate.selection import SelectionProblem, stage_cpu_seconds
from satcost_gnn.features.instance import Instance
from satcost_gnn.serve.prediction import Prediction


def solve_statistics(
    problem: SelectionProblem,
    predicted: CostDistribution,
    instances: Sequence[Instance],
    needs: Sequence[str],
    inference_s: float,
) -> TrainingStatistics | None:
    """Return what `solve` goes by, its settings chosen on the calibration side; None if that has no runs.

    Parameters
    ----------
    problem
        With one fold; of several, where one's calibration side is another's test side, nothing can be chosen.
    predicted
        Predictions in CPU seconds of shape ``(n, n_solvers)``.
    instances
        What they are of: those of the calibration side that the probe did not solve.
    needs, inference_s
        What the estimator needs of an instance, and the seconds that it takes.
    """
    rows = [k for k, one in enumerate(instances) if one.gbdhash in problem.measured]
    if len(problem.training) > 1 or not rows:
        return None
    side, n_solvers = problem.sides[0], len(problem.portfolio)
    unsolved = {one.gbdhash for one in instances}

    def measured(of: str, without: set[str]) -> NDArray[np.float64]:
        found = [problem.measured[name] for name in problem.measured if side.get(name) == of and name not in without]
        return np.reshape(found, (len(found), n_solvers))

    stages = charged_stages(needs)
    spent_s = float(
        np.mean([charge({**stage_cpu_seconds(instances[k]), "inference": inference_s}, stages) for k in rows])
    )
    return with_settings(
        problem.training[0],
        problem.portfolio,
        measured("train", set()),
        np.stack([problem.measured[instances[k].gbdhash] for k in rows]),
        measured("calibration", unsolved),
        predicted[rows][:, problem.columns],
        spent_s,
        problem.cutoff_s,
    )


def solve_par2(
    problem: SelectionProblem,
    predicted: CostDistribution,
    needs: Sequence[str],
    inference_s: float,
    training: TrainingStatistics,
) -> NDArray[np.float64]:
    """Return ``float64[n]``: PAR2 of `solve` on each instance of the problem, in CPU seconds.

    Parameters
    ----------
    predicted
        Predictions in CPU seconds of shape ``(n_test, n_solvers)``.
    needs, inference_s, training
        See :func:`solve_statistics`.
    """
    timings = {**problem.timings, "inference": inference_s}
    overhead = np.zeros(len(problem.instances)) + charge(timings, charged_stages(needs))
    settings = ScheduleSettings(Objective.PAR2, problem.cutoff_s, 1, training.copula_correlation)
    parity = PARITY not in problem.portfolio
    found = np.zeros(len(problem.instances))
    for k, (name, row) in enumerate(zip(problem.instances, problem.rows.tolist(), strict=True)):
        prediction = Prediction(
            path=name,
            gbdhash=name,
            status="ok" if row >= 0 else "solved",
            unit="cpu_seconds",
            solvers=problem.portfolio,
            distribution=predicted[row][problem.columns] if row >= 0 else None,
            # Which answer the probe has given is of no account.
            result="" if row >= 0 else "SAT",
            cutoff=problem.cutoff_s,
        )
        overhead_s = float(overhead[k])
        found[k] = score(
            solve_plan(prediction, overhead_s, training, settings, parity=parity),
            runtimes(problem.par2[k], problem.portfolio, problem.cutoff_s),
            problem.cutoff_s,
            overhead_s,
            # Where it was not run, it is taken to decline.
            declined_s={PARITY: DECLINING_S},
        )
    return found
