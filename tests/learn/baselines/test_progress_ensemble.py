import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.baselines.progress_ensemble import MEASURES, ProgressEnsemble
from satcost_gnn.search.online import ONLINE_FEATURE_NAMES


def test_every_measure_exists():
    for start, _ in MEASURES:
        assert any(name.startswith(start) for name in ONLINE_FEATURE_NAMES), start


def test_it_learns_from_progress_and_from_nothing_else():
    table = make_table(300)
    fresh, truth = make_instances(200, seed=5)[0], true_mean(200, seed=5)
    estimator = ProgressEnsemble(n_trees=30).fit(table)
    found = estimator.predict(fresh)
    assert rmse(found, truth) < 0.75 * rmse(Constant().fit(table).predict(fresh), truth)
    # The other features may say what they like.
    rng = np.random.default_rng(0)
    other = []
    for instance in fresh:
        values = instance.online.values.copy()
        for k, name in enumerate(instance.online.names):
            if not name.startswith(tuple(start for start, _ in MEASURES)):
                values[k] = rng.normal()
        other.append(Instance(instance.path, "", instance.static, FeatureVector(instance.online.names, values)))
    np.testing.assert_array_equal(estimator.predict(other).cdf, found.cdf)


def test_without_progress_measures_it_says_so():
    table = make_table(20)
    blind = [Instance(i.path, "", i.static, FeatureVector(("noise",), i.online.values[:1])) for i in table.instances]
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    with pytest.raises(EstimatorError, match="no progress measure"):
        ProgressEnsemble().fit(type(table)(**{**fields, "instances": blind}))
