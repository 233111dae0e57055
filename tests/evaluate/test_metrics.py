import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.evaluate import metrics

GRID = GRIDS["conflicts"]
NAN = float("nan")


def data(n=80, seed=0, cutoff=4.5):
    rng = np.random.default_rng(seed)
    truth = np.round(rng.uniform(1, 6, n), 1)
    predicted = np.round(truth + 0.5 * rng.normal(size=n), 1)
    return predicted, np.minimum(truth, cutoff), truth > cutoff


# Codings


def test_coded_cost_by_hand():
    # Solved; solved right at the cutoff; stopped at the cutoff; stopped before it; solved after it.
    y, stopped = [2.0, 4.0, 4.0, 3.0, 5.0], [False, False, True, True, False]
    log2 = math.log10(2)
    np.testing.assert_array_equal(metrics.coded_cost(y, stopped, "solved"), [2, 4, NAN, NAN, 5])
    np.testing.assert_array_equal(metrics.coded_cost(y, stopped, "capped", 4.0), [2, 4, 4, NAN, 4])
    np.testing.assert_array_equal(metrics.coded_cost(y, stopped, "par2", 4.0), [2, 4, 4 + log2, NAN, 4 + log2])
    with pytest.raises(ValueError, match="expected one of solved, capped, par2"):
        metrics.coded_cost(y, stopped, "par3", 4.0)
    with pytest.raises(ValueError, match="needs a cutoff"):
        metrics.coded_cost(y, stopped, "par2")


def test_expected_coded_is_the_mean_of_coded_draws():
    distribution = CostDistribution.normal(GRID, [3.0, 4.4], [0.6, 0.9])
    draws = np.stack([distribution.quantile(u) for u in (np.arange(20_000) + 0.5) / 20_000], axis=1)
    for coding in ("solved", "capped", "par2"):
        expected = [
            float(np.mean(metrics.coded_cost(row, np.zeros(len(row), bool), coding, 4.5)))
            for row in np.clip(draws, GRID.low, GRID.high)
        ]
        cutoff = None if coding == "solved" else 4.5
        np.testing.assert_allclose(metrics.expected_coded(distribution, coding, cutoff), expected, atol=2e-3)
    given_solved = [row[row <= 4.5].mean() for row in draws]
    np.testing.assert_allclose(metrics.expected_coded(distribution, "solved", 4.5), given_solved, atol=2e-3)
    assert metrics.expected_coded(distribution, "solved").tolist() == distribution.mean().tolist()
    never = CostDistribution.from_points(GRID, 6.0)
    assert metrics.expected_coded(never, "solved", 4.5) == 4.5
    with pytest.raises(ValueError, match="found coding"):
        metrics.expected_coded(distribution, "capped")


# Point predictions


def test_errors_by_hand():
    predicted, y, stopped = [1.0, 2.5, 6.0, NAN], [2.0, 2.0, 4.0, 1.0], [False, False, True, False]
    assert metrics.rmse(predicted, y, stopped) == pytest.approx(math.sqrt((1 + 0.25) / 2))
    assert metrics.rmse(predicted, y, stopped, coding="capped", cutoff=4.0) == pytest.approx(math.sqrt(1.25 / 3))
    off = 6 - 4 - math.log10(2)
    assert metrics.rmse(predicted, y, stopped, coding="par2", cutoff=4.0) == pytest.approx(
        math.sqrt((1.25 + off**2) / 3)
    )
    with pytest.raises(ValueError, match="one shape"):
        metrics.rmse([1.0, 2.0], [1.0, 2.0, 3.0])


def test_nothing_left_is_nan():
    for measure in (metrics.rmse, metrics.c_index):
        assert math.isnan(measure([1.0], [2.0], [True]))
    assert math.isnan(metrics.spearman([1.0], [2.0]))


def test_errors_of_a_table_are_over_all_runs():
    predicted, y, stopped = data(80)
    flat = metrics.rmse(predicted, y, stopped)
    shape = (40, 2)
    assert metrics.rmse(predicted.reshape(shape), y.reshape(shape), stopped.reshape(shape)) == flat


def test_spearman_is_scipys_with_ties():
    predicted, y, stopped = data(80)
    expected = stats.spearmanr(predicted[~stopped], y[~stopped]).statistic
    assert metrics.spearman(predicted, y, stopped) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(metrics.spearman(np.ones(5), np.arange(5.0)))


def test_spearman_within_weighs_groups_that_are_large_enough():
    predicted, y, stopped = data(100)
    groups = np.array(["a"] * 40 + ["b"] * 45 + ["c"] * 15)
    expected, weight = 0.0, 0
    for group in "ab":
        rows = (groups == group) & ~stopped
        expected += rows.sum() * stats.spearmanr(predicted[rows], y[rows]).statistic
        weight += rows.sum()
    assert (~stopped & (groups == "c")).sum() < 15
    assert metrics.spearman_within(predicted, y, groups, stopped) == pytest.approx(expected / weight)
    assert metrics.spearman_within(np.zeros(100), y, groups, stopped) == 0.0
    with pytest.raises(ValueError, match="one shape"):
        metrics.spearman_within(predicted, y, groups[:3])


