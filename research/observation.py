"""What is known at points along a long search: features of a window of conflicts, and estimates of the whole cost.

After Haim and Walsh, "Online estimation of SAT solving runtime" (SAT 2008): after a restart a waiting period passes,
then the search is observed over a window of conflicts, and the cost is estimated from that window. Points at conflict
counts that grow geometrically are there for estimates at any time. All of them are chosen without a look at where the
search ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recording import Recording

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.search.online import LEAST_CONFLICTS, LEAST_LEAVES, WAITING_CONFLICTS, capped, conflict_series
from satcost_gnn.search.tree_size import TreeEstimates, estimates

WINDOW_CONFLICTS = 2_000
"""Conflicts of an observation window."""

ESTIMATES = ("twice_so_far", "progress_bar", "wbe", "recursive", "holt")
"""Estimates that need no training."""

_LOG10_2 = float(np.log10(2.0))
# Estimates beyond 10^12 conflicts say only "out of sight".
_LARGEST = 12.0
_SHORT_CLAUSE = 6


@dataclass(frozen=True)
class Point:
    """A point of a search at which its cost is estimated.

    Parameters
    ----------
    restart
        Restarts of the search before the window.
    begin, end
        The window: conflicts ``begin + 1`` to ``end``, by the solver's count. The estimate is made after ``end``.
    """

    restart: int
    begin: int
    end: int


def restart_points(
    recording: Recording,
    waiting: int = WAITING_CONFLICTS,
    length: int = WINDOW_CONFLICTS,
    growth: float = 1.5,
) -> list[Point]:
    """Return the points after restarts whose windows lie within the search.

    The first window follows the start of the search. Each further one follows the first restart that comes after the
    end of the window before and at ``growth`` times as many conflicts as the last restart used. With geometric restarts
    by the same factor these are all restarts that are long enough for a window, once two windows fit between them;
    solvers that restart every few conflicts get about as many points, and their windows hold further restarts.

    Raises
    ------
    ValueError
        If the window is empty, the waiting period negative, or ``growth`` below 1.
    """
    if waiting < 0 or length < 1 or growth < 1.0:
        raise ValueError(f"found waiting {waiting}, length {length}, growth {growth}; expected >= 0, >= 1, >= 1")
    points: list[Point] = []
    # The restart before conflict i of the trace comes after as many conflicts as were counted at the one before.
    first = np.flatnonzero(recording.trace.restart[1:]) + 1
    starts = [0, *recording.numbers[first - 1].tolist()]
    least = 0.0
    for restart, start in enumerate(starts):
        if start < least:
            continue
        point = Point(restart, start + waiting, start + waiting + length)
        if point.end >= recording.conflicts:
            break
        points.append(point)
        least = max(start * growth, point.end)
    return points


def checkpoints(
    recording: Recording,
    first: int = 500,
    growth: float = 1.5,
    waiting: int = WAITING_CONFLICTS,
    length: int = WINDOW_CONFLICTS,
) -> list[Point]:
    """Return points at ``first``, ``growth * first``, ... conflicts, whose windows are the last ``length`` conflicts.

    The first ``waiting`` conflicts of the search belong to no window.

    Raises
    ------
    ValueError
        If the first point is within the waiting period, the window is empty, or ``growth`` not above 1.
    """
    if first <= waiting or length < 1 or growth <= 1.0:
        raise ValueError(f"found first {first}, length {length}, growth {growth}; expected > {waiting}, >= 1, > 1")
    restarts = recording.numbers[np.flatnonzero(recording.trace.restart)]
    points: list[Point] = []
    end = float(first)
    while round(end) < recording.conflicts:
        begin = max(waiting, round(end) - length)
        points.append(Point(int(np.searchsorted(restarts, begin, side="right")), begin, round(end)))
        end *= growth
    return points


@dataclass(frozen=True, eq=False)
class Observation:
    """What is known at a point.

    Parameters
    ----------
    point
        The point.
    features
        Features of the window and of the search up to its end.
    estimates
        Name in :data:`ESTIMATES` -> log10 of the estimated conflicts of the whole search, as the estimate stands,
        without training; NaN where there is none.
    """

    point: Point
    features: FeatureVector
    estimates: dict[str, float]


def feature_names(learnt: bool) -> tuple[str, ...]:
    """Return the names of an observation's features; ``learnt``: whether the solver tells the learnt clauses."""
    series = [name for name in _SERIES if learnt or name not in ("learnt", "learnt_per_level")]
    names = [f"window.{name}.{statistic}" for name in series for statistic in _STATISTICS]
    return (*names, *_RATES, *(("window.learnt_short_share",) if learnt else ()), *_TREE, *_PROGRESS, *_SPENT)


