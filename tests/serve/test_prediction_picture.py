"""What is drawn of predictions: a curve for each solver, as far as its labels reach, and the limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from portfolio_predictions import prediction

from satcost_gnn.core.observed import observed_up_to
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.prediction_picture import prediction_figure

COSTS = {"a": (8.0, 0.4), "b": (100.0, 0.3), "c$1$": (0.5, 0.6)}


def bounded(bound: float = 4000.0, **changes: Any) -> Prediction:
    made = prediction(COSTS, **changes)
    assert made.distribution is not None
    return replace(made, distribution=observed_up_to(made.distribution, bound))


def curves(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_a_curve_for_each_solver_on_a_log_axis_with_the_limits() -> None:
    found = bounded(solver_bounds={"b": 30.0})
    figure = prediction_figure([found], [10.0, 60.0])
    (axes,) = [axes for axes in figure.axes if axes.get_visible()]
    assert axes.get_xscale() == "log" and figure.get_supxlabel() == "CPU seconds"
    assert figure.get_supylabel() == "probability of an answer"
    assert axes.get_title() == "x.cnf\npredicted by forest"
    lines = curves(axes)
    assert set(lines) == {"a", "b", r"c\$1\$", "limit"}
    marked = [line.get_xdata()[0] for line in axes.get_lines() if line.get_label() == "limit"]
    assert marked == [10.0, 60.0]
    # The curve is the probability that the table has, and ends where the solver's own labels do.
    for name, label in (("a", "a"), ("b", "b"), ("c$1$", r"c\$1\$")):
        cost, share = lines[label].get_data()
        assert (np.diff(share) >= 0).all()
        assert cost[-1] == pytest.approx(min(found.known_up_to_of(name), axes.get_xlim()[1]))
        for budget in (1.0, 8.0, 25.0):
            assert np.interp(np.log10(budget), np.log10(cost), share) == pytest.approx(
                found.p_solved_by(budget)[name], abs=0.01
            )
    colours = [lines[label].get_color() for label in ("a", "b", r"c\$1\$")]
    assert len({*colours}) == 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:3] == ["a", "b", r"c\$1\$"]


def test_a_measured_cost_is_a_step() -> None:
    found = bounded(known={"a": 3.0}, result="UNSAT", status="solved", source="search")
    figure = prediction_figure([found], [10.0])
    cost, share = curves(figure.axes[0])["a"].get_data()
    assert figure.axes[0].get_title() == "x.cnf\nUNSAT, answered by a"
    assert list(share) == [0, 0, 1, 1] and list(cost[1:3]) == [3.0, 3.0]


def test_a_cost_of_nothing_and_of_all_kinds_of_limits_can_be_drawn() -> None:
    found = bounded(known={"a": 0.0}, result="SAT", status="solved", source="search")
    for limits in ([1e-3], [1e9], []):
        low, high = prediction_figure([found], limits).axes[0].get_xlim()
        assert 0 < low < high < np.inf


def test_a_panel_for_each_file_also_for_one_that_cannot_be_read() -> None:
    broken = Prediction(
        path="bad.cnf", gbdhash="", status="error", unit="cpu_seconds", solvers=tuple(COSTS), reason="why", cutoff=10.0
    )
    figure = prediction_figure([replace(bounded(), path=f"{k}.cnf") for k in range(3)] + [broken], [10.0])
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().split("\n")[0] for axes in panels] == ["0.cnf", "1.cnf", "2.cnf", "bad.cnf"]
    assert [len(curves(axes)) for axes in panels] == [4, 4, 4, 0]
    assert "cannot be read" in [text.get_text() for text in panels[3].texts]
    # Comparable at a glance.
    assert len({axes.get_xlim() for axes in panels}) == 1
    # Nothing but what can't be read.
    assert curves(prediction_figure([broken], [10.0]).axes[0]) == {}


def test_files_of_one_name_are_told_apart() -> None:
    figure = prediction_figure([replace(bounded(), path=f"{folder}/x.cnf") for folder in "ab"], [10.0])
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["a/x.cnf", "b/x.cnf"]


def test_what_is_unlike_the_training_data_says_so() -> None:
    assert "unlike the training data" in prediction_figure([bounded(in_distribution=False)], []).axes[0].get_title()


def test_eleven_solvers_have_eleven_colours() -> None:
    many = prediction({f"solver{k}": (2.0**k, 0.3) for k in range(11)})
    lines = curves(prediction_figure([many], [10.0]).axes[0])
    assert len(lines) == 12 and len({line.get_color() for line in lines.values()}) == 12
