import json

import numpy as np
import pytest
from scipy import optimize, stats

from satcost_gnn.learn.censored_regression import SD_RANGE, CensoredRidge, normal_hazard


def data(n=400, cutoff=np.inf, seed=0, sd=0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) + 2.0
    y = 1.0 + x @ np.array([0.7, -0.3, 0.0]) + sd * rng.normal(size=n)
    return x, np.minimum(y, cutoff), y > cutoff


def test_without_censored_runs_it_is_scikit_learns_ridge():
    from sklearn.linear_model import Ridge

    x, y, stopped = data()
    weights = np.random.default_rng(1).random(len(y))
    for w in (None, weights):
        ours = CensoredRidge.fit(x, y, stopped, penalty=7.0, weights=w)
        theirs = Ridge(alpha=7.0).fit(x, y, sample_weight=w)
        np.testing.assert_allclose(ours.coefficients, theirs.coef_, rtol=1e-8)
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-8)


def test_degrees_of_freedom_are_the_trace_of_the_hat_matrix():
    x, y, stopped = data(50)
    centred = x - x.mean(axis=0)
    hat = centred @ np.linalg.solve(centred.T @ centred + 5.0 * np.eye(3), centred.T)
    assert CensoredRidge.fit(x, y, stopped, penalty=5.0).degrees == pytest.approx(1 + np.trace(hat))


def test_with_censored_runs_it_is_the_maximum_of_the_tobit_likelihood():
    x, y, stopped = data(600, cutoff=1.8)
    assert 0.3 < stopped.mean() < 0.7
    design = np.column_stack([np.ones(len(x)), x])

    def negative(p):
        mean, sd = design @ p[:4], np.exp(p[4])
        z = (y - mean) / sd
        return -np.where(stopped, stats.norm.logsf(z), stats.norm.logpdf(z) - np.log(sd)).sum()

    best = optimize.minimize(negative, np.array([0.0, 0.0, 0.0, 0.0, 0.0]), method="BFGS")
    ours = CensoredRidge.fit(x, y, stopped, penalty=1e-9)
    np.testing.assert_allclose([ours.intercept, *ours.coefficients], best.x[:4], atol=0.02)
    assert ours.sd == pytest.approx(np.exp(best.x[4]), abs=0.02)
    assert ours.log_likelihood == pytest.approx(-best.fun, abs=0.1)
    # Taking bounds for costs would be off.
    naive = CensoredRidge.fit(x, y, np.zeros(len(y), bool), penalty=1e-9)
    truth = np.array([0.7, -0.3, 0.0])
    assert np.abs(ours.coefficients - truth).max() < 0.1 < np.abs(naive.coefficients - truth).max()


def test_weights_of_zero_are_as_good_as_absent():
    x, y, stopped = data(200, cutoff=2.0)
    weights = (np.arange(200) < 120).astype(float)
    weighted = CensoredRidge.fit(x, y, stopped, 1.0, weights)
    part = CensoredRidge.fit(x[:120], y[:120], stopped[:120], 1.0)
    np.testing.assert_allclose(weighted.coefficients, part.coefficients, atol=1e-6)
    assert weighted.sd == pytest.approx(part.sd, abs=1e-6)


def test_complete_puts_expectations_above_the_bounds():
    x, y, stopped = data(300, cutoff=2.0)
    model = CensoredRidge.fit(x, y, stopped)
    complete = model.complete(x, y, stopped)
    np.testing.assert_array_equal(complete[~stopped], y[~stopped])
    assert (complete[stopped] > 2.0).all()
    row = int(np.flatnonzero(stopped)[0])
    mean = float(model.predict(x)[row])
    expected = stats.truncnorm((2.0 - mean) / model.sd, np.inf, mean, model.sd).mean()
    assert complete[row] == pytest.approx(expected)


def test_extremes_stay_finite():
    x, y, _ = data(20)
    everything = CensoredRidge.fit(x, y, np.ones(20, bool))
    assert everything.predict(x) == pytest.approx(np.full(20, y.mean() + 0.5)) and everything.sd == 1.0
    single = CensoredRidge.fit(x, y, np.arange(20) > 0)
    assert np.isfinite(single.predict(x)).all() and SD_RANGE[0] <= single.sd <= SD_RANGE[1]
    exact = CensoredRidge.fit(x, x @ np.array([1.0, 2.0, 3.0]), np.zeros(20, bool), penalty=0.0)
    np.testing.assert_allclose(exact.coefficients, [1, 2, 3], atol=1e-6)
    assert exact.sd == SD_RANGE[0]
    twins = CensoredRidge.fit(np.hstack([x, x]), y, np.zeros(20, bool), penalty=0.0)
    assert np.isfinite(twins.coefficients).all() and np.abs(twins.coefficients).max() < 10


