"""A solver whose own labels end much earlier than others' is told of up to where they end."""

import math
from dataclasses import replace

import numpy as np
import pytest
from portfolio_predictions import prediction

from satcost_gnn.core.observed import observed_up_to, without_extrapolation
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.prediction import Prediction


def bounded(**bounds: float) -> Prediction:
    made = prediction({"a": (8.0, 0.4), "b": (8.0, 0.4)})
    assert made.distribution is not None
    return replace(made, distribution=observed_up_to(made.distribution, 4000.0), solver_bounds=bounds)


def test_quantiles_and_probabilities_end_at_the_solver_s_own_bound() -> None:
    found, same = bounded(b=10.0), bounded()
    assert found.quantile(0.5) == same.quantile(0.5)
    assert math.isnan(found.quantile(0.95)["b"]) and found.quantile(0.95)["a"] == same.quantile(0.95)["a"] > 10
    assert found.p_solved_by(10.0) == same.p_solved_by(10.0)
    assert math.isnan(found.p_solved_by(11.0)["b"]) and found.p_solved_by(11.0)["a"] == same.p_solved_by(11.0)["a"]
    assert (found.known_up_to_of("a"), found.known_up_to_of("b")) == (pytest.approx(4000.0), 10.0)


def test_rows_name_the_bound_of_their_solver() -> None:
    a, b = replace(bounded(b=10.0), cutoff=100.0).rows()
    assert a["known_up_to"] == pytest.approx(4000.0) and b["known_up_to"] == 10.0
    assert a["p_solved"] is not None and a["q95"] is not None and b["p_solved"] is None and b["q95"] is None
    assert b["p_above"] == pytest.approx(1.0 - bounded().p_solved_by(10.0)["b"])
    # What lies beyond the bound counts as at it.
    assert b["mean_log10"] < a["mean_log10"] and b["mean_log10"] < 1.0


def test_a_measured_cost_is_told_however_large() -> None:
    found = replace(bounded(b=10.0), known={"b": 50.0})
    assert found.quantile(0.5)["b"] == 50.0 and not np.isnan(found.p_solved_by(60.0)["b"])


def test_what_a_solver_might_do_beyond_its_labels_does_not_count_in_its_favour() -> None:
    whole = prediction({"a": (8.0, 0.4), "b": (8.0, 0.4)}).distribution
    assert whole is not None
    found = without_extrapolation(whole, ("a", "b"), {"b": 10.0})
    within, beyond = np.linspace(-2, 1, 50), np.linspace(1.5, 4, 50)
    np.testing.assert_array_equal(found[0].cdf, whole[0].cdf)
    np.testing.assert_array_equal(found[1].cdf_at(within), whole[1].cdf_at(within))
    assert (found[1].cdf_at(beyond) == found[1].cdf_at(beyond[0])).all() and found[1].cdf_at(4.0) < 0.8
    # At an hour it is worse by far; at a limit that its labels reach it is the other's equal.
    assert found.expected_par(2, 3600.0)[1] > 10 * found.expected_par(2, 3600.0)[0]
    assert found.expected_par(2, 10.0)[1] == found.expected_par(2, 10.0)[0]
    assert without_extrapolation(whole, ("a", "b"), {}) is whole


def test_bounds_of_the_shipped_checkpoint() -> None:
    config = Checkpoint.open().config
    for unit, reach in config.training["reach"].items():
        bounds = config.solver_bounds(unit, 2.0)
        assert set(reach) == set(config.solvers)
        for solver, own in reach.items():
            if own < config.bound(unit) / 2:
                assert bounds[solver] == 2.0 * own
            else:
                assert solver not in bounds
