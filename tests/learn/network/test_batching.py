from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_graphs import ONLINE, STATIC, make_instance, random_formula

from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.network.batching import (
    PIECE,
    GraphSample,
    NodeRanges,
    TargetRow,
    collate,
    graph_sample,
    plan_batches,
    planned_batches,
)

sizes = st.lists(st.integers(0, 50), max_size=60)


@given(sizes, st.integers(1, 80), st.integers(1, 10))
def test_every_graph_is_in_one_batch_of_bounded_size(edges, max_edges, max_graphs):
    batches = plan_batches(edges, max_edges=max_edges, max_graphs=max_graphs)
    assert sorted(i for batch in batches for i in batch) == list(range(len(edges)))
    for batch in batches:
        assert 1 <= len(batch) <= max_graphs
        assert sum(edges[i] for i in batch) <= max_edges or len(batch) == 1
    assert [edges[i] for batch in batches for i in batch] == sorted(edges, reverse=True)


@given(sizes, st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_covers_all_exactly_once_and_knows_its_length(edges, seed, epoch):
    batches = planned_batches(edges, max_edges=60, max_graphs=5, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(edges)))
    again = planned_batches(edges, max_edges=60, max_graphs=5, seed=seed, epoch=epoch)
    assert again == batches


def test_epochs_and_seeds_differ():
    plans = [
        planned_batches([1] * 40, max_edges=10, max_graphs=10, seed=s, epoch=e) for s, e in ((0, 0), (0, 1), (1, 0))
    ]
    assert plans[0] != plans[1] != plans[2] != plans[0]


def test_batches_are_well_filled():
    rng = np.random.default_rng(0)
    edges = np.minimum(np.exp(rng.normal(8, 1.5, size=1000)), 40_000).astype(int)
    plan = planned_batches(edges, max_edges=100_000, max_graphs=1000, seed=0, epoch=0)
    assert len(plan) <= 1.3 * edges.sum() / 100_000 + 1


def test_family_balance():
    families = [0] * 90 + [1] * 9 + [2]
    for balance, share in ((0.5, 0.0767), (1.0, 1 / 3)):
        counts = np.zeros(3)
        for epoch in range(30):
            plan = planned_batches(
                [1] * 100, max_edges=100, max_graphs=7, seed=0, epoch=epoch, families=families, family_balance=balance
            )
            drawn = [i for batch in plan for i in batch]
            assert len(drawn) == 100
            counts += np.bincount(np.array(families)[drawn], minlength=3)
        assert counts[2] / counts.sum() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0)])
def test_bounds_must_be_positive(bounds):
    with pytest.raises(ValueError, match="expected at least 1"):
        plan_batches([1], max_edges=bounds[0], max_graphs=bounds[1])


def make_samples(count=3):
    rng = np.random.default_rng(0)
    samples = []
    for k in range(count):
        graph = clause_variable_graph(random_formula(rng, 5 + 3 * k, 10 + k))
        target = TargetRow(np.array([k, k + 1], np.float32), np.array([False, True]), np.array([True, k > 0]))
        samples.append(
            GraphSample(
                graph,
                np.full(2, k, np.float32),
                np.full(3, np.nan, np.float32),
                {"conflicts": target},
                family=7 - k,
            )
        )
    return samples


