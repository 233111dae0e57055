import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad

from satcost_gnn.core.distribution import GRIDS, TABLE_LEVELS, UNIT_LABELS, CostDistribution, CostGrid, grid_for

GRID = GRIDS["conflicts"]
SMALL = CostGrid("conflicts", 0.0, 4.0, 4)


def random_distributions(n=20, grid=GRID, seed=0):
    """Distributions with mass below and above the grid, flat stretches and jumps of a whole bin."""
    rng = np.random.default_rng(seed)
    mass = rng.gamma(0.3, size=(n, grid.bins + 2)) * (rng.random((n, grid.bins + 2)) < 0.6)
    mass[:, 3] += 0.01
    cdf = np.cumsum(mass, axis=1)
    return CostDistribution(grid, cdf[:, :-1] / cdf[:, -1:])


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
    assert distribution.mass_above == pytest.approx(0.1)
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


def test_expected_par_agrees_with_numerical_integration():
    distribution = random_distributions(6, seed=5)
    for cutoff in (0.5, 1.0, 300.0, 10**4.3, 10.0**8, 10.0**9):
        c = np.log10(cutoff)
        for row in range(6):
            density = np.diff(distribution.cdf[row]) / GRID.width
            expected = distribution.cdf[row, 0] * (c >= 0)
            for j, d in enumerate(density):
                a, b = GRID.edges[j], min(GRID.edges[j + 1], c)
                if b > a:
                    expected += d * quad(lambda t: 10.0**t, a, b)[0]
            expected += 2 * cutoff * (1 - cdf_by_hand(distribution, row, c))
            assert distribution.expected_par(2, cutoff)[row] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="positive, finite"):
        distribution.expected_par(2, 0.0)


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


# New distributions from old


def test_condition_above_is_bayes_rule_at_the_edges():
    distribution = random_distributions(10, seed=2)
    c = 2.6
    found = distribution.condition_above(c)
    below = GRID.edges <= c
    assert (found.cdf[:, below] == 0).all()
    at_c = distribution.cdf_at(c)
    expected = (distribution.cdf[:, ~below] - at_c[:, None]) / (1 - at_c[:, None])
    assert_allclose(found.cdf[:, ~below], expected, atol=1e-12)
    assert (found.mean() >= distribution.mean() - 1e-12).all()


def test_what_remains_is_the_cost_less_what_was_spent():
    distribution = random_distributions(10, seed=3)
    assert_allclose(distribution.remaining_after(0.0).cdf, distribution.cdf, atol=1e-12)
    spent = 10.0**2.6
    found = distribution.remaining_after(spent)
    at_start = distribution.p_solved_by(spent)
    expected = [(distribution.p_solved_by(spent + 10.0**x) - at_start) / (1 - at_start) for x in GRID.edges]
    assert_allclose(found.cdf, np.stack(expected, axis=-1), atol=1e-12)
    # Nothing is known of the rest where nothing was expected to last so long.
    certain = CostDistribution(SMALL, np.array([0.5, 1.0, 1.0, 1.0, 1.0]))
    assert (certain.remaining_after(10.0 ** SMALL.edges[2]).cdf == 0).all()
    with pytest.raises(ValueError, match="not negative"):
        distribution.remaining_after(-1.0)


def test_condition_above_where_nothing_or_everything_is_left():
    distribution = CostDistribution(SMALL, np.array([[0.2, 0.6, 1.0, 1.0, 1.0], [0.2, 0.6, 0.7, 0.8, 0.9]]))
    assert_allclose(distribution.condition_above(-1.0).cdf, distribution.cdf)
    assert_allclose(distribution.condition_above(np.nan).cdf, distribution.cdf)
    # No mass above 2.5: it then lies right there.
    assert distribution.condition_above([2.5, np.nan]).cdf.tolist()[0] == [0, 0, 0, 1, 1]
    beyond = distribution.condition_above(4.0)
    assert beyond.cdf[1].tolist() == [0.0] * 5
    assert beyond.mass_above[1] == 1.0
    assert distribution.condition_above(0.0).cdf[0].tolist() == pytest.approx([0, 0.5, 1, 1, 1])


