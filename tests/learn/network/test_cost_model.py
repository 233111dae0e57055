from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_graphs import ONLINE, SMALL_MODEL, STATIC, make_instance

from satcost_gnn.config import ModelConfig
from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.formula.compact_graph import GRAPH_INPUTS, VARIABLE_INPUTS
from satcost_gnn.learn.network.batching import collate, encoded_sample, graph_sample
from satcost_gnn.learn.network.cost_model import CostModel, HazardHead, hazard_logits
from satcost_gnn.learn.network.definition import ModelShape

SOLVERS = {"conflicts": ("a", "b"), "cpu_seconds": ("a",)}


def make_samples(count=5):
    rng = np.random.default_rng(0)
    return [graph_sample(make_instance(rng, k), STATIC, ONLINE, 10_000) for k in range(count)]


def make_marginal():
    rng = np.random.default_rng(1)
    return {u: rng.normal(size=(len(s), GRIDS[u].bins)).astype(np.float32) for u, s in SOLVERS.items()}


def make_model(samples, **settings):
    torch.manual_seed(0)
    model = CostModel(ModelConfig(**SMALL_MODEL, **settings), ModelShape(len(STATIC), len(ONLINE), SOLVERS))
    model.set_statistics(samples, make_marginal())
    return model


def test_starts_at_the_marginal_hazard():
    samples = make_samples()
    logits = make_model(samples).eval()(collate(samples))
    assert {unit: tuple(values.shape) for unit, values in logits.items()} == {
        "conflicts": (5, 3, 2, 36),
        "cpu_seconds": (5, 3, 1, 32),
    }
    for unit, values in logits.items():
        torch.testing.assert_close(values, torch.from_numpy(make_marginal()[unit]).expand_as(values))


def test_hazards_stay_off_certainty_but_keep_a_gradient():
    head = HazardHead(4, 2, 1, GRIDS["conflicts"], 6)
    torch.nn.init.constant_(head.member_bias, 50.0)
    logits = head(torch.zeros(1, 2, 4))
    assert 9.2 < logits.max() < 10
    (gradient,) = torch.autograd.grad(logits.sum(), head.member_bias)
    assert (gradient > 0).all()


def test_basis_is_a_smooth_partition():
    basis = HazardHead(4, 2, 1, GRIDS["conflicts"], 6).basis
    torch.testing.assert_close(basis.sum(dim=0), torch.ones(36))
    assert basis.diff(dim=1).abs().max() < 0.2


def test_state_holds_all_normalisation():
    samples = make_samples()
    one, two = make_model(samples).eval(), CostModel(ModelConfig(**SMALL_MODEL), ModelShape(3, 2, SOLVERS)).eval()
    torch.nn.init.normal_(one.heads["conflicts"].coefficients)
    two.load_state_dict(one.state_dict())
    batch = collate(samples)
    for unit, values in one(batch).items():
        torch.testing.assert_close(two(batch)[unit], values)


def test_a_graph_without_probe_node_features_says_nothing_of_the_probe():
    samples = make_samples()
    model = make_model(samples, modalities=("graph",), probe_node_features=False).eval()
    batch = collate(samples)
    before = model.embedding(batch)
    batch.variable_inputs[:, VARIABLE_INPUTS.index("observed") :] += 1.0
    batch.graph_inputs[:, GRAPH_INPUTS.index("log10_conflicts")] = torch.nan
    torch.testing.assert_close(model.embedding(batch), before)
    batch.variable_inputs[:, 0] += 1.0
    assert (model.embedding(batch) - before).abs().max() > 1e-3


def test_an_encoded_graph_is_as_good_as_the_graph():
    samples = make_samples()
    model = make_model(samples).eval()
    torch.nn.init.normal_(model.heads["conflicts"].coefficients)
    batch = collate(samples)
    vectors = model.encoder(batch).detach().numpy()
    encoded = collate([encoded_sample(sample, row) for sample, row in zip(samples, vectors, strict=True)])
    assert encoded.n_edges == 0 and len(encoded) == 5
    torch.testing.assert_close(model(encoded)["conflicts"], model(batch)["conflicts"])


def test_members_read_the_same_vector_in_their_own_ways():
    samples = make_samples()
    fused = make_model(samples).eval().embedding(collate(samples))
    assert fused.shape == (5, 3, 16)
    assert (fused[:, 0] - fused[:, 1]).abs().max() > 1e-2


def test_a_missing_vector_is_a_missing_modality():
    samples = make_samples()
    model = make_model(samples).eval()
    batch = collate(samples)
    batch.online = torch.full_like(batch.online, float("nan"))
    assert torch.isfinite(model.embedding(batch)).all()


@pytest.mark.parametrize("modalities", [("graph",), ("static",), ("online", "static")])
def test_some_branches_only(modalities):
    samples = make_samples()
    model = make_model(samples, modalities=modalities).eval()
    batch = collate(samples)
    before = model.embedding(batch)
    if "online" not in modalities:
        batch.online = batch.online + 1
    if "static" not in modalities:
        batch.static = batch.static + 1
    if "graph" not in modalities:
        batch.variable_inputs = batch.variable_inputs + 1
    torch.testing.assert_close(model.embedding(batch), before)
    assert list(model(batch, units=("cpu_seconds",))) == ["cpu_seconds"]


def test_hazard_logits_of_a_distribution():
    grid = GRIDS["conflicts"]
    distribution = CostDistribution.normal(grid, np.array([3.0, 5.5]), 0.7)
    hazard = 1 / (1 + np.exp(-hazard_logits(distribution).astype(float)))
    again = CostDistribution.from_hazard(grid, hazard)
    np.testing.assert_allclose(again.cdf[:, 1:], distribution.cdf[:, 1:], atol=0.004)
    certain = CostDistribution.from_points(grid, np.array([2.1, 0.0, 20.0]))
    assert np.isfinite(hazard_logits(certain)).all()
