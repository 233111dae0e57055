import numpy as np
import pytest
from synthetic_table import make_table, rmse, true_mean

from satcost_gnn.errors import EstimatorError
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.feature_matrix import FeatureMatrix
from satcost_gnn.learn.gaussian_process import GaussianProcess


def test_it_learns_what_the_features_say():
    train, test = make_table(150, seed=0), make_table(60, seed=1)
    found = GaussianProcess().fit(train).predict(test.instances)
    constant = Constant().fit(train).predict(test.instances)
    assert rmse(found, true_mean(60, 1)) < 0.6 * rmse(constant, true_mean(60, 1))


def test_the_mean_is_that_of_a_gaussian_process():
    """scikit-learn's process with the same kernel and settings gives the same mean."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    from satcost_gnn.learn import gaussian_process as module

    train, test = make_table(80, seed=0), make_table(30, seed=1)
    ours = GaussianProcess()
    lengths, noises = module.LENGTHS, module.NOISES
    try:
        module.LENGTHS, module.NOISES = (0.8,), (0.25,)
        ours.fit(train)
    finally:
        module.LENGTHS, module.NOISES = lengths, noises
    x = ours._transform.normal_scores(FeatureMatrix.from_instances(test.instances, "both")).astype(np.float32)
    theirs = GaussianProcessRegressor(Matern(float(ours._length[0]), nu=0.5), alpha=0.25, optimizer=None)
    y = train.cost[:, 0]
    theirs.fit(ours._x, y - y.mean())
    expected = theirs.predict(x) + y.mean()
    # Before the CDF is clipped and made monotone: the mean is the upper end less the integral of the CDF.
    kernel = module._kernel(module._distances(x, ours._x), ours._length[0])
    cdf = ours._mean[0] + kernel @ ours._dual[:, 0]
    area = train.grid.width * (cdf.sum(axis=1) - 0.5 * (cdf[:, 0] + cdf[:, -1]))
    np.testing.assert_allclose(train.grid.high - area, expected, atol=1e-3)
    np.testing.assert_allclose(ours.predict(test.instances).mean()[:, 0], expected, atol=0.25)


def test_monotone_scales_of_features_do_not_matter():
    from dataclasses import replace

    from satcost_gnn.core.feature_vector import FeatureVector

    def stretched(table):
        return replace(
            table,
            instances=[
                replace(i, static=FeatureVector(i.static.names, np.exp(i.static.values / 4))) for i in table.instances
            ],
        )

    # No more instances than values that are kept of a feature: between these it interpolates, which a scale changes.
    train, test = make_table(60, seed=0), make_table(60, seed=0)
    plain = GaussianProcess("static").fit(train).predict(test.instances)
    other = GaussianProcess("static").fit(stretched(train)).predict(stretched(test).instances)
    np.testing.assert_allclose(other.cdf, plain.cdf, atol=1e-4)


def test_stopped_and_unknown_runs():
    train, test = make_table(150, seed=0, cutoff=4.5, absent=0.2), make_table(60, seed=1)
    found = GaussianProcess().fit(train).predict(test.instances)
    assert np.isfinite(found.cdf).all()
    hard = true_mean(60, 1)[:, 0] > 5
    easy = true_mean(60, 1)[:, 0] < 3.5
    p = found.p_solved_by(10**4.5)[:, 0]
    assert p[hard].mean() < 0.35
    assert p[easy].mean() > 0.8


def test_saved_and_loaded(tmp_path):
    train, test = make_table(80, seed=0, cutoff=4.5, missing=0.1), make_table(20, seed=1)
    estimator = GaussianProcess(max_instances=60).fit(train)
    assert len(estimator._x) == 60
    estimator.save(tmp_path)
    loaded = GaussianProcess.load(tmp_path)
    np.testing.assert_allclose(loaded.predict(test.instances).cdf, estimator.predict(test.instances).cdf, atol=1e-6)


def test_bad_settings():
    with pytest.raises(EstimatorError, match="max_instances=1"):
        GaussianProcess(max_instances=1)
