"""Measures of predictions, each stated so that two people compute the same number.

Costs and predictions are log10 throughout unless a name says otherwise; errors are in decades. A censored run
has no cost but a bound, and what a measure does with it is part of its name:

- ``solved``: censored runs are left out;
- ``capped``: costs and predictions above the cutoff count as the cutoff;
- ``par2``: a run that was not solved by the cutoff counts as twice the cutoff.

All functions take arrays of one shape, flattened; runs whose cost or prediction is NaN are left out. Measures of
selections are in :mod:`satcost_gnn.core.selection_metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import CostDistribution

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

CODINGS = ("solved", "capped", "par2")
_LOG10_2 = float(np.log10(2.0))


# Codings of censored runs ---------------------------------------------------------------------------------------------


def coded_cost(log10_cost: ArrayLike, censored: ArrayLike, coding: str, cutoff: float | None = None) -> Floats:
    """Return the costs in a coding of censored runs.

    Parameters
    ----------
    log10_cost
        log10 of the cost, or of the bound.
    censored
        Which runs are censored.
    coding
        ``solved``, ``capped`` or ``par2``.
    cutoff
        log10 of the cutoff; needed for all but ``solved``.

    Returns
    -------
    float64, shape of ``log10_cost``
        NaN where the coding leaves a run out: censored runs for ``solved``, and for the others runs that were stopped
        before the cutoff, of which it isn't known whether they would have been solved by then.
    """
    y, stopped = _floats(log10_cost), np.asarray(censored, dtype=bool)
    if coding == "solved":
        return np.where(stopped, np.nan, y)
    if coding not in CODINGS:
        raise ValueError(f"found coding {coding!r}; expected one of {', '.join(CODINGS)}")
    if cutoff is None:
        raise ValueError(f"coding {coding!r} needs a cutoff (log10)")
    unsolved = (stopped & (y >= cutoff - 1e-9)) | (~stopped & (y > cutoff))
    value = np.where(unsolved, cutoff + (_LOG10_2 if coding == "par2" else 0.0), y)
    return np.where(stopped & ~unsolved, np.nan, value)


def expected_coded(distribution: CostDistribution, coding: str, cutoff: ArrayLike | None = None) -> Floats:
    """Return the mean of log10 cost in a coding: the prediction with the least expected squared error in it.

    Parameters
    ----------
    distribution
        The predictions.
    coding
        ``solved``: E[Y | Y <= cutoff], without a cutoff the (restricted) mean of all; ``capped``: E[min(Y, cutoff)];
        ``par2``: the same with log10 2 added where unsolved.
    cutoff
        log10 of the cutoff, broadcast against the predictions; needed for all but ``solved``. Where nothing is
        predicted to be solved by it, the mean of what is solved is the cutoff itself.
    """
    if coding == "solved":
        if cutoff is None:
            return distribution.mean()
        limit = np.minimum(_floats(cutoff), distribution.grid.high)
        solved = distribution.cdf_at(limit)
        inside = distribution.restricted_mean(limit) - limit * (1.0 - solved)
        return np.where(solved > 1e-9, inside / np.maximum(solved, 1e-9), limit)
    if coding not in CODINGS or cutoff is None:
        raise ValueError(f"found coding {coding!r} with cutoff {cutoff!r}; expected {', '.join(CODINGS)}, and a number")
    mean = distribution.restricted_mean(cutoff)
    if coding == "capped":
        return mean
    return np.asarray(mean + _LOG10_2 * (1.0 - distribution.cdf_at(cutoff)))


# Accuracy of point predictions ----------------------------------------------------------------------------------------


def rmse(
    prediction: ArrayLike,
    log10_cost: ArrayLike,
    censored: ArrayLike = False,
    *,
    coding: str = "solved",
    cutoff: float | None = None,
) -> float:
    """Return the root mean squared error in decades, in a coding of censored runs; NaN if no run is left.

    With ``capped``, predictions are capped too; with ``par2`` they are taken as they are (see :func:`expected_coded`).
    """
    error = _errors(prediction, log10_cost, censored, coding, cutoff)
    return float(np.sqrt(np.mean(error**2))) if len(error) else float("nan")


def mae(
    prediction: ArrayLike,
    log10_cost: ArrayLike,
    censored: ArrayLike = False,
    *,
    coding: str = "solved",
    cutoff: float | None = None,
) -> float:
    """Return the mean absolute error in decades, in a coding of censored runs; NaN if no run is left."""
    error = _errors(prediction, log10_cost, censored, coding, cutoff)
    return float(np.mean(np.abs(error))) if len(error) else float("nan")


def geometric_mean_ratio(prediction: ArrayLike, log10_cost: ArrayLike, censored: ArrayLike = False) -> float:
    """Return the geometric mean over solved runs of max(predicted / true, true / predicted): at least 1."""
    return float(10.0 ** mae(prediction, log10_cost, censored))


def within_factor(
    prediction: ArrayLike, log10_cost: ArrayLike, censored: ArrayLike = False, *, factor: float = 2.0
) -> float:
    """Return the share of solved runs whose prediction is within a factor of the truth, both ways, ends included."""
    if not factor >= 1:
        raise ValueError(f"found factor {factor}; expected a number of at least 1")
    error = _errors(prediction, log10_cost, censored, "solved", None)
    return float(np.mean(np.abs(error) <= np.log10(factor) + 1e-12)) if len(error) else float("nan")


def spearman(prediction: ArrayLike, log10_cost: ArrayLike, censored: ArrayLike = False) -> float:
    """Return Spearman's rank correlation over solved runs, ties sharing ranks; NaN if either side is constant."""
    predicted, y = _kept(prediction, coded_cost(_floats(log10_cost), _mask(censored, log10_cost), "solved"))
    if len(y) < 2:
        return float("nan")
    a, b = _ranks(predicted), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def spearman_within(
    prediction: ArrayLike,
    log10_cost: ArrayLike,
    groups: Sequence[str],
    censored: ArrayLike = False,
    *,
    least: int = 15,
) -> float:
    """Return the mean over groups of the rank correlation within each, weighted by their solved runs.

    Groups with fewer than ``least`` solved runs, or with constant costs, are left out; a constant prediction counts as
    0. NaN if no group is left.
    """
    predicted, y = _floats(prediction), coded_cost(_floats(log10_cost), _mask(censored, log10_cost), "solved")
    names = np.asarray(groups, dtype=object)
    if not predicted.shape == y.shape == names.shape or y.ndim != 1:
        raise ValueError(f"found predictions {predicted.shape}, costs {y.shape}, groups {names.shape}; expected (n,)")
    there = ~np.isnan(predicted) & ~np.isnan(y)
    total, weight = 0.0, 0
    for name in sorted(set(names[there].tolist()), key=str):
        rows = there & (names == name)
        count = int(rows.sum())
        if count < least or np.ptp(y[rows]) == 0:
            continue
        found = spearman(predicted[rows], y[rows])
        total += count * (0.0 if np.isnan(found) else found)
        weight += count
    return total / weight if weight else float("nan")


