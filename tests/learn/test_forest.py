import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.distribution import GRIDS
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.compact_arrays import byte_planes
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Imputer
from satcost_gnn.learn.forest import Forest, QuantileForest, Trees, _average


def grown(kind="extra_trees", n=120, seed=0, **settings):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = np.stack([x[:, 0] + x[:, 1] ** 2, -x[:, 2]], axis=1) + 0.1 * rng.normal(size=(n, 2))
    return x, y, Trees.grow(kind, x, y, seed, **{"n_estimators": 15, "min_samples_leaf": 2, **settings})


@pytest.mark.parametrize("kind", ["extra_trees", "random_forest"])
def test_our_walk_ends_in_scikit_learns_leaves(kind):
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    x, y, trees = grown(kind)
    model = ExtraTreesRegressor if kind == "extra_trees" else RandomForestRegressor
    theirs = model(n_estimators=15, min_samples_leaf=2, random_state=0).fit(x, y)
    fresh = np.random.default_rng(1).normal(size=(700, 6)).astype(np.float32)
    # Values right at thresholds and next to them, too.
    at = theirs.estimators_[0].tree_.threshold[0]
    column = theirs.estimators_[0].tree_.feature[0]
    fresh[:3, column] = [np.float32(at), np.nextafter(np.float32(at), np.float32(9)), np.nextafter(np.float32(at), -9)]
    np.testing.assert_array_equal(trees.leaves(fresh) - trees.roots, theirs.apply(fresh))


@pytest.mark.parametrize(("count", "least"), [(15, 2), (15, 1), (1, 3)])
def test_weights_average_the_leaves(count, least):
    # In a bootstrapped tree with leaves of one some instances are alone and some are not.
    x, _, trees = grown("random_forest", n_estimators=count, min_samples_leaf=least)
    forest = QuantileForest(trees, trees.leaves(x))
    fresh = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    weights = forest.weights(fresh)
    expected = np.zeros((20, len(x)))
    leaves = trees.leaves(fresh)
    for i in range(20):
        for tree in range(count):
            mates = forest.members[:, tree] == leaves[i, tree]
            expected[i] += mates / mates.sum() / count
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    # Few rows are compared with the training instances, many are looked up.
    few = QuantileForest(trees, forest.members).weights(fresh[:3])
    np.testing.assert_allclose(few, expected[:3], atol=1e-12)
    alone = forest.weights(x, exclude_self=True)
    expected = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for tree in range(count):
            mates = (forest.members[:, tree] == forest.members[i, tree]) & (np.arange(len(x)) != i)
            expected[i] += mates / max(mates.sum(), 1)
    accompanied = expected.any(axis=1)
    assert accompanied.mean() > 0.8
    expected = expected[accompanied] / expected[accompanied].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(alone[accompanied], expected, atol=1e-12)
    np.testing.assert_allclose(alone.sum(axis=1), 1.0)


def test_a_value_at_a_threshold_goes_left_as_in_scikit_learn():
    from sklearn.ensemble import RandomForestRegressor

    # Between whole numbers thresholds are halves, which are the same with few bits as with many.
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, (200, 3)).astype(np.float32)
    y = np.stack([x[:, 0] * x[:, 1], x[:, 2]], axis=1).astype(np.float64)
    settings = {"n_estimators": 10, "min_samples_leaf": 2}
    theirs = RandomForestRegressor(random_state=0, **settings).fit(x, y)
    trees = Trees.grow("random_forest", x, y, 0, **settings)
    fresh = rng.integers(0, 12, (300, 3)).astype(np.float32) / 2
    np.testing.assert_array_equal(trees.leaves(fresh) - trees.roots, theirs.apply(fresh))


