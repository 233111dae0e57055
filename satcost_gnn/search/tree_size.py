"""Tree-size estimators for conflict-driven search: weighted backtrack, recursive, and a forecast of the tree weight.

Kilby, Slaney, Thiébaux and Walsh ("Estimating search tree size", AAAI 2006) estimate the size of a binary search tree
while it is searched depth first. A conflict-driven solver walks no such tree: it jumps back over several decisions at
once and asserts a literal instead of trying a decision's other value. Its search between two restarts is read as a
tree all the same:

- a decision opens a node and goes to its left child;
- every conflict is a leaf;
- on a backjump to level ``b`` the node of decision ``b + 1`` becomes a binary node whose left subtree is closed, and
  the search goes to its right child; the open decisions that were jumped over had no right child and never get one:
  each is contracted, that is replaced by its left child;
- a conflict at level 0 closes the tree;
- a restart begins another tree. A solver that keeps its first ``k`` decisions on a restart begins it with ``k`` open
  decisions.

Depths of thousands are common and 2 to that power is out of the range of floating point, so everything is kept as
binary logarithms. Runs of decisions share one stack entry, so that a run of any length, a conflict and a restart all
take constant amortised time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from satcost_gnn.search.trace import Trace

DECISION = -1
"""Event code of a decision; a conflict with a backjump to level ``b`` is ``b``."""
RESTART = -2
"""Event code of a restart that keeps no decision; one that keeps ``k`` decisions is ``RESTART - k``."""
FINISHED = -(2**31)
"""Event code of a conflict at level 0, which closes the tree."""

_LN2 = math.log(2.0)
_ZERO = -math.inf


def _log2_sum(a: float, b: float) -> float:
    """Return log2(2^a + 2^b)."""
    if a < b:
        a, b = b, a
    if b == _ZERO:
        return a
    return a + math.log1p(2.0 ** (b - a)) / _LN2


def _log2_minus_one(a: float) -> float:
    """Return log2(2^a - 1) for a >= 1."""
    return a + math.log1p(-(2.0**-a)) / _LN2


class WeightedBacktrack:
    """Weighted backtrack estimator (WBE) of the current tree.

    With leaves at depths ``d`` and ``prob(d) = 2^-d``, the estimate is
    ``sum prob(d) (2^(d + 1) - 1) / sum prob(d) = 2 L / W - 1``, where ``L`` counts the closed leaves and the *tree
    weight* ``W = sum 2^-d`` is the share of the tree that is closed: 1 once all of it is, and then the estimate is
    exact. Contraction moves leaves up, so ``W`` after a backjump to level ``b`` is the weight when decision ``b + 1``
    was made plus that of its whole left subtree.
    """

    def __init__(self) -> None:
        self.leaves = 0
        """Leaves closed in this tree."""
        self.level = 0
        """Open decisions."""
        self.depth = 0
        """Depth of the current node in the contracted tree."""
        self.log2_weight = _ZERO
        """Binary logarithm of the tree weight; minus infinity before the first leaf."""
        # For each run of decisions still open: level, depth and log2 W when its first decision was made.
        self._runs: list[tuple[int, int, float]] = []
        self._in_run = False

    def decision(self, count: int = 1) -> None:
        """Record ``count`` decisions in a row."""
        if not self._in_run:
            self._runs.append((self.level, self.depth, self.log2_weight))
            self._in_run = True
        self.level += count
        self.depth += count

    def conflict(self, backjump: int) -> None:
        """Record a conflict above level 0 and the backjump to level ``backjump``.

        Raises
        ------
        ValueError
            If ``backjump`` is negative or not below the current level.
        """
        if not 0 <= backjump < self.level:
            raise ValueError(f"found a backjump to level {backjump}; expected 0 <= level < {self.level}")
        while self._runs[-1][0] > backjump:
            self._runs.pop()
        level, depth, log2_weight = self._runs[-1]
        if level == backjump:
            self._runs.pop()
        self.depth = depth + (backjump - level) + 1
        self.log2_weight = _log2_sum(log2_weight, float(-self.depth))
        self.level = backjump
        self.leaves += 1
        self._in_run = False

    def restart(self, kept: int = 0) -> None:
        """Begin another tree whose first ``kept`` decisions are made already."""
        self.leaves, self.level, self.depth, self.log2_weight = 0, kept, kept, _ZERO
        self._runs = [(0, 0, _ZERO)] if kept else []
        self._in_run = bool(kept)

    def finish(self) -> None:
        """Record a conflict at level 0.

        Raises
        ------
        ValueError
            If a decision is open.
        """
        if self.level:
            raise ValueError(f"found {self.level} open decisions at the end of the tree; expected none")
        self.leaves += 1
        # All of the tree is closed: exactly 1, which the sum would miss by a rounding error.
        self.log2_weight = 0.0

    def log2_estimate(self) -> float:
        """Return log2 of the estimated number of nodes of the whole tree (NaN before the first leaf)."""
        if not self.leaves:
            return math.nan
        return _log2_minus_one(1.0 + math.log2(self.leaves) - self.log2_weight)


class Recursive:
    """Recursive estimator of the current tree.

    An unexplored right subtree is taken to be as large as its left sibling: the estimate is 1 at a leaf, ``1 + 2 e``
    at a node whose left child is being searched and estimated at ``e``, and ``1 + s + e`` at one whose left subtree is
    closed with ``s`` nodes and whose right child is being searched. From the current node to the root these are affine
    maps; their composition ``e -> alpha + 2^open e``, with one factor 2 for each open decision, is kept, and on a stack
    the composition down to each open decision. The estimate is brought up to date at each conflict, when decision
    ``b + 1``'s left subtree, of ``2 l - 1`` nodes for its ``l`` leaves, has just been closed.
    """

    def __init__(self) -> None:
        self.leaves = 0
        """Leaves closed in this tree."""
        self.level = 0
        """Open decisions; the slope of the composed map is 2 to this power."""
        self._log2_alpha = _ZERO
        self._log2_estimate = math.nan
        # For each run of decisions still open: level, log2 alpha and leaves when its first decision was made.
        self._runs: list[tuple[int, float, int]] = []
        self._in_run = False

    @staticmethod
    def _after_decisions(log2_alpha: float, level: int, count: int) -> float:
        """Compose ``e -> alpha + 2^level e`` with ``e -> 1 + 2 e`` ``count`` times and return log2 of the constant."""
        return _log2_sum(log2_alpha, level + _log2_minus_one(float(count))) if count else log2_alpha

    def decision(self, count: int = 1) -> None:
        """Record ``count`` decisions in a row."""
        if not self._in_run:
            self._runs.append((self.level, self._log2_alpha, self.leaves))
            self._in_run = True
        self._log2_alpha = self._after_decisions(self._log2_alpha, self.level, count)
        self.level += count

    def conflict(self, backjump: int) -> None:
        """Record a conflict above level 0 and the backjump to level ``backjump``.

        Raises
        ------
        ValueError
            If ``backjump`` is negative or not below the current level.
        """
        if not 0 <= backjump < self.level:
            raise ValueError(f"found a backjump to level {backjump}; expected 0 <= level < {self.level}")
        while self._runs[-1][0] > backjump:
            self._runs.pop()
        level, log2_alpha, leaves = self._runs[-1]
        if level == backjump:
            self._runs.pop()
        log2_alpha = self._after_decisions(log2_alpha, level, backjump - level)
        self.leaves += 1
        left = 2 * (self.leaves - leaves) - 1
        self._log2_estimate = _log2_sum(log2_alpha, backjump + math.log2(1 + 2 * left))
        self._log2_alpha = _log2_sum(log2_alpha, backjump + math.log2(1 + left))
        self.level = backjump
        self._in_run = False

    def restart(self, kept: int = 0) -> None:
        """Begin another tree whose first ``kept`` decisions are made already."""
        self.leaves, self.level = 0, kept
        self._log2_alpha = self._after_decisions(_ZERO, 0, kept)
        self._log2_estimate = math.nan
        self._runs = [(0, _ZERO, 0)] if kept else []
        self._in_run = bool(kept)

    def finish(self) -> None:
        """Record a conflict at level 0.

        Raises
        ------
        ValueError
            If a decision is open.
        """
        if self.level:
            raise ValueError(f"found {self.level} open decisions at the end of the tree; expected none")
        self.leaves += 1
        self._log2_estimate = math.log2(2 * self.leaves - 1)

    def log2_estimate(self) -> float:
        """Return log2 of the estimated number of nodes of the whole tree (NaN before the first leaf)."""
        return self._log2_estimate


PROGRESS_LEVELS = 4
"""Decision levels, 0 included, that :func:`progress_estimate` looks at: what is deeper counts less than F^2 of it."""


def progress_estimate(assigned: NDArray[np.floating], n_vars: int) -> NDArray[np.float64]:
    """Return MiniSat's estimate of the share of the search space that is done.

    Each literal assigned at level ``i`` counts ``F^i`` with ``F = 1 / n_vars``, and the sum is divided by ``n_vars``
    (``Solver::progressEstimate`` of MiniSat 2.2, which its progress column and its statistics show).

    Parameters
    ----------
    assigned
        ``float64[n, PROGRESS_LEVELS]``: literals assigned at decision levels 0, 1, ...
    n_vars
        Variables of the formula.

    Returns
    -------
    ``float64[n]`` in [0, 1].
    """
    n_vars = max(n_vars, 1)
    weights = (1.0 / n_vars) ** np.arange(assigned.shape[1])
    return np.asarray(np.clip(assigned @ weights / n_vars, 0.0, 1.0), dtype=np.float64)


class HoltProgress:
    """Forecast of the tree size from the tree weight by Holt's double exponential smoothing.

    After Hendel, Anderson, Le Bodic and Pfetsch ("Estimating the size of branch-and-bound trees", INFORMS Journal on
    Computing 2022) and SCIP's event handler ``estim``: the weight is sampled at every leaf, later at every second,
    fourth, ... leaf, so that at most ``capacity`` samples are kept; level and trend are smoothed by

        level' = a x + (1 - a) (level + trend),   trend' = b (level' - level) + (1 - b) trend,

    and the tree is forecast to end where the trend takes the weight to 1. (SCIP's code adds the trend without the level
    by an operator's precedence; this is Holt's own formula.)

    Parameters
    ----------
    level_smoothing, trend_smoothing
        ``a`` and ``b`` above.
    capacity
        Samples kept; must be even.
    least_weight
        Weight below which the forecast is unknown: there it says more about the first dive than about the tree.
    """

    def __init__(
        self,
        level_smoothing: float = 0.65,
        trend_smoothing: float = 0.15,
        capacity: int = 1024,
        least_weight: float = 0.005,
    ) -> None:
        if capacity < 2 or capacity % 2:
            raise ValueError(f"capacity must be even and positive; got {capacity}")
        self._smoothing = (level_smoothing, trend_smoothing)
        self._capacity = capacity
        self._least_weight = least_weight
        self._samples: list[float] = []
        self.weight = 0.0
        """The latest weight."""
        self.leaves = 0
        """Leaves seen."""
        self.resolution = 1
        """Leaves from one sample to the next."""
        self.level, self.trend = math.nan, math.nan

    def _smooth(self, sample: float) -> None:
        a, b = self._smoothing
        if math.isnan(self.level):
            # The weight is 0 before the first leaf, so the first sample is the first step too.
            self.level = self.trend = sample
            return
        level = a * sample + (1 - a) * (self.level + self.trend)
        self.trend = b * (level - self.level) + (1 - b) * self.trend
        self.level = level

    def update(self, weight: float) -> None:
        """Record the tree weight after one more leaf."""
        self.weight = weight
        self.leaves += 1
        if self.leaves % self.resolution:
            return
        self._samples.append(weight)
        self._smooth(weight)
        if len(self._samples) == self._capacity:
            self._samples = self._samples[1::2]
            self.resolution *= 2
            self.level = self.trend = math.nan
            for sample in self._samples:
                self._smooth(sample)

    def restart(self) -> None:
        """Begin another tree."""
        self._samples.clear()
        self.weight, self.leaves, self.resolution = 0.0, 0, 1
        self.level, self.trend = math.nan, math.nan

    def estimate(self) -> float:
        """Return the forecast number of nodes of the whole tree; NaN while unknown or if the weight is not growing."""
        if self.weight >= 1.0:
            return 2.0 * self.leaves - 1.0
        if self.weight < self._least_weight or not self.trend > 0.0:
            return math.nan
        leaves = self.resolution * (len(self._samples) + (1.0 - self.weight) / self.trend)
        return 2.0 * leaves - 1.0


@dataclass(frozen=True, eq=False)
class TreeEstimates:
    """Estimates of the tree being searched after each conflict of a trace.

    Parameters
    ----------
    log2_wbe, log2_recursive
        ``float64[C]``: log2 of the estimated number of nodes.
    log2_weight
        ``float64[C]``: log2 of the tree weight, at most 0.
    holt
        ``float64[C]``: log2 of the number of nodes forecast by :class:`HoltProgress`; NaN where unknown.
    leaves
        ``int64[C]``: leaves closed since the last restart.
    tree
        ``int64[C]``: which tree the conflict belongs to: restarts before it.
    """

    log2_wbe: NDArray[np.float64]
    log2_recursive: NDArray[np.float64]
    log2_weight: NDArray[np.float64]
    holt: NDArray[np.float64]
    leaves: NDArray[np.int64]
    tree: NDArray[np.int64]


def decision_runs(events: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Split an event sequence into the events that are no decisions and the decisions before each.

    Parameters
    ----------
    events
        Event codes: decision ``DECISION``, conflict ``b >= 0``, restart ``RESTART - kept``, ``FINISHED``.

    Returns
    -------
    codes
        The codes of the events other than decisions, in order.
    decisions
        Decisions between each of them and the one before.
    trailing
        Decisions after the last of them.
    """
    position = np.flatnonzero(events != DECISION)
    decisions = np.diff(position, prepend=-1) - 1
    trailing = len(events) - (int(position[-1]) + 1 if len(position) else 0)
    return events[position].astype(np.int64), decisions.astype(np.int64), trailing


def estimates(trace: Trace) -> TreeEstimates:
    """Run the estimators over a trace's events.

    Parameters
    ----------
    trace
        The trace; its events are read, in constant amortised time for each run of decisions, conflict and restart.

    Returns
    -------
    TreeEstimates
        One row for each conflict above level 0.
    """
    return estimates_of_events(trace.events)


def estimates_of_events(events: NDArray[np.int32]) -> TreeEstimates:
    """Run the estimators over a sequence of events (see :func:`decision_runs` for the codes)."""
    codes, decisions, _ = decision_runs(events)
    wbe, recursive, holt = WeightedBacktrack(), Recursive(), HoltProgress()
    rows: list[tuple[float, float, float, float]] = []
    leaves: list[int] = []
    trees: list[int] = []
    tree = 0
    for code, before in zip(codes.tolist(), decisions.tolist(), strict=True):
        if before:
            wbe.decision(before)
            recursive.decision(before)
        if code >= 0:
            wbe.conflict(code)
            recursive.conflict(code)
            holt.update(2.0**wbe.log2_weight)
            forecast = holt.estimate()
            rows.append(
                (wbe.log2_estimate(), recursive.log2_estimate(), wbe.log2_weight, math.log2(forecast))
                if forecast > 0.0
                else (wbe.log2_estimate(), recursive.log2_estimate(), wbe.log2_weight, math.nan)
            )
            leaves.append(wbe.leaves)
            trees.append(tree)
        elif code == FINISHED:
            wbe.finish()
            recursive.finish()
        else:
            kept = RESTART - code
            wbe.restart(kept)
            recursive.restart(kept)
            holt.restart()
            tree += 1
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return TreeEstimates(
        log2_wbe=table[:, 0],
        log2_recursive=table[:, 1],
        log2_weight=table[:, 2],
        holt=table[:, 3],
        leaves=np.array(leaves, dtype=np.int64),
        tree=np.array(trees, dtype=np.int64),
    )