def test_normal_hazard_far_in_the_tails():
    a = np.array([-30.0, -1.0, 0.0, 2.0, 10.0, 30.0])
    found = normal_hazard(a)
    np.testing.assert_allclose(found[1:5], stats.norm.pdf(a[1:5]) / stats.norm.sf(a[1:5]), rtol=1e-9)
    assert found[0] == pytest.approx(0.0, abs=1e-12) and found[-1] == pytest.approx(30.0, rel=0.01)


def test_information_criteria_and_json():
    x, y, stopped = data(100)
    model = CensoredRidge.fit(x, y, stopped)
    assert model.aic == pytest.approx(2 * (model.degrees + 1) - 2 * model.log_likelihood)
    assert model.bic(100) == pytest.approx(np.log(100) * (model.degrees + 1) - 2 * model.log_likelihood)
    again = CensoredRidge.from_json(json.loads(json.dumps(model.to_json())))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_the_noise_has_a_largest_and_a_least():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(200, 2)), rng.normal(size=200)
    assert [CensoredRidge.fit(x, scale * noise, np.zeros(200, bool)).sd for scale in (20.0, 1e-3)] == [3.0, 0.05]


def test_without_an_event_the_noise_is_a_decade_and_a_penalty_of_one_is_the_default():
    rng = np.random.default_rng(2)
    features, target = rng.normal(size=(40, 3)), rng.normal(size=40)
    nothing = CensoredRidge.fit(features, target, np.ones(40, dtype=bool))
    assert (nothing.sd, nothing.intercept) == (1.0, pytest.approx(target.mean() + 0.5))
    assert not nothing.coefficients.any()
    some = rng.random(40) < 0.2
    np.testing.assert_array_equal(
        CensoredRidge.fit(features, target, some).coefficients,
        CensoredRidge.fit(features, target, some, penalty=1.0).coefficients,
    )


def test_without_an_event_the_likelihood_is_that_of_the_bounds_and_only_a_mean_is_fitted():
    target, weights = np.array([1.0, 2.0, 2.5]), np.array([1.0, 3.0, 2.0])
    found = CensoredRidge.fit(np.zeros((3, 2)), target, np.ones(3, dtype=bool), weights=weights)
    middle = (1.0 + 6.0 + 5.0) / 6.0 + 0.5
    assert found.intercept == pytest.approx(middle)
    assert found.log_likelihood == pytest.approx((weights * stats.norm.logsf(target - middle)).sum())
    assert found.degrees == 1.0


def test_a_fit_with_as_many_coefficients_as_targets_has_a_quarter_of_them_left_for_the_noise():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 20)), 3.0 * rng.normal(size=12)
    ours = CensoredRidge.fit(x, y, np.zeros(12, dtype=bool), penalty=3.0)
    assert 12 - ours.degrees < 3
    left = y - Ridge(alpha=3.0).fit(x, y).predict(x)
    assert SD_RANGE[0] < ours.sd < SD_RANGE[1]
    assert ours.sd == pytest.approx(np.sqrt((left**2).sum() / 3))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_features_that_say_the_same_share_a_coefficient(size):
    x, y, stopped = data(60)
    alone = CensoredRidge.fit(size * x, y, stopped, penalty=0.0)
    twins = CensoredRidge.fit(size * np.hstack([x, x]), y, stopped, penalty=0.0)
    np.testing.assert_allclose(twins.coefficients, np.tile(alone.coefficients / 2, 2), rtol=1e-4, atol=1e-6 / size)


def test_an_event_that_weighs_nothing_is_none():
    x, y, stopped = np.random.default_rng(1).normal(size=(6, 2)), np.arange(6.0), np.arange(6) > 0
    weights = (np.arange(6) > 0).astype(float)
    found = CensoredRidge.fit(x, y, stopped, weights=weights)
    assert (found.sd, found.intercept) == (1.0, pytest.approx(3.0 + 0.5)) and not found.coefficients.any()


def test_the_information_of_a_single_target_is_that_of_two():
    model = CensoredRidge.fit(*data(30))
    assert model.bic(1) == model.bic(2) < model.bic(3)
    assert model.bic(2) == pytest.approx(np.log(2) * (model.degrees + 1) - 2 * model.log_likelihood)
