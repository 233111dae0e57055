"""Losses on hazard logits, for costs of which some are only known to be larger than a bound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from satcost_gnn.config import LossConfig
from satcost_gnn.core.distribution import CostGrid, grid_for
from satcost_gnn.learn.network.batching import GraphBatch


def _positions(cost: Tensor, grid: CostGrid) -> tuple[Tensor, Tensor]:
    """Return the bin of each cost and which share of that bin lies below it; the ends take what is outside."""
    position = ((cost - grid.low) / grid.width).clamp(0.0, float(grid.bins))
    # A cost on an edge belongs to the bin below it, as everywhere in this package.
    left = (position.ceil() - 1).clamp(min=0)
    return left.long(), position - left


def log_survival(logits: Tensor) -> Tensor:
    """Return log P(cost beyond the edge) at every edge of the grid: ``[..., bins + 1]`` from ``[..., bins]``."""
    steps = functional.logsigmoid(-logits)
    return torch.cat([steps.new_zeros(*steps.shape[:-1], 1), steps.cumsum(dim=-1)], dim=-1)


def hazard_nll(logits: Tensor, cost: Tensor, censored: Tensor, grid: CostGrid) -> Tensor:
    """Return the negative log-likelihood of discrete-time hazards in nats, ``[...]``.

    With h the hazards and S the survival at the edges,

    - event in bin b: ``-log h_b - log S_b``; beyond the grid's upper end it counts as survival of the whole grid,
      below its lower end as an event in the first bin;
    - censored in bin b with a share u of the bin below the bound: ``-log S_b - log(1 - u h_b)``, which is
      1 - CDF at the bound of the distribution that is linear within bins.

    The logits are ``[..., bins]``; the costs, or bounds where ``bool[...]`` says censored, log10 and finite.
    """
    bins, share = _positions(cost, grid)
    reached = log_survival(logits).gather(-1, bins[..., None])[..., 0]
    logit = logits.gather(-1, bins[..., None])[..., 0]
    beyond = cost > grid.high
    event = functional.logsigmoid(logit)
    # log(1 - u h) through log((1 - h) + (1 - u) h): no difference of nearly equal numbers at h or u near 1.
    outlived = torch.logaddexp(
        functional.logsigmoid(-logit), functional.logsigmoid(logit) + (1.0 - share).clamp(min=1e-12).log()
    )
    return -(reached + torch.where(censored | beyond, outlived, event))


def grid_crps(logits: Tensor, cost: Tensor, censored: Tensor, grid: CostGrid) -> Tensor:
    """Return the continuous ranked probability score in decades, exact for a distribution that is linear within bins.

    The same score as :meth:`satcost_gnn.core.distribution.CostDistribution.crps`, with a gradient: the integral over
    the grid of (F(x) - 1[cost <= x])^2, for a censored run up to its bound only. Arguments as for :func:`hazard_nll`.
    """
    cdf = -torch.expm1(log_survival(logits))
    left, right = cdf[..., :-1], cdf[..., 1:]
    # Share of each bin that lies below the cost.
    edges = torch.arange(grid.bins, device=cost.device, dtype=logits.dtype)
    position = ((cost - grid.low) / grid.width).clamp(0.0, float(grid.bins))[..., None]
    share = (position - edges).clamp(0.0, 1.0)
    middle = left + share * (right - left)
    below = share * (left**2 + left * middle + middle**2)
    not_left, not_right = 1.0 - middle, 1.0 - right
    above = (1.0 - share) * (not_left**2 + not_left * not_right + not_right**2)
    total = below + torch.where(censored[..., None], torch.zeros_like(above), above)
    return total.sum(dim=-1) * (grid.width / 3.0)


def restricted_mean(logits: Tensor, grid: CostGrid) -> Tensor:
    """Return the mean of log10 cost, ``[...]``, with what lies beyond the grid counted at its end."""
    survival = log_survival(logits).exp()
    return grid.low + grid.width * (survival.sum(dim=-1) - 0.5 * (survival[..., 0] + survival[..., -1]))


def ranking_loss(mean: Tensor, cost: Tensor, censored: Tensor, known: Tensor, family: Tensor, scale: float) -> Tensor:
    """Return the mean logistic loss of the order of pairs of instances of a family (``int64[B]``), 0 without any.

    A pair counts if its order is known: the first run ended, at a cost below the second's cost or bound. ``mean`` is
    the predicted one of log10 cost; it and the labels are ``[B, n_solvers]``, the scale is in decades.
    """
    same = (family[:, None] == family[None, :])[..., None]
    ordered = same & (cost[:, None] < cost[None, :]) & ~censored[:, None] & known[:, None] & known[None, :]
    loss = functional.softplus((mean[:, None] - mean[None, :]) / scale)
    return torch.where(ordered, loss, torch.zeros_like(loss)).sum() / ordered.sum().clamp(min=1)


@dataclass(frozen=True)
class Losses:
    """Sums of scores over the known runs of a batch and the members, and what is minimised.

    ``total`` is a scalar with a gradient; the sums and the number of known runs, times that of members, are by unit.
    """

    total: Tensor
    nll: dict[str, Tensor]
    crps: dict[str, Tensor]
    count: dict[str, Tensor]


def batch_losses(logits: dict[str, Tensor], batch: GraphBatch, config: LossConfig) -> Losses:
    """Score predictions against a batch's labels; runs that are not known weigh nothing.

    The logits are unit -> ``[B, members, n_solvers, bins]``: every member of the ensemble is judged by itself, which
    keeps them different. ``total`` is the mean over units of ``nll + crps_weight * crps + ranking_weight * ranking``.
    """
    total = next(iter(logits.values())).new_zeros(())
    nll: dict[str, Tensor] = {}
    crps: dict[str, Tensor] = {}
    count: dict[str, Tensor] = {}
    for unit, values in logits.items():
        grid = grid_for(unit)
        known = batch.known[unit][:, None].expand(values.shape[:-1])
        # What stands where nothing is known must not reach a logarithm: not even its gradient would be masked.
        cost = torch.where(known, batch.cost[unit][:, None], torch.full_like(known, grid.low, dtype=torch.float32))
        censored = batch.censored[unit][:, None].expand(known.shape)
        zero = torch.zeros_like(cost)
        nll[unit] = torch.where(known, hazard_nll(values, cost, censored, grid), zero).sum()
        crps[unit] = torch.where(known, grid_crps(values, cost, censored, grid), zero).sum()
        count[unit] = known.sum()
        number = count[unit].clamp(min=1)
        term = nll[unit] / number + config.crps_weight * crps[unit] / number
        if config.ranking_weight > 0:
            mean, at, stopped, there = (
                one.flatten(1) for one in (restricted_mean(values, grid), cost, censored, known)
            )
            term = term + config.ranking_weight * ranking_loss(
                mean, at, stopped, there, batch.family, config.ranking_scale
            )
        total = total + term / len(logits)
    return Losses(total, nll, crps, count)
