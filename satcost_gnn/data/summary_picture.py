"""A data set as a picture: how its reference solver's costs are spread, and what each solver answers within a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.data.dataset import CostUnit
from satcost_gnn.runtime.pictures import COLOURS, name_text, new_figure, plain_axes, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from satcost_gnn.data.dataset import Dataset
    from satcost_gnn.data.summary import CostHistogram

VIRTUAL_BEST = "virtual best"


def summary_figure(dataset: Dataset, histogram: CostHistogram) -> Figure:
    """Return a data set as a figure: on the left a histogram, on the right a curve for each solver.

    Parameters
    ----------
    dataset
        The data set; only runs with seed 0 are drawn.
    histogram
        Costs of its reference solver.
    """
    figure = new_figure(11.0, 4.4)
    left, right = figure.subplots(1, 2)
    _histogram(left, histogram)
    _answered(right, dataset)
    return figure


def _histogram(axes: Any, histogram: CostHistogram) -> None:
    edges = np.array(histogram.edges)
    solved, censored = np.array(histogram.solved), np.array(histogram.censored)
    axes.bar(edges[:-1], solved, np.diff(edges), align="edge", ec="white", color=COLOURS[0], label="solved")
    axes.bar(
        edges[:-1],
        censored,
        np.diff(edges),
        bottom=solved,
        align="edge",
        ec="white",
        color="lightgrey",
        hatch="//",
        label="more than this (cut off)",
    )
    axes.set_xlabel(f"log10 {UNIT_LABELS[histogram.unit]} of {name_text(histogram.solver)}", fontsize=9)
    axes.set_ylabel("instances", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    plain_axes(axes)


def _answered(axes: Any, dataset: Dataset) -> None:
    """Draw how many instances each solver, and any of them, answers within a time."""
    cost, censored, known = dataset.cost_matrix(dataset.solvers, CostUnit.CPU_SECONDS)
    solved = known & ~censored
    style = styles([*dataset.solvers, VIRTUAL_BEST])
    for k, solver in enumerate(dataset.solvers):
        label = f"{name_text(solver)}: {int(solved[:, k].sum())} of {int(known[:, k].sum())}"
        look = style[solver]
        _steps(axes, 10.0 ** cost[solved[:, k], k], color=look.colour, ls=look.line, lw=1.5, label=label)
    if len(dataset.solvers) > 1:
        any_solved, any_known = solved.any(axis=1), known.any(axis=1)
        best = np.where(solved, cost, np.inf).min(axis=1)[any_solved]
        label = f"{VIRTUAL_BEST}: {int(any_solved.sum())} of {int(any_known.sum())}"
        _steps(axes, 10.0**best, color="black", ls=(0, (1, 1)), lw=1.2, label=label)
    axes.set_xscale("log")
    axes.set_xlabel(UNIT_LABELS["cpu_seconds"], fontsize=9)
    axes.set_ylabel("instances answered within", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.grid(color="#eef1f5")
    plain_axes(axes)


def _steps(axes: Any, seconds: Any, **style: Any) -> None:
    axes.step(np.sort(seconds), np.arange(1, len(seconds) + 1), where="post", **style)
