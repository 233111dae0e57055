"""What the plain run says of solvers that it is not a run of."""

from __future__ import annotations

import numpy as np
import pytest

from satcost_gnn.core.common_factor import given_survival
from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.learn.early_answers import given_plain_run
from satcost_gnn.search.plain_run import PlainRun, PlainStage

SOLVERS = ("glucose42", "cadical195", "minisat22")
PREDICTED = CostDistribution.normal(GRIDS["cpu_seconds"], np.array([0.0, 0.5, 1.0]), 1.0)


@pytest.fixture
def run() -> PlainRun:
    return PlainRun("cadical195", (PlainStage(20_000, "UNKNOWN", 20_000, 50_000, 10**6, 40, 4.0),), 4.2)


def test_others_are_told_by_what_the_plain_run_has_outlived(run: PlainRun) -> None:
    found = given_plain_run(PREDICTED, SOLVERS, run, "cpu_seconds", 0.6)
    expected = given_survival(PREDICTED, 1, np.log10(run.spent("cpu_seconds")), 0.6)
    np.testing.assert_array_equal(found.cdf, expected.cdf)
    assert (found.median()[[0, 2]] > PREDICTED.median()[[0, 2]] + 0.1).all()
    np.testing.assert_array_equal(found.cdf[1], PREDICTED.cdf[1])


def test_seconds_of_this_machine_are_taken_for_those_of_the_training_machine(run: PlainRun) -> None:
    slow = given_plain_run(PREDICTED, SOLVERS, run, "cpu_seconds", 0.6, machine_factor=10.0)
    expected = given_survival(PREDICTED, 1, np.log10(run.spent("cpu_seconds") / 10.0), 0.6)
    np.testing.assert_array_equal(slow.cdf, expected.cdf)


def test_without_a_run_or_its_solver_predictions_stay_as_they_are(run: PlainRun) -> None:
    for solvers, one in ((SOLVERS, None), (("glucose42", "kissat404", "minisat22"), run)):
        assert given_plain_run(PREDICTED, solvers, one, "cpu_seconds", 0.6) is PREDICTED
