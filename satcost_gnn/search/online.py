"""Features of the early search: what a trace says about how the search is going.

Most are dimensionless (rates per conflict, shares of the variables, logarithms of counts), so that they mean the same
on formulas of different sizes. None depends on a clock but those of :func:`speed_features`, which are kept apart.

Series over conflicts are summarised as in Haim and Walsh ("Online estimation of SAT solving runtime", SAT 2008): after
a waiting period the mean, standard deviation, minimum and maximum over windows, the last value, and the trend.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.search.trace import Trace
from satcost_gnn.search.tree_size import estimates

if TYPE_CHECKING:
    from satcost_gnn.search.probe_settings import ProbeResult
    from satcost_gnn.search.random_dives import Dives

WAITING_CONFLICTS = 100
"""Conflicts at the start that the windows leave out; at most a quarter of all conflicts is left out."""

LEAST_CONFLICTS = 8
"""A window with fewer conflicts has no features."""

LEAST_LEAVES = 10
"""Leaves that a tree must have for its estimates to enter the aggregates over trees."""

# CPU clocks are too coarse to take a speed from a shorter search; shorter times are raised to a millisecond.
_LEAST_SECONDS = 0.005
_SHORTEST_SECONDS = 0.001

# Estimates beyond say only "out of sight"; a dive through a deep trail alone can claim 2^300000 nodes.
_LOG2_CAP = 256.0

_SERIES: dict[str, str] = {
    "level": "log(1 + decision level at the conflict)",
    "level_share": "decision level at the conflict / active variables",
    "backjump": "log(1 + levels jumped back)",
    "backjump_share": "levels jumped back / decision level",
    "learnt": "log(1 + literals of the learnt clause)",
    "learnt_per_level": "log(literals of the learnt clause / decision level)",
    "trail_share": "literals on the trail at the conflict / active variables",
    "undone_share": "share of the trail undone by the backjump",
    "decisions": "log(1 + decisions since the conflict before)",
    "assigned": "log(1 + literals assigned since the conflict before)",
}

_WINDOWS: dict[str, tuple[float, str]] = {
    "all": (0.0, "all conflicts after the waiting period"),
    "half": (0.5, "the last half of them"),
    "quarter": (0.75, "the last quarter of them"),
}

_STATISTICS: dict[str, tuple[str, Callable[[NDArray[np.float64]], np.floating]]] = {
    "mean": ("mean", np.mean),
    "sd": ("standard deviation", np.std),
    "min": ("minimum", np.min),
    "max": ("maximum", np.max),
}

_RATES: dict[str, str] = {
    "conflicts_log": "log(1 + conflicts seen)",
    "restarts_per_conflict": "the solver's restarts / conflicts",
    "given_up_per_conflict": "share of conflicts before which the solver had given its decisions up",
    "propagations_per_conflict_log": "log(1 + propagations / conflicts)",
    "propagations_per_decision_log": "log(1 + propagations / decisions)",
    "decisions_per_conflict_log": "log(1 + decisions / conflicts)",
    "learnt_unit_share": "share of learnt clauses with one literal",
    "learnt_binary_share": "share of learnt clauses with two literals",
    "learnt_short_share": "share of learnt clauses with at most six literals",
    "learnt_none_share": "share of conflicts from which no clause was learnt",
    "to_root_share": "share of conflicts with a backjump to level 0",
    "one_level_share": "share of conflicts with a backjump over one level",
    "fixed_share": "literals true for good / active variables, at the end",
    "fixed_gain": "gain of that share from the first conflict to the last",
    "fixed_gain_late": "gain of that share in the last half of the conflicts",
    "active_log": "log(1 + active variables)",
    "observed_share": "share of the active variables that was observed",
}

_VARIABLES: dict[str, str] = {
    "assigned_share": "share of the observed variables ever assigned",
    "decided_share": "share of the observed variables ever decided on",
    "flipped_share": "share of the observed variables ever assigned unlike the time before",
    "flips_per_assignment": "changes of value / assignments",
    "polarity": "mean over assigned variables of |2 share of times assigned true - 1|",
    "positive_share": "assignments to true / assignments",
    "learnt_share": "share of the active variables that occur in a learnt clause",
    "assigned_entropy": "entropy of the assignments over variables / its largest value",
    "assigned_gini": "Gini coefficient of the assignments over variables",
    "decided_entropy": "entropy of the decisions over variables / its largest value",
    "decided_gini": "Gini coefficient of the decisions over variables",
    "learnt_entropy": "entropy of the occurrences in learnt clauses over variables / its largest value",
    "learnt_gini": "Gini coefficient of the occurrences in learnt clauses over variables",
    "learnt_top_share": "share of the occurrences in learnt clauses that the top hundredth of the variables has",
}

_TREE: dict[str, str] = {
    "trees_log": "log(1 + restarts seen)",
    "leaves_last_log": "log(1 + leaves of the last tree)",
    "leaves_longest_log": "log(1 + leaves of the tree with most leaves)",
    **{
        f"{name}_{which}": f"{what}, {where}"
        for name, what in {
            "wbe": "log2 of the weighted backtrack estimate",
            "recursive": "log2 of the recursive estimate",
            "weight": "log2 of the tree weight",
        }.items()
        for which, where in {
            "last": "last conflict",
            "longest": "end of the tree with most leaves",
            "max": "largest at the end of a tree with ten leaves or more",
            "min": "smallest at the end of a tree with ten leaves or more",
            "mean": "mean over the ends of trees, weighted by their leaves",
        }.items()
    },
    "wbe_over_leaves": "log2 of weighted backtrack estimate / leaves, end of the tree with most leaves",
    "recursive_over_wbe": "log2 of recursive / weighted backtrack estimate, end of the tree with most leaves",
    "recursive_trend": "change of log2 of the recursive estimate over the last half of the longest tree",
    "wbe_trend": "change of log2 of the weighted backtrack estimate over the last half of the longest tree",
    "weight_trend": "change of log2 of the tree weight over the last half of the longest tree",
    "holt": "log2 of the forecast from the smoothed tree weight, last conflict",
    "holt_longest": "log2 of the forecast from the smoothed tree weight, end of the tree with most leaves",
    "holt_max": "log2 of the largest forecast from the smoothed tree weight at the end of a tree",
    "holt_known_share": "share of the conflicts at which there is a forecast",
}

_PROGRESS: dict[str, str] = {
    "last": "log10 of MiniSat's progress estimate, last conflict",
    "max": "log10 of MiniSat's progress estimate, largest",
    "mean": "log10 of MiniSat's progress estimate, mean over the last half of the conflicts",
    "trend": "log10 of MiniSat's progress estimate: mean of the last half less mean of the first half",
}

_KNUTH: dict[str, str] = {
    "log2_mean": "log2 of the mean estimate of the tree's nodes by random dives (Knuth 1975)",
    "log2_median": "log2 of the median estimate of the tree's nodes by random dives",
    "log2_sd": "standard deviation of log2 of the estimates by random dives",
    "depth_mean_log": "log(1 + mean of decisions of a random dive)",
    "depth_min_log": "log(1 + fewest decisions of a random dive)",
    "depth_share": "mean of decisions of a random dive / active variables",
    "assigned_per_decision_log": "log(literals assigned / decisions), over the ends of the random dives",
    "conflict_share": "share of the random dives that end in a conflict",
    "model_share": "share of the random dives that end in a model",
}


def _catalogue() -> dict[str, tuple[str, str]]:
    features: dict[str, tuple[str, str]] = {}
    for series, what in _SERIES.items():
        for window, (_, where) in _WINDOWS.items():
            for statistic, (how, _function) in _STATISTICS.items():
                features[f"{series}.{window}.{statistic}"] = ("series", f"{how} of {what}, over {where}")
        features[f"{series}.last"] = ("series", f"{what}, last conflict")
        features[f"{series}.trend"] = ("series", f"{what}: mean of the last half less mean of the first half")
    for group, entries in (
        ("rates", _RATES),
        ("variables", _VARIABLES),
        ("tree", _TREE),
        ("progress", _PROGRESS),
        ("knuth", _KNUTH),
    ):
        features.update({f"{group}.{name}": (group, what) for name, what in entries.items()})
    return features


ONLINE_FEATURES: dict[str, tuple[str, str]] = _catalogue()
"""Name -> (group, description)."""

ONLINE_FEATURE_NAMES: tuple[str, ...] = tuple(ONLINE_FEATURES)

SPEED_FEATURES: dict[str, tuple[str, str]] = {
    "speed.conflicts_per_second": ("speed", "log10 of conflicts / CPU second of the watched search"),
    "speed.propagations_per_second": ("speed", "log10 of propagations / CPU second of the watched search"),
    "speed.decisions_per_second": ("speed", "log10 of decisions / CPU second of the watched search"),
    "speed.load_seconds": ("speed", "log10 of CPU seconds to hand the clauses to the solver"),
    "speed.search_seconds": ("speed", "log10 of CPU seconds of the watched search"),
}
"""Name -> (group, description) of the features that depend on the machine; they serve to predict seconds."""

SPEED_FEATURE_NAMES: tuple[str, ...] = tuple(SPEED_FEATURES)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def conflict_series(trace: Trace) -> dict[str, NDArray[np.float64]]:
    """Return the series over a trace's conflicts that windows are taken of: name -> ``float64[C]``."""
    level = trace.level.astype(np.float64)
    jump = level - trace.backjump
    active = max(trace.n_active, 1)
    series = {
        "level": np.log1p(level),
        "level_share": level / active,
        "backjump": np.log1p(jump),
        "backjump_share": jump / level,
        "trail_share": trace.trail / active,
        "undone_share": trace.undone / np.maximum(np.maximum(trace.trail, trace.undone), 1),
        "decisions": np.log1p(np.diff(trace.decisions, prepend=0).astype(np.float64)),
        "assigned": np.log1p(trace.assigned_since.astype(np.float64)),
    }
    if len(trace.learnt_length):
        length = trace.learnt_length.astype(np.float64)
        series["learnt"] = np.log1p(length)
        series["learnt_per_level"] = np.log(np.maximum(length, 1.0) / level)
    return series


