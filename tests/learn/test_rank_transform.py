import json

import numpy as np
import pytest

from satcost_gnn.learn.feature_matrix import FeatureMatrix
from satcost_gnn.learn.rank_transform import RankTransform


def matrix(n=40, seed=0):
    rng = np.random.default_rng(seed)
    values = np.stack([np.exp(4 * rng.normal(size=n)), rng.integers(0, 3, n).astype(float), rng.normal(size=n)], axis=1)
    values[::5, 2] = np.nan
    return FeatureMatrix(("tailed", "ties", "holes"), values)


def test_ranks_are_those_of_scipy():
    from scipy.stats import rankdata

    train = matrix()
    found = RankTransform.fit(train).transform(train)
    assert found.shape == (40, 4)
    for column in (0, 1):
        np.testing.assert_allclose(found[:, column], (rankdata(train.values[:, column]) - 0.5) / 40)
    there = ~np.isnan(train.values[:, 2])
    np.testing.assert_allclose(found[there, 2], (rankdata(train.values[there, 2]) - 0.5) / there.sum())
    np.testing.assert_allclose(found[~there, 2], 0.5, atol=0.5 / there.sum())
    np.testing.assert_array_equal(found[:, 3], ~there)


def test_normal_scores_are_finite_beyond_the_training_range():
    transform = RankTransform.fit(matrix())
    beyond = FeatureMatrix(("tailed", "ties", "holes"), np.array([[1e30, -5.0, np.nan], [-1e30, 9.0, 0.0]]))
    scores = transform.normal_scores(beyond)
    assert np.isfinite(scores).all()
    assert scores[0, 0] > 2
    assert scores[1, 0] < -2


def test_many_values_are_thinned():
    train = matrix(5000)
    transform = RankTransform.fit(train)
    assert max(map(len, transform.values)) <= 256
    found = transform.transform(train)[:, 0]
    order = np.argsort(train.values[:, 0])
    np.testing.assert_allclose(found[order], (np.arange(5000) + 0.5) / 5000, atol=0.005)


def test_json():
    train = matrix()
    transform = RankTransform.fit(train)
    text = json.loads(json.dumps(transform.to_json()))
    np.testing.assert_array_equal(RankTransform.from_json(text).transform(train), transform.transform(train))
    text["values"][0].reverse()
    with pytest.raises(ValueError, match="must rise"):
        RankTransform.from_json(text)
    twice = json.loads(json.dumps(transform.to_json()))
    twice["values"][0][1] = twice["values"][0][0]
    with pytest.raises(ValueError, match="must rise"):
        RankTransform.from_json(twice)


def test_a_score_is_at_most_that_of_half_an_instance():
    from scipy.stats import norm

    transform = RankTransform.fit(matrix())
    beyond = FeatureMatrix(("tailed", "ties", "holes"), np.array([[1e30, 1.0, 0.0], [-1e30, 1.0, 0.0]]))
    assert transform.normal_scores(beyond)[:, 0] == pytest.approx([norm.ppf(1 - 0.5 / 40), norm.ppf(0.5 / 40)])


def test_lists_that_do_not_fit_each_other_are_refused():
    state = RankTransform.fit(matrix()).to_json()
    wrong = [
        {"values": state["values"][1:]},
        {"levels": state["levels"][1:]},
        {"values": [state["values"][0][1:], *state["values"][1:]]},
        {"values": [[], *state["values"][1:]], "levels": [[], *state["levels"][1:]]},
        {"levels": [state["levels"][0][::-1], *state["levels"][1:]]},
        {"levels": [[0.5, 0.4, *state["levels"][0][2:]], *state["levels"][1:]]},
    ]
    for change in wrong:
        with pytest.raises(ValueError, match=r"lists of values|must rise"):
            RankTransform.from_json({**state, **change})
    # Levels may stay where they are.
    level = [[0.5] * len(state["levels"][0]), *state["levels"][1:]]
    assert len(RankTransform.from_json({**state, "levels": level}).levels) == len(level)
