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

import numpy as np
from numpy.typing import NDArray

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


def _after_decisions(log2_alpha: float, level: int, count: int) -> float:
    """Compose ``e -> alpha + 2^level e`` with ``e -> 1 + 2 e`` ``count`` times and return log2 of the constant."""
    return _log2_sum(log2_alpha, level + _log2_minus_one(float(count))) if count else log2_alpha


class TreeSize:
    """Weighted backtrack (WBE) and recursive estimate of the current tree.

    *Weighted backtrack.* With leaves at depths ``d`` and ``prob(d) = 2^-d``, the estimate is
    ``sum prob(d) (2^(d + 1) - 1) / sum prob(d) = 2 L / W - 1``, where ``L`` counts the closed leaves and the *tree
    weight* ``W = sum 2^-d`` is the share of the tree that is closed: 1 once all of it is, and then the estimate is
    exact. Contraction moves leaves up, so ``W`` after a backjump to level ``b`` is the weight when decision ``b + 1``
    was made plus that of its whole left subtree.

    *Recursive.* An unexplored right subtree is taken to be as large as its left sibling: the estimate is 1 at a leaf,
    ``1 + 2 e`` at a node whose left child is being searched and estimated at ``e``, and ``1 + s + e`` at one whose left
    subtree is closed with ``s`` nodes and whose right child is being searched. From the current node to the root these
    are affine maps; their composition ``e -> alpha + 2^level e``, with one factor 2 for each open decision, is kept,
    and on a stack the composition down to each open decision. The estimate is brought up to date at each conflict, when
    decision ``b + 1``'s left subtree, of ``2 l - 1`` nodes for its ``l`` leaves, has just been closed.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self, kept: int = 0) -> None:
        """Begin another tree whose first ``kept`` decisions are made already."""
        #: Leaves closed in this tree, open decisions, and depth of the current node in the contracted tree.
        self.leaves, self.level, self.depth = 0, kept, kept
        #: Binary logarithm of the tree weight; minus infinity before the first leaf.
        self.log2_weight = _ZERO
        #: log2 of the recursive estimate of the nodes of the whole tree; NaN before the first leaf.
        self.log2_recursive = math.nan
        self._log2_alpha = _after_decisions(_ZERO, 0, kept)
        # For each run of decisions still open: level, depth, log2 W, log2 alpha and leaves when its first one was made.
        self._runs: list[tuple[int, int, float, float, int]] = [(0, 0, _ZERO, _ZERO, 0)] if kept else []
        self._in_run = bool(kept)

    def decision(self, count: int = 1) -> None:
        """Record ``count`` decisions in a row."""
        if not self._in_run:
            self._runs.append((self.level, self.depth, self.log2_weight, self._log2_alpha, self.leaves))
            self._in_run = True
        self._log2_alpha = _after_decisions(self._log2_alpha, self.level, count)
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
        level, depth, log2_weight, log2_alpha, leaves = self._runs[-1]
        if level == backjump:
            self._runs.pop()
        self.leaves += 1
        self.depth = depth + (backjump - level) + 1
        self.log2_weight = _log2_sum(log2_weight, float(-self.depth))
        log2_alpha = _after_decisions(log2_alpha, level, backjump - level)
        left = 2 * (self.leaves - leaves) - 1
        self.log2_recursive = _log2_sum(log2_alpha, backjump + math.log2(1 + 2 * left))
        self._log2_alpha = _log2_sum(log2_alpha, backjump + math.log2(1 + left))
        self.level = backjump
        self._in_run = False

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
        self.log2_recursive = math.log2(2 * self.leaves - 1)

    def log2_wbe(self) -> float:
        """Return log2 of the weighted backtrack estimate of the nodes of the whole tree (NaN before the first leaf)."""
        return _log2_minus_one(1.0 + math.log2(self.leaves) - self.log2_weight) if self.leaves else math.nan


PROGRESS_LEVELS = 4
"""Decision levels, 0 included, that :func:`progress_estimate` looks at: what is deeper counts less than F^2 of it."""


def progress_estimate(assigned: NDArray[np.floating], n_vars: int) -> NDArray[np.float64]:
    """Return MiniSat's estimate of the share of the search space that is done, ``float64[n]`` in [0, 1].

    Each literal assigned at level ``i`` counts ``F^i`` with ``F = 1 / n_vars``, and the sum is divided by ``n_vars``
    (``Solver::progressEstimate`` of MiniSat 2.2, which its progress column and its statistics show). ``assigned`` is
    ``float64[n, PROGRESS_LEVELS]``: literals assigned at decision levels 0, 1, ...
    """
    n_vars = max(n_vars, 1)
    weights = (1.0 / n_vars) ** np.arange(assigned.shape[1])
    return np.asarray(np.clip(assigned @ weights / n_vars, 0.0, 1.0), dtype=np.float64)


# Of HoltProgress: weights of the newest level and trend (`a` and `b`), samples kept (an even number), and the weight
# below which the forecast is unknown: there it says more about the first dive than about the tree.
_LEVEL_SMOOTHING, _TREND_SMOOTHING = 0.65, 0.15
_CAPACITY = 1024
_LEAST_WEIGHT = 0.005


class HoltProgress:
    """Forecast of the tree size from the tree weight by Holt's double exponential smoothing.

    After Hendel, Anderson, Le Bodic and Pfetsch ("Estimating the size of branch-and-bound trees", INFORMS Journal on
    Computing 2022) and SCIP's event handler ``estim``: the weight is sampled at every leaf, later at every second,
    fourth, ... leaf, so that at most 1024 samples are kept; level and trend are smoothed by

        level' = a x + (1 - a) (level + trend),   trend' = b (level' - level) + (1 - b) trend,

    and the tree is forecast to end where the trend takes the weight to 1. (SCIP's code adds the trend without the level
    by an operator's precedence; this is Holt's own formula.)
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin another tree."""
        self._samples: list[float] = []
        #: The latest weight, leaves seen, and leaves from one sample to the next.
        self.weight, self.leaves, self.resolution = 0.0, 0, 1
        self.level, self.trend = math.nan, math.nan

    def _smooth(self, sample: float) -> None:
        if math.isnan(self.level):
            # The weight is 0 before the first leaf, so the first sample is the first step too.
            self.level = self.trend = sample
            return
        level = _LEVEL_SMOOTHING * sample + (1 - _LEVEL_SMOOTHING) * (self.level + self.trend)
        self.trend = _TREND_SMOOTHING * (level - self.level) + (1 - _TREND_SMOOTHING) * self.trend
        self.level = level

    def update(self, weight: float) -> None:
        """Record the tree weight after one more leaf."""
        self.weight = weight
        self.leaves += 1
        if self.leaves % self.resolution:
            return
        self._samples.append(weight)
        self._smooth(weight)
        if len(self._samples) == _CAPACITY:
            self._samples = self._samples[1::2]
            self.resolution *= 2
            self.level = self.trend = math.nan
            for sample in self._samples:
                self._smooth(sample)

    def estimate(self) -> float:
        """Return the forecast number of nodes of the whole tree; NaN while unknown or if the weight is not growing."""
        if self.weight >= 1.0:
            return 2.0 * self.leaves - 1.0
        if self.weight < _LEAST_WEIGHT or not self.trend > 0.0:
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


def estimates(events: NDArray[np.int32]) -> TreeEstimates:
    """Run the estimators over the events of a trace (see :func:`decision_runs` for the codes).

    There is a row for each conflict above level 0.
    """
    codes, decisions, _ = decision_runs(events)
    size, holt = TreeSize(), HoltProgress()
    rows: list[tuple[float, float, float, float]] = []
    leaves: list[int] = []
    trees: list[int] = []
    tree = 0
    for code, before in zip(codes.tolist(), decisions.tolist(), strict=True):
        if before:
            size.decision(before)
        if code >= 0:
            size.conflict(code)
            holt.update(2.0**size.log2_weight)
            forecast = holt.estimate()
            log2_holt = math.log2(forecast) if forecast > 0.0 else math.nan
            rows.append((size.log2_wbe(), size.log2_recursive, size.log2_weight, log2_holt))
            leaves.append(size.leaves)
            trees.append(tree)
        elif code == FINISHED:
            size.finish()
        else:
            size.restart(RESTART - code)
            holt.restart()
            tree += 1
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    wbe, recursive, weight, forecasts = table.T
    of_leaves, of_trees = np.array(leaves, dtype=np.int64), np.array(trees, dtype=np.int64)
    return TreeEstimates(wbe, recursive, weight, forecasts, of_leaves, of_trees)
