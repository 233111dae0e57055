import numpy as np
import pytest
from synthetic_table import make_instances, make_table, true_mean

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.baselines.knn import NearestNeighbours


def test_neighbours_tell_more_than_the_whole():
    table = make_table(400, cutoff=5.0, missing=0.05)
    fresh, truth = make_instances(200, seed=5)[0], true_mean(200, seed=5)
    # What lies beyond the cutoff can't be learnt.
    seen = truth < 5.0
    near, blind = (
        np.sqrt((((estimator.fit(table).predict(fresh).median() - truth)[seen]) ** 2).mean())
        for estimator in (NearestNeighbours(), Constant())
    )
    assert near < 0.6 * blind


def test_the_estimate_is_kaplan_meier_of_the_nearest_by_inverse_distance():
    table = make_table(60, cutoff=4.5, absent=0.2)
    estimator = NearestNeighbours(neighbours=7).fit(table)
    fresh = make_instances(5, seed=9)[0]
    found = estimator.predict(fresh)
    from satcost_gnn.learn.feature_matrix import FeatureMatrix

    x = estimator._standardiser.transform(FeatureMatrix.from_instances(fresh))
    for k in range(5):
        for column in range(2):
            rows = np.flatnonzero(table.known[:, column])
            distance = np.sqrt(((x[k] - estimator._x[rows].astype(float)) ** 2).sum(axis=1))
            nearest = np.argsort(distance)[:7]
            expected = CostDistribution.from_samples(
                GRIDS["conflicts"],
                table.cost[rows[nearest], column],
                1 / np.maximum(distance[nearest], estimator._least),
                table.censored[rows[nearest], column],
            )
            np.testing.assert_allclose(found.cdf[k, column], expected.cdf, atol=1e-9)


def test_with_all_neighbours_and_no_distances_it_is_the_constant():
    table = make_table(50, cutoff=4.5)
    estimator = NearestNeighbours(neighbours=1000).fit(table)
    estimator._least = 1e9
    fresh = make_instances(3, seed=9)[0]
    np.testing.assert_allclose(estimator.predict(fresh).cdf, Constant().fit(table).predict(fresh).cdf, atol=1e-9)


def test_a_single_training_instance():
    table = make_table(3)
    # Nothing varies between the features of one instance.
    with pytest.raises(EstimatorError, match="constant or missing"):
        NearestNeighbours().fit(table.subset([0]))
    found = NearestNeighbours().fit(table.subset([0, 1])).predict(table.instances[:1])
    assert abs(found.mean()[0, 0] - table.cost[0, 0]) < abs(found.mean()[0, 0] - table.cost[1, 0])


def test_bad_settings_and_files_are_refused(tmp_path):
    with pytest.raises(EstimatorError, match="0 neighbours"):
        NearestNeighbours(neighbours=0)
    NearestNeighbours().fit(make_table(30)).save(tmp_path)
    arrays = dict(np.load(tmp_path / "arrays.npz"))
    np.savez(tmp_path / "arrays.npz", **{**arrays, "x": arrays["x"][:, 1:]})
    with pytest.raises(CheckpointError, match="don't fit the features"):
        NearestNeighbours.load(tmp_path)


def test_what_is_not_known_of_some_runs_is_saved_too(tmp_path):
    table = make_table(40, absent=0.2)
    assert not table.known.all(axis=0).any()
    estimator = NearestNeighbours(neighbours=5).fit(table)
    estimator.save(tmp_path)
    fresh = make_instances(6, seed=9)[0]
    np.testing.assert_array_equal(NearestNeighbours.load(tmp_path).predict(fresh).cdf, estimator.predict(fresh).cdf)
    arrays = dict(np.load(tmp_path / "arrays.npz"))
    for column in (0, 1):
        known = arrays["known"].copy()
        known[:, column] = False
        np.savez(tmp_path / "arrays.npz", **{**arrays, "known": known})
        with pytest.raises(CheckpointError, match="a solver has no run"):
            NearestNeighbours.load(tmp_path)


def test_neighbours_nearer_than_half_of_the_usual_distance_count_alike():
    table = make_table(30)
    estimator = NearestNeighbours().fit(table)
    assert estimator.neighbours == 20 and NearestNeighbours(neighbours=1).neighbours == 1
    apart = np.linalg.norm(estimator._x[:, None].astype(float) - estimator._x[None].astype(float), axis=2)
    nearest = [np.delete(row, k).min() for k, row in enumerate(apart)]
    assert estimator._least == pytest.approx(0.5 * np.median(nearest), rel=1e-5)
    two = NearestNeighbours().fit(table.subset([0, 1]))
    assert two._least == pytest.approx(0.5 * np.linalg.norm(two._x[0].astype(float) - two._x[1]), rel=1e-5)
    # Copies have no distance at all.
    assert NearestNeighbours().fit(table.subset([*range(30), *range(30)]))._least == 1e-6
