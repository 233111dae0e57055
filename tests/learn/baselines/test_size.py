import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.static_feature_list import STATIC_FEATURE_NAMES
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.baselines.size import SIZE_FEATURES, Size


def test_its_features_exist():
    assert set(SIZE_FEATURES) <= set(STATIC_FEATURE_NAMES)


def test_it_learns_what_size_tells_and_no_more():
    table = make_table(400)
    fresh, truth = make_instances(300, seed=5)[0], true_mean(300, seed=5)
    size, constant = (e.fit(table).predict(fresh) for e in (Size(), Constant()))
    # Depth, with a standard deviation of 0.8 decades, is not in the size.
    assert 0.7 < rmse(size, truth) < 0.9 < rmse(constant, truth)
    sd = size.sd()
    assert (np.abs(sd - np.hypot(0.8, 0.2)) < 0.1).all()


def test_censored_runs_are_bounds_not_costs():
    free, stopped = make_table(400), make_table(400, cutoff=4.5)
    fresh = make_instances(200, seed=5)[0]
    means = [Size().fit(table).predict(fresh).mean().mean() for table in (free, stopped)]
    assert abs(means[0] - means[1]) < 0.15
    assert stopped.cost.mean() < means[0] - 0.2


def test_missing_size_features_are_an_error():
    other = [Instance(f"{k}", "", FeatureVector(("a",), np.array([k], np.float32))) for k in range(3)]
    estimator = Size().fit(make_table(20))
    with pytest.raises(EstimatorError, match="no feature 'vars_log'"):
        estimator.predict(other)
