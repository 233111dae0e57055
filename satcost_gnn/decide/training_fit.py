"""From the runs of a data set and predictions for instances that were not trained on to a portfolio's settings."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.selection_metrics import of_choice
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.data.splits import LEARNT_SIDES
from satcost_gnn.decide.objective import Objective, effect_size, scores
from satcost_gnn.decide.parallel_portfolio import LEAST_INSTANCES, MOST_MEMBERS, fit_parallel_portfolio
from satcost_gnn.decide.planned_schedule import Schedule
from satcost_gnn.decide.schedule import way_on, ways_on
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import Plan, Slice, runtimes, score
from satcost_gnn.decide.static_schedule import schedule_par2, static_schedule
from satcost_gnn.decide.training_statistics import DEFAULT_COPULA_CORRELATION, TrainingStatistics
from satcost_gnn.errors import DatasetError
from satcost_gnn.search.solvers import SOLVERS

if TYPE_CHECKING:
    from satcost_gnn.data.dataset import Dataset

#: Separations that a checkpoint's is chosen from.
MIN_EFFECT_SIZES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0)
#: Lengths of presolving that a checkpoint chooses from, as shares of the cutoff.
PRESOLVING_SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: Gains that others must promise, as shares of the objective.
SWITCHING_MARGINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# Share of the instances with long runs on which those of a solver must tell for it to be judged at that limit.
_LEAST_SHARE = 0.9


def _most_cautious(costs: NDArray[np.float64]) -> int:
    """Return the last choice that the data cannot tell from the best one, by two standard errors of the difference.

    A few hundred instances favour some choice by chance, often by a single one of them; the cautious choice is left for
    what is told apart only. That is stricter than the one-standard-error rule of Breiman, Friedman, Olshen and Stone,
    "Classification and Regression Trees", 1984, whose choices do no harm. ``costs`` are ``float64[choices, n]``, the
    most cautious choice last.
    """
    best = int(np.argmin(costs.sum(axis=1)))
    more = costs - costs[best]
    error = more.std(axis=1) * np.sqrt(costs.shape[1])
    return int(np.flatnonzero(more.sum(axis=1) <= 2.0 * error)[-1])


def fit_min_effect_size(predicted: CostDistribution, par2: NDArray[np.float64], single: int, cutoff_s: float) -> float:
    """Return the effect_size from which on leaving the single best has paid on instances that were not trained on.

    It is of :data:`MIN_EFFECT_SIZES` the largest, which stays with the single best most often, whose total PAR2 is
    within two standard errors of the least.

    Parameters
    ----------
    predicted
        ``(n, n_solvers)``, in CPU seconds.
    par2
        ``float64[n, n_solvers]``: measured PAR2.
    single
        Column of the single best.
    cutoff_s
        Cutoff of both.
    """
    found = scores(predicted, Objective.PAR2, cutoff_s)
    distance = effect_size(found.value, found.sd, single)
    other = of_choice(par2, np.argmin(found.value, axis=-1))
    costs = [np.where(distance > least, other, par2[:, single]) for least in MIN_EFFECT_SIZES]
    return MIN_EFFECT_SIZES[_most_cautious(np.array(costs))]


def fit_copula_correlation(
    predicted: CostDistribution, log10_cost: NDArray[np.float64], solved: NDArray[np.bool_]
) -> float:
    """Return the correlation between solvers of how far their costs lie from the predictions.

    How far is the normal score of the probability integral transform, Phi^-1(F(cost)); the mean of the correlations of
    all pairs of solvers, over instances that both have solved, is kept between 0 and 0.95. Where the predictions say
    nothing about the instance it is near 1, where they say all that can be known, near 0.

    Parameters
    ----------
    predicted
        ``(n, n_solvers)``.
    log10_cost, solved
        ``[n, n_solvers]``: measured costs, and where they are known.
    """
    from scipy.special import ndtri

    with np.errstate(invalid="ignore"):
        score = ndtri(np.clip(predicted.cdf_at(np.where(solved, log10_cost, np.nan)), 1e-3, 1 - 1e-3))
    found = []
    for a, b in itertools.combinations(range(score.shape[1]), 2):
        both = solved[:, a] & solved[:, b]
        if both.sum() >= 20 and np.ptp(score[both, a]) > 0 and np.ptp(score[both, b]) > 0:
            found.append(float(np.corrcoef(score[both, a], score[both, b])[0, 1]))
    return float(np.clip(np.mean(found), 0.0, 0.95)) if found else DEFAULT_COPULA_CORRELATION


def fit_presolving(
    predicted: CostDistribution,
    par2: NDArray[np.float64],
    probe_solved: NDArray[np.bool_],
    solvers: Sequence[str],
    single: str,
    overhead_s: float,
    cutoff_s: float,
    copula_correlation: float,
) -> tuple[float, float]:
    """Return the presolving of the single best solver, and the gain that others must promise, that have paid best.

    Parameters
    ----------
    predicted
        ``(n, n_solvers)``, in CPU seconds, of instances that were not trained on; of no account where the probe solves
        the instance (``bool[n]``).
    par2
        ``float64[n, n_solvers]``: measured PAR2, whose cutoff is ``cutoff_s``.
    overhead_s
        Mean seconds of features, probe, graph and inference.

    Returns
    -------
    tuple of float
        The longest, which asks for the fewest predictions, whose PAR2 is within two standard errors of the least.
        The cutoff: predictions have not paid. And, chosen alike, the largest of :data:`SWITCHING_MARGINS` over all
        shorter presolving.
    """
    column = list(solvers).index(single)
    costs = np.zeros((len(PRESOLVING_SHARES), len(SWITCHING_MARGINS), len(par2)))
    for k, share in enumerate(PRESOLVING_SHARES):
        presolving_s = share * cutoff_s
        # What the single best has solved by then costs the same whatever is predicted.
        costs[k] = np.where(par2[:, column] <= presolving_s, par2[:, column], 0.0)
        left = cutoff_s - presolving_s - overhead_s
        for row in np.flatnonzero(par2[:, column] > presolving_s):
            runtime = runtimes(par2[row], solvers, cutoff_s)
            ways: tuple[Schedule, ...] = ()
            if left > 0 and not probe_solved[row]:
                settings = ScheduleSettings(Objective.PAR2, left, 1, copula_correlation)
                ways = ways_on(predicted[row], solvers, settings, single, presolving_s)
            first = (Slice(single, presolving_s),)
            came = {
                way: score(Plan(way.cores if way else (), first), runtime, cutoff_s, overhead_s)
                for way in (ways or (None,))
            }
            costs[k, :, row] = [came[way_on(ways, gain) if ways else None] for gain in SWITCHING_MARGINS]
    gains = costs.sum(axis=2).argmin(axis=1)
    presolving = _most_cautious(costs[np.arange(len(PRESOLVING_SHARES)), gains])
    gain = _most_cautious(costs[:-1].sum(axis=0))
    return PRESOLVING_SHARES[presolving] * cutoff_s, SWITCHING_MARGINS[gain]


def fit_turns(
    learnt: NDArray[np.float64],
    fresh: NDArray[np.float64],
    solvers: Sequence[str],
    single: str,
    presolving_s: float,
    cutoff_s: float,
) -> tuple[Slice, ...]:
    """Return the turns of solvers after presolving, before anything is predicted, if they pay.

    Parameters
    ----------
    learnt
        ``float64[n, n_solvers]``: measured PAR2 of the training side, which the static schedule is chosen on.
    fresh
        The same of instances that it is not chosen on.
    presolving_s
        CPU seconds that the single best has had before.

    Returns
    -------
    tuple of Slice
        The static schedule without its last run, if it lowers the PAR2 of the fresh instances that presolving leaves by
        more than two standard errors of the difference; else nothing.
    """
    column, left = list(solvers).index(single), cutoff_s - presolving_s

    def still_open(par2: NDArray[np.float64]) -> NDArray[np.float64]:
        runtimes = np.where(par2 <= cutoff_s, par2, np.inf)[par2[:, column] > presolving_s]
        # It goes on where it was.
        runtimes[:, column] -= presolving_s
        return runtimes

    chosen_on, judged_on = still_open(learnt), still_open(fresh)
    if left <= 0 or not len(chosen_on) or not len(judged_on):
        return ()
    schedule = static_schedule(chosen_on, left, last=column)
    gain = schedule_par2(judged_on, [(column, left)], left) - schedule_par2(judged_on, schedule, left)
    if gain.sum() <= 2.0 * gain.std() * np.sqrt(len(gain)):
        return ()
    return tuple(Slice(solvers[k], seconds) for k, seconds in schedule[:-1])


def fit_portfolio(
    dataset: Dataset,
    solvers: Sequence[str],
    sides: Mapping[str, str],
    cutoff_s: float,
    held_out: Sequence[str],
    predicted: CostDistribution,
    overhead_s: float,
    fresh: Collection[str] = ("validation", "calibration"),
) -> TrainingStatistics | None:
    """Return what a checkpoint is to hold of its portfolio; None if on no instance all solvers' runs tell.

    Parameters
    ----------
    solvers
        The portfolio, in the order of the predictions.
    sides
        Instance -> side; the test side is not looked at.
    held_out
        Instances that no estimator was fitted to, none of the test side, and that the probe did not solve.
    predicted
        Their predictions in CPU seconds, ``(n, n_solvers)``.
    overhead_s
        Mean seconds that a prediction takes.
    fresh
        Sides that the network has not learnt from, which the held-out instances are of.
    """
    learnt = [name for name, side in sides.items() if side in LEARNT_SIDES]
    training = TrainingStatistics.of_dataset(dataset, solvers, learnt, cutoff_s)
    if training is None:
        return None
    parallel = fit_parallel_portfolio(dataset, {*SOLVERS, *solvers}, learnt, cutoff_s, training.single_best())
    training = replace(training, parallel=parallel)
    measured = dict(zip(*par_scores(dataset, solvers, cutoff_s), strict=True))
    rows = [k for k, name in enumerate(held_out) if name in measured]
    if not rows:
        return training
    par2 = np.stack([measured[held_out[k]] for k in rows])
    unsolved = frozenset(held_out)
    easy = [
        measured[name] for name, side in sides.items() if side in fresh and name in measured and name not in unsolved
    ]
    trained = [measured[name] for name, side in sides.items() if side == "train" and name in measured]
    return with_settings(
        training,
        solvers,
        np.reshape(trained, (len(trained), len(solvers))),
        par2,
        np.reshape(easy, (len(easy), len(solvers))),
        predicted[rows],
        overhead_s,
        cutoff_s,
    )


def with_settings(
    training: TrainingStatistics,
    solvers: Sequence[str],
    trained: NDArray[np.float64],
    par2: NDArray[np.float64],
    easy: NDArray[np.float64],
    predicted: CostDistribution,
    overhead_s: float,
    cutoff_s: float,
) -> TrainingStatistics:
    """Return the statistics with the settings of decisions that have paid on instances that were not trained on.

    Parameters
    ----------
    trained
        ``float64[n, n_solvers]``: measured PAR2 of the training side.
    par2, predicted
        ``float64[n, n_solvers]`` and ``(n, n_solvers)``: measured PAR2, and predictions in CPU seconds, of instances
        that no estimator was fitted to and that the probe did not solve; one at least.
    easy
        ``float64[n, n_solvers]``: PAR2 of such instances that the probe solved: what a prediction costs there counts.
    overhead_s
        Mean seconds that a prediction takes.
    cutoff_s
        Cutoff of all PAR2.
    """
    single = training.single_best(solvers)
    copula_correlation = fit_copula_correlation(predicted, np.log10(par2), par2 <= cutoff_s)
    everything = np.concatenate([par2, easy])
    cdf = np.concatenate([predicted.cdf, np.repeat(predicted[:1].cdf, len(easy), axis=0)])
    both, probed = CostDistribution(predicted.grid, cdf), np.arange(len(everything)) >= len(par2)
    presolving_s, switching_margin = fit_presolving(
        both, everything, probed, solvers, single, overhead_s, cutoff_s, copula_correlation
    )
    turns = fit_turns(trained, everything, solvers, single, presolving_s, cutoff_s)
    return replace(
        training,
        presolving=turns,
        prediction_s=overhead_s,
        min_effect_size=fit_min_effect_size(predicted, par2, list(solvers).index(single), cutoff_s),
        copula_correlation=copula_correlation,
        presolving_s=presolving_s,
        switching_margin=switching_margin,
    )


def fit_longer(
    training: TrainingStatistics,
    dataset: Dataset,
    solvers: Sequence[str],
    instances: Collection[str],
    cutoff_s: float,
    others: Collection[str] = (),
) -> TrainingStatistics:
    """Return statistics with what a training side says for a longer limit as well.

    Instances count if some run on them, published ones among them, had that long a limit: those that were only tried
    for seconds are easier. A solver counts if its runs tell on nine tenths of them. Settings that come from predictions
    are those of the shorter limit.

    Parameters
    ----------
    training
        What there is; an entry with the same cutoff is replaced.
    dataset
        Runs of our solvers, of their relatives where those stand for them.
    solvers
        The portfolio.
    instances
        The training side.
    cutoff_s
        CPU seconds.
    others
        Solvers that nothing is predicted of, which may be members for several cores.

    Raises
    ------
    DatasetError
        If no solver's runs tell on 30 instances.
    """
    runs_of = dataset.runs_of
    sample = {name for name in instances if any(run.cpu_limit_s >= cutoff_s for run in runs_of.get(name, ()))}
    known = [
        solver
        for solver in dict.fromkeys((*solvers, *sorted(others)))
        if len(sample.intersection(par_scores(dataset, [solver], cutoff_s)[0])) >= _LEAST_SHARE * len(sample)
    ]
    among = [solver for solver in known if solver in solvers]
    found = TrainingStatistics.of_dataset(dataset, among, sample, cutoff_s) if among else None
    if found is None or found.instances < LEAST_INSTANCES:
        raise DatasetError(
            f"{dataset.directory}: found {len(sample)} instances with a run of {cutoff_s:g} CPU seconds, on which "
            f"runs of {', '.join(among) or 'no solver'} tell; expected {LEAST_INSTANCES} on which those of one "
            f"of {', '.join(solvers)} do: make them with `satcost collect --limit {cutoff_s:g}`, or take a lower cutoff"
        )
    chosen = fit_parallel_portfolio(dataset, known, sample, cutoff_s, found.single_best())
    # Those that have no runs that long may still take part, after the others.
    parallel = tuple(dict.fromkeys((*chosen, *training.parallel)))[:MOST_MEMBERS]
    longer = {one.cutoff_s: one for one in training.longer}
    longer[found.cutoff_s] = replace(
        training,
        par2=found.par2,
        solved=found.solved,
        cutoff_s=found.cutoff_s,
        instances=found.instances,
        presolving_s=training.first_look_s,
        presolving=(),
        parallel=parallel,
        longer=(),
    )
    return replace(training, longer=tuple(longer[cutoff] for cutoff in sorted(longer)))