@settings(max_examples=50, deadline=None)
@given(st.floats(-1, 9), st.floats(-1, 9), st.integers(0, 10_000))
def test_conditioning_twice_is_conditioning_on_the_larger(a, b, seed):
    distribution = random_distributions(3, seed=seed)
    # At edges, where it is exact.
    a, b = np.round(a * 4) / 4, np.round(b * 4) / 4
    twice = distribution.condition_above(a).condition_above(b)
    once = distribution.condition_above(max(a, b))
    enough = 1 - distribution.cdf_at(max(a, b)) > 1e-6
    assert_allclose(twice.cdf[enough], once.cdf[enough], atol=1e-6)


def test_a_mixture_weighs_the_distributions():
    a, b, c = (random_distributions(4, seed=seed) for seed in (1, 2, 3))
    mixed = CostDistribution.mixture([a, b, c], [1, 2, 1])
    assert_allclose(mixed.cdf, 0.25 * a.cdf + 0.5 * b.cdf + 0.25 * c.cdf)
    assert_allclose(mixed.mean(), 0.25 * a.mean() + 0.5 * b.mean() + 0.25 * c.mean())
    by_row = CostDistribution.mixture([a, b], np.array([[1, 0, 1, 3], [0, 1, 1, 1]]))
    assert_allclose(by_row.cdf[3], 0.75 * a.cdf[3] + 0.25 * b.cdf[3])
    assert_allclose(by_row.cdf[1], b.cdf[1])
    for weights in ([1, -1], [0, 0], [1, np.nan]):
        with pytest.raises(ValueError, match="mixture weights"):
            CostDistribution.mixture([a, b], weights)
    with pytest.raises(ValueError, match="one for each"):
        CostDistribution.mixture([a, b], [1, 2, 3])
    with pytest.raises(ValueError, match="different grids"):
        CostDistribution.mixture([a, random_distributions(4, SMALL)], [1, 1])
    with pytest.raises(ValueError, match="at least one"):
        CostDistribution.mixture([], [])


def test_a_mixture_is_the_weighted_mean_of_the_cdfs_however_it_is_asked_for():
    rng = np.random.default_rng(4)
    stack = random_distributions(15).reshape(5, 3)
    weights = rng.dirichlet(np.ones(5))
    by_parts = CostDistribution.mixture([stack[k] for k in range(5)], 7.0 * weights)
    by_stack = CostDistribution.mixture(stack, weights)
    assert by_stack.shape == (3,)
    assert_allclose(by_parts.cdf, np.tensordot(weights, stack.cdf, axes=1), rtol=0, atol=1e-12)
    assert_allclose(by_stack.cdf, sum(w * cdf for w, cdf in zip(weights, stack.cdf, strict=True)), rtol=0, atol=1e-12)
    assert_allclose(CostDistribution.mixture(stack, np.ones(5)).cdf, stack.cdf.mean(axis=0), rtol=0, atol=1e-12)
    trust = rng.random(3)
    one, other = stack[0], stack[1]
    by_place = CostDistribution.mixture([one, other], np.stack([trust, 1.0 - trust]))
    expected = trust[:, None] * one.cdf + (1.0 - trust[:, None]) * other.cdf
    assert_allclose(by_place.cdf, expected, rtol=0, atol=1e-12)


# Construction


def kaplan_meier_by_hand(values, weights, censored, t):
    survival = 1.0
    for value in sorted(set(values[~censored].tolist())):
        if value > t:
            break
        at_risk = weights[values >= value].sum()
        events = weights[(values == value) & ~censored].sum()
        survival *= 1 - events / at_risk
    return 1 - survival


def test_from_samples_is_kaplan_meier():
    rng = np.random.default_rng(4)
    values = np.round(rng.uniform(0, 4, 60), 1)
    censored = rng.random(60) < 0.4
    weights = rng.random((3, 60)) * (rng.random((3, 60)) < 0.8)
    shared = CostDistribution.from_samples(SMALL, values, weights, censored)
    rows = CostDistribution.from_samples(SMALL, np.tile(values, (3, 1)), weights, np.tile(censored, (3, 1)))
    for row in range(3):
        expected = [kaplan_meier_by_hand(values, weights[row], censored, t) for t in SMALL.edges]
        assert_allclose(shared.cdf[row], expected, atol=1e-9)
        assert_allclose(rows.cdf[row], expected, atol=1e-9)


def test_from_samples_without_censoring_is_the_share_below_each_edge():
    values = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 3.0, 9.0, 9.0])
    found = CostDistribution.from_samples(SMALL, values)
    assert_allclose(found.cdf, [(values <= edge).mean() for edge in SMALL.edges])
    assert found.mass_above == pytest.approx(0.25)


