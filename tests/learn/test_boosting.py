import sys

import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.boosting import Boosting, Periods

GRID = GRIDS["conflicts"]


@pytest.mark.parametrize("per_step", [1, 2])
def test_it_learns_what_the_features_say_and_how_sure_it_is(per_step):
    table = make_table(400, cutoff=5.0, missing=0.05)
    fresh, truth = make_instances(300, seed=5)[0], true_mean(300, seed=5)
    found = Boosting(per_step=per_step, n_trees=80, learning_rate=0.1).fit(table).predict(fresh)
    # What lies beyond the cutoff can't be learnt.
    seen = truth < 5.0
    y = np.where(seen, truth, np.nan)
    error = np.sqrt(np.nanmean((found.median() - y) ** 2))
    blind = np.sqrt(np.nanmean((Constant().fit(table).predict(fresh).median() - y) ** 2))
    assert error < 0.55 * blind
    noisy = truth + 0.2 * np.random.default_rng(3).normal(size=truth.shape)
    low, high = found.interval(0.8)
    assert 0.7 < ((low <= noisy) & (noisy <= high))[seen].mean() <= 0.98


def test_runs_become_steps():
    cost = np.array([0.6, 0.6, 9.0, -1.0])
    censored = np.array([False, True, True, False])
    periods = Periods.of_runs(GRID, 1, cost, censored)
    # 0.6 is in the third bin of a quarter of a decade, two fifths of it seen.
    assert periods.run.tolist() == [0] * 3 + [1] * 3 + [2] * GRID.bins + [3]
    assert periods.step[:6].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.flatnonzero(periods.ended).tolist() == [2, 6 + GRID.bins]
    assert periods.weight[:6] == pytest.approx([1, 1, 1, 1, 1, 0.4])
    assert (periods.weight[6:] == 1).all()
    # In steps of two bins: the second half of a decade, a fifth of it seen.
    coarse = Periods.of_runs(GRID, 2, cost[:2], censored[:2])
    assert coarse.step.tolist() == [0, 1, 0, 1] and coarse.weight == pytest.approx([1, 1, 1, 0.2])


def test_a_run_stopped_at_an_edge_has_not_entered_the_next_step():
    periods = Periods.of_runs(GRID, 1, np.array([0.5]), np.array([True]))
    assert periods.step.tolist() == [0, 1] and periods.weight.tolist() == [1.0, 1.0]


def test_likelihood_of_the_steps_gives_kaplan_meier_when_features_say_nothing():
    table = make_table(500, cutoff=4.6)
    rng = np.random.default_rng(1)
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    order = rng.permutation(500)
    table = type(table)(**{**fields, "instances": [table.instances[i] for i in order]})
    found = Boosting(n_trees=5, min_leaf=200).fit(table).predict(table.instances).cdf.mean(axis=0)
    expected = Constant().fit(table).predict(table.instances[:1]).cdf[0]
    below = GRID.edges <= 4.5
    np.testing.assert_allclose(found[:, below], expected[:, below], atol=0.04)


def test_all_end_in_one_step():
    table = make_table(40)
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    table = type(table)(**{**fields, "cost": np.full((40, 2), 3.1)})
    found = Boosting().fit(table).predict(table.instances[:3])
    assert (np.abs(found.median() - 3.1) < 0.2).all()


def test_seed_and_settings_matter():
    table = make_table(150)
    base = Boosting(n_trees=10).fit(table).predict(table.instances).cdf
    other = Boosting(n_trees=10, seed=1).fit(table).predict(table.instances).cdf
    assert np.abs(base - other).max() > 1e-3
    for settings in ({"n_trees": 0}, {"leaves": 1}, {"max_features": 0.0}, {"learning_rate": 0.0}, {"per_step": 0}):
        with pytest.raises(EstimatorError, match="expected n_trees"):
            Boosting(**settings)
    with pytest.raises(EstimatorError, match="divisor of the 36 bins"):
        Boosting(per_step=5).fit(table)


def test_without_lightgbm_it_says_what_to_install(monkeypatch, tmp_path):
    table = make_table(30)
    Boosting(n_trees=3).fit(table).save(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(EstimatorError, match=r"pip install 'satcost-gnn\[boosting\]'"):
        Boosting(n_trees=3).fit(table)
    with pytest.raises(EstimatorError, match="needs LightGBM"):
        Boosting.load(tmp_path)


def test_damaged_trees_are_a_checkpoint_error(tmp_path):
    Boosting(n_trees=3).fit(make_table(60)).save(tmp_path)
    arrays = dict(np.load(tmp_path / "arrays.npz"))
    assert arrays["trees0"].tobytes().startswith(b"tree\nversion=")
    np.savez(tmp_path / "arrays.npz", **{**arrays, "trees0": np.frombuffer(b"no tree", dtype=np.uint8)})
    with pytest.raises(CheckpointError, match="trees cannot be read"):
        Boosting.load(tmp_path)


def test_the_mean_beats_the_constant_without_censoring():
    table = make_table(300)
    fresh, truth = make_instances(200, seed=5)[0], true_mean(200, seed=5)
    found = Boosting(n_trees=60, learning_rate=0.1).fit(table).predict(fresh)
    assert isinstance(found, CostDistribution)
    assert rmse(found, truth) < 0.6 * rmse(Constant().fit(table).predict(fresh), truth)
