from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_setup import make_setup

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.evaluate.new_families import FEATURES, new_families
from satcost_gnn.evaluate.protocol import EvaluationSetup
from satcost_gnn.evaluate.scores import Runs, Scores


def told_apart(setup: EvaluationSetup, by: float) -> EvaluationSetup:
    """Return the setup with static features that lie apart by family."""
    data = setup.data
    groups = sorted(set(data.tables["conflicts"].groups))
    moved = [
        replace(
            one,
            static=FeatureVector(
                one.static.names, one.static.values + by * np.random.default_rng(groups.index(group)).normal(size=5)
            ),
        )
        for one, group in zip(data.instances, data.tables["conflicts"].groups, strict=True)
    ]
    return replace(setup, data=replace(data, instances=moved))


def test_families_that_lie_apart_are_told_by_their_static_features(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, 400, "family")
    same = new_families(setup)
    apart = new_families(told_apart(setup, 20.0))
    assert same is not None and apart is not None and tuple(apart.by_features) == FEATURES
    assert apart.by_features["static"].auc > 0.9 > 0.65 > same.by_features["static"].auc > 0.35
    assert apart.by_features["static"].flagged_new > 0.8 > 0.2 > apart.by_features["static"].flagged_known
    assert apart.by_features["online"] == same.by_features["online"]
    assert new_families(make_setup(tmp_path / "other", 100)) is None


def test_measures_inside_and_outside_add_up(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, 400, "family")
    found = new_families(setup)
    assert found is not None
    table = setup.data.tables["conflicts"].subset(setup.test)
    runs = Runs.of(table, "cadical195", 5.0)
    predicted = CostDistribution.normal(table.grid, np.linspace(3, 5, len(runs)), np.full(len(runs), 0.5))
    scores = Scores.of(predicted, runs, 6.0)
    inside, outside = found.apart(scores)
    share = found.outside[runs.rows].mean()
    whole = scores.values()["crps"]
    assert (1 - share) * inside["crps"] + share * outside["crps"] == pytest.approx(whole, rel=1e-4)