def test_from_samples_leaves_what_is_behind_a_last_censored_run_beyond_the_grid():
    found = CostDistribution.from_samples(SMALL, [1.0, 2.0, 3.0], censored=[False, False, True])
    assert_allclose(found.cdf, [0, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    everything_stopped = CostDistribution.from_samples(SMALL, [1.0, 2.0], censored=[True, True])
    assert everything_stopped.mass_above == 1.0


@pytest.mark.parametrize(
    "values, weights, message",
    [
        ([], None, "no sample"),
        ([1.0, np.nan], None, "missing cost"),
        ([1.0, 2.0], [0.0, 0.0], "not all zero"),
        ([1.0, 2.0], [-1.0, 2.0], "not negative"),
        ([1.0, 2.0], [1.0], "equal last axes"),
    ],
)
def test_from_samples_refuses_bad_input(values, weights, message):
    with pytest.raises(ValueError, match=message):
        CostDistribution.from_samples(SMALL, values, weights)


def test_from_points_keeps_the_value_as_mean():
    values = np.array([0.5, 1.234, 2.0, 3.4])
    found = CostDistribution.from_points(SMALL, values)
    assert_allclose(found.mean(), values, atol=1e-12)
    assert (found.sd() < 0.6 * SMALL.width).all()
    outside = CostDistribution.from_points(SMALL, [-3.0, 4.5, 4.0])
    assert outside.cdf[0].tolist() == [1.0] * 5
    assert outside.cdf[1].tolist() == [0.0] * 5
    assert outside.mass_above.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="NaN"):
        CostDistribution.from_points(SMALL, [np.nan])


def test_from_hazard_is_the_product_of_survivals():
    hazard = np.array([0.5, 0.0, 0.5, 1.0])
    assert CostDistribution.from_hazard(SMALL, hazard).cdf.tolist() == [0.0, 0.5, 0.5, 0.75, 1.0]
    assert CostDistribution.from_hazard(SMALL, hazard, below=0.2).cdf.tolist() == pytest.approx([0.2, 0.6, 0.6, 0.8, 1])
    with pytest.raises(ValueError, match="one for each bin"):
        CostDistribution.from_hazard(SMALL, [0.5])
    with pytest.raises(ValueError, match="probabilities"):
        CostDistribution.from_hazard(SMALL, [0.5, 1.5, 0.0, 0.0])


@pytest.mark.parametrize("seed", range(10))
def test_the_estimate_from_censored_samples_is_scipys(seed):
    from scipy.stats import CensoredData, ecdf

    rng = np.random.default_rng(seed)
    # Rounded, so that there are ties, among them ties of solved and censored runs.
    cost, censored = rng.uniform(0.0, 7.0, 60).round(1), rng.random(60) < 0.4
    found = CostDistribution.from_samples(GRID, cost, censored=censored)
    expected = ecdf(CensoredData.right_censored(cost, censored)).cdf.evaluate(GRID.edges)
    # What is left behind a last sample that is censored is beyond the grid here, as it is there beyond all samples.
    assert found.cdf == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.0, 1.8, 30.0])
def test_scaling_multiplies_the_cost(factor):
    found = random_distributions(seed=3)
    scaled = found.scaled(factor)
    edges = GRID.edges
    inside = (edges - np.log10(factor) >= GRID.low) & (edges - np.log10(factor) <= GRID.high)
    for edge in edges[inside]:
        # P(factor X <= x) = P(X <= x / factor)
        np.testing.assert_allclose(scaled.cdf_at(edge), found.cdf_at(edge - np.log10(factor)), atol=1e-12)
    np.testing.assert_allclose(found.scaled(1.0).cdf, found.cdf)


@pytest.mark.parametrize("factor", [0.0, -1.0, np.inf, np.nan])
def test_scaling_by_nonsense_is_refused(factor):
    with pytest.raises(ValueError, match="factor"):
        random_distributions().scaled(factor)


def test_the_levels_of_a_table():
    assert TABLE_LEVELS == (0.05, 0.25, 0.5, 0.75, 0.95)


def test_a_normal_is_at_least_a_hundredth_of_a_bin_wide() -> None:
    # The edge at 2 lies one, then two hundredths of a bin above the mean.
    found = CostDistribution.normal(SMALL, [1.99, 1.98], [0.0, 1e-9])
    assert_allclose(found.cdf[:, 2], stats.norm.cdf([1.0, 2.0]), rtol=1e-9)
