"""Schedules as a picture: what runs when, a row for each core."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satcost_gnn.core.cost_text import number_text
from satcost_gnn.runtime.pictures import Style, name_text, new_figure, plain_axes, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from satcost_gnn.decide.planned_schedule import Schedule

OVERHEAD = "early search and prediction"
_OVERHEAD_COLOUR, _LIMIT = "#c8ccd2", "#444444"
# A bar of less than this share of the axis can't be seen on a linear one.
_LEAST_SHARE = 0.02
# Share of the axis that a bar must take for its seconds to fit into it.
_ROOM = 0.08


def schedule_figure(schedules: Sequence[Schedule], solvers: Sequence[str]) -> Figure:
    """Return planned, solved or failed schedules as a figure, a panel for each, with a row for each core.

    Bars are labelled with their solver, which has the same colour in all pictures of one checkpoint: that of its place
    in ``solvers``, all that can be scheduled. The axis is logarithmic where the shortest run could not be seen
    otherwise.
    """
    heights = [0.75 + 0.42 * max(1, len(one.cores)) for one in schedules]
    figure = new_figure(8.0, sum(heights) + 0.9)
    grid = figure.subplots(len(schedules), 1, squeeze=False, height_ratios=heights)
    style = styles([*solvers, *(part.solver for one in schedules for core in one.cores for part in core)])
    drawn: dict[str, Any] = {}
    for axes, schedule in zip(grid.ravel(), schedules, strict=True):
        _panel(axes, schedule, style)
        handles, labels = axes.get_legend_handles_labels()
        drawn |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in drawn}
    figure.supxlabel("CPU seconds", fontsize=9)
    if drawn:
        known = {name_text(name) for name in style}
        order = sorted(drawn, key=lambda label: label not in known)
        handles = [drawn[label] for label in order]
        figure.legend(handles, order, loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    return figure


def _panel(axes: Any, schedule: Schedule, style: dict[str, Style]) -> None:
    title = f"{schedule.instances} instances"
    if len(schedule.paths) == 1:
        title = name_text(Path(schedule.paths[0]).name)
    axes.set_title(title, fontsize=8.5, loc="left")
    plain_axes(axes)
    if not schedule.cores:
        axes.set_yticks([])
        axes.set_xticks([])
        nothing = f"nothing to run: the early search has solved it: {schedule.result}"
        if schedule.status == "error":
            nothing = "cannot be read"
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center", fontsize=9)
        return
    # The schedule of a set is run without a prediction.
    overhead = schedule.overhead_s if schedule.instances == 1 else 0.0
    end = overhead + schedule.time_limit_s
    lengths = [part.cpu_s for core in schedule.cores for part in core] + ([overhead] if overhead else [])
    if min(lengths) < _LEAST_SHARE * end:
        shortest = math.floor(math.log10(max(min(lengths), end * 1e-6)))
        axes.set_xscale("symlog", linthresh=10.0**shortest, linscale=0.5)
    axes.set_xlim(0.0, end * 1.03)
    for row, core in enumerate(schedule.cores):
        start = 0.0
        if overhead:
            axes.barh(row, overhead, color=_OVERHEAD_COLOUR, height=0.7, label=OVERHEAD)
            start = overhead
        for part in core:
            look = style[part.solver]
            axes.barh(
                row,
                part.cpu_s,
                left=start,
                color=look.colour,
                hatch=look.hatch,
                ec="white",
                lw=0.8,
                height=0.7,
                label=name_text(part.solver),
            )
            left, right = (_across(axes, at) for at in (start, start + part.cpu_s))
            if right - left >= _ROOM:
                axes.text(
                    (left + right) / 2,
                    row,
                    f"{number_text(part.cpu_s)} s",
                    transform=axes.get_yaxis_transform(),
                    ha="center",
                    va="center",
                    fontsize=8,
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
                )
            start += part.cpu_s
    axes.axvline(end, color=_LIMIT, lw=1.1, ls=(0, (1, 1)), label="limit")
    axes.set_yticks(range(len(schedule.cores)), [f"core {row + 1}" for row in range(len(schedule.cores))], fontsize=8)
    axes.invert_yaxis()


def _across(axes: Any, seconds: float) -> float:
    """Return where a time lies along the horizontal axis, 0 to 1."""
    return float(axes.transLimits.transform(axes.transScale.transform((seconds, 0.0)))[0])
