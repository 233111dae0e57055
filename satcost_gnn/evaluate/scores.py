"""Every measure of one estimator on the runs of one solver, and their bootstrap, all from the same arrays.

A measure here gives what the function of the same name in :mod:`satcost_gnn.evaluate.metrics` gives. What differs is
that contributions of single runs (and, for shares of pairs, of pairs) are computed once, so that a thousand resamples
cost a product of matrices. Resamples are kept as the number of times that each run was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.evaluate.metrics import (
    LEAST_RANKED,
    auc,
    c_index,
    coded_cost,
    expected_coded,
    resamples,
    solved_by,
    spearman,
    spearman_within,
)
from satcost_gnn.learn.base import TrainingTable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

LEVELS = (50, 80, 95)
#: Rank correlations have to be computed anew on each resample: their intervals come from no more than this many.
RANK_RESAMPLES = 300


@dataclass(frozen=True)
class Measure:
    """What a number in a table is.

    Parameters
    ----------
    text
        In words, with what is done about censored runs.
    better
        -1 if less is better, 1 if more is, 0 if neither.
    heading
        Of its column.
    """

    text: str
    better: int
    heading: str


MEASURES: Mapping[str, Measure] = {
    "rmse": Measure("root mean square error of log10 of the cost, solved runs only", -1, "RMSE solved"),
    "rmse_median": Measure(
        "the same of the median, which also allows for costs beyond the limit", -1, "RMSE of median, solved"
    ),
    "rmse_capped": Measure(
        "root mean square error with costs and predictions above the cutoff counted as the cutoff", -1, "RMSE capped"
    ),
    "rmse_par2": Measure(
        "root mean square error with runs not solved by the cutoff counted as twice the cutoff", -1, "RMSE PAR2-coded"
    ),
    "spearman": Measure("rank correlation, solved runs only", 1, "Spearman"),
    "spearman_within": Measure(
        f"rank correlation within a family, mean over families with at least {LEAST_RANKED} solved runs",
        1,
        "Spearman in family",
    ),
    "ratio": Measure(
        "geometric mean of max(predicted / true, true / predicted), solved runs only", -1, "geometric-mean ratio"
    ),
    "within_2": Measure("share of solved runs predicted within a factor of 2", 1, "within ×2"),
    "within_10": Measure("share of solved runs predicted within a factor of 10", 1, "within ×10"),
    "c_index": Measure("share of comparable pairs ordered rightly, censored runs included", 1, "C-index"),
    "crps": Measure("continuous ranked probability score in decades, censored runs included", -1, "CRPS"),
    "crps_cutoff": Measure(
        "the same, judging only what is said on costs up to the cutoff, censored runs included", -1, "CRPS to cutoff"
    ),
    **{
        name: measure
        for level in LEVELS
        for name, measure in (
            (
                f"coverage_{level}",
                Measure(f"share of solved runs inside the central {level} % interval", 0, f"coverage {level} %"),
            ),
            (f"width_{level}", Measure("mean width of that interval in decades", -1, f"width {level} %")),
        )
    },
    "brier": Measure("mean squared error of the probability of being solved by the cutoff", -1, "Brier"),
    "auc": Measure("area under the ROC curve of solved by the cutoff", 1, "AUC"),
}


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one solver on test instances.

    Parameters
    ----------
    rows
        Their rows in the table.
    cost, censored
        log10 of the cost, or of the bound where stopped.
    groups
        Family of each.
    cutoff
        log10 of the budget for the measures that need one.
    """

    rows: Integers
    cost: Floats
    censored: Bools
    groups: list[str]
    cutoff: float

    @classmethod
    def of(cls, table: TrainingTable, solver: str, cutoff: float) -> Self:
        """Take the known runs of a solver from a table."""
        column = table.solvers.index(solver)
        rows = np.flatnonzero(table.known[:, column])
        groups = [table.groups[row] for row in rows]
        return cls(rows, table.cost[rows, column], table.censored[rows, column], groups, cutoff)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """``bool[n, n]``: whether the first of a pair is known to be the cheaper one."""
        y, stopped = self.cost, self.censored
        later = (y[None, :] > y[:, None]) | ((y[None, :] == y[:, None]) & stopped[None, :])
        return np.asarray(later & ~stopped[:, None])

    @cached_property
    def solved_by_cutoff(self) -> Floats:
        """1 for a run solved by the cutoff, 0 for one that wasn't, NaN where it was stopped before it."""
        return solved_by(self.cost, self.censored, self.cutoff)


