import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.baselines.point_estimate import METHODS, TREES, TreeSize
from satcost_gnn.search.online import ONLINE_FEATURE_NAMES, SPEED_FEATURE_NAMES


def with_estimate(log2_nodes, propagations=np.nan):
    names = ("tree.wbe_longest", "rates.propagations_per_conflict_log")
    online = FeatureVector(names, np.array([log2_nodes, propagations], np.float32))
    return Instance("x.cnf", "", make_instances(1)[0][0].static, online)


def test_its_features_exist():
    wanted = {f"tree.{method}_{tree}" for method in METHODS for tree in TREES}
    assert wanted | {"rates.propagations_per_conflict_log"} <= set(ONLINE_FEATURE_NAMES)
    assert "speed.conflicts_per_second" in SPEED_FEATURE_NAMES


def raw(instances, unit="conflicts"):
    estimator = TreeSize()
    estimator._solvers, estimator._unit = ("a",), unit
    return estimator.raw(instances)


def test_it_takes_half_of_the_nodes_for_conflicts():
    found = raw([with_estimate(1 + np.log2(1e3)), with_estimate(1 + np.log2(1e5)), with_estimate(np.nan)])
    np.testing.assert_allclose(found, [3, 5, np.nan], atol=1e-3)
    assert raw([with_estimate(1e4)])[0] == 12.0


def test_in_propagations_it_uses_the_probes_rate():
    found = raw([with_estimate(1 + np.log2(1e3), np.log1p(500.0)), with_estimate(1 + np.log2(1e3))], "propagations")
    np.testing.assert_allclose(found, [3 + np.log10(500), 5.0], atol=1e-3)


@pytest.mark.parametrize("slope", ["fitted", "unit"])
def test_training_shifts_it_for_each_solver(slope):
    table = make_table(400)
    fresh, truth = make_instances(300, seed=5)[0], true_mean(300, seed=5)
    found = TreeSize(slope=slope).fit(table).predict(fresh)
    np.testing.assert_allclose((found.mean() - truth).mean(axis=0), 0.0, atol=0.12)
    assert (found.mean()[:, 1] - found.mean()[:, 0]).mean() == pytest.approx(0.5, abs=0.1)
    assert rmse(found, truth) < 0.75 < rmse(Constant().fit(table).predict(fresh), truth)


def test_a_fitted_slope_shrinks_a_useless_estimate_to_the_mean():
    table = make_table(300)
    noise = np.random.default_rng(1).uniform(0, 200, len(table.instances))
    blind = [with_estimate(value) for value in noise]
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    estimator = TreeSize().fit(type(table)(**{**fields, "instances": blind}))
    means = estimator.predict(blind).mean()
    assert means.std(axis=0).max() < 0.15
    assert abs(means.mean() - table.cost.mean()) < 0.1


def test_without_an_estimate_it_is_the_training_mean():
    table = make_table(100)
    estimator = TreeSize().fit(table)
    bare = Instance("x.cnf", "", table.instances[0].static)
    found = estimator.predict([bare, with_estimate(np.nan)])
    np.testing.assert_allclose(found.mean(), np.tile(table.cost.mean(axis=0), (2, 1)), atol=0.05)


def test_bad_settings_and_tables_are_refused():
    for settings in ({"method": "knuth"}, {"tree": "shortest"}, {"slope": "steep"}):
        with pytest.raises(EstimatorError, match="expected one of"):
            TreeSize(**settings)
    table = make_table(20)
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    blind = type(table)(**{**fields, "instances": [with_estimate(np.nan)] * 20})
    with pytest.raises(
        EstimatorError, match=r"0 instances .* of 20 that have one .20 with an early search.*make the probe longer"
    ):
        TreeSize().fit(blind)
