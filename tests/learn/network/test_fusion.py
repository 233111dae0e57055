from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata

from satcost_gnn.config import ModelConfig
from satcost_gnn.learn.network.fusion import Fusion, QuantileNormaliser


def normaliser(values):
    module = QuantileNormaliser(values.shape[1])
    module.set_statistics(values)
    return module


def test_scores_are_normal_quantiles_of_ranks():
    rng = np.random.default_rng(0)
    values = np.exp(3 * rng.normal(size=(2000, 1)))
    scores = normaliser(values)(torch.from_numpy(values).float())[:, 0].numpy()
    expected = norm.ppf((rankdata(values[:, 0]) - 0.5) / len(values))
    inner = np.abs(expected) < 1.8
    np.testing.assert_allclose(scores[inner], expected[inner], atol=0.06)
    assert (np.diff(scores[np.argsort(values[:, 0])]) >= -1e-5).all()


def test_invariant_under_monotone_maps_inside_the_range():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(500, 1))
    probe = np.quantile(values, np.linspace(0.1, 0.9, 9))[:, None]
    one = normaliser(values)(torch.from_numpy(probe).float())[:, 0]
    two = normaliser(np.exp(values))(torch.from_numpy(np.exp(probe)).float())[:, 0]
    torch.testing.assert_close(one, two, atol=0.05, rtol=0)


def test_ties_outliers_constants_and_missing_values():
    values = np.stack(
        [
            np.repeat([0.0, 1.0], [900, 100]),
            np.full(1000, 7.0),
            np.where(np.arange(1000) < 100, np.nan, np.arange(1000)),
            np.full(1000, np.nan),
        ],
        axis=1,
    )
    module = normaliser(values)
    rows = torch.tensor(
        [
            [0.0, 7.0, 550.0, 1.0],
            [1.0, 8.0, np.nan, 2.0],
            [1e30, -1e30, 1e30, np.nan],
            [-1e30, 7.0, -1e30, 0.0],
            [np.nan, np.nan, 100.0, 0.0],
        ]
    )
    found = module(rows)
    scores, missing = found[:, :4], found[:, 4:]
    assert torch.isfinite(found).all() and scores.abs().max() <= 4.0
    # 90 % of the values are 0: its score is the mean score of that share, just below the middle.
    assert -0.3 < scores[0, 0] < 0 < 1.2 < scores[1, 0] < 2.3
    assert scores[2, 0] == 4.0 and scores[3, 2] == -4.0
    assert not scores[:, 1].any() and not scores[:, 3].any()
    assert scores[0, 2].abs() < 0.05
    # Only the third feature was missing at times; a constant, or one that was always missing, says nothing by it.
    assert missing.tolist() == [[0, 0, float(i == 1), 0] for i in range(5)]
    assert scores[1, 2] == 0 and scores[4, 0] == 0


def test_rows_that_are_missing_as_a_whole_leave_no_indicator():
    values = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])
    assert not normaliser(values).indicated.any()


def test_statistics_travel_with_the_weights():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3))
    one, two = normaliser(values), QuantileNormaliser(3)
    two.load_state_dict(one.state_dict())
    batch = torch.from_numpy(values).float()
    torch.testing.assert_close(one(batch), two(batch))


@pytest.fixture
def vectors():
    torch.manual_seed(0)
    return {name: torch.randn(64, size) for name, size in (("graph", 5), ("static", 4), ("online", 3))}


def make(vectors, **settings):
    torch.manual_seed(1)
    config = ModelConfig(fused_width=8, fused_members=3, dropout=0.0, **settings)
    return Fusion(config, {name: vector.shape[1] for name, vector in vectors.items()})


def nothing_missing(vectors):
    return {name: torch.zeros(64, dtype=torch.bool) for name in vectors}


def test_a_missing_modality_says_nothing(vectors):
    fusion = make(vectors).eval()
    missing = nothing_missing(vectors) | {"online": torch.arange(64) < 32}
    one = fusion(vectors, missing)
    two = fusion({**vectors, "online": vectors["online"] + 100.0}, missing)
    torch.testing.assert_close(one[:32], two[:32])
    assert (one[32:] - two[32:]).abs().max() > 1e-2


def test_branches_are_dropped_in_training_only_and_never_all(vectors):
    fusion = make(vectors, modality_dropout=0.5)
    missing = nothing_missing(vectors)
    torch.testing.assert_close(fusion.eval()(vectors, missing), fusion.eval()(vectors, missing))
    fusion.train()
    torch.manual_seed(2)
    absent = fusion._absent(torch.stack(list(missing.values())))
    assert not absent.all(dim=0).any()
    assert 0.25 < absent.float().mean() < 0.5


def test_the_early_search_is_at_times_alone_where_there_is_one(vectors):
    fusion = make(vectors, modality_dropout=0.0, online_only_dropout=0.6).train()
    torch.manual_seed(2)
    searched = torch.arange(64) < 48
    missing = torch.stack([torch.zeros(64, dtype=torch.bool), torch.zeros(64, dtype=torch.bool), ~searched])
    absent = fusion._absent(missing)
    assert fusion.names == ("graph", "static", "online")
    torch.testing.assert_close(absent[0], absent[1])
    torch.testing.assert_close(absent[2], missing[2])
    assert not absent[0][~searched].any()
    assert 0.4 < absent[0][searched].float().mean() < 0.8
    torch.testing.assert_close(fusion.eval()._absent(missing), missing)


def test_some_branches_only(vectors):
    fusion = make(vectors, modalities=("online",), online_only_dropout=0.5)
    assert fusion({"online": vectors["online"]}, nothing_missing(vectors)).shape == (64, 3, 8)


def test_the_early_search_is_at_times_missing_where_there_is_something_else(vectors):
    fusion = make(vectors, modality_dropout=0.0, structure_only_dropout=0.6).train()
    torch.manual_seed(2)
    built = torch.arange(64) < 48
    missing = torch.stack([~built, ~built, torch.zeros(64, dtype=torch.bool)])
    absent = fusion._absent(missing)
    torch.testing.assert_close(absent[:2], missing[:2])
    assert not absent[2][~built].any()
    assert 0.4 < absent[2][built].float().mean() < 0.8
    torch.testing.assert_close(fusion.eval()._absent(missing), missing)
