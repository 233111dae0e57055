"""What is taken for the cost of a run that was stopped, or was never made."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.imputation import _mean_of_others, impute_censored

N = 200


def _table(cost: NDArray[np.float64], censored: NDArray[np.bool_], known: NDArray[np.bool_]) -> TrainingTable:
    instances = [Instance(f"{k}.cnf", f"{k:032x}", FeatureVector(("x",), np.zeros(1))) for k in range(len(cost))]
    solvers = tuple("abcdef"[: cost.shape[1]])
    no_answer = np.full(len(cost), -1, dtype=np.int8)
    return TrainingTable(instances, solvers, "cpu_seconds", cost, censored, known, ["f"] * len(cost), no_answer)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def truth(rng: np.random.Generator) -> NDArray[np.float64]:
    """Costs of two solvers that go together: the second takes twice the first's, give or take a tenth of a decade."""
    first = rng.uniform(-1.0, 3.5, N)
    return np.stack([first, first + 0.3 + rng.normal(0, 0.1, N)], axis=1)


def test_a_stopped_run_is_told_by_what_another_solver_needed(
    rng: np.random.Generator, truth: NDArray[np.float64]
) -> None:
    stopped = truth[:, 1] > 1.0
    cost = np.minimum(truth, np.array([np.inf, 1.0]))
    censored = np.stack([np.zeros(N, dtype=bool), stopped], axis=1)
    _, target = impute_censored(_table(cost, censored, np.ones((N, 2), dtype=bool)), rng.normal(size=(N, 3)))
    error = target[stopped, 1] - truth[stopped, 1]
    # Features that say nothing leave a standard deviation of .7.
    assert np.sqrt((error**2).mean()) < 0.25
    assert (target[stopped, 1] >= 1.0).all()


def test_a_run_that_was_not_made_is_told_by_what_another_solver_needed(
    rng: np.random.Generator, truth: NDArray[np.float64]
) -> None:
    known = np.stack([np.ones(N, dtype=bool), np.arange(N) % 2 == 0], axis=1)
    cost = np.where(known, truth, np.nan)
    samples, target = impute_censored(_table(cost, np.zeros((N, 2), dtype=bool), known), rng.normal(size=(N, 3)))
    error = target[~known[:, 1], 1] - truth[~known[:, 1], 1]
    assert np.sqrt((error**2).mean()) < 0.25
    assert np.array_equal(target[known], truth[known])
    np.testing.assert_allclose(samples.median()[known], truth[known], atol=samples.grid.width)


def test_an_instance_without_runs_of_others_has_its_features_alone(
    rng: np.random.Generator, truth: NDArray[np.float64]
) -> None:
    standard = rng.normal(size=(N, 3))
    alone = np.arange(N) < 20
    known = np.stack([~alone, np.ones(N, dtype=bool)], axis=1)
    stopped = np.stack([np.zeros(N, dtype=bool), truth[:, 1] > 1.0], axis=1)
    cost = np.where(known, np.minimum(truth, np.array([np.inf, 1.0])), np.nan)
    both, _ = impute_censored(_table(cost, stopped, known), standard)
    single, _ = impute_censored(_table(cost[:, 1:], stopped[:, 1:], known[:, 1:]), standard)
    np.testing.assert_array_equal(both.cdf[alone, 1], single.cdf[alone, 0])


def test_bounds_of_others_that_say_little_change_little(rng: np.random.Generator) -> None:
    # All runs of the first solver were given up at a second: nothing tells one instance from another.
    cost = np.stack([np.zeros(N), rng.uniform(0.0, 1.0, N)], axis=1)
    censored = np.stack([np.ones(N, dtype=bool), np.zeros(N, dtype=bool)], axis=1)
    samples, target = impute_censored(_table(cost, censored, np.ones((N, 2), dtype=bool)), np.zeros((N, 1)))
    assert isinstance(samples, CostDistribution)
    assert np.array_equal(target[:, 1], cost[:, 1])
    assert (target[:, 0] > 0).all()


def test_the_mean_is_over_the_others_that_have_runs() -> None:
    none = np.nan
    surplus = np.array([[1.0, none, 3.0, 4.0], [none, none, 5.0, none], [none, 2.0, none, none]])
    told, means = _mean_of_others(surplus, 0)
    assert told.tolist() == [True, True, True]
    assert means.tolist() == [3.5, 5.0, 2.0]
    told, means = _mean_of_others(surplus, 2)
    assert told.tolist() == [True, False, True]
    assert means.tolist() == [2.5, 0.0, 2.0]
