import numpy as np
import torch
from synthetic_graphs import random_formula

from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.network.phase_samples import PhaseSample, collate_phases
from satcost_gnn.learn.network.phase_training import PhaseTrainingConfig, train_phases

SMALL = {
    "model": {"width": 12, "rounds": 1, "mean_channels": 6, "extreme_channels": 2},
    "epochs": 6,
    "learning_rate": 0.02,
    "graphs": 4,
}


def made_of_majorities(seed):
    """Return a sample in which every variable has the sign that it occurs with more often."""
    formula = random_formula(np.random.default_rng(seed), 20, 60)
    graph = clause_variable_graph(formula)
    surplus = np.bincount(np.abs(formula.literals), weights=np.sign(formula.literals), minlength=21)
    variables = np.unique(np.abs(formula.literals)).astype(np.int32)
    share = ((1 + np.sign(surplus[variables])) / 2).astype(np.float32)
    return PhaseSample(graph, variables, share, np.zeros(len(variables), dtype=np.int8), 1, "")


def test_learns_what_can_be_learnt_and_is_reproducible(heard):
    samples = [made_of_majorities(seed) for seed in range(16)]
    config = PhaseTrainingConfig.checked(SMALL)
    first = train_phases(config, samples[:12], samples[12:])
    said = len(heard)
    second = train_phases(config, samples[:12], samples[12:])
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    assert said == config.epochs
    batch = collate_phases(samples[12:])
    with torch.inference_mode():
        probability = torch.sigmoid(first(batch.graphs))
    decided = batch.true_share != 0.5
    right = ((probability > 0.5) == (batch.true_share > 0.5))[decided].float().mean()
    assert right > 0.9
