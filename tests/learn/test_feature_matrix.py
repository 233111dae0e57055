import json

import numpy as np
import pytest
from scipy.stats import norm, skew
from synthetic_table import ONLINE, STATIC, make_instances

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.feature_matrix import (
    FeatureMatrix,
    Imputer,
    Standardiser,
    _skewness,
    feature_parts,
    features_for_unit,
)


def instance(static, online=None, path="x.cnf"):
    names = tuple("abcdefgh"[: len(static)])
    vector = None if online is None else FeatureVector(tuple("stuvw"[: len(online)]), np.array(online, np.float32))
    return Instance(path, "0", FeatureVector(names, np.array(static, np.float32)), vector)


def test_from_instances_takes_the_parts_of_the_set():
    instances, _, _ = make_instances(4)
    for features, names in (("static", STATIC), ("online", ONLINE), ("both", STATIC + ONLINE)):
        matrix = FeatureMatrix.from_instances(instances, features)
        assert matrix.names == names and matrix.values.shape == (4, len(names))
    assert matrix.values[2, 0] == instances[2].static.values[0]
    assert matrix.values[3, -1] == instances[3].online.values[-1]
    chosen = FeatureMatrix.from_instances(instances, "both", ["noise_c", "vars_log"])
    np.testing.assert_array_equal(chosen.values[:, 1], matrix.values[:, 0])
    with pytest.raises(EstimatorError, match="feature set 'graph'; expected one of static, online, both"):
        feature_parts("graph")


def test_speed_joins_for_seconds_only():
    assert features_for_unit("both", "cpu_seconds") == "both+speed"
    assert features_for_unit("online", "cpu_seconds") == "online+speed"
    assert features_for_unit("static", "cpu_seconds") == "static"
    assert features_for_unit("both", "conflicts") == "both"


def test_an_instance_without_online_features_has_missing_values():
    matrix = FeatureMatrix.from_instances([instance([1, 2]), instance([3, 4], [5, 6])], "both")
    assert matrix.names == ("a", "b", "s", "t")
    assert np.isnan(matrix.values[0, 2:]).all() and matrix.values[1].tolist() == [3, 4, 5, 6]
    # None in the whole call has them, but training had.
    matrix = FeatureMatrix.from_instances([instance([1, 2])], "both", ["a", "t"])
    assert matrix.values[0, 0] == 1 and np.isnan(matrix.values[0, 1])
    with pytest.raises(EstimatorError, match="no online features"):
        FeatureMatrix.from_instances([instance([1, 2])], "online")


def test_features_of_another_version_are_refused():
    with pytest.raises(EstimatorError, match=r"new\.cnf: its static features differ"):
        FeatureMatrix.from_instances([instance([1, 2]), instance([1, 2, 3], path="new.cnf")], "static")
    with pytest.raises(EstimatorError, match="no feature 'zebra'"):
        FeatureMatrix.from_instances([instance([1, 2], [3])], "both", ["a", "zebra"])
    with pytest.raises(EstimatorError, match=r"expected \(n, 2\)"):
        FeatureMatrix(("a", "b"), np.zeros((3, 3)))


def test_imputer_takes_training_medians_and_marks_what_was_missing():
    nan = np.nan
    training = FeatureMatrix(
        ("x", "constant", "y", "z", "never"),
        np.array([[1, 7, nan, nan, nan], [2, 7, 4, 1, nan], [9, 7, 6, 2, nan], [3, 7, nan, nan, nan]]),
    )
    imputer = Imputer.fit(training)
    assert imputer.names == ("x", "y", "z")
    assert imputer.median.tolist() == [2.5, 5.0, 1.5]
    # y and z are missing in the same rows: one indicator says it.
    assert imputer.indicated == ("y",)
    assert imputer.output_names == ("x", "y", "z", "missing:y")
    fresh = FeatureMatrix(("x", "constant", "y", "z", "never"), np.array([[nan, 0, nan, 8, 1], [5, nan, 3, nan, nan]]))
    assert imputer.transform(fresh).tolist() == [[2.5, 5, 8, 1], [5, 3, 1.5, 0]]
    again = Imputer.from_json(json.loads(json.dumps(imputer.to_json())))
    np.testing.assert_array_equal(again.transform(fresh), imputer.transform(fresh))
    with pytest.raises(EstimatorError, match="all of 1 features are constant or missing"):
        Imputer.fit(FeatureMatrix(("x",), np.ones((3, 1))))


