"""Picking a solver by predictions: what it costs with everything charged, against each solver alone and an oracle.

Every selector runs the probe first; an instance that the probe solves is solved at that cost. For any other it chooses
as ``satcost select`` does (:func:`~satcost_gnn.decide.select.choose`), by what the training side says, and pays,
besides that solver's own run, for all stages of the early search and of the prediction that its estimator needs.
Reading the file is free: every solver has to do it. The time of the probe is not credited to a solver that would repeat
the same search. Costs are CPU seconds, but stages are timed in wall seconds, which are longer on a busy machine: they
count with the share of a processor that the process had during the probe.

Only instances with a run of every solver of the portfolio count. A run's outcome is what it did within the cutoff,
which is the CPU limit that most of the runs had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.selection_metrics import PortfolioBounds, of_choice, par, virtual_best
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.data.splits import LEARNT_SIDES
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.scoring import charge, charged_stages
from satcost_gnn.decide.select import SelectionSettings, choose
from satcost_gnn.decide.training_fit import fit_min_effect_size
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.evaluate.metrics import percentile_interval
from satcost_gnn.evaluate.scores import Resamples
from satcost_gnn.features.instance import Instance

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

#: Fewer instances with runs of the whole portfolio say nothing on selection.
LEAST_INSTANCES = 30
# A solver belongs to the portfolio if it has runs on this share of the instances that several solvers were run on.
_COVERAGE = 0.9
# Stages that have been paid for when the probe has answered.
_UP_TO_PROBE = ("plain run", "features", "probe")


@dataclass(frozen=True, eq=False)
class SelectionProblem:
    """Instances, and what each solver of the portfolio does on them.

    Parameters
    ----------
    portfolio, columns
        Solvers, and their columns in the predictions.
    instances, families
        Identities, and the family of each.
    runtime, solved
        ``[n, n_solvers]``: CPU seconds within the cutoff, and whether solved.
    rows
        ``int64[n]``: row of each in the predictions, -1 where the probe solved it.
    timings
        Stage -> CPU seconds on each instance.
    left_out
        Test instances without runs of the whole portfolio.
    folds
        ``int64[n]``: fold of each.
    training
        What the training side of each fold says.
    measured
        Instance -> PAR2 of each solver, test side or not.
    sides
        Instance -> side, of each fold.
    """

    portfolio: tuple[str, ...]
    columns: Integers
    cutoff_s: float
    instances: list[str]
    families: list[str]
    runtime: Floats
    solved: Bools
    rows: Integers
    timings: dict[str, Floats]
    left_out: int
    folds: Integers
    training: tuple[TrainingStatistics, ...]
    measured: Mapping[str, Floats]
    sides: tuple[Mapping[str, str], ...]

    @cached_property
    def par2(self) -> Floats:
        """PAR2 score of each solver on each instance."""
        return par(self.runtime, self.solved, self.cutoff_s)

    @cached_property
    def par10(self) -> Floats:
        """PAR10 score of each solver on each instance."""
        return par(self.runtime, self.solved, self.cutoff_s, 10.0)

    @cached_property
    def single(self) -> int:
        """Number of the single best solver, by PAR2 on these very instances: the harder one to beat."""
        return self.bounds.single

    @cached_property
    def bounds(self) -> PortfolioBounds:
        """Single and virtual best by PAR2."""
        return PortfolioBounds.of(self.par2)

    def by_probe(self) -> Bools:
        """Return which instances the probe solves."""
        return self.rows < 0


@dataclass(frozen=True, eq=False)
class Selection:
    """What a selector does.

    Parameters
    ----------
    choice
        ``int64[n]``: number of the solver picked; -1 where the probe solves the instance.
    overhead_s
        What is charged beside the solver's run.
    par2, par10, par2_uncharged
        Score of each instance, with the overhead and without.
    seconds, solved
        Seconds until each instance is solved, and whether it is within the cutoff.
    """

    choice: Integers
    overhead_s: Floats
    par2: Floats
    par10: Floats
    par2_uncharged: Floats
    seconds: Floats
    solved: Bools


def selection_problem(
    dataset: Dataset,
    solvers: Sequence[str],
    unsolved: Sequence[Instance],
    by_probe: Sequence[Instance],
    sides: Sequence[Mapping[str, str]],
) -> SelectionProblem | str:
    """Set up selection among solvers on test instances; or say why it can't be.

    Parameters
    ----------
    solvers
        Columns of the predictions.
    unsolved, by_probe
        Test instances in the order of the predictions' rows; those that the probe solved.
    sides
        Instance -> side, of each fold.
    """
    everyone = [*unsolved, *by_probe]
    names = [one.gbdhash for one in everyone]
    rows = np.concatenate([np.arange(len(unsolved)), np.full(len(by_probe), -1)]).astype(np.int64)
    runs = [run for name in names for run in dataset.runs_of.get(name, ()) if run.solver in solvers and run.seed == 0]
    if not runs:
        return "there are no runs on test instances"
    cutoff_s = Counter(run.cpu_limit_s for run in runs).most_common(1)[0][0]
    matrix = dataset.cost_matrix(solvers, "cpu_seconds", instances=names)
    seconds = 10.0 ** np.where(matrix.known, matrix.cost, 0.0)
    # A run that was stopped before the cutoff doesn't say what would have happened by then.
    known = matrix.known & ~(matrix.censored & (seconds < cutoff_s * (1 - 1e-9)))
    several = known.sum(axis=1) >= 2
    if not several.any():
        return "no test instance has runs of two solvers"
    covered = known[several].mean(axis=0) >= _COVERAGE
    if covered.sum() < 2:
        shares = ", ".join(f"{s} {share:.0%}" for s, share in zip(solvers, known[several].mean(axis=0), strict=True))
        return f"fewer than two solvers have runs on {_COVERAGE:.0%} of the test instances with several runs ({shares})"
    whole = np.flatnonzero(known[:, covered].all(axis=1))
    if len(whole) < LEAST_INSTANCES:
        return f"only {len(whole)} test instances have runs of the whole portfolio, at least {LEAST_INSTANCES} needed"
    columns = np.flatnonzero(covered)
    portfolio = tuple(solvers[k] for k in columns.tolist())
    learnt = [[name for name, side in fold.items() if side in LEARNT_SIDES] for fold in sides]
    training = [TrainingStatistics.of_dataset(dataset, portfolio, names_, cutoff_s) for names_ in learnt]
    found = tuple(one for one in training if one is not None)
    if len(found) < len(training):
        return "no training instance has runs of the whole portfolio"
    in_test = np.array([[fold.get(names[k]) == "test" for fold in sides] for k in whole], dtype=bool)
    done = ~matrix.censored & (seconds <= cutoff_s)
    spent = [stage_cpu_seconds(one) for one in everyone]
    stages = {stage for one in spent for stage in one}
    return SelectionProblem(
        portfolio,
        columns,
        cutoff_s,
        [names[k] for k in whole],
        dataset.families([names[k] for k in whole]),
        np.where(done, seconds, cutoff_s)[np.ix_(whole, columns)],
        done[np.ix_(whole, columns)],
        rows[whole],
        {stage: np.array([spent[k].get(stage, 0.0) for k in whole]) for stage in sorted(stages)},
        len(names) - len(whole),
        in_test.argmax(axis=1),
        found,
        dict(zip(*par_scores(dataset, portfolio, cutoff_s), strict=True)),
        tuple(sides),
    )


def stage_cpu_seconds(instance: Instance) -> dict[str, float]:
    """Return stage -> CPU seconds that preprocessing an instance took, by how much of a CPU its probe had."""
    share = _cpu_share(instance)
    return {stage: share * wall for stage, wall in instance.timings.items()}


def _cpu_share(instance: Instance) -> float:
    """Return CPU seconds over wall seconds while the instance was probed; 1 if that isn't known."""
    wall = instance.timings.get("probe", 0.0)
    if instance.probe is None or wall <= 0 or instance.probe.cpu_s <= 0:
        return 1.0
    # The stage is the probe and, timed by the wall clock, the features of its trace.
    features = instance.online.total_seconds if instance.online is not None else 0.0
    return min(1.0, instance.probe.cpu_s / max(wall - features, instance.probe.cpu_s))


