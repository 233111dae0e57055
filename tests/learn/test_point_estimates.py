import numpy as np
import pytest
from synthetic_table import make_instances, make_table

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.baselines.point_estimate import (
    FORECASTS,
    STATISTICS,
    WHICH,
    Holt,
    Knuth,
    ProgressBar,
    TwiceSoFar,
)
from satcost_gnn.search.online import ONLINE_FEATURE_NAMES

ALL = (TwiceSoFar, ProgressBar, Knuth, Holt)


def instance(**online):
    values = {
        "rates.conflicts_log": np.log1p(2000.0),
        "rates.propagations_per_conflict_log": np.log1p(500.0),
        **{name.replace("__", "."): value for name, value in online.items()},
    }
    vector = FeatureVector(tuple(values), np.array(list(values.values()), np.float32))
    return Instance("x.cnf", "", make_instances(1)[0][0].static, vector)


def relabelled(table, instances, cost):
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    return type(table)(**{**fields, "instances": instances, "cost": np.stack([cost, cost + 0.5], axis=1)})


def raw(kind, one, unit="conflicts", **settings):
    estimator = kind(**settings)
    estimator._solvers, estimator._unit = ("a",), unit
    return estimator.raw([one])[0]


def test_their_features_exist():
    variants = [TwiceSoFar(), *(ProgressBar(which) for which in WHICH), *(Knuth(one) for one in STATISTICS)]
    for estimator in (*variants, *(Holt(tree) for tree in FORECASTS)):
        assert set(estimator._columns()) <= set(ONLINE_FEATURE_NAMES)


def test_twice_so_far_in_every_unit():
    assert raw(TwiceSoFar, instance()) == pytest.approx(np.log10(4000), abs=1e-3)
    assert raw(TwiceSoFar, instance(), "propagations") == pytest.approx(np.log10(4000 * 500), abs=1e-3)
    # A search that had no conflict says nothing.
    assert np.isnan(raw(TwiceSoFar, instance(rates__conflicts_log=0.0)))


def test_progress_bar_divides_by_the_progress():
    done = {f"progress__{which}": value for which, value in zip(WHICH, (-1.0, -0.5, -2.0), strict=True)}
    for which, share in (("last", -1.0), ("max", -0.5), ("mean", -2.0)):
        found = raw(ProgressBar, instance(**done), which=which)
        assert found == pytest.approx(np.log10(2000) - share, abs=1e-3)


def test_knuth_takes_half_of_the_nodes():
    one = instance(knuth__log2_mean=21.0, knuth__log2_median=11.0)
    assert raw(Knuth, one) == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert raw(Knuth, one, statistic="median") == pytest.approx(10 * np.log10(2), abs=1e-3)
    assert np.isnan(raw(Knuth, instance(knuth__log2_mean=np.nan)))


def test_holt_takes_half_of_the_nodes():
    one = instance(tree__holt=11.0, tree__holt_longest=15.0, tree__holt_max=21.0)
    for tree, log2 in (("last", 10), ("longest", 14), ("max", 20)):
        assert raw(Holt, one, tree=tree) == pytest.approx(log2 * np.log10(2), abs=1e-3)


def test_without_any_forecast_holt_is_the_training_distribution():
    table = make_table(60)
    blind = [instance(tree__holt_max=np.nan) for _ in range(60)]
    found = Holt().fit(relabelled(table, blind, table.cost[:, 0])).predict(blind[:2])
    np.testing.assert_allclose(found.mean()[:, 0], table.cost[:, 0].mean(), atol=0.05)
    np.testing.assert_allclose(found.sd()[:, 0], table.cost[:, 0].std(), atol=0.1)
    # A forecast that nothing is known of counts as none.
    seen = Holt().fit(relabelled(table, blind, table.cost[:, 0])).predict([instance(tree__holt_max=40.0)])
    np.testing.assert_allclose(seen.cdf, found.cdf[:1])
    blind = [instance(knuth__log2_mean=np.nan) for _ in range(60)]
    with pytest.raises(EstimatorError, match="'knuth': found estimates for 0 instances"):
        Knuth().fit(relabelled(table, blind, table.cost[:, 0]))


@pytest.mark.parametrize("slope", ["fitted", "unit"])
def test_training_takes_what_is_wrong_on_the_whole_out_of_an_estimate(slope):
    table = make_table(200)
    rng = np.random.default_rng(3)
    log2_nodes = rng.uniform(8, 20, 200)
    cost = 1.0 + (log2_nodes - 1) * np.log10(2) + 0.1 * rng.normal(size=200)
    instances = [instance(knuth__log2_mean=value) for value in log2_nodes]
    found = Knuth(slope=slope).fit(relabelled(table, instances, cost)).predict(instances)
    np.testing.assert_allclose(found.mean()[:, 0], cost, atol=0.5)
    assert found.sd().max() < 0.2
    np.testing.assert_allclose((found.mean()[:, 1] - found.mean()[:, 0]), 0.5, atol=0.05)


def test_bad_settings_are_refused():
    for estimator, settings in (
        (ProgressBar, {"which": "least"}),
        (Knuth, {"statistic": "mode"}),
        (Holt, {"tree": "oak"}),
        *((one, {"slope": "steep"}) for one in ALL),
    ):
        with pytest.raises(EstimatorError, match="expected one of"):
            estimator(**settings)
