from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from satcost_gnn.config import LossConfig
from satcost_gnn.core.distribution import GRIDS, CostDistribution, CostGrid
from satcost_gnn.learn.network.losses import (
    batch_losses,
    grid_crps,
    hazard_nll,
    log_survival,
    ranking_loss,
    restricted_mean,
)

GRID = CostGrid("conflicts", 0.0, 8.0, 32)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def brute_force_nll(logits, cost, censored, grid):
    """Walk through the bins one after the other."""
    total, low = 0.0, grid.low
    for b, h in enumerate(sigmoid(logits)):
        high = grid.low + (b + 1) * grid.width
        if cost > high + 1e-9:
            total -= np.log1p(-h)
        elif censored:
            return total - np.log1p(-h * max(0.0, cost - low) / grid.width)
        else:
            return total - np.log(h)
        low = high
    return total


def cases(seed=0, count=200):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 2, size=(count, GRID.bins))
    cost = rng.uniform(-0.5, 8.5, size=count)
    cost[:5] = [0.0, 8.0, 0.25, -3.0, 9.0]
    return logits, cost, rng.random(count) < 0.4


def test_likelihood_against_brute_force():
    logits, cost, censored = cases()
    expected = [brute_force_nll(*case, GRID) for case in zip(logits, cost, censored, strict=True)]
    found = hazard_nll(torch.from_numpy(logits), torch.from_numpy(cost), torch.from_numpy(censored), GRID)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-9)


def test_censored_likelihood_is_the_survival_of_the_distribution():
    logits, cost, _ = cases(1)
    cost = np.clip(cost, 0.0, 8.0)
    distribution = CostDistribution.from_hazard(GRID, sigmoid(logits))
    hidden = torch.ones(len(cost), dtype=torch.bool)
    found = hazard_nll(torch.from_numpy(logits), torch.from_numpy(cost), hidden, GRID)
    np.testing.assert_allclose(np.exp(-found.numpy()), 1 - distribution.cdf_at(cost), atol=1e-7)


def test_probabilities_of_all_outcomes_add_up_to_one():
    logits = torch.from_numpy(cases(2, 5)[0])
    centres = torch.from_numpy(GRID.centres)
    events = hazard_nll(
        logits[:, None].expand(-1, GRID.bins, -1), centres.expand(5, -1), torch.zeros(5, GRID.bins, dtype=bool), GRID
    )
    beyond = hazard_nll(logits, torch.full((5,), 9.0), torch.zeros(5, dtype=torch.bool), GRID)
    torch.testing.assert_close(torch.exp(-events).sum(dim=1) + torch.exp(-beyond), torch.ones(5, dtype=torch.double))


def test_crps_and_mean_agree_with_the_distribution():
    logits, cost, censored = cases(3)
    distribution = CostDistribution.from_hazard(GRID, sigmoid(logits))
    found = grid_crps(torch.from_numpy(logits), torch.from_numpy(cost), torch.from_numpy(censored), GRID)
    np.testing.assert_allclose(found.numpy(), distribution.crps(cost, censored), atol=1e-7)
    np.testing.assert_allclose(restricted_mean(torch.from_numpy(logits), GRID).numpy(), distribution.mean(), atol=1e-7)


@pytest.mark.parametrize("censored", [False, True])
@pytest.mark.parametrize("unit", sorted(GRIDS))
def test_likelihood_and_crps_at_the_ends_of_every_grid(unit, censored):
    grid = GRIDS[unit]
    cost = np.array([grid.low, grid.low + grid.width, 0.3 * grid.low + 0.7 * grid.high, grid.high])
    logits = np.random.default_rng(5).normal(-2, 2, size=(len(cost), grid.bins))
    stopped = np.full(len(cost), censored)
    given = torch.from_numpy(logits), torch.from_numpy(cost), torch.from_numpy(stopped), grid
    expected = [brute_force_nll(*case, grid) for case in zip(logits, cost, stopped, strict=True)]
    np.testing.assert_allclose(hazard_nll(*given).numpy(), expected, rtol=1e-6, atol=1e-9)
    distribution = CostDistribution.from_hazard(grid, sigmoid(logits))
    np.testing.assert_allclose(grid_crps(*given).numpy(), distribution.crps(cost, stopped), atol=1e-7)


def test_crps_against_numerical_integration():
    logits, cost, censored = cases(4, 8)
    distribution = CostDistribution.from_hazard(GRID, sigmoid(logits))
    x = np.linspace(0, 8, 80_001)
    for i in range(8):
        inside = (distribution[i].cdf_at(x) - (x >= cost[i])) ** 2
        if censored[i]:
            inside = np.where(x <= cost[i], inside, 0.0)
        expected = np.sum(0.5 * (inside[1:] + inside[:-1]) * np.diff(x))
        one = grid_crps(
            torch.from_numpy(logits[i]), torch.tensor(cost[i]), torch.tensor(bool(censored[i])), GRID
        ).item()
        assert one == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("size", [0.0, 30.0, 300.0, -300.0])
def test_finite_with_gradients_for_any_logits(size):
    logits = torch.full((4, GRID.bins), size, requires_grad=True)
    cost = torch.tensor([0.0, 3.3, 8.0, 20.0])
    for censored in (True, False):
        flags = torch.full((4,), censored)
        total = hazard_nll(logits, cost, flags, GRID).sum() + grid_crps(logits, cost, flags, GRID).sum()
        (gradient,) = torch.autograd.grad(total, logits)
        assert torch.isfinite(total) and torch.isfinite(gradient).all()


def test_log_survival():
    logits = torch.tensor([0.0, 0.0])
    torch.testing.assert_close(log_survival(logits).exp(), torch.tensor([1.0, 0.5, 0.25]))