def c_index(prediction: ArrayLike, log10_cost: ArrayLike, censored: ArrayLike = False) -> float:
    """Return Harrell's concordance index: the share of comparable pairs that the prediction orders rightly.

    A pair is comparable if the cheaper run was solved, or if costs are equal and exactly one of them was solved
    (that one is the cheaper). Equal predictions count half. NaN if no pair is comparable.
    """
    predicted, y, stopped = _kept(prediction, log10_cost, _mask(censored, log10_cost))
    concordant = comparable = 0.0
    for i in np.flatnonzero(~stopped):
        later = (y > y[i]) | ((y == y[i]) & stopped)
        comparable += float(later.sum())
        concordant += float((predicted[later] > predicted[i]).sum()) + 0.5 * float(
            (predicted[later] == predicted[i]).sum()
        )
    return concordant / comparable if comparable else float("nan")


# Quality of distributions ---------------------------------------------------------------------------------------------


def mean_crps(
    distribution: CostDistribution,
    log10_cost: ArrayLike,
    censored: ArrayLike = False,
    limit: ArrayLike | None = None,
) -> float:
    """Return the mean continuous ranked probability score in decades (see :meth:`CostDistribution.crps`).

    Where runs were stopped, set the limit to (log10 of) the cutoff: without it the mean isn't a proper score.
    """
    score = distribution.crps(log10_cost, censored, limit)
    score = score[~np.isnan(score)]
    return float(score.mean()) if len(score) else float("nan")