_SERIES = (
    "level",
    "level_share",
    "backjump",
    "backjump_share",
    "trail_share",
    "undone_share",
    "decisions",
    "assigned",
    "learnt",
    "learnt_per_level",
)
_STATISTICS = ("mean", "sd", "min", "max", "last", "trend")
_RATES = ("window.restart_share", "window.to_root_share", "window.one_level_share")
_TREE = (
    *(f"tree.{name}_{which}" for name in ("wbe", "recursive", "weight") for which in ("mean", "last", "longest")),
    "tree.weight_trend",
    "tree.holt_longest",
    "tree.leaves_longest_log",
)
_PROGRESS = ("progress.last", "progress.change", "progress.fixed_share", "progress.fixed_gain")
_SPENT = ("spent.conflicts_log", "spent.restarts_log")


def observations(recording: Recording, points: list[Point]) -> Iterator[Observation]:
    """Yield what is known at each point; a point with fewer than eight conflicts reported in its window is left out."""
    found = estimates(recording.trace.events)
    series = conflict_series(recording.trace)
    for point in points:
        first, end = (int(np.searchsorted(recording.numbers, at, side="right")) for at in (point.begin, point.end))
        if end - first >= LEAST_CONFLICTS:
            yield _observe(recording, point, first, end, found, series)


def _observe(
    recording: Recording,
    point: Point,
    first: int,
    end: int,
    found: TreeEstimates,
    series: dict[str, NDArray[np.float64]],
) -> Observation:
    trace = recording.trace
    inside = slice(first, end)
    last, middle = end - 1, first + (end - first) // 2
    # Last conflict, so far, of the tree with most leaves.
    longest = int(np.argmax(found.leaves[:end]))
    values: dict[str, float] = {}
    for name, whole in series.items():
        part = whole[inside]
        values[f"window.{name}.mean"] = float(part.mean())
        values[f"window.{name}.sd"] = float(part.std())
        values[f"window.{name}.min"] = float(part.min())
        values[f"window.{name}.max"] = float(part.max())
        values[f"window.{name}.last"] = float(part[-1])
        values[f"window.{name}.trend"] = float(whole[middle:end].mean() - whole[first:middle].mean())
    jump = trace.level[inside] - trace.backjump[inside]
    values["window.restart_share"] = float(trace.restart[inside].mean())
    values["window.to_root_share"] = float((trace.backjump[inside] == 0).mean())
    values["window.one_level_share"] = float((jump == 1).mean())
    learnt = trace.learnt_length[inside]
    if len(learnt):
        values["window.learnt_short_share"] = float(((learnt >= 1) & (learnt <= _SHORT_CLAUSE)).mean())
    for name, estimate in (
        ("wbe", found.log2_wbe),
        ("recursive", found.log2_recursive),
        ("weight", found.log2_weight),
    ):
        part = capped(estimate[inside])
        values[f"tree.{name}_mean"] = float(part.mean())
        values[f"tree.{name}_last"] = float(part[-1])
        values[f"tree.{name}_longest"] = float(capped(estimate[[longest]])[0])
    leaves = int(found.leaves[longest])
    if leaves >= LEAST_LEAVES:
        weight = capped(found.log2_weight[[longest - leaves // 2, longest]])
        values["tree.weight_trend"] = float(weight[1] - weight[0])
    values["tree.holt_longest"] = float(capped(found.holt[[longest]])[0])
    values["tree.leaves_longest_log"] = float(np.log1p(leaves))
    active = max(trace.n_active, 1)
    # Without a literal seen at level 0 or 1 the progress is no more than that of the decision at level 1.
    progress = np.log10(np.maximum(trace.progress[[first, last]].astype(np.float64), 1.0 / active**2))
    values["progress.last"] = float(progress[1])
    values["progress.change"] = float(progress[1] - progress[0])
    values["progress.fixed_share"] = float(trace.fixed[last] / active)
    values["progress.fixed_gain"] = float((trace.fixed[last] - trace.fixed[first]) / active)
    values["spent.conflicts_log"] = float(np.log1p(point.end))
    values["spent.restarts_log"] = float(np.log1p(trace.restart[:end].sum()))
    # Leaves are conflicts that were reported; a MiniSat reports several of them as one.
    merged = float(np.log10(point.end / end))
    spent = float(np.log10(point.end))
    raw = {
        "twice_so_far": spent + _LOG10_2,
        "progress_bar": spent - float(progress[1]),
        "wbe": (float(found.log2_wbe[longest]) - 1.0) * _LOG10_2 + merged,
        "recursive": (float(found.log2_recursive[longest]) - 1.0) * _LOG10_2 + merged,
        "holt": (float(found.holt[longest]) - 1.0) * _LOG10_2 + merged,
    }
    # The search has not ended: whatever says that it costs less than was spent is raised to that.
    estimated = {name: float(np.clip(raw[name], spent, _LARGEST)) for name in ESTIMATES}
    return Observation(point, FeatureVector.from_mapping(feature_names(bool(len(learnt))), values), estimated)
