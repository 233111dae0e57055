"""Beyond the longest limit of the labels nothing is known, and nothing is said."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.observed import bound_of, extrapolated, known, label_bounds, observed_up_to
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.serve.checkpoint import Checkpoint

GRID = GRIDS["cpu_seconds"]
#: Medians of 1 and 100 seconds; labels end at 10.
PLAIN = CostDistribution.normal(GRID, [0.0, 2.0], 0.5)
FOUND = observed_up_to(PLAIN, 10.0)


def test_quantiles_beyond_the_bound_are_unknown() -> None:
    np.testing.assert_array_equal(np.isnan(FOUND.quantile([0.02, 0.5, 0.95])), [[False] * 3, [False, True, True]])
    np.testing.assert_array_equal(FOUND.quantile(0.5)[0], PLAIN.quantile(0.5)[0])
    np.testing.assert_array_equal(FOUND.censored_above(0.5), [False, True])
    assert bound_of(FOUND) == pytest.approx(10.0) and bound_of(PLAIN) == np.inf


def test_probabilities_within_are_as_before_and_beyond_unknown() -> None:
    np.testing.assert_array_equal(FOUND.p_solved_by(10.0), PLAIN.p_solved_by(10.0))
    assert np.isnan(FOUND.p_solved_by(10.1)).all() and np.isnan(FOUND.expected_par(2, 60.0)).all()


def test_mean_is_a_lower_bound() -> None:
    assert (FOUND.mean() <= PLAIN.mean() + 1e-9).all() and (FOUND.mean() <= 1.0).all()
    assert FOUND.mean()[0] == pytest.approx(PLAIN.mean()[0], abs=0.02)


@pytest.mark.parametrize(
    "made",
    [
        FOUND[1], FOUND.reshape(2, 1)[1, 0], pickle.loads(pickle.dumps(FOUND))[1], FOUND[::-1][0],
        FOUND.condition_above(0.5)[1],
    ],
)  # fmt: skip
def test_the_bound_stays_with_whatever_is_made_of_it(made: CostDistribution) -> None:
    assert made.shape == () and bound_of(made) == pytest.approx(10.0)
    assert np.isnan(made.quantile(0.9)) and np.isnan(made.p_solved_by(20.0))


def test_another_machine_and_what_is_left() -> None:
    assert bound_of(FOUND.scaled(2.0)) == pytest.approx(20.0)
    assert bound_of(FOUND.remaining_after(4.0)) == pytest.approx(6.0)
    # Everything has been survived: nothing at all is known of the rest.
    assert np.isnan(FOUND.condition_above(1.5).quantile([0.05, 0.5])).all()


def test_no_bound_changes_nothing() -> None:
    assert observed_up_to(PLAIN, np.inf) is PLAIN and extrapolated(FOUND) is PLAIN
    assert bound_of(observed_up_to(FOUND, 5.0)) == pytest.approx(5.0)
    assert known(float("nan")) is None and known(3.0) == 3.0


def test_bounds_of_labels() -> None:
    dataset = Dataset.open(Path(__file__).parents[2] / "datasets" / "corpus")
    names = [row.instance for row in dataset.manifest]
    found = label_bounds(dataset, names, ["cadical195"], ["conflicts", "cpu_seconds"])
    assert found["cpu_seconds"] == 10.0
    costs = [run.conflicts for run in dataset.runs if run.solver == "cadical195" and run.conflicts is not None]
    share = float(np.mean([cost >= found["conflicts"] * 0.99 for cost in costs]))
    assert 0.005 < share < 0.02
    assert label_bounds(dataset, [], ["cadical195"], ["conflicts"]) == {}


def test_bounds_of_the_shipped_checkpoint_are_those_of_its_labels() -> None:
    config = Checkpoint.open(None).config
    # The limit of the published runs, 5,000 s, in seconds of our machine by the speed of Glucose.
    assert config.bound("cpu_seconds") == 4270.0
    assert 1e5 < config.bound("conflicts") < 1e7
    assert config.bound("propagations") == np.inf
    assert json.loads(json.dumps(config.label_bounds)) == config.label_bounds