def test_spearman_within_sees_order_inside_families_only():
    y = np.concatenate([np.arange(20.0), 100 + np.arange(20.0)])
    groups = ["low"] * 20 + ["high"] * 20
    backwards = np.concatenate([-np.arange(20.0), 100 - np.arange(20.0)])
    assert metrics.spearman(backwards, y) > 0.4
    assert metrics.spearman_within(backwards, y, groups) == pytest.approx(-1.0)


def test_c_index_is_the_share_of_pairs():
    predicted, y, stopped = data(60)
    concordant = comparable = 0.0
    for i, j in itertools.permutations(range(60), 2):
        if not stopped[i] and (y[i] < y[j] or (y[i] == y[j] and stopped[j])):
            comparable += 1
            concordant += 1.0 if predicted[i] < predicted[j] else 0.5 if predicted[i] == predicted[j] else 0.0
    assert metrics.c_index(predicted, y, stopped) == pytest.approx(concordant / comparable)
    assert metrics.c_index(y, y) == 1.0
    assert metrics.c_index(-y, y) == 0.0
    assert metrics.c_index(np.zeros(60), y, stopped) == 0.5


# Distributions


def test_solved_by_knows_what_it_does_not_know():
    y, stopped = [2.0, 3.0, 4.0, 3.0, 2.0, NAN], [False, False, False, True, True, False]
    np.testing.assert_array_equal(metrics.solved_by(y, stopped, 3.0), [1, 1, 0, 0, NAN, NAN])


def test_brier_and_auc_are_scikit_learns():
    rng = np.random.default_rng(0)
    outcome = (rng.random(200) < 0.4).astype(float)
    p = np.round(np.clip(outcome * 0.3 + 0.7 * rng.random(200), 0, 1), 1)
    assert metrics.brier(p, outcome) == pytest.approx(brier_score_loss(outcome, p))
    assert metrics.auc(p, outcome) == pytest.approx(roc_auc_score(outcome, p))
    with_gap = np.where(np.arange(200) % 5 == 0, NAN, outcome)
    rows = ~np.isnan(with_gap)
    assert metrics.auc(p, with_gap) == pytest.approx(roc_auc_score(outcome[rows], p[rows]))
    assert math.isnan(metrics.auc(p, np.ones(200)))


# Bootstrap


def mean_interval(values, groups=None, **options):
    drawn = metrics.resamples(len(values), groups, **options)
    return metrics.percentile_interval(np.array([values[rows].mean() for rows in drawn]))


def test_bootstrap_interval_of_a_mean_is_the_normal_one():
    rng = np.random.default_rng(0)
    values = rng.normal(2.0, 1.0, 400)
    found = mean_interval(values, count=2000)
    half = 1.96 * values.std() / 20
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert mean_interval(values, count=2000) == found != mean_interval(values, count=2000, seed=1)


def test_bootstrap_of_groups_resamples_whole_groups():
    groups = ["a"] * 3 + ["b"] * 2 + ["c"] * 5
    for rows in metrics.resamples(10, groups, count=50):
        counts = np.bincount(rows, minlength=10)
        assert len(set(counts[:3])) == len(set(counts[3:5])) == len(set(counts[5:])) == 1
        assert counts[0] + counts[3] + counts[5] == 3
    # Values that agree within groups: the interval is wider than that of single instances.
    labels = np.repeat([str(k) for k in range(20)], 20)
    values = np.repeat(np.random.default_rng(1).normal(size=20), 20)
    by_group, by_row = (mean_interval(values, g, count=500) for g in (labels.tolist(), None))
    assert np.diff(by_group) > 3 * np.diff(by_row)
    with pytest.raises(ValueError, match="at least 1"):
        metrics.resamples(0)


def test_paired_bootstrap_sees_a_small_consistent_difference():
    rng = np.random.default_rng(0)
    common = rng.normal(size=300) ** 2
    better, worse = common, common + 0.05 + 0.02 * rng.normal(size=300)

    def mean_of(values):
        return lambda rows: float(values[rows].mean())

    found = metrics.paired_bootstrap(mean_of(better), mean_of(worse), 300, count=500)
    assert found.value == pytest.approx((better - worse).mean())
    assert found.low < found.value < found.high < 0
    assert found.p_value == pytest.approx(2 / 501)
    same = metrics.paired_bootstrap(mean_of(better), mean_of(better), 300, count=200)
    assert (same.value, same.p_value) == (0.0, 1.0)
    noise = rng.normal(size=(2, 300))
    unclear = metrics.paired_bootstrap(mean_of(noise[0]), mean_of(noise[1] + noise[0].mean() - noise[1].mean()), 300)
    assert unclear.p_value > 0.5


def test_bootstrap_leaves_out_resamples_without_a_value():
    assert metrics.percentile_interval(np.array([NAN, 1.0, NAN])) == (1.0, 1.0)
    nothing = metrics.paired_bootstrap(lambda rows: NAN, lambda rows: 1.0, 5, count=10)
    assert math.isnan(nothing.low) and math.isnan(nothing.p_value)


