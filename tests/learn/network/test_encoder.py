from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_graphs import random_formula, random_trace, renamed_and_shuffled

from satcost_gnn.config import ModelConfig
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.network.batching import GraphSample, collate
from satcost_gnn.learn.network.encoder import GraphEncoder, segment_sum

SMALL = ModelConfig(width=8, heads=2, rounds=3, mean_channels=5, extreme_channels=3)


def sample(graph):
    return GraphSample(graph, np.zeros(1, np.float32), np.zeros(1, np.float32))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return GraphEncoder(SMALL).eval()


def encode(encoder, *graphs):
    with torch.no_grad():
        return encoder(collate([sample(graph) for graph in graphs])).numpy()


def test_segment_sum_and_its_gradient():
    rng = np.random.default_rng(0)
    dense = rng.random((6, 4)) < 0.5
    dense[2] = False
    rows, columns = np.nonzero(dense)
    back_rows, back_columns = np.nonzero(dense.T)

    def offsets(which, size):
        return torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(which, minlength=size))]))

    values = torch.randn(4, 3, requires_grad=True)
    arguments = torch.from_numpy(columns), offsets(rows, 6), torch.from_numpy(back_columns), offsets(back_rows, 4)
    result = segment_sum(values, *arguments)
    matrix = torch.from_numpy(dense.astype(np.float32))
    torch.testing.assert_close(result, matrix @ values)
    weights = torch.randn(6, 3)
    (gradient,) = torch.autograd.grad((result * weights).sum(), values)
    torch.testing.assert_close(gradient, matrix.T @ weights)


def test_whole_encoder_has_the_gradient_of_finite_differences(encoder):
    rng = np.random.default_rng(0)
    batch = collate([sample(clause_variable_graph(random_formula(rng, 5, 8)))])
    weight = encoder.rounds[0].to_clause.weight
    direction = torch.randn_like(weight)

    def value(step):
        with torch.no_grad():
            weight.add_(step * direction)
            result = float(encoder(batch).double().square().mean())
            weight.sub_(step * direction)
        return result

    (gradient,) = torch.autograd.grad(encoder(batch).square().mean(), weight)
    numerical = (value(2e-3) - value(-2e-3)) / 4e-3
    assert float((gradient * direction).sum()) == pytest.approx(numerical, rel=0.02, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_invariant_under_renaming_and_shuffling(encoder, seed):
    rng = np.random.default_rng(seed)
    formula = random_formula(rng, 40, 170)
    trace = random_trace(rng, 40)
    other, other_trace = renamed_and_shuffled(rng, formula, trace)
    one = encode(encoder, clause_variable_graph(formula, trace))
    two = encode(encoder, clause_variable_graph(other, other_trace))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_sees_signs_structure_and_the_probe(encoder):
    """What must change the vector does: a flipped sign, a rewired edge at equal degrees, other counts of the probe."""
    rng = np.random.default_rng(0)
    ring = [[i + 1, -((i + 1) % 6 + 1)] for i in range(6)]
    two_triangles = [[i + 1, -(3 * (i // 3) + (i % 3 + 1) % 3 + 1)] for i in range(6)]
    flipped = [[i + 1, (i + 1) % 6 + 1] for i in range(6)]
    base = encode(encoder, clause_variable_graph(Formula.from_clauses(ring)))
    assert np.abs(encode(encoder, clause_variable_graph(Formula.from_clauses(flipped))) - base).max() > 1e-3
    # Colour refinement cannot tell one ring from two: the known limit of message passing without node identities.
    np.testing.assert_allclose(
        encode(encoder, clause_variable_graph(Formula.from_clauses(two_triangles))), base, atol=1e-5
    )
    probed = clause_variable_graph(Formula.from_clauses(ring), random_trace(rng, 6, sampled=1.0))
    assert np.abs(encode(encoder, probed) - base).max() > 1e-3
    trees = [[[1, 2], [2, 3], [3, 4], [4, 5], [leaf, 6]] for leaf in (2, 3)]
    one, two = (encode(encoder, clause_variable_graph(Formula.from_clauses(tree))) for tree in trees)
    assert np.abs(one - two).max() > 1e-3


def test_batching_changes_nothing(encoder):
    rng = np.random.default_rng(1)
    graphs = [clause_variable_graph(random_formula(rng, n, 4 * n), random_trace(rng, n)) for n in (5, 30, 12)]
    graphs.insert(1, clause_variable_graph(Formula.from_clauses([])))
    graphs.append(clause_variable_graph(Formula.from_clauses([[], []])))
    together = encode(encoder, *graphs)
    assert np.isfinite(together).all()
    for row, graph in zip(together, graphs, strict=True):
        np.testing.assert_allclose(row, encode(encoder, graph)[0], atol=1e-5)


def test_autocast_keeps_sums_in_single_precision(encoder):
    rng = np.random.default_rng(2)
    batch = collate([sample(clause_variable_graph(random_formula(rng, 30, 120)))])
    plain = encoder(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = encoder(batch)
        summed = segment_sum(
            torch.ones(300, 1, dtype=torch.bfloat16),
            torch.arange(300),
            torch.tensor([0, 300]),
            torch.zeros(300, dtype=torch.int64),
            torch.arange(301),
        )
    assert mixed.dtype == torch.float32
    # In bfloat16 a sum of ones stops growing at 256.
    assert summed.item() == 300.0
    torch.testing.assert_close(mixed, plain, atol=0.15, rtol=0.15)
    mixed.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_no_rounds_and_no_extremes():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    graph = clause_variable_graph(random_formula(rng))
    for config in (SMALL.model_copy(update={"rounds": 0}), SMALL.model_copy(update={"extreme_channels": 0})):
        assert np.isfinite(encode(GraphEncoder(config).eval(), graph)).all()