def test_collate_puts_graphs_side_by_side():
    samples = make_samples()
    batch = collate(samples)
    assert len(batch) == 3 and batch.n_edges == sum(s.graph.n_edges for s in samples)
    first_variable = first_clause = 0
    for number, sample in enumerate(samples):
        graph = sample.graph
        clauses = slice(first_clause, first_clause + graph.n_clauses)
        assert (batch.clauses.graph_of[batch.clauses.piece_of[clauses]] == number).all()
        offsets = batch.clause_offsets[first_clause : first_clause + graph.n_clauses + 1].numpy()
        np.testing.assert_array_equal(offsets - offsets[0], graph.clause_offsets)
        edges = batch.clause_literals[offsets[0] : offsets[-1]].numpy()
        np.testing.assert_array_equal(edges - 2 * first_variable, graph.clause_literals)
        offsets = batch.literal_offsets[2 * first_variable : 2 * (first_variable + graph.n_variables) + 1].numpy()
        np.testing.assert_array_equal(offsets - offsets[0], graph.literal_offsets)
        np.testing.assert_array_equal(
            batch.literal_clauses[offsets[0] : offsets[-1]].numpy() - first_clause, graph.literal_clauses
        )
        first_variable += graph.n_variables
        first_clause += graph.n_clauses
    assert batch.variables.counts.tolist() == [s.graph.n_variables for s in samples]
    assert batch.clauses.counts.sum() == first_clause == len(batch.clauses.piece_of)
    assert batch.cost["conflicts"].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert batch.known["conflicts"].tolist() == [[True, False], [True, True], [True, True]]
    assert batch.encoded is None
    assert batch.family.tolist() == [7, 6, 5]
    assert batch.online.isnan().all()


def test_batch_moves_as_a_whole():
    batch = collate(make_samples()).to("meta")
    assert batch.variable_inputs.device.type == batch.cost["conflicts"].device.type == "meta"


def test_collate_needs_a_sample():
    with pytest.raises(ValueError, match="no samples"):
        collate([])


def test_sample_of_an_instance():
    rng = np.random.default_rng(0)
    instance = make_instance(rng, 0)
    sample = graph_sample(instance, STATIC[::-1], ONLINE, max_edges=10)
    assert sample.graph.n_edges <= 10
    np.testing.assert_array_equal(sample.static, instance.static.values[::-1])
    bare = Instance("a.cnf", "", instance.static, graph=instance.graph)
    assert np.isnan(graph_sample(bare, STATIC, ONLINE, 10).online).all()
    with pytest.raises(EstimatorError, match=r"0\.cnf: found no static feature 'colour'"):
        graph_sample(instance, (*STATIC, "colour"), ONLINE, 10)
    with pytest.raises(EstimatorError, match=r"a\.cnf: found no graph"):
        graph_sample(Instance("a.cnf", "", instance.static), STATIC, ONLINE, 10)


@pytest.mark.parametrize("counts", [[], [0], [3], [0, 2 * PIECE, 0], [PIECE + 1, 5, PIECE - 1, 0, 3 * PIECE]])
def test_nodes_are_cut_into_pieces_of_one_graph(counts):
    ranges = NodeRanges.of(np.array(counts, dtype=np.int64))
    graph_of_node = ranges.graph_of[ranges.piece_of]
    np.testing.assert_array_equal(graph_of_node, np.repeat(np.arange(len(counts)), counts))
    sizes = ranges.piece_offsets.diff()
    assert sizes.sum() == sum(counts) and ((sizes > 0) & (sizes <= PIECE)).all()
    np.testing.assert_array_equal(sizes, np.bincount(ranges.piece_of, minlength=len(sizes)))
    np.testing.assert_array_equal(ranges.graph_offsets.diff(), [-(-count // PIECE) for count in counts])
    assert ranges.to("cpu").counts.tolist() == counts


def test_a_sample_with_a_share_takes_part_in_that_share_of_the_epochs():
    shares = [1.0] * 10 + [0.3] * 20 + [0.0] * 5

    def taken(epoch):
        batches = planned_batches([1] * 35, max_edges=7, max_graphs=7, seed=1, epoch=epoch, shares=shares)
        return [i for batch in batches for i in batch]

    epochs = [taken(epoch) for epoch in range(200)]
    assert epochs[3] == taken(3)
    count = np.bincount(np.concatenate(epochs), minlength=35)
    assert (count[:10] == 200).all() and (count[30:] == 0).all()
    # Twenty samples, 200 epochs: 1,200 times are expected, with a standard deviation of 29.
    assert 1100 < count[10:30].sum() < 1300
