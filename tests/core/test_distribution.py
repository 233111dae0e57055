import pickle
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from random_distributions import random_distributions
from scipy import stats
from scipy.integrate import quad

from satcost_gnn.core.distribution import GRIDS, TABLE_LEVELS, UNIT_LABELS, CostDistribution, CostGrid, grid_for

GRID = GRIDS["conflicts"]
SMALL = CostGrid("conflicts", 0.0, 4.0, 4)


def cdf_by_hand(distribution, row, x):
    grid = distribution.grid
    if x < grid.low:
        return 0.0
    return float(np.interp(x, grid.edges, distribution.cdf[row]))


# Grid


def test_shared_grids_have_the_documented_edges():
    conflicts = GRIDS["conflicts"].edges
    assert (conflicts[0], conflicts[-1], len(conflicts)) == (0.0, 9.0, 37)
    assert_allclose(np.diff(conflicts), 0.25)
    assert (GRIDS["propagations"].low, GRIDS["propagations"].high, GRIDS["propagations"].bins) == (2.0, 12.0, 40)
    assert (GRIDS["cpu_seconds"].low, GRIDS["cpu_seconds"].high, GRIDS["cpu_seconds"].bins) == (-3.0, 5.0, 32)
    assert set(GRIDS) == set(UNIT_LABELS)
    assert all(grid.unit == unit for unit, grid in GRIDS.items())


def test_grid_bins_and_json():
    assert SMALL.bin_of([-5.0, 0.0, 0.5, 1.0, 1.001, 4.0, 99.0]).tolist() == [0, 0, 0, 0, 1, 3, 3]
    assert_allclose(SMALL.centres, [0.5, 1.5, 2.5, 3.5])
    assert CostGrid.from_json(SMALL.to_json()) == SMALL
    assert grid_for("conflicts") is GRID
    with pytest.raises(ValueError, match="found cost unit 'hours'; expected one of conflicts"):
        grid_for("hours")


@pytest.mark.parametrize("low, high, bins", [(1.0, 1.0, 3), (2.0, 1.0, 3), (0.0, np.inf, 3), (0.0, 1.0, 0)])
def test_impossible_grids_are_refused(low, high, bins):
    with pytest.raises(ValueError, match="expected"):
        CostGrid("conflicts", low, high, bins)


# Validation


@pytest.mark.parametrize(
    "cdf, message",
    [
        ([0.0, 0.1, 0.2], r"expected \(\.\.\., 5\)"),
        ([0.0, 0.1, np.nan, 0.3, 1.0], "not finite"),
        ([0.0, 0.1, 0.2, 0.3, 1.1], "expected 0 to 1"),
        ([-0.1, 0.1, 0.2, 0.3, 1.0], "expected 0 to 1"),
        ([0.0, 0.5, 0.4, 0.6, 1.0], "falls by 0.1"),
        # More than rounding.
        ([-1e-5, 0.1, 0.2, 0.3, 1.0], "expected 0 to 1"),
        ([0.0, 0.1, 0.2, 0.3, 1.00001], "expected 0 to 1"),
        ([0.0, 0.5, 0.49999, 0.6, 1.0], "falls by 1e-05"),
        (0.5, r"expected \(\.\.\., 5\)"),
    ],
)
def test_invalid_cdf_is_refused(cdf, message):
    with pytest.raises(ValueError, match=message):
        CostDistribution(SMALL, np.array(cdf))