def _series_features(trace: Trace) -> dict[str, float]:
    values: dict[str, float] = {}
    conflicts = trace.conflicts
    waiting = min(WAITING_CONFLICTS, conflicts // 4)
    remaining = conflicts - waiting
    for name, series in conflict_series(trace).items():
        if conflicts:
            values[f"{name}.last"] = float(series[-1])
        for window, (skipped, _) in _WINDOWS.items():
            part = series[waiting + int(skipped * remaining) :]
            if len(part) >= LEAST_CONFLICTS:
                for statistic, (_, function) in _STATISTICS.items():
                    values[f"{name}.{window}.{statistic}"] = float(function(part))
        middle = waiting + remaining // 2
        if conflicts - middle >= LEAST_CONFLICTS and middle - waiting >= LEAST_CONFLICTS:
            values[f"{name}.trend"] = float(series[middle:].mean() - series[waiting:middle].mean())
    return values


def _rate_features(trace: Trace) -> dict[str, float]:
    conflicts, active = trace.conflicts, trace.n_active
    values = {
        "conflicts_log": float(np.log1p(conflicts)),
        "active_log": float(np.log1p(active)),
        "observed_share": trace.observed_share if trace.observed.any() else float("nan"),
    }
    if conflicts >= LEAST_CONFLICTS:
        decisions = float(trace.decisions[-1])
        values["given_up_per_conflict"] = float(trace.restart.mean())
        values["decisions_per_conflict_log"] = float(np.log1p(decisions / conflicts))
        if trace.restarts >= 0:
            values["restarts_per_conflict"] = trace.restarts / conflicts
        # Some solvers don't count propagations.
        if trace.propagations > 0:
            values["propagations_per_conflict_log"] = float(np.log1p(trace.propagations / conflicts))
            values["propagations_per_decision_log"] = float(np.log1p(_ratio(trace.propagations, decisions)))
        jump = trace.level - trace.backjump
        values["to_root_share"] = float((trace.backjump == 0).mean())
        values["one_level_share"] = float((jump == 1).mean())
        fixed = trace.fixed / max(active, 1)
        values["fixed_share"] = float(fixed[-1])
        values["fixed_gain"] = float(fixed[-1] - fixed[0])
        values["fixed_gain_late"] = float(fixed[-1] - fixed[conflicts // 2])
        length = trace.learnt_length
        if len(length):
            values["learnt_unit_share"] = float((length == 1).mean())
            values["learnt_binary_share"] = float((length == 2).mean())
            values["learnt_short_share"] = float(((length >= 1) & (length <= 6)).mean())
            values["learnt_none_share"] = float((length == 0).mean())
    return {f"rates.{name}": value for name, value in values.items()}


def _concentration(counts: NDArray[np.integer]) -> tuple[float, float]:
    """Return normalised entropy and Gini coefficient of counts over the variables (NaN without any count)."""
    total = float(counts.sum())
    if len(counts) < 2 or total <= 0:
        return float("nan"), float("nan")
    positive = counts[counts > 0] / total
    entropy = float(-(positive * np.log(positive)).sum() / np.log(len(counts)))
    ordered = np.sort(counts).astype(np.float64)
    ranks = np.arange(1, len(ordered) + 1)
    gini = float(2.0 * (ranks * ordered).sum() / (len(ordered) * total) - (len(ordered) + 1) / len(ordered))
    return entropy, gini


def _variable_features(trace: Trace) -> dict[str, float]:
    values: dict[str, float] = {}
    seen = trace.observed
    if trace.conflicts < LEAST_CONFLICTS:
        return values
    if seen.any():
        assigned, flips, positive = trace.assigned[seen], trace.flips[seen], trace.positive[seen]
        total = float(assigned.sum())
        values["assigned_share"] = float((assigned > 0).mean())
        values["flipped_share"] = float((flips > 0).mean())
        values["flips_per_assignment"] = _ratio(float(flips.sum()), total)
        values["positive_share"] = _ratio(float(positive.sum()), total)
        ever = assigned > 0
        if ever.any():
            values["polarity"] = float(np.abs(2.0 * positive[ever] / assigned[ever] - 1.0).mean())
        values["assigned_entropy"], values["assigned_gini"] = _concentration(assigned)
        decided = trace.decided[seen]
        if (decided >= 0).all():
            values["decided_share"] = float((decided > 0).mean())
            values["decided_entropy"], values["decided_gini"] = _concentration(decided)
    if trace.n_vars and (trace.learnt >= 0).all() and trace.n_active:
        # Variables that occur in no clause occur in no learnt one either: they are left out by their number.
        learnt = np.sort(trace.learnt)[trace.n_vars - trace.n_active :]
        values["learnt_share"] = float((learnt > 0).mean())
        values["learnt_entropy"], values["learnt_gini"] = _concentration(learnt)
        top = max(1, round(0.01 * len(learnt)))
        values["learnt_top_share"] = _ratio(float(learnt[-top:].sum()), float(learnt.sum()))
    return {f"variables.{name}": value for name, value in values.items()}


def capped(log2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return estimates (log2) within the range in which they still say something."""
    clipped: NDArray[np.float64] = np.clip(log2, -_LOG2_CAP, _LOG2_CAP)
    return clipped


def _tree_features(trace: Trace) -> dict[str, float]:
    if not trace.conflicts:
        return {}
    found = estimates(trace.events)
    series = {
        "wbe": capped(found.log2_wbe),
        "recursive": capped(found.log2_recursive),
        "weight": capped(found.log2_weight),
    }
    # Last conflict of each tree that has one.
    ends = np.append(np.flatnonzero(np.diff(found.tree)), len(found.tree) - 1)
    leaves = found.leaves[ends]
    longest = int(np.argmax(leaves))
    end, size = int(ends[longest]), int(leaves[longest])
    values = {
        "trees_log": float(np.log1p(found.tree[-1])),
        "leaves_last_log": float(np.log1p(leaves[-1])),
        "leaves_longest_log": float(np.log1p(size)),
    }
    grown = ends[leaves >= LEAST_LEAVES]
    for name, estimate in series.items():
        values[f"{name}_last"] = float(estimate[-1])
        values[f"{name}_longest"] = float(estimate[end])
        values[f"{name}_mean"] = float(np.average(estimate[ends], weights=leaves))
        if len(grown):
            values[f"{name}_max"] = float(estimate[grown].max())
            values[f"{name}_min"] = float(estimate[grown].min())
    values["wbe_over_leaves"] = float(series["wbe"][end] - np.log2(size))
    values["recursive_over_wbe"] = float(series["recursive"][end] - series["wbe"][end])
    known = ~np.isnan(found.holt)
    if known[end]:
        values["holt_longest"] = float(capped(found.holt)[end])
    if known[ends].any():
        values["holt_max"] = float(capped(found.holt[ends][known[ends]]).max())
    values["holt_known_share"] = float(known.mean())
    if size >= LEAST_LEAVES:
        middle = end - size // 2
        values["recursive_trend"] = float(series["recursive"][end] - series["recursive"][middle])
        values["wbe_trend"] = float(series["wbe"][end] - series["wbe"][middle])
        values["weight_trend"] = float(series["weight"][end] - series["weight"][middle])
    values["holt"] = float(found.holt[-1])
    return {f"tree.{name}": value for name, value in values.items()}


def _progress_features(trace: Trace) -> dict[str, float]:
    if not trace.conflicts:
        return {}
    # There is a decision at level 1, which gives 1 / n^2, even where its variable isn't observed.
    least = 1.0 / max(trace.n_active, 1) ** 2
    progress = np.log10(np.maximum(trace.progress.astype(np.float64), least))
    values = {"last": float(progress[-1]), "max": float(progress.max())}
    middle = trace.conflicts // 2
    if middle >= LEAST_CONFLICTS:
        values["mean"] = float(progress[middle:].mean())
        values["trend"] = float(progress[middle:].mean() - progress[:middle].mean())
    return {f"progress.{name}": value for name, value in values.items()}


def _dive_features(dives: Dives) -> dict[str, float]:
    """Return features of dives; one that was cut short counts with the depth that it had reached, not its leaf's."""
    if not len(dives.depth):
        return {}
    depth = dives.depth.astype(np.float64)
    log2_nodes = dives.log2_nodes
    values = {
        "log2_mean": float(np.minimum(np.logaddexp2.reduce(log2_nodes) - np.log2(len(depth)), _LOG2_CAP)),
        "log2_median": float(np.median(capped(log2_nodes))),
        "log2_sd": float(capped(log2_nodes).std()),
        "depth_mean_log": float(np.log1p(depth.mean())),
        "depth_min_log": float(np.log1p(depth.min())),
        "depth_share": _ratio(float(depth.mean()), dives.n_active),
        "assigned_per_decision_log": float(np.log(max(dives.assigned.sum(), 1) / max(depth.sum(), 1.0))),
        "conflict_share": float(dives.conflict.mean()),
        "model_share": float(dives.model.mean()),
    }
    return {f"knuth.{name}": value for name, value in values.items()}


def online_features(trace: Trace | None, dives: Dives | None = None) -> FeatureVector:
    """Compute the features of an early search.

    Parameters
    ----------
    trace
        The trace; None (the probe failed) gives a vector in which everything is missing.
    dives
        Random dives from the root, made before the search. Without them, their features are missing.

    Returns
    -------
    FeatureVector
        In the order of ``ONLINE_FEATURE_NAMES``. NaN where too few conflicts were seen, where the solver doesn't tell,
        or where a trace cut short no longer knows.
    """
    if trace is None:
        return FeatureVector.missing(ONLINE_FEATURE_NAMES)
    values: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for group, extract in (
        ("series", _series_features),
        ("rates", _rate_features),
        ("variables", _variable_features),
        ("tree", _tree_features),
        ("progress", _progress_features),
    ):
        begin = time.perf_counter()
        values.update(extract(trace))
        seconds[f"online.{group}"] = time.perf_counter() - begin
    if dives is not None:
        values.update(_dive_features(dives))
        seconds["online.knuth"] = dives.seconds
    return FeatureVector.from_mapping(ONLINE_FEATURE_NAMES, values, seconds)


def speed_features(result: ProbeResult) -> FeatureVector:
    """Compute the features that depend on the machine: how fast the watched search ran.

    The speeds are those of the watched search, about half of what the solver reaches alone. They are missing when the
    search was too short to be timed.
    """
    if result.trace is None or "search" not in result.timings:
        return FeatureVector.missing(SPEED_FEATURE_NAMES)
    begin = time.perf_counter()
    search = result.timings["search"]
    values = {
        "speed.load_seconds": float(np.log10(max(result.timings.get("load", 0.0), _SHORTEST_SECONDS))),
        "speed.search_seconds": float(np.log10(max(search, _SHORTEST_SECONDS))),
    }
    for name in ("conflicts", "propagations", "decisions"):
        count = getattr(result, name)
        if count and search >= _LEAST_SECONDS:
            values[f"speed.{name}_per_second"] = float(np.log10(count / search))
    return FeatureVector.from_mapping(SPEED_FEATURE_NAMES, values, {"online.speed": time.perf_counter() - begin})