def test_weighted_costs_are_scikit_learns_predictions():
    """Extra trees keep the mean of all training rows in a leaf: the weights must give the same means."""
    from sklearn.ensemble import ExtraTreesRegressor

    x, y, trees = grown()
    theirs = ExtraTreesRegressor(n_estimators=15, min_samples_leaf=2, random_state=0).fit(x, y)
    fresh = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    weights = QuantileForest(trees, trees.leaves(x)).weights(fresh)
    np.testing.assert_allclose(weights @ y, theirs.predict(fresh), atol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"min_samples_leaf": 1},
        {"max_depth": 1},
        {"min_samples_leaf": 120},
        {"min_samples_leaf": 120, "n_estimators": 1},
    ],
)
def test_trees_survive_arrays(settings):
    trees = grown(**settings)[2]
    again = Trees.from_arrays(trees.to_arrays())
    for name in ("roots", "left", "right"):
        np.testing.assert_array_equal(getattr(again, name), getattr(trees, name))
    inner = trees.left != np.arange(trees.n_nodes)
    np.testing.assert_array_equal(again.feature[inner], trees.feature[inner])
    np.testing.assert_array_equal(again.threshold[inner], trees.threshold[inner])
    fresh = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
    np.testing.assert_array_equal(again.leaves(fresh), trees.leaves(fresh))


def test_damaged_trees_are_found():
    trees = grown()[2]
    arrays = trees.to_arrays()
    for broken, message in [
        ({**arrays, "leaf": np.zeros_like(arrays["leaf"])}, "unfinished"),
        ({**arrays, "nodes": arrays["nodes"] - 1}, "unfinished"),
        ({**arrays, "nodes": np.array(8 * len(arrays["leaf"]) + 1)}, "disagree"),
        ({**arrays, "nodes": np.array(0)}, "disagree"),
        ({**arrays, "feature": arrays["feature"][:1]}, "planes"),
        ({**arrays, "threshold": arrays["threshold"][:, 1:]}, "values"),
    ]:
        with pytest.raises(ValueError, match=message):
            Trees.from_arrays(broken)


def test_trees_in_another_order_are_not_written():
    trees = Trees(
        np.array([0]),
        np.array([2, 1, 2], dtype=np.int32),
        np.array([1, 1, 2], dtype=np.int32),
        np.zeros(3, dtype=np.int16),
        np.zeros(3, dtype=np.float32),
    )
    with pytest.raises(ValueError, match="depth-first"):
        trees.to_arrays()


@pytest.mark.parametrize("joint", [True, False])
def test_a_saved_forest_predicts_the_same_and_is_small(tmp_path, joint):
    table = make_table(150, cutoff=3.0, absent=0.1)
    forest = Forest(n_trees=30, joint=joint, censored_rounds=1).fit(table)
    forest.save(tmp_path)
    loaded = Forest.load(tmp_path)
    fresh = make_instances(50, seed=3)[0]
    np.testing.assert_array_equal(loaded.predict(fresh).cdf, forest.predict(fresh).cdf)
    plain = {f"{k}.{name}": array for k, f in enumerate(forest._forests) for name, array in vars(f.trees).items()}
    members = {f"{k}.members": f.members for k, f in enumerate(forest._forests)}
    np.savez_compressed(tmp_path / "plain.npz", **plain, **members, samples=forest._samples)
    assert (tmp_path / "arrays.npz").stat().st_size < 0.6 * (tmp_path / "plain.npz").stat().st_size


@pytest.mark.parametrize("kind", ["extra_trees", "random_forest"])
@pytest.mark.parametrize("joint", [True, False])
def test_it_learns_what_structure_and_search_tell(kind, joint):
    table = make_table(300, cutoff=5.2, missing=0.05, absent=0.1)
    fresh, truth = make_instances(200, seed=5)[0], true_mean(200, seed=5)
    found = Forest(kind=kind, joint=joint, n_trees=40).fit(table).predict(fresh)
    assert rmse(found, truth) < 0.5 < 0.9 < rmse(Constant().fit(table).predict(fresh), truth)


def test_its_means_are_at_least_as_good_as_scikit_learns_defaults():
    from sklearn.ensemble import ExtraTreesRegressor

    table = make_table(300, noise=0.4)
    fresh = make_table(300, seed=5, noise=0.4)
    matrix = FeatureMatrix.from_instances(table.instances, "both")
    imputer = Imputer.fit(matrix)
    theirs = ExtraTreesRegressor(random_state=0).fit(imputer.transform(matrix), table.cost)
    predicted = theirs.predict(imputer.transform(FeatureMatrix.from_instances(fresh.instances, "both")))
    ours = Forest().fit(table).predict(fresh.instances)
    assert rmse(ours, fresh.cost) <= 1.01 * float(np.sqrt(np.mean((predicted - fresh.cost) ** 2)))