def test_rounding_is_put_right_and_the_copy_is_read_only():
    given_ = np.array([-1e-9, 0.5, 0.5 - 1e-9, 1.0, 1.0 + 1e-9])
    distribution = CostDistribution(SMALL, given_)
    assert distribution.cdf.min() >= 0 and distribution.cdf.max() <= 1 and (np.diff(distribution.cdf) >= 0).all()
    given_[0] = 0.4
    assert distribution.cdf[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        distribution.cdf[0] = 0.2


# Shape


def test_indexing_reshaping_and_joining():
    flat = random_distributions(12)
    table = flat.reshape(4, 3)
    assert (table.shape, len(table), table[1].shape, table[:, 2].shape) == ((4, 3), 4, (3,), (4,))
    assert table[1, 2].shape == () and table[..., 0].shape == (4,)
    assert_allclose(table[1, 2].cdf, flat.cdf[5])
    assert_allclose(table[..., 0].cdf, table[:, 0].cdf)
    assert_allclose(CostDistribution.concatenate([table[:1], table[1:]]).cdf, table.cdf)
    assert_allclose(CostDistribution.stack([table[:, k] for k in range(3)], axis=1).cdf, table.cdf)
    assert_allclose(CostDistribution.stack([table[k] for k in range(4)]).cdf, table.cdf)
    again = pickle.loads(pickle.dumps(table))
    assert_allclose(again.cdf, table.cdf)
    assert not again.cdf.flags.writeable
    with pytest.raises(TypeError, match="no length"):
        len(table[1, 2])
    with pytest.raises(ValueError, match="different grids"):
        CostDistribution.concatenate([flat, random_distributions(2, SMALL)])
    with pytest.raises(ValueError, match="no distributions"):
        CostDistribution.stack([])


# Questions


def test_cdf_at_interpolates_and_is_constant_above_the_grid():
    distribution = random_distributions(6)
    for x in (-1.0, 0.0, 0.1, 3.37, 7.99, 8.0, 20.0, np.inf):
        found = distribution.cdf_at(x)
        assert_allclose(found, [cdf_by_hand(distribution, row, x) for row in range(6)], atol=1e-12)
    assert distribution.cdf_at(-np.inf).tolist() == [0.0] * 6
    assert np.isnan(distribution.cdf_at(np.nan)).all()
    each = distribution.cdf_at([0.5, 1.5, 2.5, 3.5, 4.5, 5.5])
    assert_allclose(each, [cdf_by_hand(distribution, row, row + 0.5) for row in range(6)], atol=1e-12)


def test_quantile_is_the_least_cost_with_that_probability():
    distribution = random_distributions(30)
    levels = np.array([0.0, 0.05, 0.3, 0.5, 0.9, 0.999, 1.0])
    found = distribution.quantile(levels)
    assert found.shape == (30, 7)
    assert (np.diff(found, axis=1) >= 0).all() and found.min() >= GRID.low and found.max() <= GRID.high
    above = distribution.censored_above(levels)
    for k, level in enumerate(levels):
        assert_allclose(distribution.quantile(level), found[:, k])
        reached = distribution.cdf_at(found[:, k])
        assert (reached >= level - 1e-9)[~above[:, k]].all()
        assert (reached < level)[above[:, k]].all() and (found[:, k] == GRID.high)[above[:, k]].all()
        just_below = distribution.cdf_at(found[:, k] - 1e-6)
        assert (just_below <= level + 1e-9).all()
        # The least such cost: on a flat stretch its left end.
        inside = (found[:, k] > GRID.low) & ~above[:, k] & (level > 0)
        assert (just_below < level)[inside].all()


def test_quantile_takes_the_left_end_of_a_flat_stretch_and_the_low_end_of_the_mass_below():
    distribution = CostDistribution(SMALL, np.array([0.2, 0.5, 0.5, 0.5, 0.9]))
    assert distribution.quantile([0.1, 0.2, 0.5, 0.7, 0.95]).tolist() == pytest.approx([0.0, 0.0, 1.0, 3.5, 4.0])
    assert distribution.censored_above([0.9, 0.95]).tolist() == [False, True]
    assert 1 - distribution.cdf[-1] == pytest.approx(0.1)
    assert distribution.median() == pytest.approx(1.0)
    assert [float(end) for end in distribution.interval(0.6)] == pytest.approx([0.0, 3.75])


def test_quantile_refuses_levels_outside_0_to_1():
    with pytest.raises(ValueError, match="from 0 to 1"):
        random_distributions(2).quantile([0.5, 1.5])
    with pytest.raises(ValueError, match="one-dimensional"):
        random_distributions(2).quantile([[0.5]])
    with pytest.raises(ValueError, match="between 0 and 1"):
        random_distributions(2).interval(1.0)


def test_moments_agree_with_numerical_integration():
    distribution = random_distributions(8, seed=3)
    x = np.linspace(GRID.low, GRID.high, 200_001)
    for row in range(8):
        f = np.interp(x, GRID.edges, distribution.cdf[row])
        assert distribution.mean()[row] == pytest.approx(GRID.high - np.trapezoid(f, x), abs=1e-6)
        second = GRID.high**2 - 2 * np.trapezoid(x * f, x)
        assert distribution.sd()[row] == pytest.approx(np.sqrt(second - distribution.mean()[row] ** 2), abs=1e-5)
        for limit in (-1.0, 0.0, 2.6, 8.0):
            upto = x <= limit
            expected = limit - (np.trapezoid(f[upto], x[upto]) if upto.sum() > 1 else 0.0)
            assert distribution.restricted_mean(limit)[row] == pytest.approx(expected, abs=1e-4)
    assert_allclose(distribution.restricted_mean(99.0), distribution.mean())


def test_normal_has_its_mean_standard_deviation_and_quantiles():
    distribution = CostDistribution.normal(GRID, [3.0, 5.0], [[0.5], [0.8]])
    assert distribution.shape == (2, 2)
    assert_allclose(distribution.mean(), [[3, 5], [3, 5]], atol=1e-3)
    assert_allclose(distribution.sd()[0], 0.5, atol=0.02)
    assert_allclose(distribution.cdf_at(GRID.edges[14]), stats.norm.cdf(3.5, [3, 5], [[0.5], [0.8]]), atol=1e-12)
    assert_allclose(distribution.quantile(0.9)[0, 0], stats.norm.ppf(0.9, 3.0, 0.5), atol=0.02)
    assert np.isfinite(CostDistribution.normal(GRID, 4.0, 0.0).cdf).all()
    with pytest.raises(ValueError, match="not a finite number"):
        CostDistribution.normal(GRID, np.nan, 1.0)


def test_p_solved_by_takes_a_budget_in_the_unit():
    distribution = CostDistribution.normal(GRID, 3.0, 0.5)
    assert distribution.p_solved_by(1000.0) == pytest.approx(0.5)
    assert distribution.p_solved_by(0.0) == 0.0
    assert distribution.p_solved_by(np.inf) == distribution.cdf[-1]
    for budget in (-1.0, np.nan):
        with pytest.raises(ValueError, match="not negative"):
            distribution.p_solved_by(budget)


@pytest.mark.parametrize("grid", [GRID, GRIDS["cpu_seconds"]], ids=lambda grid: grid.unit)
def test_expected_par_agrees_with_numerical_integration(grid):
    distribution = random_distributions(6, grid, seed=5)
    for cutoff in 10.0 ** np.array(
        [grid.low - 0.3, grid.low, grid.low + 2.5, grid.low + 4.3, grid.high - 1, grid.high]
    ):
        c = np.log10(cutoff)
        for row in range(6):
            density = np.diff(distribution.cdf[row]) / grid.width
            expected = distribution.cdf[row, 0] * 10.0**grid.low * (c >= grid.low)
            for j, d in enumerate(density):
                a, b = grid.edges[j], min(grid.edges[j + 1], c)
                if b > a:
                    expected += d * quad(lambda t: 10.0**t, a, b)[0]
            expected += 2 * cutoff * (1 - cdf_by_hand(distribution, row, c))
            assert distribution.expected_par(2, cutoff)[row] == pytest.approx(expected, rel=1e-6)
    for wrong in (0.0, -1.0, np.inf, np.nan, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0], [np.inf, 1.0, 1.0, 1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="positive, finite"):
            distribution.expected_par(2, wrong)


# CRPS


def crps_by_hand(distribution, row, y, censored, limit=np.inf):
    grid = distribution.grid
    end = min(grid.high, max(limit, grid.low))
    breaks = sorted({*grid.edges[grid.edges < end].tolist(), float(np.clip(y, grid.low, end)), end})

    def integrand(x):
        f = cdf_by_hand(distribution, row, x)
        if x < y:
            return f**2
        return 0.0 if censored else (1 - f) ** 2

    pieces = pairwise(breaks)
    return sum(quad(integrand, a + 1e-12, b - 1e-12)[0] for a, b in pieces)


@pytest.mark.parametrize("censored", [False, True])
@pytest.mark.parametrize("y", [-2.0, 0.0, 0.3, 2.0, 2.5, 3.9, 4.0, 6.0])
def test_crps_agrees_with_numerical_integration(y, censored):
    distribution = random_distributions(5, SMALL, seed=8)
    found = distribution.crps(y, censored)
    expected = [crps_by_hand(distribution, row, y, censored) for row in range(5)]
    assert_allclose(found, expected, atol=1e-7)
    for limit in (-1.0, 1.7, 3.0, 9.0):
        found = distribution.crps(y, censored, limit)
        expected = [crps_by_hand(distribution, row, y, censored, limit) for row in range(5)]
        assert_allclose(found, expected, atol=1e-7)


def test_crps_agrees_with_the_closed_form_for_a_normal():
    fine = CostGrid("conflicts", 0.0, 8.0, 4000)
    mu, sd, y = 3.0, 0.7, 3.9
    z = (y - mu) / sd
    expected = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert CostDistribution.normal(fine, mu, sd).crps(y) == pytest.approx(expected, abs=1e-5)


def test_crps_of_missing_costs_is_missing_and_broadcasts():
    distribution = random_distributions(3).reshape(3, 1)
    score = distribution.crps(np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.0]]), np.array([False, True]))
    assert score.shape == (3, 2)
    assert np.isnan(score).tolist() == [[False, True], [False, False], [False, False]]


def test_crps_up_to_the_cutoff_is_proper_for_censored_runs_and_without_a_limit_it_is_not():
    rng = np.random.default_rng(1)
    y = rng.normal(4.0, 0.8, 4000)
    stopped = y > 4.5
    bound = np.minimum(y, 4.5)

    def best(limit):
        score = {
            (mu, sd): CostDistribution.normal(GRID, np.full(4000, mu), sd).crps(bound, stopped, limit).mean()
            for mu in (3.6, 4.0, 4.4)
            for sd in (0.5, 0.8, 1.2)
        }
        return min(score, key=score.get)

    assert best(4.5) == (4.0, 0.8)
    # As the documentation warns.
    assert best(None) == (4.0, 0.5)


def test_the_levels_of_a_table():
    assert TABLE_LEVELS == (0.05, 0.25, 0.5, 0.75, 0.95)
