"""Predictions as a picture: for each instance the probability of each solver's answer by its cost, on a log axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.cost_text import number_text
from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.core.observed import extrapolated
from satcost_gnn.runtime.pictures import Style, name_text, new_figure, plain_axes, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from satcost_gnn.serve.prediction import Prediction

_COLUMNS = 3
# Decades in which a curve rises where it has a step.
_STEP = 1e-6
# What of a distribution is shown of its ends.
_ENDS = (0.01, 0.99)
_LIMIT, _UNKNOWN = "#444444", "#f0f0f0"


def prediction_figure(predictions: Sequence[Prediction], limits: Sequence[float]) -> Figure:
    """Return predictions of one unit and the same solvers as a figure, a panel for each; limits in the unit are marked.

    A curve is labelled with its solver and ends where that solver's training labels do. What was measured is a step.
    """
    columns = min(_COLUMNS, len(predictions))
    lines = -(-len(predictions) // columns)
    figure = new_figure(max(5.0, 4.0 * columns), 0.9 + 2.9 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    style = styles(solver for one in predictions for solver in one.solvers)
    low, high = _range(predictions, limits)
    drawn: dict[str, Any] = {}
    for axes, prediction, name in zip(grid.ravel(), predictions, _names(predictions), strict=False):
        axes.set_title(f"{name}\n{_source(prediction)}", fontsize=8.5)
        _panel(axes, prediction, style, (low, high), limits)
        handles, labels = axes.get_legend_handles_labels()
        drawn |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in drawn}
    for axes in grid.ravel()[len(predictions) :]:
        axes.set_visible(False)
    figure.supxlabel(UNIT_LABELS[predictions[0].unit], fontsize=9)
    figure.supylabel("probability of an answer", fontsize=9)
    if drawn:
        # Solvers first: what is drawn behind them comes after.
        solvers = {name_text(name) for name in style}
        order = sorted(drawn, key=lambda label: label not in solvers)
        columns = min(len(order), 2 * columns)
        handles = [drawn[label] for label in order]
        figure.legend(handles, order, loc="outside upper center", ncols=columns, fontsize=8, frameon=False)
    return figure


def _range(predictions: Sequence[Prediction], limits: Sequence[float]) -> tuple[float, float]:
    """Return the ends of all horizontal axes: log10 of the cost, whole decades."""
    values = [math.log10(limit) for limit in limits]
    for one in predictions:
        if one.distribution is None:
            continue
        ends = np.atleast_2d(extrapolated(one.distribution).quantile(_ENDS))
        bounds = np.log10([one.known_up_to_of(solver) for solver in one.solvers])
        values += [*ends[:, 0].tolist(), *np.minimum(ends[:, 1], bounds).tolist()]
        values += [math.log10(cost) for cost in one.known.values() if cost > 0]
    # A cost of nothing has no logarithm.
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = math.floor(min(values)), math.ceil(max(values))
    return float(low), float(max(high, low + 1))


def _panel(
    axes: Any, prediction: Prediction, style: dict[str, Style], ends: tuple[float, float], limits: Sequence[float]
) -> None:
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xlim(10.0 ** ends[0], 10.0 ** ends[1])
    axes.set_ylim(-0.02, 1.02)
    axes.grid(color="#eef1f5")
    axes.set_axisbelow(True)
    plain_axes(axes)
    if prediction.distribution is None:
        axes.text(0.5, 0.5, "cannot be read", transform=axes.transAxes, ha="center", fontsize=9)
        return
    bound = prediction.known_up_to
    if bound < 10.0 ** ends[1]:
        axes.axvspan(bound, 10.0 ** ends[1], color=_UNKNOWN, lw=0, label="beyond the training labels", zorder=0)
    for limit in limits:
        axes.axvline(limit, color=_LIMIT, lw=1.1, ls=(0, (1, 1)), label="limit")
        axes.text(limit, 1.0, number_text(limit) + " ", fontsize=7, color=_LIMIT, rotation=90, ha="right", va="top")
    for solver in prediction.solvers:
        cost, share = _curve(prediction, solver, ends)
        look = style[solver]
        axes.plot(cost, share, color=look.colour, ls=look.line, lw=1.6, label=name_text(solver))
        if solver not in prediction.known and len(cost) and prediction.known_up_to_of(solver) <= 10.0 ** ends[1]:
            # Where the labels end: nothing is said of what comes then.
            axes.plot(cost[-1], share[-1], "|", color=look.colour, ms=6)


def _curve(prediction: Prediction, solver: str, ends: tuple[float, float]) -> tuple[NDArray[np.float64], ...]:
    """Return costs and the probability of an answer within each, as far as the solver's labels reach."""
    if solver in prediction.known:
        cost = max(prediction.known[solver], 10.0 ** ends[0])
        return np.array([10.0 ** ends[0], cost, cost, 10.0 ** ends[1]]), np.array([0.0, 0.0, 1.0, 1.0])
    assert prediction.distribution is not None
    last = min(ends[1], math.log10(prediction.known_up_to_of(solver)))
    if last <= ends[0]:
        return np.array([]), np.array([])
    one = extrapolated(prediction.distribution)[prediction.solvers.index(solver)]
    edges = one.grid.edges
    # Between the edges of the grid the curve is a line on this axis, but for a step at what the solver has survived.
    at = [ends[0], last, *edges[(edges > ends[0]) & (edges < last)].tolist()]
    if (survived := prediction.survived.get(solver, 0.0)) > 0 and ends[0] < math.log10(survived) < last:
        at += [math.log10(survived), math.log10(survived) + _STEP]
    places = np.unique(at)
    return 10.0**places, np.array([float(one.cdf_at(x)) for x in places])


def _names(predictions: Sequence[Prediction]) -> list[str]:
    """Return what to call the instances: their files' names, or their paths where two files have one name."""
    names = [Path(one.path).name for one in predictions]
    return [name_text(name) for name in (names if len({*names}) == len(names) else [one.path for one in predictions])]


def _source(prediction: Prediction) -> str:
    """Return where a prediction comes from."""
    if prediction.distribution is None:
        return ""
    if prediction.result:
        return f"{prediction.result}, answered by {prediction.answered_by}"
    unlike = "; unlike the training data" if prediction.in_distribution is False else ""
    return f"predicted by {prediction.source}{unlike}"
