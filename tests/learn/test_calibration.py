import json

import numpy as np
import pytest
from scipy.stats import norm

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.learn.calibration import (
    LEAST_IN_GROUP,
    LEAST_RUNS,
    Calibration,
    MapsBySize,
    RecalibrationMap,
    _levels_of,
    size_groups,
    widened,
)

GRID = GRIDS["conflicts"]
TRUE_SD = 0.6


def runs(n, seed, *, bias=0.0, sd=0.2, cutoff=np.inf):
    """Predictions that are too sure of themselves and biased, with the costs."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(2.5, 5.0, n)
    cost = mean + TRUE_SD * rng.normal(size=n)
    predicted = CostDistribution.normal(GRID, mean + bias, sd)
    return predicted, np.minimum(cost, cutoff), cost > cutoff, cost


def coverage(distribution, cost, level):
    low, high = distribution.interval(level)
    return float(((low <= cost) & (cost <= high)).mean())


@pytest.mark.parametrize("bias, sd", [(0.0, 0.2), (0.5, 0.2), (-0.4, 1.5), (0.0, TRUE_SD)])
def test_coverage_of_new_runs_is_nominal_whatever_the_predictions(bias, sd):
    predicted, cost, stopped, _ = runs(2000, 1, bias=bias, sd=sd)
    calibration = Calibration.fit(predicted, cost, stopped)
    fresh, truth, _, _ = runs(4000, 2, bias=bias, sd=sd)
    calibrated = calibration.apply(fresh)
    for level in (0.5, 0.8, 0.95):
        assert coverage(calibrated, truth, level) == pytest.approx(level, abs=0.04)
    if sd != TRUE_SD:
        assert abs(coverage(fresh, truth, 0.8) - 0.8) > 0.1
    for q in (0.1, 0.5, 0.9):
        assert (truth <= calibrated.quantile(q)).mean() == pytest.approx(q, abs=0.05)
    assert calibrated.crps(truth).mean() <= fresh.crps(truth).mean() + 0.01


@pytest.mark.parametrize("sd", [0.2, 0.8])
def test_levels_are_those_of_split_conformal_prediction(sd):
    """The k-th smallest of n PITs gets the level k / (n + 1), at the knots of the map."""
    predicted, cost, stopped, _ = runs(99, 3, sd=sd)
    calibrated = RecalibrationMap.fit(predicted, cost, stopped).apply(predicted)
    pit = np.sort(calibrated.cdf_at(cost))
    for level in (0.05, 0.1, 0.5, 0.9, 0.95):
        assert pit[round(level * 100) - 1] == pytest.approx(level, abs=0.02)


def test_bounds_agree_with_conformal_prediction_from_residuals():
    """All predictions here have one shape, so that conformal bounds are the mean plus a residual of fixed rank."""
    predicted, cost, stopped, _ = runs(199, 4, bias=0.3)
    calibration = RecalibrationMap.fit(predicted, cost, stopped)
    residual = np.sort(cost - predicted.mean())
    fresh = runs(200, 5, bias=0.3)[0]
    for q in (0.1, 0.5, 0.9):
        rank = int(np.ceil(200 * q)) - 1
        difference = calibration.apply(fresh).quantile(q) - (fresh.mean() + residual[rank])
        assert abs(difference.mean()) < 0.03 and np.abs(difference).max() < 0.12


def test_widened_keeps_the_mean_and_reaches_everywhere():
    predicted = CostDistribution.from_points(GRID, [3.0, 5.0])
    wide = widened(predicted, 0.5)
    np.testing.assert_allclose(wide.mean(), predicted.mean(), atol=1e-3)
    assert (wide.cdf_at([2.0, 4.0]) > 1e-4).all() and (wide.cdf_at([4.0, 6.0]) < 1 - 1e-4).all()


def test_censored_runs_keep_the_calibration_right_below_the_cutoff():
    predicted, bound, stopped, _ = runs(1500, 6, bias=0.4, cutoff=4.2)
    assert 0.2 < stopped.mean() < 0.5
    calibration = Calibration.fit(predicted, bound, stopped)
    fresh, _, _, truth = runs(5000, 7, bias=0.4)
    calibrated = calibration.apply(fresh)
    for q in (0.1, 0.25, 0.5):
        value = calibrated.quantile(q)
        judged = value < 4.2
        assert judged.sum() > 500
        assert (truth <= value)[judged].mean() == pytest.approx(q, abs=0.06)
    assert "stopped" in calibration.maps[0].maps[0].note and "below the cutoff only" in calibration.maps[0].maps[0].note
    # Taking bounds for costs would be off.
    naive = Calibration.fit(predicted, bound, np.zeros(1500, bool)).apply(fresh)
    assert (truth <= naive.quantile(0.9)).mean() < (truth <= calibrated.quantile(0.9)).mean() - 0.03


def test_few_runs_leave_predictions_as_they_are_and_say_so():
    predicted, cost, stopped, _ = runs(LEAST_RUNS - 1, 8)
    calibration = Calibration.fit(predicted, cost, stopped)
    assert calibration.maps[0].maps[0].is_identity
    assert tuple(m.note for m in calibration.maps[0].maps) == (
        f"not calibrated: {LEAST_RUNS - 1} calibration runs, at least {LEAST_RUNS} are needed",
    )
    np.testing.assert_array_equal(calibration.apply(predicted).cdf, predicted.cdf)
    # As many as are asked for are enough, half of them stopped.
    enough, cost, _, _ = runs(LEAST_RUNS, 8)
    half = np.arange(LEAST_RUNS) >= LEAST_RUNS // 2
    assert not Calibration.fit(enough, cost, half).maps[0].maps[0].is_identity
    assert Calibration.fit(enough, cost, np.roll(half, -1) | half).maps[0].maps[0].is_identity
    nearly_all = Calibration.fit(*runs(100, 8)[:2], np.arange(100) > 5)
    assert nearly_all.maps[0].maps[0].is_identity and "only 6 of 100" in nearly_all.maps[0].maps[0].note


def test_predictions_that_exclude_the_truth_get_tails():
    rng = np.random.default_rng(0)
    mean = rng.uniform(2, 5, 200)
    cost = mean + rng.normal(size=200)
    sure = CostDistribution.from_points(GRID, mean)
    calibrated = Calibration.fit(sure, cost, np.zeros(200, bool)).apply(sure)
    assert coverage(calibrated, cost, 0.8) == pytest.approx(0.8, abs=0.05)
    low, high = calibrated.interval(0.9)
    # Not the whole grid: the tails reach as far as the errors do.
    assert (high - low).mean() < 5.0
    assert calibrated.crps(cost).mean() < sure.crps(cost).mean()


def test_each_solver_has_its_own_map_and_unknown_runs_do_not_count():
    predicted, cost, stopped, _ = runs(300, 9)
    both = CostDistribution.stack([predicted, predicted], axis=1)
    costs = np.stack([cost, cost + 1.0], axis=1)
    known = np.ones((300, 2), bool)
    known[::3, 0] = False
    costs[::3, 0] = 0.0
    calibration = Calibration.fit(both, costs, np.stack([stopped, stopped], axis=1), known)
    assert [sum(m.runs for m in own.maps) for own in calibration.maps] == [200, 300]
    shift = calibration.apply(both).median()
    assert (shift[:, 1] - shift[:, 0]).mean() == pytest.approx(1.0, abs=0.25)
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    np.testing.assert_array_equal(again.apply(both).cdf, calibration.apply(both).cdf)
    assert again.to_json() == calibration.to_json()


def test_wrong_shapes_units_and_files_are_refused():
    predicted, cost, stopped, _ = runs(60, 10)
    with pytest.raises(ValueError, match="one shape"):
        Calibration.fit(predicted, cost[:-1], stopped)
    calibration = Calibration.fit(predicted, cost, stopped)
    with pytest.raises(ValueError, match="the calibration is for conflicts"):
        calibration.apply(CostDistribution.normal(GRIDS["cpu_seconds"], 1.0, 1.0))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 1\)"):
        calibration.apply(CostDistribution.stack([predicted, predicted], axis=1))
    values = calibration.to_json()
    (own,) = values["maps"]
    (one,) = own["maps"]
    for change in (
        {"format": 99},
        {"format": 1},
        {"maps": [{}]},
        {"maps": [{**own, "maps": [{**one, "predicted": [0.0, 0.7, 0.2, 1.0], "calibrated": [0, 0.1, 0.2, 1]}]}]},
        {"maps": [{**own, "maps": [{**one, "calibrated": [0.0, 1.0]}]}]},
        {"maps": [{"centres": [], "maps": []}]},
        {"maps": [{"centres": [1.0, 2.0], "maps": [one]}]},
        {"maps": [{"centres": [2.0, 1.0], "maps": [one, one]}]},
        {"maps": [{"centres": [1.0, 3.0, 2.0], "maps": [one, one, one]}]},
        {"maps": [{"centres": [1.0, 1.0], "maps": [one, one]}]},
    ):
        with pytest.raises(CheckpointError, match="calibration: "):
            Calibration.from_json({**values, **change})


def test_the_run_to_be_predicted_is_one_more():
    """Of n calibration runs the largest PIT has the level n / (n + 1), never 1: knots beyond it would be made up."""
    for n in (30, 98, 150):
        predicted, cost, stopped, _ = runs(n, 6)
        fitted = RecalibrationMap.fit(predicted, cost, stopped)
        inner = fitted.calibrated[1:-1]
        assert 1 / (n + 1) <= inner[0] and inner[-1] <= n / (n + 1)
        # As many as there can be.
        levels = np.array([0.005, 0.01, 0.025, *np.arange(0.05, 0.951, 0.05), 0.975, 0.99, 0.995])
        assert len(inner) == ((levels >= 1 / (n + 1)) & (levels <= n / (n + 1))).sum()


def test_what_is_predicted_short_and_long_is_calibrated_apart():
    """Predictions below three decades are right, those above four two decades too short: few, and of another kind."""
    rng = np.random.default_rng(11)

    def mixed_runs(n, large):
        mean = np.where(np.arange(n) < large, rng.uniform(4.0, 5.0, n), rng.uniform(2.0, 3.0, n))
        cost = mean + np.where(mean > 3.5, 2.0, 0.0) + TRUE_SD * rng.normal(size=n)
        return CostDistribution.normal(GRID, mean, TRUE_SD), cost, mean > 3.5

    predicted, cost, _ = mixed_runs(1000, 100)
    calibration = Calibration.fit(predicted, cost, np.zeros(1000, bool))
    fresh, truth, large = mixed_runs(4000, 1000)
    calibrated = calibration.apply(fresh)
    for rows in (np.flatnonzero(large), np.flatnonzero(~large)):
        assert coverage(calibrated[rows], truth[rows], 0.8) == pytest.approx(0.8, abs=0.06)
    # One map for all of them leaves nearly all of the long ones outside.
    single = RecalibrationMap.fit(predicted, cost, np.zeros(1000, bool)).apply(fresh)
    assert coverage(single[large], truth[large], 0.8) < 0.5
    # Between the groups nothing jumps.
    line = calibration.apply(CostDistribution.normal(GRID, np.linspace(2.0, 5.0, 301), TRUE_SD)).median()
    assert np.abs(np.diff(line)).max() < 0.1
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    np.testing.assert_array_equal(again.apply(fresh).cdf, calibrated.cdf)


def test_groups_are_whole_decades_that_are_large_enough():
    n = LEAST_IN_GROUP
    none = np.zeros(3 * n, bool)
    median = np.repeat([0.5, 1.5, 2.5], n)
    assert [len(rows) for rows in size_groups(median, none)] == [n, n, n]
    assert [set(median[rows]) for rows in size_groups(median, none)] == [{0.5}, {1.5}, {2.5}]
    # One run less, or too many of them stopped: the decade joins the next lower one; the lowest the next higher.
    assert [len(rows) for rows in size_groups(median[:-1], none[:-1])] == [n, 2 * n - 1]
    stopped = median > 2
    stopped[-n // 2 + 1 :] = False
    assert [len(rows) for rows in size_groups(median, stopped)] == [n, 2 * n]
    stopped[-n // 2 :] = False
    assert [len(rows) for rows in size_groups(median, stopped)] == [n, n, n]
    assert [len(rows) for rows in size_groups(median[1:], none[1:])] == [2 * n - 1, n]
    assert [len(rows) for rows in size_groups(median[:n], none[:n])] == [n]
    assert [len(rows) for rows in size_groups(median[:5], none[:5])] == [5]


@pytest.mark.parametrize("stopped", [False, True])
def test_levels_of_the_smallest_set(stopped):
    # Three PITs, the second of which may be a lower bound: by hand, with the fourth run still to come.
    found, at = _levels_of(np.array([0.7, 0.2, 0.4]), np.array([False, False, stopped]))
    if stopped:
        # At .2 one of four runs ends; at .7 one of the two that are left.
        np.testing.assert_allclose(found, [1 / 4, 1 - (3 / 4) * (1 / 2)])
        np.testing.assert_allclose(at, [0.2, 0.7])
    else:
        np.testing.assert_allclose(found, [1 / 4, 2 / 4, 3 / 4])
        np.testing.assert_allclose(at, [0.2, 0.4, 0.7])


def test_the_wide_normal_is_as_wide_as_nine_errors_in_ten():
    predicted, cost, stopped, _ = runs(200, 12, bias=0.3, cutoff=4.5)
    fitted = RecalibrationMap.fit(predicted, cost, stopped)
    assert fitted.sd == pytest.approx(np.quantile(np.abs(predicted.median() - cost)[~stopped], 0.9))


def test_knots_rise_where_many_runs_have_one_level():
    sure = CostDistribution.from_points(GRID, np.full(100, 3.0))
    fitted = RecalibrationMap.fit(sure, np.full(100, 3.0), np.zeros(100, bool))
    assert (np.diff(fitted.predicted) > 0).all()


def test_a_twentieth_is_a_normal_of_twice_the_usual_error():
    own = CostDistribution.from_points(GRID, [4.0])
    mean, sd = 4.0, np.hypot(own.sd()[0], 2 * 0.6)
    expected = 0.95 * own.cdf[0] + 0.05 * norm.cdf(GRID.edges, mean, sd)
    np.testing.assert_allclose(widened(own, 0.6).cdf[0], expected, atol=1e-9)


def test_errors_are_never_taken_for_less_than_a_quarter_of_a_decade():
    exact = CostDistribution.normal(GRID, np.linspace(2.0, 6.0, 60), 0.5)
    assert RecalibrationMap.fit(exact, exact.median(), np.zeros(60, bool)).sd == 0.25


def test_as_many_runs_as_the_documentation_says():
    assert (LEAST_RUNS, LEAST_IN_GROUP) == (30, 50)


@pytest.mark.parametrize("key", ["predicted", "calibrated"])
@pytest.mark.parametrize("knots", [[0.1, 0.5, 1.0], [0.0, 0.5, 0.9], [0.0, 1.2, 1.0], [0.0, -0.1, 1.0]])
def test_a_map_that_does_not_rise_from_nothing_to_all_is_refused(key, knots):
    fitted = RecalibrationMap.fit(*runs(100, 3)[:3]).to_json()
    whole = {**fitted, "predicted": [0.0, 0.3, 1.0], "calibrated": [0.0, 0.3, 1.0]}
    assert RecalibrationMap.from_json(whole).predicted.tolist() == [0.0, 0.3, 1.0]
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        RecalibrationMap.from_json({**whole, key: knots})


def test_between_two_sizes_both_maps_have_their_share():
    sure, other = (RecalibrationMap.fit(*runs(100, 3, bias=bias)[:3]) for bias in (0.0, 0.8))
    both = MapsBySize(np.array([2.0, 4.0]), (sure, other))
    for mean, share in ((1.0, 0.0), (2.0, 0.0), (2.5, 0.25), (3.0, 0.5), (4.0, 1.0), (5.0, 1.0)):
        one = CostDistribution.normal(GRID, [mean], 0.3)
        expected = (1 - share) * sure.apply(one).cdf + share * other.apply(one).cdf
        np.testing.assert_allclose(both.apply(one).cdf, expected, atol=1e-3)


def test_shapes_that_do_not_fit_are_refused_each_for_itself():
    predicted, cost, stopped, _ = runs(60, 3)
    for bad in (
        (predicted, cost[1:], stopped),
        (predicted, cost, stopped[1:]),
        (predicted[1:], cost, stopped),
        (predicted, cost, stopped, np.ones(59, bool)),
    ):
        with pytest.raises(ValueError, match="expected one shape"):
            Calibration.fit(*bad)
    with pytest.raises(ValueError, match="expected one shape"):
        Calibration.fit(*(x.reshape(3, 4, 5) for x in (predicted, cost, stopped)))
    one = Calibration.fit(predicted, cost, stopped)
    column = one.apply(predicted.reshape(60, 1))
    np.testing.assert_array_equal(column.cdf[:, 0], one.apply(predicted).cdf)
    with pytest.raises(ValueError, match="a column for each"):
        one.apply(predicted.reshape(30, 2))