@dataclass(frozen=True, eq=False)
class Resamples:
    """Bootstrap resamples of runs, or of whole families.

    Parameters
    ----------
    rows
        Positions of the runs of each resample.
    counts
        ``float32[r, n]``: how often each run is in each resample.
    """

    rows: list[Integers]
    counts: NDArray[np.float32]

    @classmethod
    def draw(cls, n: int, groups: list[str] | None, count: int, seed: int = 0) -> Self:
        """Draw resamples of instances, or of whole groups if groups are given."""
        rows = resamples(n, groups, count=count, seed=seed)
        return cls(rows, np.stack([np.bincount(one, minlength=n) for one in rows]).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Scores:
    """What one estimator is worth on runs.

    Parameters
    ----------
    runs
        The runs.
    point
        Mean of log10 of the cost given that the run is solved: the prediction for measures over solved runs.
    median
        Median over all outcomes.
    p_solved
        Probability of a cost of at most the cutoff.
    pit
        Predicted probability of costing at most what the run did cost, or its bound.
    per_run
        Measure -> contribution of each run, NaN where it has none.
    bounds
        Level -> least and largest share of all runs that may lie in their intervals: a censored run surely does if the
        interval begins below its bound and has no upper end within the grid, and possibly if it ends above the bound.
    """

    runs: Runs
    point: Floats
    median: Floats
    p_solved: Floats
    pit: Floats
    per_run: Mapping[str, Floats]
    bounds: Mapping[int, tuple[float, float]]

    @classmethod
    def of(cls, distribution: CostDistribution, runs: Runs, solved_cutoff: ArrayLike) -> Self:
        """Score predictions of shape ``(n,)``, one for each run.

        Parameters
        ----------
        distribution
            The predictions.
        runs
            What they are of.
        solved_cutoff
            log10 of the largest cost at which runs were seen solved in training, a number or one for each run.
        """
        cost, stopped, cutoff = runs.cost, runs.censored, runs.cutoff
        median = distribution.median()
        point = expected_coded(distribution, "solved", solved_cutoff)
        p_solved = distribution.cdf_at(cutoff)
        error = np.where(stopped, np.nan, point - cost)
        capped = np.minimum(expected_coded(distribution, "capped", cutoff), cutoff)
        par2 = expected_coded(distribution, "par2", cutoff)
        size = np.abs(error)
        per_run: dict[str, Floats] = {
            "rmse": error**2,
            "rmse_median": np.where(stopped, np.nan, median - cost) ** 2,
            "rmse_capped": (capped - coded_cost(cost, stopped, "capped", cutoff)) ** 2,
            "rmse_par2": (par2 - coded_cost(cost, stopped, "par2", cutoff)) ** 2,
            "ratio": size,
            "crps": distribution.crps(cost, stopped),
            "crps_cutoff": distribution.crps(cost, stopped, cutoff),
            "brier": (p_solved - runs.solved_by_cutoff) ** 2,
        }
        for factor in (2, 10):
            within = (size <= np.log10(factor) + 1e-12).astype(np.float64)
            per_run[f"within_{factor}"] = np.where(stopped, np.nan, within)
        bounds = {}
        for level in LEVELS:
            low, high = distribution.interval(level / 100)
            open_end = distribution.censored_above(0.5 + level / 200)
            inside = (low <= cost) & ((cost <= high) | open_end)
            per_run[f"coverage_{level}"] = np.where(stopped, np.nan, inside.astype(np.float64))
            per_run[f"width_{level}"] = high - low
            surely = np.where(stopped, (low <= cost) & open_end, inside)
            possibly = np.where(stopped, (cost < high) | open_end, inside)
            bounds[level] = (float(surely.mean()), float(possibly.mean()))
        reached = np.minimum(cost, distribution.grid.high)
        return cls(runs, point, median, p_solved, distribution.cdf_at(reached), per_run, bounds)

    def values(self) -> dict[str, float]:
        """Return every measure over all runs."""
        found = self.subset(np.ones(len(self.runs), dtype=bool))
        runs = self.runs
        found["spearman"] = spearman(self.point, runs.cost, runs.censored)
        found["spearman_within"] = spearman_within(self.point, runs.cost, runs.groups, runs.censored)
        found["c_index"] = c_index(self.median, runs.cost, runs.censored)
        found["auc"] = auc(self.p_solved, runs.solved_by_cutoff)
        return {name: found[name] for name in MEASURES}

    def resampled(self, drawn: Resamples) -> dict[str, Floats]:
        """Return every measure on every resample, ``float64[r]`` (of rank correlations, on the first of them)."""
        found = self.means(self.per_run, drawn.counts)
        found["c_index"] = self._c_index(drawn.counts)
        found["auc"] = self._auc(drawn.counts)
        solved = np.where(self.runs.censored, np.nan, self.runs.cost)
        names = np.asarray(self.runs.groups, dtype=str)
        _, member = np.unique(names, return_inverse=True)
        first = drawn.rows[:RANK_RESAMPLES]
        found["spearman"] = np.array([spearman(self.point[at], solved[at]) for at in first])
        found["spearman_within"] = np.array([spearman_within(self.point[at], solved[at], member[at]) for at in first])
        return found

    def means(self, names: Iterable[str], counts: NDArray[np.float32]) -> dict[str, Floats]:
        """Return measures that are means over runs, for each row of counts ``float32[r, n]``."""
        return {name: _finish(name, _means(self.per_run[name], counts)) for name in names}

    def subset(self, keep: Bools) -> dict[str, float]:
        """Return the measures that are means over runs, over some of the runs."""
        found = self.means(self.per_run, keep[None, :].astype(np.float32))
        return {name: float(one[0]) for name, one in found.items()}

    def observed(self, level: ArrayLike) -> Floats:
        """Return the share of runs that cost at most their predicted quantile at each level, by Kaplan-Meier.

        Censored runs count as hidden beyond their bound. Above the level at which only censored runs are left the share
        is not known: NaN.
        """
        wanted = np.asarray(level, dtype=np.float64)
        if self.runs.censored.all():
            return np.full(wanted.shape, np.nan)
        share, at = _kaplan_meier(self.pit, self.runs.censored)
        steps = np.concatenate([[0.0], share])[np.searchsorted(at, wanted, side="right")]
        beyond = (wanted > at[-1]) & bool(self.runs.censored.any())
        return np.asarray(np.where(beyond, np.nan, steps), dtype=np.float64)

    def _c_index(self, counts: NDArray[np.float32]) -> Floats:
        order = np.sign(self.median[None, :] - self.median[:, None]).astype(np.float32)
        comparable = self.runs.comparable
        concordant = np.where(comparable, 0.5 + 0.5 * order, np.float32(0.0)).astype(np.float32)
        above = ((counts @ concordant) * counts).sum(axis=1, dtype=np.float64)
        below = ((counts @ comparable.astype(np.float32)) * counts).sum(axis=1, dtype=np.float64)
        return _ratio(above, below)

    def _auc(self, counts: NDArray[np.float32]) -> Floats:
        outcome = self.runs.solved_by_cutoff
        yes, no = np.flatnonzero(outcome == 1), np.flatnonzero(outcome == 0)
        order = np.sign(self.p_solved[yes, None] - self.p_solved[None, no]).astype(np.float32)
        right = ((counts[:, yes] @ (0.5 + 0.5 * order)) * counts[:, no]).sum(axis=1, dtype=np.float64)
        pairs = counts[:, yes].sum(axis=1, dtype=np.float64) * counts[:, no].sum(axis=1, dtype=np.float64)
        return _ratio(right, pairs)


def _kaplan_meier(values: Floats, hidden: Bools) -> tuple[Floats, Floats]:
    """Return the estimated share of values at or below each one that isn't hidden, and those, rising."""
    order = np.lexsort((hidden, values))
    at, event = values[order], ~hidden[order]
    at_risk = len(at) - np.arange(len(at))
    survival: Floats = np.cumprod(np.where(event, 1.0 - 1.0 / at_risk, 1.0), dtype=np.float64)
    return 1.0 - survival[event], at[event]


def _means(per_run: Floats, counts: NDArray[np.float32]) -> Floats:
    there = ~np.isnan(per_run)
    total = counts[:, there] @ per_run[there]
    return _ratio(np.asarray(total, dtype=np.float64), counts[:, there].sum(axis=1, dtype=np.float64))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0))


_FINISH: Mapping[str, Callable[[Floats], Floats]] = {
    **dict.fromkeys(("rmse", "rmse_median", "rmse_capped", "rmse_par2"), np.sqrt),
    "ratio": lambda mean: 10.0**mean,
}


def _finish(name: str, means: Floats) -> Floats:
    return np.asarray(_FINISH[name](means) if name in _FINISH else means)