def test_ranking_against_a_double_loop():
    rng = np.random.default_rng(0)
    n, m, scale = 12, 2, 0.3
    mean, cost = rng.normal(size=(n, m)), rng.normal(size=(n, m))
    censored, known = rng.random((n, m)) < 0.3, rng.random((n, m)) < 0.8
    family = rng.integers(0, 3, size=n)
    terms = [
        np.log1p(np.exp((mean[i, s] - mean[j, s]) / scale))
        for s in range(m)
        for i in range(n)
        for j in range(n)
        if family[i] == family[j] and cost[i, s] < cost[j, s] and not censored[i, s] and known[i, s] and known[j, s]
    ]
    found = ranking_loss(*map(torch.from_numpy, (mean, cost, censored, known, family)), scale)
    assert found.item() == pytest.approx(np.mean(terms))
    alone = ranking_loss(*map(torch.from_numpy, (mean, cost, censored, known, np.arange(n))), scale)
    assert alone.item() == 0.0


def make_batch(seed=0, n=6):
    rng = np.random.default_rng(seed)
    known = torch.from_numpy(rng.random((n, 2)) < 0.7)
    cost = torch.from_numpy(rng.uniform(0, 5, size=(n, 2))).float()
    return SimpleNamespace(
        cost={"conflicts": cost, "cpu_seconds": cost - 2},
        censored={unit: torch.from_numpy(rng.random((n, 2)) < 0.3) for unit in ("conflicts", "cpu_seconds")},
        known={"conflicts": known, "cpu_seconds": torch.zeros_like(known)},
        family=torch.zeros(n, dtype=torch.int64),
    )


def make_logits(n=6):
    torch.manual_seed(0)
    return {unit: torch.randn(n, 3, 2, GRIDS[unit].bins, requires_grad=True) for unit in ("conflicts", "cpu_seconds")}


def test_unknown_runs_weigh_nothing_even_as_nan():
    batch, logits = make_batch(), make_logits()
    config = LossConfig(ranking_weight=0.5)
    one = batch_losses(logits, batch, config)
    one.total.backward()
    before = logits["conflicts"].grad.clone()
    batch.cost["conflicts"][~batch.known["conflicts"]] = float("nan")
    logits["conflicts"].grad = None
    two = batch_losses(logits, batch, config)
    two.total.backward()
    torch.testing.assert_close(two.total, one.total)
    torch.testing.assert_close(logits["conflicts"].grad, before)
    unknown = ~batch.known["conflicts"]
    by_run = before.transpose(1, 2)
    assert not by_run[unknown].any() and by_run[~unknown].any()
    # A unit without a single known run adds no loss.
    assert int(two.count["cpu_seconds"]) == 0 and two.nll["cpu_seconds"].item() == 0.0


def test_total_is_the_mean_over_units_of_the_weighted_terms():
    batch, logits = make_batch(), make_logits()
    plain = batch_losses(logits, batch, LossConfig(crps_weight=0.0))
    both = batch_losses(logits, batch, LossConfig(crps_weight=2.0))
    ranked = batch_losses(logits, batch, LossConfig(crps_weight=0.0, ranking_weight=3.0))
    count = int(plain.count["conflicts"])
    assert plain.total.item() == pytest.approx(plain.nll["conflicts"].item() / count / 2, rel=1e-5)
    extra = both.crps["conflicts"].item() / count
    assert both.total.item() - plain.total.item() == pytest.approx(extra, rel=1e-4)
    assert ranked.total > plain.total


def test_a_single_pair_counts_whole():
    mean, cost = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [3.0]])
    no, yes, family = torch.zeros(2, 1, dtype=torch.bool), torch.ones(2, 1, dtype=torch.bool), torch.zeros(2)
    found = ranking_loss(mean, cost, no, yes, family, 0.5)
    assert float(found) == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-6)
    assert float(ranking_loss(mean, cost, yes, yes, family, 0.5)) == 0.0


@pytest.mark.parametrize("weight", [0.25, 3.0])
def test_the_ranking_of_means_counts_by_its_weight(weight):
    batch, logits = make_batch(), make_logits()
    config = LossConfig(crps_weight=0.0, ranking_weight=weight)
    plain, ranked = batch_losses(logits, batch, LossConfig(crps_weight=0.0)), batch_losses(logits, batch, config)
    expected = 0.0
    for unit in logits:
        # Each of the three passes over the graph is a solver of its own.
        mean = restricted_mean(logits[unit], GRIDS[unit]).flatten(1)
        cost, censored, known = (part[unit].repeat(1, 3) for part in (batch.cost, batch.censored, batch.known))
        expected += ranking_loss(mean, cost, censored, known, batch.family, config.ranking_scale).item() / 2
    assert expected > 0.0
    assert ranked.total.item() - plain.total.item() == pytest.approx(weight * expected, rel=1e-4)


def test_a_single_known_run_counts_whole():
    batch, logits = make_batch(), make_logits()
    logits = {unit: values[:, :1] for unit, values in logits.items()}
    batch.known["conflicts"][:] = False
    batch.known["conflicts"][2, 1] = True
    found = batch_losses(logits, batch, LossConfig(crps_weight=1.0))
    one = logits["conflicts"][2, 0, 1], batch.cost["conflicts"][2, 1], batch.censored["conflicts"][2, 1]
    grid = GRIDS["conflicts"]
    expected = (hazard_nll(*one, grid) + grid_crps(*one, grid)).item() / 2
    assert int(found.count["conflicts"]) == 1
    assert found.total.item() == pytest.approx(expected, rel=1e-5)