def test_censored_runs_count_for_more_than_their_bound():
    table = make_table(400, cutoff=4.6)
    fresh, truth = make_instances(300, seed=5)[0], true_mean(300, seed=5)
    found = Forest(n_trees=60).fit(table).predict(fresh)
    hard = truth[:, 0] > 5.0
    assert hard.sum() > 30
    # The bound is the largest cost that was ever seen.
    assert (found.mean()[hard, 0] > 4.6).mean() > 0.8
    easy = truth[:, 0] < 4.0
    assert found.p_solved_by(10**4.6)[easy, 0].mean() > 0.8 > 0.35 > found.p_solved_by(10**4.6)[hard, 0].mean()


def test_distribution_covers_the_costs():
    table = make_table(400, noise=0.4)
    fresh, truth = make_instances(400, seed=5)[0], true_mean(400, seed=5)
    y = truth + 0.4 * np.random.default_rng(8).normal(size=truth.shape)
    found = Forest(n_trees=60, min_leaf=3).fit(table).predict(fresh)
    low, high = found.interval(0.8)
    assert 0.72 < ((low <= y) & (y <= high)).mean() < 0.95
    assert (high - low).mean() < 2.0


def test_an_unknown_run_does_not_count_for_its_solver():
    table = make_table(200, absent=0.5)
    lied = table.cost.copy()
    lied[~table.known] = 7.9
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    estimator = Forest(joint=False, n_trees=20)
    honest = estimator.clone().fit(table).predict(table.instances[:20])
    fooled = estimator.clone().fit(type(table)(**{**fields, "cost": lied})).predict(table.instances[:20])
    np.testing.assert_array_equal(honest.cdf, fooled.cdf)


def test_the_seed_decides():
    table = make_table(80)
    a, b, c = (Forest(n_trees=10, seed=seed).fit(table).predict(table.instances) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.cdf, b.cdf)
    assert (a.cdf != c.cdf).any()


def test_a_loaded_forest_needs_no_scikit_learn(tmp_path):
    import subprocess
    import sys

    table = make_table(60)
    Forest(n_trees=10).fit(table).save(tmp_path)
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from pathlib import Path\n"
        "from satcost_gnn.learn.registry import load_estimator\n"
        f"forest = load_estimator('forest', Path({str(tmp_path)!r}))\n"
        "print(forest.solvers, 'torch' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["('cadical195',", "'glucose42')", "False"]


def test_arrays_that_do_not_fit_are_a_checkpoint_error(tmp_path):
    forest = Forest(n_trees=5).fit(make_table(40))
    forest.save(tmp_path)
    # The seventh of five trees' leaves is the third tree's, of which there is none with the number of its leaves.
    leaves, first = forest._forests[0].trees.leaf_nodes()
    n_leaves = np.diff(first, append=len(leaves))
    with np.load(tmp_path / "arrays.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    for key, value in [
        ("sample_rises", arrays["sample_rises"][:, :-1]),
        ("sample_rises", arrays["sample_rises"][:1]),
        ("forest0.leaf_of", arrays["forest0.leaf_of"][:, :-1]),
        ("forest0.leaf_of", np.full_like(arrays["forest0.leaf_of"], 255)),
        ("forest0.leaf_of", byte_planes(np.where(np.arange(200) == 7, n_leaves[2], 0).astype(np.uint16))),
        ("forest0.feature", np.full_like(arrays["forest0.feature"], 99)),
    ]:
        np.savez(tmp_path / "arrays.npz", **{**arrays, key: value})
        with pytest.raises(CheckpointError, match="damaged"):
            Forest.load(tmp_path)
    (tmp_path / "arrays.npz").unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        Forest.load(tmp_path)