@dataclass(frozen=True)
class IntervalCoverage:
    """How often central intervals hold the truth, and how wide they are.

    Parameters
    ----------
    nominal
        What the coverage should be.
    solved
        Share of the solved runs that lie in their interval.
    least, most
        Bounds on the share of all runs: a censored run surely lies in an interval that begins below its bound and
        has no upper end within the grid, and possibly in one that ends above its bound.
    width
        Mean width in decades; an interval that has no upper end within the grid counts to the grid's end.
    runs, censored
        Number of runs, and of those that are censored.
    """

    nominal: float
    solved: float
    least: float
    most: float
    width: float
    runs: int
    censored: int


def interval_coverage(
    distribution: CostDistribution, log10_cost: ArrayLike, censored: ArrayLike = False, *, coverage: float = 0.8
) -> IntervalCoverage:
    """Return coverage and width of the central intervals with a nominal coverage."""
    low, high = distribution.interval(coverage)
    open_end = distribution.censored_above(0.5 + coverage / 2)
    y = np.broadcast_to(_floats(log10_cost), low.shape)
    stopped = np.broadcast_to(np.asarray(censored, dtype=bool), low.shape)
    there = ~np.isnan(y)
    low, high, y = low[there], high[there], y[there]
    open_end, stopped = open_end[there], stopped[there]
    if not len(y):
        nan = float("nan")
        return IntervalCoverage(coverage, nan, nan, nan, nan, 0, 0)
    inside = (low <= y) & ((y <= high) | open_end)
    surely = np.where(stopped, (low <= y) & open_end, inside)
    possibly = np.where(stopped, (y < high) | open_end, inside)
    return IntervalCoverage(
        nominal=coverage,
        solved=float(inside[~stopped].mean()) if (~stopped).any() else float("nan"),
        least=float(surely.mean()),
        most=float(possibly.mean()),
        width=float((high - low).mean()),
        runs=len(y),
        censored=int(stopped.sum()),
    )


def solved_by(log10_cost: ArrayLike, censored: ArrayLike, cutoff: float) -> Floats:
    """Return 1 for a run solved by the cutoff (log10), 0 for one that wasn't, NaN where it was stopped before it."""
    y, stopped = _floats(log10_cost), _mask(censored, log10_cost)
    value = np.where(stopped, np.where(y >= cutoff - 1e-9, 0.0, np.nan), (y <= cutoff).astype(np.float64))
    return np.where(np.isnan(y), np.nan, value)


