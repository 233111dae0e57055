"""Predictions of the shipped network don't depend on names and orders, given the same early search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.formula.shuffle import renamed_trace, shuffled, signed_renaming
from satcost_gnn.learn.network.estimator import GnnEstimator
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.serve.predictor import Predictor

SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
TOLERANCE = 1e-3  # decades


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor.from_checkpoint() as opened:
        yield opened


@pytest.mark.parametrize("name", ["random3-120.cnf", "tseitin-22.cnf"])
def test_renaming_and_shuffling_do_not_change_what_the_graph_says(predictor: Predictor, name: str) -> None:
    formula = read_dimacs(SAMPLES / name)
    instance = predictor.preprocess(formula, plain=False).instance
    assert instance is not None and instance.graph is not None and instance.probe is not None
    trace = instance.probe.trace
    assert trace is not None and instance.graph.kept_clause_share == 1.0
    variants = [instance]
    for seed in range(1, 4):
        copy = shuffled(formula, Draws(seed, "invariance"), flip=False)
        moved = renamed_trace(trace, signed_renaming(formula.n_vars, Draws(seed, "invariance"), flip=False))
        graph = clause_variable_graph(copy, moved, max_edges=predictor.settings.features.max_graph_edges)
        assert not np.array_equal(graph.clause_literals, instance.graph.clause_literals)
        variants.append(replace(instance, graph=graph))
    network = predictor.estimator("gnn")
    assert isinstance(network, GnnEstimator)
    mean = network.predict(variants).mean()
    np.testing.assert_allclose(mean[1:], np.broadcast_to(mean[0], mean[1:].shape), atol=TOLERANCE)
    # A network may make little of the graph in the end: what it reads off it is the sharper test.
    most = predictor.settings.features.max_graph_edges
    bare = replace(instance, graph=clause_variable_graph(formula, max_edges=most))
    read = graph_vectors(network, [*variants, bare])
    np.testing.assert_allclose(read[1:-1], np.broadcast_to(read[0], read[1:-1].shape), atol=TOLERANCE)
    assert np.abs(read[-1] - read[0]).max() > 100 * TOLERANCE


def graph_vectors(network: GnnEstimator, instances: list[Instance]) -> NDArray[np.float32]:
    """Return what the network's first member reads off each graph."""
    model = network._array_models[0]
    found = [model.graph_vector(network._sample(one).graph) for one in instances]
    assert all(vector is not None for vector in found)
    return np.stack([vector for vector in found if vector is not None])