def fitted(
    problem: SelectionProblem, predicted: CostDistribution, instances: Sequence[str]
) -> tuple[TrainingStatistics, ...]:
    """Return the training statistics with the least separation that has paid on instances that were not trained on.

    Parameters
    ----------
    problem
        With one fold; of several, where one's calibration side is another's test side, all keep the default.
    predicted
        Predictions in CPU seconds of shape ``(n, n_solvers)``.
    instances
        Their identities, of the calibration side.
    """
    rows = [k for k, name in enumerate(instances) if name in problem.measured]
    if len(problem.training) > 1 or not rows:
        return problem.training
    training = problem.training[0]
    par2 = np.stack([problem.measured[instances[k]] for k in rows])
    single = problem.portfolio.index(training.single_best(problem.portfolio))
    least = fit_min_effect_size(predicted[rows][:, problem.columns], par2, single, problem.cutoff_s)
    return (replace(training, min_effect_size=least),)


def select(
    problem: SelectionProblem,
    predicted: CostDistribution,
    needs: Sequence[str],
    inference_s: float,
    training: Sequence[TrainingStatistics] | None = None,
) -> Selection:
    """Choose a solver for each instance and charge for it.

    Parameters
    ----------
    predicted
        Predictions in CPU seconds of shape ``(n_test, n_solvers)``.
    needs, inference_s
        What the estimator needs of an instance, and the seconds that it takes.
    training
        See :func:`fitted`; those of the problem by default.
    """
    open_ = ~problem.by_probe()
    stages = charged_stages(needs)
    timings = {**problem.timings, "inference": inference_s}
    nothing = np.zeros(len(open_))
    to_probe = [stage for stage in stages if stage in _UP_TO_PROBE]
    overhead = np.where(open_, nothing + charge(timings, stages), nothing + charge(timings, to_probe))
    settings = SelectionSettings(Objective.PAR2, problem.cutoff_s)
    choice = np.full(len(open_), -1, dtype=np.int64)
    for fold, statistics in enumerate(problem.training if training is None else training):
        mine = open_ & (problem.folds == fold)
        distributions = predicted[problem.rows[mine]][:, problem.columns]
        choice[mine] = choose(distributions, problem.portfolio, statistics, settings, overhead[mine]).chosen
    # The probe's own search is all that an instance costs that it solves.
    runtime = np.where(open_[:, None], problem.runtime, 0.0)
    solved = np.where(open_[:, None], problem.solved, True)
    picked = np.maximum(choice, 0)
    without = np.where(open_, 0.0, overhead)
    own, answered = of_choice(runtime, picked), of_choice(solved, picked)
    scores = [
        par(own, answered, problem.cutoff_s, k, charge)
        for k, charge in ((2.0, overhead), (10.0, overhead), (2.0, without))
    ]
    seconds = own + overhead
    done = np.asarray(answered & (seconds <= problem.cutoff_s))
    return Selection(choice, overhead, scores[0], scores[1], scores[2], seconds, done)


