import numpy as np
import pytest
from synthetic_graphs import random_formula, random_trace

from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.network.phase_samples import PROBE_COLUMNS, PhaseSample, collate_phases


def make_sample(seed, n_vars=12, probe_result=""):
    rng = np.random.default_rng(seed)
    graph = clause_variable_graph(random_formula(rng, n_vars, 5 * n_vars), random_trace(rng, n_vars))
    n = graph.n_variables
    return PhaseSample(
        graph,
        np.arange(1, n + 1, dtype=np.int32),
        rng.random(n).astype(np.float32),
        rng.integers(-1, 2, size=n).astype(np.int8),
        3,
        probe_result,
    )


def test_what_was_written_is_read(tmp_path):
    sample = make_sample(0, probe_result="SAT")
    sample.write(tmp_path / "one.npz")
    found = PhaseSample.read(tmp_path / "one.npz")
    for name in ("variables", "true_share", "backbone"):
        np.testing.assert_array_equal(getattr(found, name), getattr(sample, name))
        assert getattr(found, name).dtype == getattr(sample, name).dtype
    np.testing.assert_array_equal(found.graph.variable_inputs, sample.graph.variable_inputs)
    assert (found.n_models, found.probe_result) == (3, "SAT")


def test_without_probe_is_the_graph_of_the_formula_alone():
    rng = np.random.default_rng(1)
    formula = random_formula(rng, 12, 60)
    sample = make_sample(2)
    with_trace = clause_variable_graph(formula, random_trace(rng, 12))
    sample = PhaseSample(with_trace, sample.variables, sample.true_share, sample.backbone, 3, "SAT")
    alone = clause_variable_graph(formula)
    np.testing.assert_array_equal(sample.without_probe().graph.variable_inputs, alone.variable_inputs)
    assert sample.without_probe().probe_result == ""
    assert np.abs(with_trace.variable_inputs[:, PROBE_COLUMNS]).max() > 0


def test_every_formula_weighs_the_same():
    samples = [make_sample(k, n_vars=6 + 5 * k) for k in range(3)]
    batch = collate_phases(samples)
    sizes = [sample.graph.n_variables for sample in samples]
    assert len(batch.true_share) == sum(sizes)
    parts = batch.weight.split(sizes)
    assert [float(part.sum()) for part in parts] == pytest.approx([1.0, 1.0, 1.0])
