"""What one solver's run says of the others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal

from satcost_gnn.core.common_factor import given_survival, normal_cdf, normal_score
from satcost_gnn.core.distribution import GRIDS, CostDistribution

GRID = GRIDS["cpu_seconds"]
BOTH = CostDistribution.normal(GRID, np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.8, 1.2]))


def test_the_normal_distribution_is_that_of_scipy():
    x = np.linspace(-8.0, 8.0, 101).reshape(1, 101)
    np.testing.assert_allclose(normal_cdf(x), ndtr(x), rtol=1e-12, atol=1e-16)
    p = np.array([1e-8, 0.001, 0.3, 0.5, 0.999])
    np.testing.assert_allclose(normal_score(p), ndtri(p), rtol=1e-9, atol=1e-12)
    assert np.isfinite(normal_score([0.0, 1.0])).all()


@pytest.mark.parametrize("correlation", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("cost", [-1.0, 0.0, 1.5])
def test_others_are_told_as_by_the_bivariate_normal_distribution(correlation, cost):
    found = given_survival(BOTH, 0, cost, correlation)
    np.testing.assert_array_equal(found.cdf[0], BOTH.cdf[0])
    covariance = [[1.0, correlation], [correlation, 1.0]]
    bound = float(ndtri(BOTH[0].cdf_at(cost)))
    for column in (1, 2):
        for edge in (8, 14, 20):
            p = BOTH.cdf[column, edge]
            # P(z2 <= s, z1 > a) = P(z2 <= s) - P(z1 <= a, z2 <= s)
            joint = p - multivariate_normal.cdf([bound, ndtri(p)], mean=[0, 0], cov=covariance)
            assert found.cdf[column, edge] == pytest.approx(joint / (1 - ndtr(bound)), abs=2e-4)


def test_samples_that_go_together_agree():
    rng = np.random.default_rng(3)
    common, own = rng.normal(size=(400_000, 1)), rng.normal(size=(400_000, 3))
    score = np.sqrt(0.7) * common + np.sqrt(0.3) * own
    cost = np.stack([np.interp(ndtr(score[:, k]), BOTH.cdf[k], GRID.edges) for k in range(3)], axis=1)
    survivors = cost[cost[:, 0] > 1.0]
    found = given_survival(BOTH, 0, 1.0, 0.7)
    for column in (1, 2):
        np.testing.assert_allclose(
            found[column].quantile([0.1, 0.5, 0.9]), np.quantile(survivors[:, column], [0.1, 0.5, 0.9]), atol=0.05
        )


def test_surviving_longer_never_makes_another_solver_faster():
    last = BOTH.cdf[1:]
    for cost in np.linspace(-2.5, 4.5, 29):
        now = given_survival(BOTH, 0, float(cost), 0.6).cdf[1:]
        assert (now <= last + 1e-9).all()
        last = now


def test_nothing_is_learnt_without_correlation_or_of_no_run():
    for cost, correlation in ((2.0, 0.0), (-np.inf, 0.7)):
        np.testing.assert_array_equal(given_survival(BOTH, 1, cost, correlation).cdf, BOTH.cdf)
    # A cost that the solver outlives in any case says nothing either.
    np.testing.assert_allclose(given_survival(BOTH, 1, -3.0, 0.7).cdf, BOTH.cdf, atol=1e-4)
    for correlation in (-0.1, 1.0, np.nan):
        with pytest.raises(ValueError, match="expected a number from 0 to less than 1"):
            given_survival(BOTH, 0, 1.0, correlation)


def test_variants_are_told_apart_and_impossible_costs_stay_impossible():
    sure = CostDistribution.from_points(GRID, [0.5, 1.0, 2.0])
    stacked = CostDistribution(GRID, np.stack([BOTH.cdf, sure.cdf]))
    found = given_survival(stacked, 2, 1.5, 0.7)
    for k in range(2):
        np.testing.assert_allclose(
            found.cdf[k], given_survival(CostDistribution(GRID, stacked.cdf[k]), 2, 1.5, 0.7).cdf, atol=1e-12
        )
    np.testing.assert_array_equal(found.cdf[1] == 0.0, sure.cdf == 0.0)
    np.testing.assert_array_equal(found.cdf[1] == 1.0, sure.cdf == 1.0)
