"""Distributions that know how far the labels reach: what lies beyond the longest cost in the training data is unknown.

Labels are made under a limit. What an estimator says of larger costs is extrapolation, which no label has ever checked.
An :class:`ObservedDistribution` answers such questions with NaN (unknown) and names the bound. Decisions, which must
compare solvers somehow, ask for the distribution without the bound by :func:`extrapolated`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import UNIT_LABELS, CostDistribution, Floats

if TYPE_CHECKING:
    from satcost_gnn.data.dataset import Dataset
    from satcost_gnn.data.schema import Run

# Decades by which a cost may be above the bound and still count as at it: rounding.
_SLACK = 1e-6
#: Share of the labels that reach at least as far as the bound.
REACHED = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class ObservedDistribution(CostDistribution):
    """Distributions of log10 cost of which nothing is known beyond a bound.

    Parameters
    ----------
    grid, cdf
        As in :class:`CostDistribution`, extrapolated beyond the bound.
    inner
        The same distributions without the bound.
    log10_bound
        log10 of the largest cost that the labels tell about.
    """

    inner: CostDistribution
    log10_bound: float

    @property
    def bound(self) -> float:
        """Largest cost that the labels tell about, in the grid's unit."""
        return float(10.0**self.log10_bound)

    def __getitem__(self, index: Any) -> CostDistribution:
        """Return the distributions at an index of the leading axes."""
        return self._like(self.inner[index])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.grid, np.array(self.cdf), self.inner, self.log10_bound)

    def reshape(self, *shape: int) -> CostDistribution:
        """Return the same distributions with other leading axes."""
        return self._like(self.inner.reshape(*shape))

    def cdf_at(self, log10_cost: ArrayLike) -> Floats:
        """Return the probability that log10 cost is at most a value; NaN beyond the bound, unless it is 1 by then."""
        x = np.asarray(log10_cost, dtype=np.float64)
        found = self.inner.cdf_at(x)
        return np.where((x > self.log10_bound + _SLACK) & ~(self._reached() >= 1.0), np.nan, found)

    def quantile(self, q: ArrayLike) -> Floats:
        """Return log10 cost at probability levels; NaN where it lies beyond the bound."""
        return np.where(self.censored_above(q), np.nan, self.inner.quantile(q))

    def censored_above(self, q: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the quantile at each level lies beyond the bound."""
        levels = np.asarray(q, dtype=np.float64)
        reached = self._reached()
        return np.asarray((reached[..., None] if levels.ndim else reached) < levels - _SLACK)

    def mean(self) -> Floats:
        """Return the mean of log10 cost with all that lies beyond the bound counted at it: a lower bound."""
        part = self.inner.restricted_mean(np.full(self.shape, self.log10_bound))
        return np.where(self._reached() >= 1.0, self.inner.mean(), np.minimum(part, self.log10_bound))

    def condition_above(self, log10_cost: ArrayLike) -> CostDistribution:
        """Return the distributions given that the cost is more than a value."""
        return self._like(self.inner.condition_above(log10_cost))

    def remaining_after(self, spent: ArrayLike) -> CostDistribution:
        """Return the distributions of what is still to come, known up to what is left of the bound."""
        largest = float(np.max(np.asarray(spent, dtype=np.float64)))
        left = max(self.bound - largest, 10.0**self.grid.low)
        return observed_up_to(self.inner.remaining_after(spent), left)

    def scaled(self, factor: float) -> CostDistribution:
        """Return the distributions of the cost times a factor."""
        return observed_up_to(self.inner.scaled(factor), self.bound * factor)

    def _like(self, inner: CostDistribution) -> CostDistribution:
        return ObservedDistribution(inner.grid, inner.cdf, inner, self.log10_bound)

    def _reached(self) -> Floats:
        """Return the probability of a cost within the bound; exactly 1 where the cost is known for certain."""
        found = np.asarray(self.inner.cdf_at(np.full(self.shape, self.log10_bound)))
        lower, upper = (getattr(self.inner, name, np.nan) for name in ("lower", "upper"))
        return np.where(lower == upper, 1.0, np.minimum(found, 1.0 - 2 * _SLACK))


def observed_up_to(distribution: CostDistribution, bound: float) -> CostDistribution:
    """Return distributions of which nothing is known beyond a cost in the grid's unit; infinity for no bound."""
    inner = extrapolated(distribution)
    if not np.isfinite(bound):
        return inner
    return ObservedDistribution(inner.grid, inner.cdf, inner, float(np.log10(bound)))


def extrapolated(distribution: CostDistribution) -> CostDistribution:
    """Return distributions as the estimator continues them beyond the labels: to decide by, not to be told."""
    return distribution.inner if isinstance(distribution, ObservedDistribution) else distribution


def without_extrapolation(
    distribution: CostDistribution, solvers: Sequence[str], bounds: Mapping[str, float]
) -> CostDistribution:
    """Return distributions in which a solver's cost beyond its own labels counts as never reached.

    Decisions compare solvers at one limit. One whose labels end at seconds would win at hours by what an estimator
    happens to continue them with; so nothing that it might do beyond them counts in its favour.

    Parameters
    ----------
    distribution
        Of shape ``(n_solvers,)``.
    solvers
        Its solvers.
    bounds
        Solver -> largest cost in the grid's unit that its labels tell about; none for a solver that may be continued.
    """
    limits = np.log10([bounds.get(solver, np.inf) for solver in solvers])
    edges = distribution.grid.edges
    # The bin that holds the bound stays whole: probabilities up to the bound are what they were.
    last = np.minimum(np.searchsorted(edges, limits - _SLACK), len(edges) - 1)
    if not (last < len(edges) - 1).any():
        return distribution
    reached = np.take_along_axis(distribution.cdf, last[:, None], axis=-1)
    return CostDistribution(distribution.grid, np.minimum(distribution.cdf, reached))


def bound_of(distribution: CostDistribution | None) -> float:
    """Return the largest cost that a distribution tells about, in its unit; infinity if it names none."""
    return distribution.bound if isinstance(distribution, ObservedDistribution) else float("inf")


def known(value: float) -> float | None:
    """Return a number for JSON: None in place of NaN and infinity."""
    return float(value) if np.isfinite(value) else None


def beyond_note(cutoff: float, bound: float, unit: str) -> str:
    """Return one line about a cutoff beyond what the labels tell about, both in a cost unit; empty if it isn't."""
    if cutoff <= bound:
        return ""
    return (
        f"nothing is known of costs above {bound:g} {UNIT_LABELS[unit]}, the limit of the training labels: P(solved) "
        f"within {cutoff:g} is unknown"
    )


def label_reach(
    dataset: Dataset, instances: Collection[str], solvers: Collection[str], units: Iterable[str]
) -> dict[str, dict[str, float]]:
    """Return how far the labels of each solver reach on the training side ``instances`` of a data set.

    Returns
    -------
    dict
        Unit -> solver -> the cost that one label in a hundred reaches, a censored run counting with what it had spent:
        a few runs that happen to count conflicts very fast tell nothing of others. In CPU seconds at most the longest
        limit. Units and solvers without labels are not in it.
    """
    wanted = frozenset(instances)
    by_solver: dict[str, list[Run]] = {solver: [] for solver in solvers}
    for run in dataset.runs:
        if run.instance in wanted and run.solver in by_solver:
            by_solver[run.solver].append(run)
    found: dict[str, dict[str, float]] = {}
    for unit in units:
        for solver, runs in by_solver.items():
            spent = [run.cpu_s if unit == "cpu_seconds" else getattr(run, unit) for run in runs]
            values = np.array([value for value in spent if value is not None and np.isfinite(value)], dtype=np.float64)
            if not len(values):
                continue
            reached = float(np.quantile(values, 1.0 - REACHED, method="higher"))
            if unit == "cpu_seconds":
                reached = min(reached, max(run.cpu_limit_s for run in runs))
            found.setdefault(unit, {})[solver] = float(f"{reached:.3g}")
    return found


def label_bounds(
    dataset: Dataset, instances: Collection[str], solvers: Collection[str], units: Iterable[str]
) -> dict[str, float]:
    """Return unit -> how far the labels of a training side reach: the furthest of :func:`label_reach`."""
    return {unit: max(reach.values()) for unit, reach in label_reach(dataset, instances, solvers, units).items()}
