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
Integers = NDArray[np.int64]

#: Solved runs that a group needs for a rank correlation of its own.
LEAST_RANKED = 15
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
    predicted = _floats(prediction)
    if coding == "capped" and cutoff is not None:
        predicted = np.minimum(predicted, cutoff)
    predicted, y = _kept(predicted, coded_cost(log10_cost, _mask(censored, log10_cost), coding, cutoff))
    return float(np.sqrt(np.mean((predicted - y) ** 2))) if len(y) else float("nan")


def spearman(prediction: ArrayLike, log10_cost: ArrayLike, censored: ArrayLike = False) -> float:
    """Return Spearman's rank correlation over solved runs, ties sharing ranks; NaN if either side is constant."""
    predicted, y = _kept(prediction, coded_cost(log10_cost, _mask(censored, log10_cost), "solved"))
    a, b = (_ranks(values) - 0.5 * (len(y) + 1) for values in (predicted, y))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def spearman_within(
    prediction: ArrayLike, log10_cost: ArrayLike, groups: ArrayLike, censored: ArrayLike = False
) -> float:
    """Return the mean over groups of the rank correlation within each, weighted by their solved runs.

    Groups with fewer than :data:`LEAST_RANKED` solved runs, or with constant costs, are left out; a constant prediction
    counts as 0. NaN if no group is left.
    """
    cost = coded_cost(log10_cost, _mask(censored, log10_cost), "solved")
    predicted, y, names = _kept(prediction, cost, groups)
    _, member, size = np.unique(names, return_inverse=True, return_counts=True)

    def centred(values: Floats) -> Floats:
        """Return the ranks within each group, ties sharing ranks, less the group's mean rank."""
        _, dense = np.unique(values, return_inverse=True)
        ranks = _ranks(member * len(values) + dense)
        return np.asarray(ranks - (np.bincount(member, weights=ranks) / size)[member])

    a, b = centred(predicted), centred(y)
    aa, bb, ab = (np.bincount(member, weights=product) for product in (a * a, b * b, a * b))
    counted = (size >= LEAST_RANKED) & (bb > 0)
    if not counted.any():
        return float("nan")
    norm = np.sqrt(aa * bb)
    found = np.divide(ab, norm, out=np.zeros(len(size)), where=norm > 0)
    return float(np.average(found[counted], weights=size[counted]))


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
    return (float(_ranks(p)[o == 1].sum()) - positive * (positive + 1) / 2) / (positive * negative)


# Uncertainty of the measures ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairedDifference:
    """Difference of a measure between two predictors on the same instances.

    Parameters
    ----------
    value
        First less second, on all instances.
    low, high
        Ends of the 95 % bootstrap percentile interval.
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
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    rows = [np.flatnonzero(member == group) for group in range(len(names))]
    return [np.concatenate([rows[group] for group in rng.integers(0, len(names), len(names))]) for _ in range(count)]


def paired_bootstrap(first: Measure, second: Measure, n: int, *, count: int = 1000, seed: int = 0) -> PairedDifference:
    """Return the difference of two measures over the same instances with its interval and p-value.

    Parameters
    ----------
    first, second
        From instance indices (some repeated) to the measure over them; every resample is given to both.
    n
        Number of instances.
    count, seed
        Number of resamples, and their seed.
    """
    value = float(first(np.arange(n)) - second(np.arange(n)))
    found = [first(part) - second(part) for part in resamples(n, count=count, seed=seed)]
    return paired_difference(value, np.array(found))


def paired_difference(value: float, resampled: Floats) -> PairedDifference:
    """Return a difference of two measures with its interval and p-value.

    Parameters
    ----------
    value
        On all instances.
    resampled
        On each of the resamples, which both measures were given; NaN is left out.
    """
    found = resampled[~np.isnan(resampled)]
    low, high = percentile_interval(found)
    if not len(found):
        return PairedDifference(value, low, high, float("nan"))
    below = float((found < 0).mean() + 0.5 * (found == 0).mean())
    p_value = min(1.0, max(2.0 * min(below, 1.0 - below), 2.0 / (len(found) + 1)))
    return PairedDifference(value, low, high, p_value)


def percentile_interval(found: Floats) -> tuple[float, float]:
    """Return the ends of the 95 % bootstrap percentile interval of a measure on resamples; NaN is left out."""
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


# Helpers --------------------------------------------------------------------------------------------------------------


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _mask(censored: ArrayLike, log10_cost: ArrayLike) -> NDArray[np.bool_]:
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


def _ranks(values: NDArray[Any]) -> Floats:
    """Return ranks from 1, equal values sharing their mean rank."""
    from scipy.stats import rankdata  # here: it takes most of a second to load

    return np.asarray(rankdata(values), dtype=np.float64)