@dataclass(frozen=True)
class SelectionRow:
    """A row of the table of selection, means over seeds.

    Parameters
    ----------
    par2, par10, par2_uncharged, solved, overhead_s
        Means over instances; ``solved`` is a share.
    gap, gap_uncharged
        Closed gap between the single best solver and the oracle, by PAR2.
    low, high
        95 % bootstrap interval of ``gap``.
    gap_par10
        The same by PAR10.
    shares
        Solver -> share of the instances that it was picked for, of those that the probe doesn't solve.
    warnings
        What is to be said of it.
    """

    par2: float
    par10: float
    par2_uncharged: float
    solved: float
    overhead_s: float
    gap: float
    gap_uncharged: float
    low: float
    high: float
    gap_par10: float
    shares: dict[str, float]
    warnings: tuple[str, ...]


def selection_row(problem: SelectionProblem, seeds: Sequence[Selection], drawn: Resamples) -> SelectionRow:
    """Return the means of a selector over its seeds, with resamples of the instances, or of their families."""
    single = problem.par2[:, problem.single]
    best = virtual_best(problem.par2)
    par2 = np.mean([one.par2 for one in seeds], axis=0)
    uncharged = np.mean([one.par2_uncharged for one in seeds], axis=0)
    par10 = float(np.mean([one.par10 for one in seeds]))
    weights = drawn.counts.astype(np.float64)
    above, below = weights @ (single - par2), weights @ (single - best)
    low, high = percentile_interval(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
    choices = np.concatenate([one.choice for one in seeds])
    choices = choices[choices >= 0]
    counts = np.bincount(choices, minlength=len(problem.portfolio))
    shares = {name: float(n / max(1, len(choices))) for name, n in zip(problem.portfolio, counts, strict=True)}
    gap, free = problem.bounds.closed_gap(par2), problem.bounds.closed_gap(uncharged)
    warnings = []
    largest = max(shares, key=lambda name: shares[name])
    if len(choices) and shares[largest] == 1.0:
        warnings.append(f"always picks {largest}")
    sbs = problem.portfolio[problem.single]
    if gap < 0:
        because = "" if free < 0 else ", though its picks are better: what it spends before the run costs more"
        warnings.append(f"worse than always running {sbs}{because}")
    return SelectionRow(
        par2=float(par2.mean()),
        par10=par10,
        par2_uncharged=float(uncharged.mean()),
        solved=float(np.mean([one.solved.mean() for one in seeds])),
        overhead_s=float(np.mean([one.overhead_s.mean() for one in seeds])),
        gap=gap,
        gap_uncharged=free,
        low=low,
        high=high,
        gap_par10=PortfolioBounds.of(problem.par10).closed_gap(par10),
        shares=shares,
        warnings=tuple(warnings),
    )
