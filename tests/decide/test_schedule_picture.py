"""What is drawn of schedules: a row for each core, a bar for each run."""

from dataclasses import replace
from typing import Any

import pytest

from satcost_gnn.decide.planned_schedule import Schedule
from satcost_gnn.decide.schedule_picture import OVERHEAD, schedule_figure
from satcost_gnn.decide.scoring import Slice

SOLVERS = ("a", "b", "c")
PLANNED = Schedule(
    cores=((Slice("a", 58.0),), (Slice("b", 8.0), Slice("c", 50.0))),
    time_limit_s=58.0,
    objective="par2",
    value=1.0,
    expected_s=1.0,
    p_solved=0.9,
    copula_correlation=0.0,
    paths=("dir/x.cnf",),
    overhead_s=2.0,
)


def bars(axes: Any) -> list[tuple[str, float, float, float]]:
    """Return label, row, start and end of each bar."""
    found = []
    for container in axes.containers:
        for bar in container:
            row = bar.get_y() + bar.get_height() / 2
            found.append((container.get_label(), row, bar.get_x(), bar.get_x() + bar.get_width()))
    return found


def test_what_runs_when_a_row_for_each_core() -> None:
    figure = schedule_figure([PLANNED], SOLVERS)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["core 1", "core 2"]
    assert figure.get_supxlabel() == "CPU seconds" and axes.get_title(loc="left") == "x.cnf"
    assert bars(axes) == [
        (OVERHEAD, 0.0, 0.0, 2.0),
        ("a", 0.0, 2.0, 60.0),
        (OVERHEAD, 1.0, 0.0, 2.0),
        ("b", 1.0, 2.0, 10.0),
        ("c", 1.0, 10.0, 60.0),
    ]
    # The first core is above the second.
    low, high = axes.get_ylim()
    assert low > high and axes.get_xscale() == "linear"
    (limit,) = axes.get_lines()
    assert limit.get_xdata()[0] == 60.0
    assert {text.get_text() for text in axes.texts} == {"58 s", "8 s", "50 s"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c", "limit", OVERHEAD]


def test_a_run_too_short_for_a_linear_axis_can_be_seen() -> None:
    short = replace(PLANNED, cores=((Slice("a", 0.3), Slice("b", 3599.7)),), time_limit_s=3600.0, overhead_s=0.5)
    (axes,) = schedule_figure([short], SOLVERS).axes
    assert axes.get_xscale() == "symlog"

    def across(seconds: float) -> float:
        return float(axes.transLimits.transform(axes.transScale.transform((seconds, 0.0)))[0])

    assert across(0.8) - across(0.5) > 0.01 and across(3600.5) == pytest.approx(1.0, abs=0.02)


def test_a_set_is_run_without_a_prediction() -> None:
    (axes,) = schedule_figure([replace(PLANNED, instances=9, paths=("a", "b"), overhead_s=7.0)], SOLVERS).axes
    assert axes.get_title(loc="left") == "9 instances"
    assert {label for label, *_ in bars(axes)} == {"a", "b", "c"}
    assert min(start for _, _, start, _ in bars(axes)) == 0.0


def test_several_have_a_panel_each_and_one_colour_for_a_solver() -> None:
    solved = replace(PLANNED, cores=(), status="solved", result="SAT", paths=("y.cnf",))
    failed = replace(PLANNED, cores=(), status="error", error="why", paths=("z.cnf",))
    turned = replace(PLANNED, cores=((Slice("c", 58.0),),), paths=("w.cnf",))
    figure = schedule_figure([PLANNED, solved, failed, turned], SOLVERS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["x.cnf", "y.cnf", "z.cnf", "w.cnf"]
    assert figure.axes[1].texts[0].get_text() == "nothing to run: the early search has solved it: SAT"
    assert figure.axes[2].texts[0].get_text() == "cannot be read"
    colours: dict[str, set[Any]] = {}
    for axes in figure.axes:
        for container in axes.containers:
            colours.setdefault(container.get_label(), set()).update(bar.get_facecolor() for bar in container)
    assert all(len(found) == 1 for found in colours.values()) and len({*map(frozenset, colours.values())}) == 4
