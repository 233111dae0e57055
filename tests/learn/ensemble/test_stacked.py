import itertools

import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.ensemble.mixture import BOOSTED_MEMBER, DEFAULT_MEMBERS, Stacked, _least_crps
from satcost_gnn.learn.linear import Linear

GRID = GRIDS["conflicts"]


def test_weights_minimise_the_crps_of_the_mixture():
    rng = np.random.default_rng(0)
    mean = rng.uniform(3, 5, 300)
    y = np.minimum(mean + 0.6 * rng.normal(size=300), 5.0)
    censored = y == 5.0
    parts = [
        CostDistribution.normal(GRID, mean + 0.5 * rng.normal(size=300), 0.5),
        CostDistribution.normal(GRID, mean + 0.7 * rng.normal(size=300), 0.7),
        CostDistribution.normal(GRID, np.full(300, 2.0), 0.3),
    ]
    found = _least_crps(parts, y, censored)

    def crps(weights):
        return CostDistribution.mixture(parts, weights).crps(y, censored).mean()

    steps = np.linspace(0, 1, 21)
    best = min(crps((a, b, max(0.0, 1 - a - b))) for a, b in itertools.product(steps, steps) if a + b <= 1)
    free = (found - 0.1 / 3) / 0.9
    assert crps(free) <= best + 1e-3
    assert found.sum() == pytest.approx(1.0) and found.min() >= 0.1 / 3 - 1e-12
    # The member that knows nothing gets no more than its even share.
    assert found[2] < 0.05 < found[1] < found[0]


def test_it_is_about_as_good_as_its_best_member_and_weighs_it_most():
    table = make_table(200, noise=0.3)
    fresh, truth = make_instances(200, seed=5)[0], true_mean(200, seed=5)
    members = [("constant", {}), ("linear", {"by_answer": False}), ("size", {})]
    stacked = Stacked(members).fit(table)
    assert stacked._weights[1] > 0.8
    best = rmse(Linear(by_answer=False).fit(table).predict(fresh), truth)
    assert rmse(stacked.predict(fresh), truth) < 1.5 * best < rmse(Constant().fit(table).predict(fresh), truth)


def test_needs_are_those_of_all_members():
    assert Stacked([("constant", {}), ("size", {})]).needs == {"static"}
    assert Stacked([("tree_size", {}), ("size", {})]).needs == {"static", "online"}


def test_boosting_is_a_member_where_it_is_installed(monkeypatch):
    assert Stacked().members == [*DEFAULT_MEMBERS, BOOSTED_MEMBER]
    monkeypatch.setattr("satcost_gnn.learn.ensemble.mixture.find_spec", lambda name: None)
    bare = Stacked()
    assert bare.members == list(DEFAULT_MEMBERS) and bare.needs == {"static", "online"}
    # What was made with other members stays what it was.
    kept = Stacked(**Stacked([("constant", {})]).parameters())
    assert kept.members == [("constant", {})]


def test_bad_members_are_refused(tmp_path):
    with pytest.raises(EstimatorError, match="at least one"):
        Stacked([])
    with pytest.raises(EstimatorError, match="found estimator 'oracle'"):
        Stacked([("oracle", {})])
    with pytest.raises(EstimatorError, match="member of another"):
        Stacked([("stacked", {})])
    Stacked([("constant", {}), ("size", {})]).fit(make_table(30)).save(tmp_path)
    Constant().fit(make_table(30, unit="cpu_seconds")).save(tmp_path / "0")
    with pytest.raises(CheckpointError, match="another unit"):
        Stacked.load(tmp_path)