def brier(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Return the mean squared difference of probabilities and outcomes (1, 0; NaN is left out)."""
    p, o = _kept(probability, outcome)
    return float(np.mean((p - o) ** 2)) if len(p) else float("nan")


def auc(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Return the area under the ROC curve (outcomes 1, 0; NaN is left out); NaN if all outcomes are equal."""
    p, o = _kept(probability, outcome)
    positive = int((o == 1).sum())
    negative = len(o) - positive
    if not positive or not negative:
        return float("nan")
    # Mann-Whitney: the rank sum of the positives, ties sharing ranks.
    rank_sum = float(_ranks(p)[o == 1].sum()) + positive
    return (rank_sum - positive * (positive + 1) / 2) / (positive * negative)


# Uncertainty of the measures ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BootstrapInterval:
    """A measure with its bootstrap percentile interval.

    Parameters
    ----------
    value
        The measure on all instances.
    low, high
        Ends of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """Difference of a measure between two predictors on the same instances.

    Parameters
    ----------
    value
        First less second, on all instances.
    low, high
        Ends of the bootstrap percentile interval.
    p_value
        Two-sided: twice the smaller share of resamples on either side of 0 (ties half), at least 2 / (resamples + 1).
    """

    value: float
    low: float
    high: float
    p_value: float


Measure = Callable[[Integers], float]


def resamples(n: int, groups: Sequence[str] | None = None, *, count: int = 1000, seed: int = 0) -> list[Integers]:
    """Return bootstrap resamples as index arrays: of instances, or of whole groups if groups are given."""
    if n < 1 or count < 1:
        raise ValueError(f"found {n} instances and {count} resamples; expected at least 1 of each")
    rng = np.random.default_rng(seed)
    if groups is None:
        return [rng.integers(0, n, n) for _ in range(count)]
    if len(groups) != n:
        raise ValueError(f"found {len(groups)} groups for {n} instances")
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    rows = [np.flatnonzero(member == group) for group in range(len(names))]
    return [np.concatenate([rows[group] for group in rng.integers(0, len(names), len(names))]) for _ in range(count)]


def bootstrap(
    measure: Measure,
    n: int,
    groups: Sequence[str] | None = None,
    *,
    count: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> BootstrapInterval:
    """Return a measure with its bootstrap percentile interval.

    Parameters
    ----------
    measure
        From instance indices (some repeated) to the measure over them.
    n
        Number of instances.
    groups
        Group of each instance, to resample whole groups (families).
    count
        Number of resamples; those on which the measure is NaN are left out.
    level
        Coverage of the interval.
    seed
        Seed.
    """
    found = np.array([measure(rows) for rows in resamples(n, groups, count=count, seed=seed)])
    low, high = percentile_interval(found, level)
    return BootstrapInterval(float(measure(np.arange(n))), low, high)


def paired_bootstrap(
    first: Measure,
    second: Measure,
    n: int,
    groups: Sequence[str] | None = None,
    *,
    count: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Return the difference of two measures over the same instances with its interval and p-value.

    Parameters as for :func:`bootstrap`; every resample is given to both measures.
    """
    rows = resamples(n, groups, count=count, seed=seed)
    everything = np.arange(n)
    value = float(first(everything) - second(everything))
    return paired_difference(value, np.array([first(part) - second(part) for part in rows]), level=level)


def paired_difference(value: float, resampled: ArrayLike, *, level: float = 0.95) -> PairedDifference:
    """Return a difference of two measures with its interval and p-value.

    Parameters
    ----------
    value
        On all instances.
    resampled
        On each of the resamples, which both measures were given; NaN is left out.
    level
        Coverage of the interval.
    """
    found = _floats(resampled)
    found = found[~np.isnan(found)]
    low, high = percentile_interval(found, level)
    if not len(found):
        return PairedDifference(value, low, high, float("nan"))
    below = float((found < 0).mean() + 0.5 * (found == 0).mean())
    p_value = min(1.0, max(2.0 * min(below, 1.0 - below), 2.0 / (len(found) + 1)))
    return PairedDifference(value, low, high, p_value)


# Helpers --------------------------------------------------------------------------------------------------------------


def percentile_interval(found: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the bootstrap percentile interval of a measure on resamples; NaN is left out."""
    if not 0 < level < 1:
        raise ValueError(f"found level {level}; expected a number between 0 and 1")
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _mask(censored: ArrayLike, log10_cost: ArrayLike) -> Bools:
    return np.broadcast_to(np.asarray(censored, dtype=bool), np.shape(log10_cost))


def _kept(first: ArrayLike, *others: ArrayLike) -> tuple[NDArray[Any], ...]:
    """Flatten arrays of one shape and drop the places where any of the floating ones is NaN."""
    arrays = [np.asarray(first), *(np.asarray(other) for other in others)]
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(
            f"found arrays of shapes {', '.join(str(array.shape) for array in arrays)}; expected one shape"
        )
    there = np.ones(arrays[0].shape, dtype=bool)
    for array in arrays:
        if array.dtype.kind == "f":
            there &= ~np.isnan(array)
    return tuple(array[there] for array in arrays)


def _errors(
    prediction: ArrayLike, log10_cost: ArrayLike, censored: ArrayLike, coding: str, cutoff: float | None
) -> Floats:
    y = coded_cost(log10_cost, _mask(censored, log10_cost), coding, cutoff)
    predicted = _floats(prediction)
    if coding == "capped" and cutoff is not None:
        predicted = np.minimum(predicted, cutoff)
    predicted, y = _kept(predicted, y)
    return np.asarray(predicted - y, dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 0, equal values sharing their mean rank."""
    from scipy.stats import rankdata  # here: it takes most of a second to load

    return np.asarray(rankdata(values) - 1.0, dtype=np.float64)
