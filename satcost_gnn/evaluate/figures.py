"""The pictures of an evaluation, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.evaluate.comparison import RELIABILITY_LEVELS, Comparison, Row
from satcost_gnn.evaluate.methods import ABLATIONS, headline
from satcost_gnn.evaluate.scores import LEVELS, MEASURES
from satcost_gnn.evaluate.selection import SelectionProblem
from satcost_gnn.runtime.pictures import COLOURS, name_text, new_figure, plain_axes, styles, svg

Floats = NDArray[np.float64]

# Points of a curve in a picture of some 500 points' width.
_STEPS = 400
_NETWORK, _CLASSICAL, _BASELINE = "#D55E00", "#0072B2", "#8a94a3"


def _names_down(axes: Any, names: Sequence[str], size: float = 8) -> None:
    """Write names along the vertical axis, with room above the first and below the last."""
    axes.set_yticks(range(len(names)), [name_text(name) for name in names], fontsize=size)
    axes.set_ylim(-0.7, len(names) - 0.3)


def _colour(comparison: Comparison, name: str) -> str:
    if comparison.rows[name].is_network:
        return _NETWORK
    return _CLASSICAL if name == comparison.reference else _BASELINE


def chosen(comparison: Comparison, count: int) -> list[str]:
    """Return methods for a picture that has no room for all: network, best classical, then what contrasts."""
    first = headline(comparison.rows)
    wanted = [first, comparison.reference or "", "linear", "forest_static", "tree_size", "size", "constant"]
    names = [*wanted, *sorted(comparison.rows, key=lambda name: comparison.rows[name].values["crps"].value)]
    return list(dict.fromkeys(name for name in names if name in comparison.rows))[:count]


def intervals(comparison: Comparison) -> bytes:
    """Draw measures of all methods with their intervals."""
    lines = [(name, row, _colour(comparison, name)) for name, row in comparison.rows.items()]
    return _measures(lines, ("rmse", "crps", "c_index"))


def ablations(comparison: Comparison) -> bytes:
    """Draw measures by what a method sees."""
    lines = [
        (f"{part.seen}: {name}", comparison.rows[name], _NETWORK if comparison.rows[name].is_network else _CLASSICAL)
        for part in ABLATIONS
        for name in part.methods
        if name in comparison.rows
    ]
    measures = ("rmse", "crps", "spearman_within")
    return _measures(lines, [m for m in measures if any(np.isfinite(row.values[m].value) for _, row, _ in lines)])


def _measures(lines: Sequence[tuple[str, Row, str]], measures: Sequence[str]) -> bytes:
    """Draw measures with their intervals side by side, a line for each label, row and colour, the first at the top."""
    figure = new_figure(10.5, 0.8 + 0.28 * len(lines))
    for axes, measure in zip(figure.subplots(1, len(measures), sharey=True, squeeze=False)[0], measures, strict=True):
        for place, (_, row, colour) in enumerate(reversed(lines)):
            value = row.values[measure]
            if np.isfinite(value.value):
                ends = [value.low, value.high]
                axes.plot(ends, [place, place], color=colour, lw=2.4, solid_capstyle="round", alpha=0.75)
                axes.plot(value.value, place, "o", color=colour, ms=5)
        _names_down(axes, [label for label, _, _ in reversed(lines)])
        better = " (less is better)" if MEASURES[measure].better < 0 else ""
        axes.set_xlabel(MEASURES[measure].heading + better, fontsize=9)
        axes.grid(axis="x", color="#e6eaf0")
        axes.set_axisbelow(True)
        plain_axes(axes)
    return svg(figure)


def scatter(comparison: Comparison) -> bytes:
    """Draw predicted against true cost for some methods, censored runs apart."""
    names = chosen(comparison, 6)
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(3.5 * columns, 3.3 * lines)
    unit = UNIT_LABELS[comparison.results.setup.units[0]]
    runs = comparison.runs
    every = np.concatenate([runs.cost, *(comparison.first[name].median for name in names)])
    low, high = float(np.floor(every.min() * 2) / 2), float(np.ceil(every.max() * 2) / 2)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(grid.ravel(), names, strict=False):
        scores = comparison.first[name]
        ends = np.array([low, high])
        axes.fill_between(ends, ends - 1, ends + 1, color="#eef2f7", lw=0)
        axes.fill_between(ends, ends - np.log10(2), ends + np.log10(2), color="#d5deea", lw=0)
        axes.plot(ends, ends, color="#7b8794", lw=0.8)
        for stopped, marker, colour in ((False, "o", _CLASSICAL), (True, ">", "#E69F00")):
            rows = runs.censored == stopped
            # Predictions for solved runs are made for solved runs; a stopped one is compared with the median.
            y = scores.median if stopped else scores.point
            axes.plot(runs.cost[rows], y[rows], marker, ms=3.2, alpha=0.55, mew=0, color=colour, ls="", rasterized=True)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        axes.set_title(name, fontsize=9)
        plain_axes(axes)
    for axes in grid.ravel()[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel(f"true log10 {unit}; triangles: stopped there unsolved", fontsize=9)
    figure.supylabel(f"predicted log10 {unit}", fontsize=9)
    return svg(figure)


def reliability(comparison: Comparison) -> bytes:
    """Draw the share of runs below predicted quantiles, and histograms of the PIT of solved runs."""
    names = chosen(comparison, 6)
    figure = new_figure(10.5, 4.2)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.15), squeeze=False)[0]
    axes = left.subplots()
    axes.plot([0, 1], [0, 1], color="#7b8794", lw=0.8)
    for name, colour in zip(names, COLOURS, strict=False):
        axes.plot(RELIABILITY_LEVELS, comparison.rows[name].reliability, ".-", color=colour, ms=4, lw=1.2, label=name)
    axes.set_xlabel("nominal level of the quantile", fontsize=9)
    axes.set_ylabel("share of runs below it (Kaplan-Meier)", fontsize=9)
    axes.set_aspect("equal")
    axes.legend(fontsize=7.5, frameon=False)
    plain_axes(axes)
    solved = ~comparison.runs.censored
    grid = right.subplots(2, 3, sharex=True, sharey=True, squeeze=False)
    for part, name in zip(grid.ravel(), names, strict=False):
        part.hist(comparison.first[name].pit[solved], bins=10, range=(0, 1), density=True, color="#8fb3d9", ec="white")
        part.axhline(1, color="#7b8794", lw=0.8)
        part.set_title(name, fontsize=8.5)
        plain_axes(part)
    for part in grid.ravel()[len(names) :]:
        part.set_visible(False)
    right.supxlabel("PIT of solved runs", fontsize=9)
    return svg(figure)


def coverage(comparison: Comparison) -> bytes:
    """Draw coverage of the central intervals: solved runs, all runs by Kaplan-Meier, and the bounds on all runs."""
    names = list(comparison.rows)[::-1]
    figure = new_figure(10.5, 1.1 + 0.27 * len(names))
    for axes, level in zip(figure.subplots(1, len(LEVELS), sharey=True), LEVELS, strict=True):
        axes.axvspan(level - 3, level + 3, color="#e8f3ec", lw=0)
        axes.axvline(level, color="#009E73", lw=1)
        for place, name in enumerate(names):
            row = comparison.rows[name].calibration[level]
            axes.plot([100 * row.least, 100 * row.most], [place, place], color="#c3ccd8", lw=4, solid_capstyle="butt")
            axes.plot(100 * row.solved, place, "o", color=_CLASSICAL, ms=5, label="solved runs")
            axes.plot(100 * row.all_runs, place, "D", color=_NETWORK, ms=4, label="all runs, Kaplan-Meier")
        _names_down(axes, names)
        axes.set_title(f"nominal {level} %", fontsize=9)
        axes.set_xlabel("runs inside, %", fontsize=8.5)
        plain_axes(axes)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return svg(figure)


def family_coverage(comparison: Comparison, names: Sequence[str], most: int = 40) -> bytes:
    """Draw coverage of 80 % intervals by family, with the range that a right coverage would mostly lie in."""
    from scipy.stats import binom

    sizes = {family: found["n_solved"] for family, found in comparison.rows[names[0]].families.items()}
    families = sorted((f for f in sizes if sizes[f] >= 5), key=lambda f: sizes[f])[-most:]
    figure = new_figure(8.0, 1.0 + 0.22 * max(1, len(families)))
    axes = figure.subplots()
    axes.axvline(80, color="#009E73", lw=1)
    for place, family in enumerate(families):
        n = int(sizes[family])
        low, high = binom.interval(0.9, n, 0.8)
        axes.plot([100 * low / n, 100 * high / n], [place, place], color="#d5e8dc", lw=6, solid_capstyle="butt")
    for name, marker, colour in zip(names, "oDs", (_CLASSICAL, _NETWORK, COLOURS[3]), strict=False):
        values = [100 * comparison.rows[name].families[f]["coverage_80"] for f in families]
        axes.plot(values, range(len(families)), marker, color=colour, ms=4.5, ls="", label=name)
    _names_down(axes, [f"{f} ({int(sizes[f])})" for f in families], 7.5)
    axes.set_xlabel("solved runs inside the central 80 % interval, %", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    axes.set_xlim(-2, 102)
    plain_axes(axes)
    return svg(figure)


def cactus(comparison: Comparison, names: Sequence[str]) -> bytes:
    """Draw instances solved within a time, by each solver alone, the oracle, and selectors with all charges."""
    problem = comparison.problem
    assert isinstance(problem, SelectionProblem)
    figure = new_figure(8.0, 4.4)
    axes = figure.subplots()

    def draw(seconds: Floats, solved: NDArray[np.bool_], **style: Any) -> None:
        found = np.sort(seconds[solved & (seconds <= problem.cutoff_s)])
        steps = np.concatenate([found, [problem.cutoff_s]])
        heights = np.concatenate([np.arange(1, len(found) + 1), [len(found)]])
        shown = np.unique(np.linspace(0, len(found), _STEPS).round().astype(int))
        axes.step(steps[shown], heights[shown], where="post", **style)

    # Solvers have the colours that they have among the picks, and are thin; selectors have the colours behind theirs.
    style = styles([*problem.portfolio, "oracle", *(f"picked by {name}" for name in names)])
    for k, solver in enumerate(problem.portfolio):
        line = (0, (4, 1.5)) if k == problem.single else ":"
        draw(
            problem.runtime[:, k],
            problem.solved[:, k],
            color=style[solver].colour,
            ls=line,
            lw=1.3,
            label=f"{solver} alone",
        )
    best = np.where(problem.solved, problem.runtime, np.inf).min(axis=1)
    draw(best, np.isfinite(best), color=style["oracle"].colour, lw=1.4, ls="--", label="oracle (virtual best)")
    for name in names:
        one = comparison.first_selection[name]
        colour = style[f"picked by {name}"].colour
        draw(one.seconds, one.solved, color=colour, lw=1.6, label=f"picked by {name}")
    axes.set_xscale("log")
    axes.set_xlabel("seconds, with everything charged", fontsize=9)
    axes.set_ylabel("instances solved", fontsize=9)
    axes.legend(fontsize=7.5, frameon=False, loc="upper left")
    axes.grid(color="#eef1f5")
    plain_axes(axes)
    return svg(figure)


def pick_shares(comparison: Comparison) -> bytes:
    """Draw how often each selector picks each solver, and how often the oracle would."""
    problem = comparison.problem
    assert isinstance(problem, SelectionProblem)
    open_ = ~problem.by_probe()
    best = np.argmin(problem.par2[open_], axis=1)
    oracle = np.bincount(best, minlength=len(problem.portfolio)) / max(1, int(open_.sum()))
    names = [*list(comparison.selection)[::-1], "oracle"]
    figure = new_figure(8.0, 0.9 + 0.25 * len(names))
    axes = figure.subplots()
    left = np.zeros(len(names))
    style = styles(problem.portfolio)
    for k, solver in enumerate(problem.portfolio):
        shares = np.array([*(comparison.selection[name].shares[solver] for name in names[:-1]), oracle[k]])
        axes.barh(
            range(len(names)),
            100 * shares,
            left=left,
            color=style[solver].colour,
            hatch=style[solver].hatch,
            ec="white",
            lw=0,
            label=solver,
            height=0.72,
        )
        left += 100 * shares
    _names_down(axes, names)
    axes.set_xlabel("picks, % of the instances that the probe doesn't solve", fontsize=9)
    figure.legend(loc="outside lower center", ncols=min(6, len(problem.portfolio)), fontsize=8, frameon=False)
    plain_axes(axes)
    return svg(figure)
