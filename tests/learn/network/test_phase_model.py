import numpy as np
import pytest
import torch
from synthetic_graphs import random_formula, random_trace, renamed_and_shuffled

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import VARIABLE_INPUTS
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.network.phase_model import (
    EVEN_COLUMNS,
    ODD_COLUMNS,
    PhaseModel,
    PhaseModelConfig,
    literal_inputs,
)
from satcost_gnn.learn.network.phase_samples import collate_graphs


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PhaseModel(PhaseModelConfig(width=16, rounds=3, mean_channels=8, extreme_channels=4)).eval()


def logits(model, formula, trace=None):
    with torch.inference_mode():
        return model(collate_graphs([clause_variable_graph(formula, trace)])).numpy()


def negated(formula, trace, variables):
    """Negate some variables in the formula and in what was seen of them."""
    sign = np.ones(formula.n_vars, dtype=np.int64)
    sign[variables] = -1
    literals = formula.literals * sign[np.abs(formula.literals) - 1]
    values = dict(vars(trace))
    for part, whole in (("positive", "assigned"), ("learnt_positive", "learnt")):
        turned = values[part].copy()
        turned[variables] = np.where(
            turned[variables] >= 0, values[whole][variables] - turned[variables], turned[variables]
        )
        values[part] = turned
    return Formula.from_arrays(literals, formula.offsets, formula.n_vars), type(trace)(**values)


def test_negated_variables_have_the_opposite_logit_and_others_the_same(model):
    rng = np.random.default_rng(1)
    formula = random_formula(rng, n_vars=20, n_clauses=80)
    trace = random_trace(rng, 20)
    chosen = np.array([0, 3, 4, 11, 19])
    found = logits(model, formula, trace)
    expected = found.copy()
    expected[chosen] *= -1
    # Inputs are kept in half precision, in which p and 1 - p round apart.
    np.testing.assert_allclose(logits(model, *negated(formula, trace, chosen)), expected, atol=2e-3)
    assert np.abs(found).max() > 0.01


def test_renaming_and_shuffling_move_the_logits_along(model):
    rng = np.random.default_rng(2)
    formula = random_formula(rng, n_vars=15, n_clauses=60)
    state = rng.bit_generator.state
    other, _ = renamed_and_shuffled(rng, formula)
    rng.bit_generator.state = state
    order = rng.permutation(formula.n_vars)
    np.testing.assert_allclose(logits(model, other)[order], logits(model, formula), atol=1e-4)


def test_graphs_in_a_batch_do_not_mix(model):
    rng = np.random.default_rng(3)
    graphs = [clause_variable_graph(random_formula(rng, n_vars=n, n_clauses=4 * n)) for n in (8, 14)]
    with torch.inference_mode():
        together = model(collate_graphs(graphs))
        alone = torch.cat([model(collate_graphs([graph])) for graph in graphs])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_literal_inputs_of_a_negation_swap_counts_and_turn_balances():
    values = torch.arange(len(VARIABLE_INPUTS), dtype=torch.float32)[None] + 1
    positive, negative = literal_inputs(values)
    assert positive[:2].tolist() == negative[:2].flip(0).tolist()
    even = slice(2, 2 + len(EVEN_COLUMNS))
    assert positive[even].tolist() == negative[even].tolist()
    assert positive[-len(ODD_COLUMNS) :].tolist() == (-negative[-len(ODD_COLUMNS) :]).tolist()


def test_a_unit_clause_is_enough_to_learn_from():
    torch.manual_seed(0)
    model = PhaseModel(PhaseModelConfig(width=8, rounds=1, mean_channels=4, extreme_channels=2))
    batch = collate_graphs([clause_variable_graph(Formula.from_clauses([[1], [-2], [1, 2]]))])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch), torch.tensor([1.0, 0.0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
