import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from random_distributions import random_distributions
from scipy import stats

from satcost_gnn.core.distribution import GRIDS, CostDistribution, CostGrid

GRID = GRIDS["conflicts"]
SMALL = CostGrid("conflicts", 0.0, 4.0, 4)


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
    assert 1 - beyond.cdf[1, -1] == 1.0
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
    nowhere = np.array([[1, 1, 1, 0], [1, 1, 1, 0]])
    for weights in ([1, -1], [3, -1], [0, 0], [1, np.nan], nowhere):
        with pytest.raises(ValueError, match="mixture weights"):
            CostDistribution.mixture([a, b], weights)
    with pytest.raises(ValueError, match="one for each"):
        CostDistribution.mixture([a, b], [1, 2, 3])
    with pytest.raises(ValueError, match="one for each"):
        CostDistribution.mixture([a], 1.0)
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
    assert 1 - found.cdf[-1] == pytest.approx(0.25)


def test_from_samples_leaves_what_is_behind_a_last_censored_run_beyond_the_grid():
    found = CostDistribution.from_samples(SMALL, [1.0, 2.0, 3.0], censored=[False, False, True])
    assert_allclose(found.cdf, [0, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    everything_stopped = CostDistribution.from_samples(SMALL, [1.0, 2.0], censored=[True, True])
    assert 1 - everything_stopped.cdf[-1] == 1.0


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
    assert (1 - outside.cdf[:, -1]).tolist() == [0.0, 1.0, 0.0]
    for missing in ([np.nan], [1.0, np.nan]):
        with pytest.raises(ValueError, match="NaN"):
            CostDistribution.from_points(SMALL, missing)


def test_from_hazard_is_the_product_of_survivals():
    hazard = np.array([0.5, 0.0, 0.5, 1.0])
    assert CostDistribution.from_hazard(SMALL, hazard).cdf.tolist() == [0.0, 0.5, 0.5, 0.75, 1.0]
    for few in ([0.5], 0.5):
        with pytest.raises(ValueError, match="one for each bin"):
            CostDistribution.from_hazard(SMALL, few)
    for wrong in (1.5, -0.5, np.nan, np.inf, 1.001, -0.001):
        with pytest.raises(ValueError, match="probabilities"):
            CostDistribution.from_hazard(SMALL, [0.5, wrong, 0.0, 0.0])
    # Rounding is put right.
    assert CostDistribution.from_hazard(SMALL, [0.5, -1e-9, 1 + 1e-9, 0.0]).cdf.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]


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


def test_a_normal_is_at_least_a_hundredth_of_a_bin_wide() -> None:
    # The edge at 2 lies one, then two hundredths of a bin above the mean.
    found = CostDistribution.normal(SMALL, [1.99, 1.98], [0.0, 1e-9])
    assert_allclose(found.cdf[:, 2], stats.norm.cdf([1.0, 2.0]), rtol=1e-9)


def test_little_that_is_left_is_shared_out_by_the_same_rule() -> None:
    # One in a hundred is left, half of which lies in each of the last two bins.
    rare = CostDistribution(SMALL, np.array([0.0, 0.5, 0.99, 0.995, 1.0]))
    assert rare.condition_above(2.0).cdf.tolist() == pytest.approx([0, 0, 0, 0.5, 1])
    # After 10^2 another 10^3 reaches log10(1100), a little into the last bin.
    beyond = (0.995 - 0.99 + 0.005 * np.log10(1.1)) / 0.01
    assert rare.remaining_after(100.0).cdf[3] == pytest.approx(beyond)


def test_conditioning_at_the_ends() -> None:
    distribution = CostDistribution(SMALL, np.array([0.2, 0.6, 1.0, 1.0, 1.0]))
    assert distribution.condition_above(-np.inf).cdf.tolist() == distribution.cdf.tolist()
    assert distribution.condition_above(np.inf).cdf.tolist() == [0.0] * 5
    # Nothing is left above an edge: it lies in the bin behind it.
    assert distribution.condition_above(2.0).cdf.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("mean", "sd"), [([1.0, np.nan], 1.0), ([1.0, np.inf], 1.0), (1.0, [np.nan, 1.0])])
def test_a_normal_has_finite_parameters(mean: object, sd: object) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        CostDistribution.normal(SMALL, mean, sd)