def test_a_run_that_is_solved_at_the_cutoff_is_solved():
    assert metrics.coded_cost([3.0, 3.0], [False, True], "par2", 3.0).tolist() == [3.0, 3.0 + math.log10(2)]


def test_groups_of_constant_costs_have_no_order() -> None:
    rng = np.random.default_rng(1)
    cost = np.concatenate([np.full(20, 2.0), rng.normal(size=20)])
    groups = ["same"] * 20 + ["other"] * 20
    prediction = rng.normal(size=40)
    found = metrics.spearman_within(prediction, cost, groups)
    assert found == pytest.approx(metrics.spearman(prediction[20:], cost[20:]))
    # Costs that span exactly one decade are no constant ones.
    span = np.concatenate([[0.0, 1.0], np.linspace(0.1, 0.9, 18)])
    assert not math.isnan(metrics.spearman_within(prediction[:20], span, ["a"] * 20))


def test_a_run_that_is_stopped_just_before_the_cutoff_tells_nothing_of_it() -> None:
    found = metrics.coded_cost([3.95, 4.0], [True, True], "capped", 4.0)
    np.testing.assert_array_equal(found, [NAN, 4.0])


def test_all_runs_are_solved_ones_unless_it_is_said() -> None:
    predicted, y = [1.0, 2.0, 2.5, 7.0], [2.0, 2.0, 4.0, 5.0]
    assert metrics.rmse(predicted, y) == pytest.approx(math.sqrt((1 + 2.25 + 4) / 4))
    assert metrics.c_index([3.0, 1.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(1 / 3)


def test_the_mean_of_what_is_solved_where_little_is():
    # A twentieth is solved by the cutoff of 4, all of it within the quarter before; at 3.75 + 1/8 on average.
    cdf = np.where(GRID.edges >= 4.0, 0.05, 0.0)
    cdf[-1] = 1.0
    assert metrics.expected_coded(CostDistribution(GRID, cdf), "solved", 4.0) == pytest.approx(3.875)


def test_two_runs_have_an_order():
    assert metrics.spearman([1.0, 2.0], [3.0, 5.0]) == pytest.approx(1.0)
    assert metrics.spearman([1.0, 2.0], [5.0, 3.0]) == pytest.approx(-1.0)
    assert math.isnan(metrics.spearman([1.0], [5.0]))


def test_a_group_of_fifteen_counts_and_what_is_missing_does_not():
    predicted, y, _ = data(40)
    groups = ["a"] * 15 + ["b"] * 14 + ["c"] * 11
    assert metrics.spearman_within(predicted, y, groups) == pytest.approx(metrics.spearman(predicted[:15], y[:15]))
    for gap in (predicted, y):
        whole = gap.copy()
        gap[3] = NAN
        assert math.isnan(metrics.spearman_within(predicted, y, groups))
        gap[:] = whole
    both = predicted.copy(), y.copy()
    both[0][3], both[1][20] = NAN, NAN
    rows = [k for k in range(40) if k not in (3, 20)]
    assert metrics.spearman_within(*both, ["a"] * 40) == pytest.approx(metrics.spearman(predicted[rows], y[rows]))


def test_a_run_that_is_stopped_before_a_time_may_be_solved_by_it():
    np.testing.assert_array_equal(metrics.solved_by([2.95, 3.0, 3.0], [True, True, False], 3.0), [NAN, 0.0, 1.0])


def test_without_both_outcomes_there_is_no_auc():
    assert math.isnan(metrics.auc([0.2, 0.7], [0.0, 0.0])) and math.isnan(metrics.auc([0.2, 0.7], [1.0, 1.0]))
    assert metrics.auc([0.2, 0.7], [0.0, 1.0]) == 1.0


def test_resamples_are_of_everything():
    assert len(metrics.resamples(3)) == 1000
    assert [rows.tolist() for rows in metrics.resamples(1, count=1)] == [[0]]
    for groups in (None, ["a", "b", "c", "d"]):
        drawn = np.concatenate(metrics.resamples(4, groups, count=2000))
        np.testing.assert_allclose(np.bincount(drawn) / len(drawn), 0.25, atol=0.02)
    with pytest.raises(ValueError, match="at least 1"):
        metrics.resamples(3, count=0)


def test_percentiles_and_p_values_by_hand():
    assert metrics.percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
    for resampled, p_value in (
        # Two below nothing and one at it, which counts half: two and a half of ten on the one side.
        ([-2, -1, 0, 1, 2, 3, 4, 5, 6, 7], 0.5),
        ([2, 1, 0, -1, -2, -3, -4, -5, -6, -7], 0.5),
        ([-1, 1, NAN], 1.0),
        ([0, 0, 0], 1.0),
        # Never less than two of one more than there are.
        (np.arange(1.0, 20.0), 0.1),
        (-np.arange(1.0, 20.0), 0.1),
        ([1.0], 1.0),
    ):
        found = metrics.paired_difference(1.5, np.array(resampled, dtype=float))
        assert (found.value, found.p_value) == pytest.approx((1.5, p_value))
    found = metrics.paired_difference(0.0, np.arange(1001.0))
    assert (found.low, found.high) == pytest.approx((25.0, 975.0))
