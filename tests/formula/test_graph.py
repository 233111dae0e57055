from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_graphs import first_conflicts, random_formula, random_trace, renamed_and_shuffled

from satcost_gnn.errors import FormulaError, FormulaTooLargeError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import CLAUSE_INPUTS, GRAPH_INPUTS, VARIABLE_INPUTS, CompactGraph
from satcost_gnn.formula.graph import FormulaTooLargeForGraphError, clause_variable_graph, sample_clauses, to_pyg

clause_lists = st.lists(st.lists(st.integers(-6, 6).filter(bool), max_size=5), max_size=12)


def column(graph, name):
    if name in VARIABLE_INPUTS:
        return graph.variable_inputs[:, VARIABLE_INPUTS.index(name)].astype(float)
    return graph.clause_inputs[:, CLAUSE_INPUTS.index(name)].astype(float)


def overall(graph, name):
    return float(graph.graph_inputs[GRAPH_INPUTS.index(name)])


def clauses_of(graph):
    """Return the clauses in the graph's own numbering, by plain iteration."""
    found = []
    for i in range(graph.n_clauses):
        nodes = graph.clause_literals[graph.clause_offsets[i] : graph.clause_offsets[i + 1]]
        found.append([(node // 2 + 1) * (-1 if node % 2 else 1) for node in nodes.tolist()])
    return found


def test_small_formula_by_hand():
    formula = Formula.from_clauses([[1, -2, 1], [2, 3], [3, -3], [-2]], n_vars=9)
    graph = clause_variable_graph(formula)
    # x and not x in one clause: gone, and with it one of the two occurrences of 3; variables 4..9 occur nowhere.
    assert clauses_of(graph) == [[1, -2], [2, 3], [-2]]
    assert (graph.n_variables, graph.n_clauses, graph.n_edges) == (3, 3, 5)
    np.testing.assert_allclose(column(graph, "log_positive"), np.log1p([1, 1, 1]), rtol=1e-3)
    np.testing.assert_allclose(column(graph, "log_negative"), np.log1p([0, 2, 0]), rtol=1e-3)
    np.testing.assert_allclose(column(graph, "log_relative_degree"), np.log(np.array([1, 3, 1]) / (5 / 3)), rtol=1e-3)
    np.testing.assert_allclose(column(graph, "unit_share"), [0, 1 / 3, 0], rtol=1e-3)
    np.testing.assert_allclose(column(graph, "binary_share"), [1, 2 / 3, 1], rtol=1e-3)
    np.testing.assert_allclose(column(graph, "horn_share"), [1, 2 / 3, 0], rtol=1e-3)
    np.testing.assert_allclose(column(graph, "log_length"), np.log1p([2, 2, 1]), rtol=1e-3)
    np.testing.assert_array_equal(column(graph, "is_horn"), [1, 0, 1])
    np.testing.assert_allclose(column(graph, "sign_balance")[:3], [1, -1 / 3, 1], rtol=1e-3)
    assert overall(graph, "tautology_share") == pytest.approx(1 / 4)
    assert overall(graph, "duplicate_share") == pytest.approx(1 / 8)
    assert np.isnan(overall(graph, "log10_conflicts"))


@given(clause_lists)
@settings(max_examples=60, deadline=None)
def test_agrees_with_plain_python(clauses):
    formula = Formula.from_clauses(clauses)
    graph = clause_variable_graph(formula)
    kept = [sorted(set(c), key=lambda x: (abs(x), x < 0)) for c in clauses if not {-x for x in c} & set(c)]
    used = sorted({abs(x) for c in kept for x in c})
    number = {v: i + 1 for i, v in enumerate(used)}
    assert clauses_of(graph) == [[number[abs(x)] * (1 if x > 0 else -1) for x in c] for c in kept]
    assert graph.n_variables == len(used)
    assert np.isfinite(graph.variable_inputs).all() and np.isfinite(graph.clause_inputs).all()
    # The other direction holds the same edges.
    there = {(i, x) for i, c in enumerate(clauses_of(graph)) for x in c}
    back = set()
    for node in range(2 * graph.n_variables):
        for i in graph.literal_clauses[graph.literal_offsets[node] : graph.literal_offsets[node + 1]].tolist():
            back.add((i, (node // 2 + 1) * (-1 if node % 2 else 1)))
    assert back == there


def test_probe_columns():
    rng = np.random.default_rng(3)
    formula = random_formula(rng, 12, 80)
    trace = random_trace(rng, 12)
    graph = clause_variable_graph(formula, trace)
    assert graph.n_variables == 12
    seen = trace.observed
    np.testing.assert_array_equal(column(graph, "observed"), seen)
    scale = np.log1p(trace.conflicts)
    np.testing.assert_allclose(
        column(graph, "assigned_rate"), np.where(seen, np.log1p(np.maximum(trace.assigned, 0)) / scale, 0), atol=1e-3
    )
    mean = trace.assigned[seen].mean()
    expected = np.where(seen, np.log((1 + trace.assigned / mean) / 2), 0)
    np.testing.assert_allclose(column(graph, "assigned_relative"), expected, atol=1e-3)
    usable = seen & (trace.assigned > 0)
    balance = np.where(usable, 2 * trace.positive / np.maximum(trace.assigned, 1) - 1, 0)
    np.testing.assert_allclose(column(graph, "positive_balance"), balance, atol=1e-3)
    np.testing.assert_allclose(column(graph, "learnt_rate"), np.log1p(trace.learnt) / scale, atol=1e-3)
    assert column(graph, "learnt_known").all()
    assert overall(graph, "observed_share") == pytest.approx(seen.mean())
    without = clause_variable_graph(formula)
    first = VARIABLE_INPUTS.index("observed")
    assert not without.variable_inputs[:, first:].any()
    np.testing.assert_array_equal(without.variable_inputs[:, :first], graph.variable_inputs[:, :first])


def test_unknown_counts_are_masked():
    rng = np.random.default_rng(0)
    formula = random_formula(rng, 10, 60)
    trace = first_conflicts(random_trace(rng, 10), 5)
    graph = clause_variable_graph(formula, trace)
    for name in ("observed", "assigned_rate", "decided_known", "learnt_known", "learnt_relative"):
        assert not column(graph, name).any()


def assert_same_nodes(a, b):
    """Check that two graphs have the same nodes in some order."""
    np.testing.assert_array_equal(a.graph_inputs, b.graph_inputs)
    for part in ("variable_inputs", "clause_inputs"):
        rows = [np.array(sorted(map(tuple, getattr(graph, part).tolist()))) for graph in (a, b)]
        np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("seed", range(3))
def test_renaming_and_shuffling_permute_the_nodes_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    formula = random_formula(rng, 25, 120)
    trace = random_trace(rng, 25)
    other, other_trace = renamed_and_shuffled(rng, formula, trace)
    a, b = clause_variable_graph(formula, trace), clause_variable_graph(other, other_trace)
    assert_same_nodes(a, b)


@pytest.mark.parametrize("seed", range(3))
def test_which_clauses_are_sampled_depends_on_no_name_and_no_order(seed):
    rng = np.random.default_rng(seed)
    formula = random_formula(rng, 60, 500)
    trace = random_trace(rng, 60)
    other, other_trace = renamed_and_shuffled(rng, formula, trace)
    for traces in ((trace, other_trace), (None, None)):
        a, b = (clause_variable_graph(f, t, max_edges=300) for f, t in zip((formula, other), traces, strict=True))
        assert a.kept_clause_share < 0.5
        assert_same_nodes(a, b)


def test_wrong_trace_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(FormulaError, match="trace over 7 variables"):
        clause_variable_graph(random_formula(rng, 10, 20), random_trace(rng, 7))


def test_size_limit():
    formula = Formula.from_clauses([[1, 2, 3]] * 5, source="big.cnf")
    with pytest.raises(FormulaTooLargeForGraphError, match=r"big\.cnf: found 15 literal .* at most 14"):
        clause_variable_graph(formula, size_limit=14)
    assert issubclass(FormulaTooLargeForGraphError, FormulaTooLargeError)
    assert clause_variable_graph(formula, size_limit=15).n_edges == 15
    assert clause_variable_graph(formula).n_edges == 15


@pytest.mark.parametrize("clauses", [[], [[]], [[], []], [[1, -1]], [[], [3]]])
def test_degenerate_formulas(clauses):
    graph = clause_variable_graph(Formula.from_clauses(clauses, n_vars=4))
    assert np.isfinite(graph.variable_inputs).all() and np.isfinite(graph.clause_inputs).all()
    assert graph.n_clauses == sum(1 for c in clauses if c != [1, -1])
    assert len(graph.literal_offsets) == 2 * graph.n_variables + 1
    assert CompactGraph.from_arrays(graph.to_arrays()).n_edges == graph.n_edges


def test_sample_keeps_proportions_and_is_deterministic():
    rng = np.random.default_rng(1)
    formula = random_formula(rng, 300, 3000, longest=6)
    whole = clause_variable_graph(formula, max_edges=None)
    sample = sample_clauses(whole, 2000)
    again = clause_variable_graph(formula, max_edges=2000)
    for name in ("variable_inputs", "clause_inputs", "clause_literals", "clause_offsets", "graph_inputs"):
        np.testing.assert_array_equal(getattr(sample, name), getattr(again, name))
    assert 1950 <= sample.n_edges <= 2000
    share = sample.n_clauses / whole.n_clauses
    assert sample.kept_clause_share == pytest.approx(share)
    for length in range(1, 7):
        before, after = (int((np.diff(g.clause_offsets) == length).sum()) for g in (whole, sample))
        assert abs(after - share * before) <= 2
    # Every sampled clause is one of the formula's, with the inputs that its nodes have in the whole graph.
    rows = {tuple(row) for row in whole.variable_inputs.tolist()}
    assert {tuple(row) for row in sample.variable_inputs.tolist()} <= rows
    degrees = np.bincount(sample.clause_literals >> 1, minlength=sample.n_variables)
    assert (degrees > 0).all()


def test_sample_of_a_sample_and_extremes():
    rng = np.random.default_rng(2)
    graph = clause_variable_graph(random_formula(rng, 50, 500), max_edges=None)
    assert sample_clauses(graph, graph.n_edges) is graph
    twice = sample_clauses(sample_clauses(graph, 400), 100)
    assert twice.kept_clause_share == pytest.approx(twice.n_clauses / graph.n_clauses)
    nothing = sample_clauses(graph, 0)
    assert (nothing.n_clauses, nothing.n_variables, nothing.kept_clause_share) == (0, 0, 0.0)
    wide = clause_variable_graph(Formula.from_clauses([list(range(1, 101)), [1, 2]]), max_edges=50)
    assert wide.n_edges <= 50
    with pytest.raises(ValueError, match="must not be negative"):
        sample_clauses(graph, -1)


def test_arrays_and_pickle_round_trip(tmp_path):
    rng = np.random.default_rng(4)
    graph = clause_variable_graph(random_formula(rng), random_trace(rng, 20))
    np.savez_compressed(tmp_path / "graph.npz", **graph.to_arrays())
    with np.load(tmp_path / "graph.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    assert arrays["variable_inputs"].dtype == np.float16
    for again in (CompactGraph.from_arrays(arrays), pickle.loads(pickle.dumps(graph))):
        for name in ("variable_inputs", "clause_inputs", "graph_inputs", "clause_offsets", "clause_literals"):
            np.testing.assert_array_equal(getattr(again, name), getattr(graph, name))
        np.testing.assert_array_equal(again.literal_clauses, graph.literal_clauses)
    with pytest.raises(ValueError, match="version 0"):
        CompactGraph.from_arrays({**arrays, "version": np.array("0")})
    with pytest.raises(ValueError, match="no arrays"):
        CompactGraph.from_arrays({})


def test_arrays_that_disagree_are_refused():
    graph = clause_variable_graph(Formula.from_clauses([[1, 2], [-1]]))
    good = {name: getattr(graph, name) for name in graph.__dataclass_fields__}
    for name, value, message in (
        ("variable_inputs", np.zeros((2, 1)), "variable_inputs"),
        ("graph_inputs", np.zeros(1), "graph_inputs"),
        ("clause_offsets", np.array([0, 2]), "clause_offsets"),
        ("clause_offsets", np.array([0, 2, 4]), "number of edges"),
        ("clause_literals", np.array([0, 2, 9]), "literal nodes"),
    ):
        with pytest.raises(ValueError, match=message):
            CompactGraph(**{**good, name: value})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pyg_data():
    torch = pytest.importorskip("torch")
    graph = clause_variable_graph(Formula.from_clauses([[1, -2], [2, 3], [-1, -3]]))
    data = to_pyg(graph)
    assert data["variable"].x.shape == (3, len(VARIABLE_INPUTS))
    assert data["clause"].x.dtype == torch.float32
    assert data["variable", "positive", "clause"].edge_index.tolist() == [[0, 1, 2], [0, 1, 1]]
    assert data["variable", "negative", "clause"].edge_index.tolist() == [[1, 0, 2], [0, 2, 2]]
    assert data["clause", "rev_negative", "variable"].edge_index.tolist() == [[0, 2, 2], [1, 0, 2]]
    data.validate(raise_on_error=True)
    assert data.graph_inputs.shape == (1, len(GRAPH_INPUTS))
