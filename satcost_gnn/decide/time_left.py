"""What is left of a run between two looks at it: its whole cost as it was estimated, given what has been used since."""

from __future__ import annotations

import math

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.observed import bound_of, extrapolated

#: Why nothing is said of a run that has cost more than any label tells about.
LONGER = "longer than anything in the training data"
#: Why nothing is said where the upper end of the interval lies beyond what is known.
OPEN = "its upper end is open"
#: Interval of the whole cost, in decades, beyond which an estimate is called unknown.
WIDEST = 2.0
#: Coverage of that interval.
COVERAGE = 0.8
#: Probability of an end within the limit below which a run is said to end after it, probably.
UNLIKELY = 0.1


def quantile_given(total: CostDistribution, used: float, q: float) -> float:
    """Return a quantile of the whole cost given that it is more than what has been used.

    It is in the unit of the distribution (of shape ``()``), at least ``used``; infinite where only a lower bound is
    known.
    """
    inner = extrapolated(total)
    passed = float(inner.cdf_at(math.log10(used))) if used > 0 else 0.0
    level = min(passed + q * (1.0 - passed), 1.0)
    if used >= bound_of(total) or bool(total.censored_above(level)) or float(inner.cdf[-1]) <= passed:
        return math.inf
    value = float(10.0 ** float(inner.quantile(level)))
    # Near the bound what is left of the probability is no more than the rounding that levels are compared with.
    return max(value, used) if value <= bound_of(total) else math.inf


def solved_by_given(total: CostDistribution, used: float, limit: float) -> float:
    """Return the probability that the whole cost is within a limit, given that it is more than what has been used.

    NaN where that is unknown, as for a limit beyond the labels.
    """
    if limit <= used:
        return 0.0
    inner = extrapolated(total)
    passed = float(inner.cdf_at(math.log10(used))) if used > 0 else 0.0
    if passed >= 1.0:
        return math.nan
    return (float(total.p_solved_by(limit)) - passed) / (1.0 - passed)


def why_unknown(total: CostDistribution, used: float, widest: float = WIDEST) -> str:
    """Return why what is left would be a guess; empty if it wouldn't.

    It would be one if the interval of the whole cost spans more than ``widest`` decades.
    """
    if used >= bound_of(total):
        return LONGER
    high = quantile_given(total, used, 0.5 + COVERAGE / 2)
    if math.isinf(high):
        return OPEN
    ratio = high / max(quantile_given(total, used, 0.5 - COVERAGE / 2), 1e-300)
    return "" if np.log10(ratio) <= widest else f"anywhere within a factor of {short_number(ratio)}"


def short_number(value: float) -> str:
    """Return a number with two digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def time_left(
    total: CostDistribution, used: float, limit: float
) -> tuple[tuple[float, float, float] | None, str, bool]:
    """Return what is said of the rest of a run that has used so much of at most ``limit``.

    Returns
    -------
    remaining
        Median of what is left, and the ends of its 80 % interval, in the unit; None while it would be a guess.
    unknown
        Why it would be one.
    late
        Whether the run will probably not end within its limit.
    """
    late = bool(solved_by_given(total, used, limit) < UNLIKELY)
    if why := why_unknown(total, used):
        return None, why, late
    middle, low, high = (quantile_given(total, used, q) - used for q in (0.5, 0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2))
    return (middle, low, high), "", late
