"""The network in numpy says what the network in torch says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_graphs import ONLINE, STATIC, make_instance

from satcost_gnn.config import ModelConfig
from satcost_gnn.core.distribution import GRIDS
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.network.array_model import ArrayModel, gelu, segment_sums
from satcost_gnn.learn.network.batching import collate, graph_sample
from satcost_gnn.learn.network.cost_model import CostModel
from satcost_gnn.learn.network.definition import ModelShape, normal_scores, planned_weights

SOLVERS = {"conflicts": ("a", "b", "c"), "cpu_seconds": ("a",)}
PARTS = [("graph", "static", "online"), ("online", "graph"), ("static",), ("graph",), ("static", "online")]


def random_config(seed: int) -> ModelConfig:
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(1, 4))
    return ModelConfig(
        modalities=PARTS[seed % len(PARTS)],
        probe_node_features=bool(seed % 3),
        heads=heads,
        width=heads * int(rng.integers(4, 9)),
        rounds=int(rng.integers(0, 4)),
        mean_channels=int(rng.integers(1, 9)),
        extreme_channels=int(rng.integers(0, 5)),
        graph_width=int(rng.integers(2, 9)),
        fused_width=int(rng.integers(4, 30)),
        fused_members=int(rng.integers(1, 5)),
        hazard_basis=int(rng.integers(2, 13)),
    )


def random_samples(rng: np.random.Generator):
    found = [graph_sample(make_instance(rng, k), STATIC, ONLINE, 10_000) for k in range(6)]
    # Features that are missing, tied with training values, and far outside them.
    found[1].static[0], found[1].online[:] = np.nan, np.nan
    found[2].static[:] = found[3].static
    found[4].static[0], found[4].online[0] = 1e30, -1e30
    return found


def random_model(config: ModelConfig, samples) -> CostModel:
    torch.manual_seed(1)
    model = CostModel(config, ModelShape(len(STATIC), len(ONLINE), SOLVERS)).eval()
    rng = np.random.default_rng(2)
    marginal = {
        unit: rng.normal(size=(len(names), GRIDS[unit].bins)).astype(np.float32) for unit, names in SOLVERS.items()
    }
    model.set_statistics(samples[:4], marginal)
    with torch.no_grad():
        # What starts at zero or one says nothing of how it is used.
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return model


def arrays_of(model: CostModel):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("seed", range(10))
def test_it_says_what_torch_says(seed: int) -> None:
    config, samples = random_config(seed), random_samples(np.random.default_rng(seed))
    model = random_model(config, samples)
    batch = collate(samples)
    without = torch.tensor([False, False, True, False, False, True])
    array_model = ArrayModel(config, arrays_of(model))
    vectors = [array_model.graph_vector(sample.graph) for sample in samples]
    with torch.inference_mode():
        graph = model.graph_vectors(batch)
        assert (graph is None) == (vectors[0] is None)
        if graph is not None:
            np.testing.assert_allclose(np.stack(vectors), graph.numpy(), rtol=1e-4, atol=1e-5)
        expected = model.fuse(graph, without, batch.static, batch.online)
        fused = array_model.fused(
            None if graph is None else np.stack(vectors), without.numpy(), batch.static.numpy(), batch.online.numpy()
        )
        assert fused.dtype == np.float32 and fused.shape == expected.shape
        for unit in SOLVERS:
            logits = array_model.logits(fused, unit).astype(np.float64)
            survival = torch.sigmoid(-model.heads[unit](expected).double()).cumprod(dim=-1).numpy()
            assert abs(np.cumprod(1 / (1 + np.exp(logits)), axis=-1) - survival).max() < 1e-5


@pytest.mark.parametrize("seed", range(10))
def test_planned_weights_are_those_of_the_model(seed: int) -> None:
    config = random_config(seed)
    shape = ModelShape(4, 7, SOLVERS)
    found = {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in CostModel(config, shape).state_dict().items()
    }
    assert planned_weights(config, shape) == found


@pytest.mark.parametrize("clauses", [[], [[]], [[1, -1], [], [2, 2]]])
def test_graphs_with_next_to_nothing(clauses: list[list[int]]) -> None:
    samples = random_samples(np.random.default_rng(0))
    model = random_model(random_config(0), samples)
    graph = clause_variable_graph(Formula.from_clauses(clauses), None)
    found = ArrayModel(random_config(0), arrays_of(model)).graph_vector(graph)
    with torch.inference_mode():
        expected = model.graph_vectors(collate([type(samples[0])(graph, samples[0].static, samples[0].online)]))
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_gelu_is_torch_s() -> None:
    x = np.concatenate([np.linspace(-40, 40, 100_001), [0.0, -0.0, 1e-30, 1e30, -1e30]]).astype(np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    assert (np.abs(gelu(x) - expected) <= 1e-6 + 1e-6 * np.abs(expected)).all()


def test_segments_of_any_length() -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = segment_sums(values, np.array([3, 0, 0]), np.array([0, 0, 1, 3, 3]))
    np.testing.assert_array_equal(found, [[0, 0, 0], values[3], 2 * values[0], [0, 0, 0]])
    assert segment_sums(values, np.array([], dtype=np.int64), np.array([0, 0])).shape == (1, 3)
    assert segment_sums(values[:0], np.array([], dtype=np.int64), np.array([0])).shape == (0, 3)


def test_scores_of_the_knots_are_normal_quantiles() -> None:
    from scipy.special import ndtri

    np.testing.assert_allclose(normal_scores(), ndtri((np.arange(41) + 0.5) / 41), rtol=1e-6, atol=1e-7)