def test_standardiser_centres_scales_and_clips():
    rng = np.random.default_rng(0)
    values = np.stack([5 + 3 * rng.normal(size=500), np.exp(3 * rng.normal(size=500)), rng.integers(0, 2, 500)], axis=1)
    values[::7, 0] = np.nan
    matrix = FeatureMatrix(("normal", "skewed", "binary"), values)
    standardiser = Standardiser.fit(matrix)
    assert standardiser.names == ("normal", "skewed", "binary", "missing:normal")
    assert standardiser.logarithmic.tolist() == [False, True, False, False]
    x = standardiser.transform(matrix)
    np.testing.assert_allclose(np.median(x[:, :2], axis=0), 0, atol=0.1)
    assert np.all(np.abs(x[:, :2].std(axis=0) - 1) < 0.25)
    wild = FeatureMatrix(matrix.names, np.array([[1e9, 1e30, 5.0], [-1e9, -1e30, -3.0]]))
    clipped = standardiser.transform(wild)
    np.testing.assert_allclose(clipped[0, :3], x[:, :3].max(axis=0) + Standardiser.MARGIN)
    np.testing.assert_allclose(clipped[1, :3], x[:, :3].min(axis=0) - Standardiser.MARGIN)
    assert (np.abs(standardiser.transform(wild, clip=False)[:, 0]) > 1e6).all()
    again = Standardiser.from_json(json.loads(json.dumps(standardiser.to_json())))
    np.testing.assert_array_equal(again.transform(matrix), x)


def test_standardiser_survives_a_nearly_constant_feature():
    values = np.zeros((100, 2))
    values[:, 0] = np.arange(100)
    values[3, 1] = 1e6
    x = Standardiser.fit(FeatureMatrix(("a", "b"), values)).transform(FeatureMatrix(("a", "b"), values))
    assert np.isfinite(x).all() and np.abs(x).max() <= Standardiser.LIMIT + Standardiser.MARGIN


def test_skewness_is_that_of_the_third_moment():
    values = np.random.default_rng(2).gamma(0.5, size=(50, 3))
    np.testing.assert_allclose(_skewness(np.hstack([values, np.ones((50, 1))])), [*skew(values), 0.0], rtol=1e-12)


def test_the_first_three_features_that_differ_are_named() -> None:
    with pytest.raises(EstimatorError, match=r"first differences: \['c', 'd', 'e'\]\)"):
        FeatureMatrix.from_instances([instance([1, 2]), instance([1, 2, 3, 4, 5, 6])], "static")


def test_a_scale_is_that_of_the_middle_half():
    """Half of a normal distribution lies within .6745 standard deviations of its middle."""
    column = np.arange(101.0)
    standardiser = Standardiser.fit(FeatureMatrix(("a",), column[:, None]))
    assert standardiser.centre.tolist() == [50.0]
    assert standardiser.scale == pytest.approx([25.0 / norm.ppf(0.75)], rel=1e-3)
    # A fifth of the standard deviation is no accident yet, a twentieth is.
    for wild, robust in ((25.0, True), (120.0, False)):
        values = np.concatenate([np.linspace(-2.0, 2.0, 91), np.tile([wild, -wild], 5)])
        half = np.diff(np.percentile(values, [25, 75]))[0] / 2 / norm.ppf(0.75)
        assert (0.12 < half / values.std() < 0.28) if robust else (half / values.std() < 0.08)
        found = Standardiser.fit(FeatureMatrix(("a",), values[:, None])).scale
        assert found == pytest.approx([half if robust else values.std()], rel=1e-3)


def test_the_unit_of_a_feature_does_not_matter():
    values = np.random.default_rng(3).normal(size=(80, 2))
    (small, usual) = (
        Standardiser.fit(FeatureMatrix(("a", "b"), unit * values)).transform(FeatureMatrix(("a", "b"), unit * values))
        for unit in (1e-3, 1.0)
    )
    np.testing.assert_allclose(small, usual, rtol=1e-9)
    np.testing.assert_allclose(_skewness(1e-3 * values), skew(values), rtol=1e-9)


def test_features_that_are_skewed_by_more_than_two_are_taken_in_logarithms():
    rng = np.random.default_rng(4)
    values = np.stack([rng.gamma(shape, size=4000) for shape in (0.45, 2.0)], axis=1)
    assert 2.2 < skew(values)[0] < 3.9 and skew(values)[1] < 1.8
    assert Standardiser.fit(FeatureMatrix(("a", "b"), values)).logarithmic.tolist() == [True, False]


def test_outliers_are_cut_at_six_deviations_and_new_ones_half_of_one_beyond():
    # One on either side: not skewed.
    values = np.append(np.linspace(-1.0, 1.0, 100), [50.0, -50.0])[:, None]
    standardiser = Standardiser.fit(FeatureMatrix(("a",), values))
    found = standardiser.transform(FeatureMatrix(("a",), np.array([[50.0], [1e9]])))
    assert found.ravel().tolist() == [6.5, 6.5]


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(EstimatorError, match="expected"):
        FeatureMatrix(("a", "b"), np.zeros(2))
    with pytest.raises(EstimatorError, match="no static features in any of 2"):
        FeatureMatrix.from_instances([instance([]), instance([])], "static")
    matrix = FeatureMatrix(("a", "b"), np.array([[1.0, 2.0], [np.nan, 5.0], [4.0, 7.0]]))
    state = Standardiser.fit(matrix).to_json()
    for key, value in (("median", [1.0]), ("names", ["a", 3]), ("indicated", [7])):
        with pytest.raises(ValueError, match=r"found medians|expected a text"):
            Imputer.from_json({**state["imputer"], key: value})
    for key in ("logarithmic", "centre", "scale", "low", "high"):
        with pytest.raises(ValueError, match="found values of shape"):
            Standardiser.from_json({**state, key: state[key][:-1]})
