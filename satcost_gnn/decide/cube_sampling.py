"""The cost of all cubes together from running a few of them: a stratified sample with the predictions as a control.

Plain Monte-Carlo, the mean of N random cubes times their number, is what is done without predictions. Here the cubes
are sorted by predicted cost and cut into strata; each stratum is sampled in proportion to its number times the root
mean square of its predictions (which stands for the standard deviation that Neyman allocation asks for: what costs
more varies more), and the total is

    T = sum over strata of N_h ybar_h + b (X - sum over strata of N_h xbar_h),

the combined regression estimator (Cochran, "Sampling techniques", 3rd ed. 1977, section 7.10), with y the measured
and x the predicted cost, X the sum of all predictions. The slope b is estimated from the sample and shrunk towards the
ratio of the means, since few pairs say little about it. Cubes that the probe has solved are known: they are added,
never sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.errors import ConfigError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Pairs that the prior slope, the ratio of the means, counts for.
_SLOPE_PAIRS = 12.0
# Runs for each stratum at least, and strata at most.
_RUNS_PER_STRATUM, _MOST_STRATA = 3, 8


@dataclass(frozen=True, eq=False)
class Design:
    """Which cubes are sampled.

    Parameters
    ----------
    predicted
        ``float64[M]``: predicted cost of every cube that isn't known.
    stratum
        ``int64[M]``: its stratum.
    counts
        ``int64[H]``: cubes to sample in each stratum.
    """

    predicted: Floats
    stratum: Integers
    counts: Integers

    def draw(self, rng: np.random.Generator) -> Integers:
        """Return the positions of a random sample, stratum by stratum, without replacement."""
        parts = [
            rng.choice(np.flatnonzero(self.stratum == h), size=int(count), replace=False)
            for h, count in enumerate(self.counts)
        ]
        return np.concatenate(parts).astype(np.int64)


def design(predicted: ArrayLike, n: int) -> Design:
    """Cut cubes into strata and say how many of each to run.

    Parameters
    ----------
    predicted
        ``float64[M]``: predicted cost of every cube that isn't known, positive.
    n
        Cubes to run.

    Raises
    ------
    ConfigError
        If there are fewer than 2 cubes or ``n`` is below 2.
    """
    x = np.asarray(predicted, dtype=np.float64)
    m = len(x)
    if n < 2 or m < 2:
        raise ConfigError(f"found a sample of {n} of {m} cubes; expected at least 2 of 2")
    n = min(n, m)
    h = int(np.clip(n // _RUNS_PER_STRATUM, 1, _MOST_STRATA))
    order = np.argsort(x, kind="stable")
    # Cumulative root of the predictions: between equal numbers and equal totals (after Dalenius and Hodges 1959).
    share = np.cumsum(np.sqrt(x[order]))
    stratum = np.empty(m, dtype=np.int64)
    stratum[order] = np.minimum((share / share[-1] * h - 1e-9).astype(np.int64), h - 1)
    # A stratum of fewer than two cubes joins its neighbour. The first has three at least: there are as many for each
    # stratum, and the cheapest ones' share of the total is no more than that of their number.
    for k in range(h - 1, 0, -1):
        if (stratum == k).sum() < 2:
            stratum[stratum == k] = k - 1
    _, stratum = np.unique(stratum, return_inverse=True)
    sizes = np.bincount(stratum)
    weight = np.sqrt(sizes * np.array([(x[stratum == k] ** 2).sum() for k in range(len(sizes))]))
    counts = np.minimum(np.full(len(sizes), 2), sizes)
    # One after the other to where the most is left per run, as far as there are cubes.
    for _ in range(n - int(counts.sum())):
        gain = np.where(counts < sizes, weight**2 * (1.0 / counts - 1.0 / (counts + 1)), -1.0)
        counts[int(np.argmax(gain))] += 1
    return Design(x, stratum.astype(np.int64), counts.astype(np.int64))


@dataclass(frozen=True)
class SampledTotal:
    """Cost of all sampled-from cubes together, estimated from a sample.

    Parameters
    ----------
    low, high
        Ends of the interval with the asked-for coverage.
    slope
        What was added for each unit by which the sample's predictions fall short of all predictions.
    censored
        How many of the runs a limit stopped.
    lower_bound
        The estimate with censored runs counted at what they had used: too low if there are any.
    """

    value: float
    low: float
    high: float
    slope: float
    runs: int
    censored: int = 0
    lower_bound: float = float("nan")


def estimate(plan: Design, chosen: ArrayLike, measured: ArrayLike, coverage: float = 0.8) -> SampledTotal:
    """Estimate the total from a sample, with an interval of some coverage.

    The interval is Student's t on the logarithm, by the delta method. With two or three runs in a stratum the usual
    variance within it says next to nothing, so it is also worked out from the relative errors of all predictions pooled
    (as if errors were in proportion to the predictions), and the larger of both is taken: with 6 of 60 cubes that
    brought the coverage of a nominal 80 % from 50 to about 80 % in simulations.

    Parameters
    ----------
    chosen
        ``int64[n]``: positions of the sampled cubes.
    measured
        ``float64[n]``: their costs.
    """
    from scipy.stats import t as student

    rows, y = np.asarray(chosen, dtype=np.int64), np.asarray(measured, dtype=np.float64)
    x, stratum = plan.predicted[rows], plan.stratum[rows]
    n_strata = len(plan.counts)
    sizes = np.bincount(plan.stratum, minlength=n_strata).astype(np.float64)
    taken = np.bincount(stratum, minlength=n_strata)
    mean_x = np.bincount(stratum, weights=x, minlength=n_strata) / np.maximum(taken, 1)
    mean_y = np.bincount(stratum, weights=y, minlength=n_strata) / np.maximum(taken, 1)
    straight_x, straight_y = float(sizes @ mean_x), float(sizes @ mean_y)
    ratio = straight_y / straight_x
    # Slope within strata, each pair weighted as it enters the variance of the total.
    dx, dy = x - mean_x[stratum], y - mean_y[stratum]
    weight = (sizes / np.maximum(taken, 1))[stratum] ** 2
    sxx, sxy = float(weight @ (dx * dx)), float(weight @ (dx * dy))
    degrees = max(len(rows) - n_strata, 1)
    slope = ratio
    if sxx > 0:
        trust = degrees / (degrees + _SLOPE_PAIRS)
        slope = trust * max(sxy / sxx, 0.0) + (1.0 - trust) * ratio
    value = straight_y + slope * (float(plan.predicted.sum()) - straight_x)
    value = max(value, float(y.sum()))
    residual = dy - slope * dx
    variance_in = np.bincount(stratum, weights=residual**2, minlength=n_strata) / np.maximum(taken - 1, 1)
    relative = float((((y - ratio * x) / x) ** 2).sum()) / max(len(rows) - 1, 1)
    squares = np.bincount(plan.stratum, weights=plan.predicted**2, minlength=n_strata) / sizes
    per_run = sizes**2 * (1.0 - taken / sizes) / np.maximum(taken, 1)
    variance = max(float(per_run @ variance_in), float(per_run @ squares) * relative)
    freedom = max(len(rows) - 1, 1)
    width = float(student.ppf(0.5 + coverage / 2, freedom)) * np.sqrt(variance) / value if value > 0 else 0.0
    low, high = value * np.exp(-width), value * np.exp(width)
    # What has been measured is spent for certain.
    return SampledTotal(value, max(float(low), float(y.sum())), float(high), slope, len(rows))


def expected_of_censored(bounds: Sequence[float], expected: Sequence[float]) -> Floats:
    """Return costs to stand for censored runs: what is expected beyond the bound, and never less than the bound."""
    return np.maximum(np.asarray(expected, dtype=np.float64), np.asarray(bounds, dtype=np.float64))