def test_bad_settings_are_refused():
    for settings in ({"kind": "oak"}, {"n_trees": 0}, {"max_features": 0.0}, {"min_leaf": 0}, {"features": "graph"}):
        with pytest.raises(EstimatorError, match="expected"):
            Forest(**settings)
    assert Forest(features="online").needs == {"online"}
    assert Forest().fit(make_table(30, unit="cpu_seconds")).grid == GRIDS["cpu_seconds"]


def test_with_ranks_the_scale_of_features_does_not_matter(tmp_path):
    from satcost_gnn.core.feature_vector import FeatureVector

    table = make_table(100)
    stretched = [
        replace(i, static=FeatureVector(i.static.names, np.exp(i.static.values / 4)), online=i.online)
        for i in table.instances
    ]
    plain = Forest(n_trees=20, ranks=True, features="static").fit(table)
    other = Forest(n_trees=20, ranks=True, features="static").fit(replace(table, instances=stretched))
    np.testing.assert_allclose(other.predict(stretched).cdf, plain.predict(table.instances).cdf, atol=0.02)
    plain.save(tmp_path)
    loaded = Forest.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(table.instances).cdf, plain.predict(table.instances).cdf)


def test_an_instance_that_is_alone_in_every_leaf_has_all_for_neighbours():
    """The first of four stands alone in both trees, the others share leaves."""
    trees = Trees(
        np.array([0, 3]),
        np.array([1, 1, 2, 4, 4, 5], dtype=np.int32),
        np.array([2, 1, 2, 5, 4, 5], dtype=np.int32),
        np.zeros(6, dtype=np.int16),
        np.zeros(6, dtype=np.float32),
    )
    forest = QuantileForest(trees, np.array([[1, 4], [2, 5], [2, 5], [2, 5]], dtype=np.int32))
    found = forest.weights(np.zeros((4, 1), dtype=np.float32), exclude_self=True)
    expected = [[0.25, 0.25, 0.25, 0.25], [0, 0, 0.5, 0.5], [0, 0.5, 0, 0.5], [0, 0.5, 0.5, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_average_is_of_known_samples_and_of_all_of_them_where_none_has_weight():
    samples = np.array([[0.0, 1.0], [0.5, 0.9], [0.2, 0.4]])
    weights = np.array([[0.0, 1.0, 0.0], [0.25, 0.25, 0.5], [0.0, 0.0, 0.2]])
    found = _average(weights, samples, np.array([True, False, True]))
    # The second is not known: the first row has then no weight at all.
    expected = [[0.1, 0.7], [(0.25 * 0.0 + 0.5 * 0.2) / 0.75, (0.25 * 1.0 + 0.5 * 0.4) / 0.75], [0.2, 0.4]]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert _average(0.0 * weights, samples, np.array([False, True, False])).tolist() == [[0.5, 0.9]] * 3
    assert _average(weights, samples, np.zeros(3, dtype=bool)).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("joint", [True, False])
def test_a_censored_run_has_its_neighbours_costs_above_its_bound_as_far_as_they_reach(joint):
    whole = make_table(60, noise=0.5)
    rng = np.random.default_rng(1)
    censored = rng.random((60, 2)) < 0.4
    # A run may be stopped where its neighbours have all ended, or where none of them has.
    cost = np.where(censored, whole.cost + rng.uniform(-0.5, 0.5, (60, 2)), whole.cost)
    table = replace(whole, cost=cost, censored=censored)
    stopped = np.argwhere(censored)
    settings = {"n_trees": 8, "joint": joint}
    start, once = Forest(**settings).fit(table), Forest(**settings, censored_rounds=1).fit(table)
    grid, trusts = table.grid, []
    for row, column in stopped:
        members = start._forest(column).members
        weights = np.zeros(60)
        for tree in members.T:
            mates = (tree == tree[row]) & (np.arange(60) != row)
            weights += mates / max(mates.sum(), 1)
        near = weights @ start._samples[:, column].astype(np.float64) / weights.sum()
        bound = cost[row, column]
        reached = np.interp(bound, grid.edges, near)
        trust = min((1.0 - reached) / 0.2, 1.0)
        above = np.where(grid.edges > bound, (near - reached) / max(1.0 - reached, 1e-9), 0.0)
        expected = trust * above + (1.0 - trust) * start._samples[row, column]
        np.testing.assert_allclose(once._samples[row, column], expected, atol=2e-3)
        trusts.append(trust)
    # Of some the neighbours say enough, of some too little, which leaves a part to the regression.
    assert max(trusts) == 1.0 and sum(0.02 < trust < 0.98 for trust in trusts) >= 3
    # What has ended stays as it is.
    ended = ~table.censored
    np.testing.assert_array_equal(once._samples[ended], start._samples[ended])


def damaged(directory, **changed):
    with np.load(directory / "arrays.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    arrays.update(changed)
    np.savez(directory / "arrays.npz", **{key: value for key, value in arrays.items() if value is not None})


def test_a_tree_that_asks_for_one_feature_too_many_is_damage(tmp_path):
    forest = Forest(n_trees=5).fit(make_table(40))
    forest.save(tmp_path)
    trees, count = forest._forests[0].trees, len(forest._transform.output_names)
    inner = trees.left != np.arange(trees.n_nodes)
    for asked, message in ((count - 1, None), (count, "a feature that isn't there")):
        feature = trees.feature[inner].copy()
        feature[3] = asked
        damaged(tmp_path, **{"forest0.feature": byte_planes(feature.astype(np.uint16))})
        if message is None:
            Forest.load(tmp_path)
        else:
            with pytest.raises(CheckpointError, match=message):
                Forest.load(tmp_path)


def test_settings_at_the_ends_of_their_ranges():
    least = Forest(n_trees=1, min_leaf=1, max_features=1.0, censored_rounds=0)
    assert (least.n_trees, least.min_leaf, least.max_features, least.censored_rounds) == (1, 1, 1.0, 0)
    for settings in ({"max_features": 1.01}, {"censored_rounds": -1}):
        with pytest.raises(EstimatorError, match="expected n_trees >= 1"):
            Forest(**settings)


def test_what_is_not_said_of_a_forest():
    """These are what data sheets and configurations leave out: another value is another estimator."""
    assert Forest().parameters() == {
        "features": "both",
        "kind": "extra_trees",
        "n_trees": 200,
        "max_features": 1.0,
        "min_leaf": 2,
        "joint": True,
        "censored_rounds": 0,
        "ranks": False,
        "seed": 0,
    }


@pytest.mark.parametrize(("inner", "planes"), [(40, 2), (2**16 - 1, 2), (2**16, 4)])
def test_a_leaf_has_a_number_of_two_bytes_as_long_as_that_is_enough(tmp_path, inner, planes):
    """A tree in which every left child is a leaf, one more of them than inner nodes."""
    forest = Forest(n_trees=1).fit(make_table(30))
    node = np.arange(2 * inner + 1)
    leaf = (node % 2 == 1) | (node == 2 * inner)
    trees = Trees(
        np.array([0]),
        np.where(leaf, node, node + 1).astype(np.int32),
        np.where(leaf, node, node + 2).astype(np.int32),
        np.zeros(len(node), dtype=np.int16),
        np.zeros(len(node), dtype=np.float32),
    )
    members = np.flatnonzero(leaf)[np.linspace(0, inner, 30).astype(int)][:, None].astype(np.int32)
    forest._forests = [QuantileForest(trees, members)]
    forest.save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as stored:
        assert len(stored["forest0.leaf_of"]) == planes
    np.testing.assert_array_equal(Forest.load(tmp_path)._forests[0].members, members)


def test_as_many_forests_and_samples_as_there_are_solvers_and_bins(tmp_path):
    for joint in (True, False):
        forest = Forest(n_trees=2, joint=joint).fit(make_table(30))
        forest.save(tmp_path)
        np.testing.assert_array_equal(Forest.load(tmp_path)._samples, forest._samples)
        header = json.loads((tmp_path / "estimator.json").read_text())
        header["parameters"]["joint"] = not joint
        (tmp_path / "estimator.json").write_text(json.dumps(header))
        with pytest.raises(CheckpointError, match="damaged"):
            Forest.load(tmp_path)
