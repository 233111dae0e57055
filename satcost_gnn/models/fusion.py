"""Fusion of what the graph, the static features and the early search say into one vector."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from torch import Tensor, nn

from satcost_gnn.config import ModelConfig

# Quantiles of the training data that a feature is described by.
_KNOTS = 41
_LIMIT = 4.0


class QuantileNormaliser(nn.Module):
    """Maps raw features to normal scores by the training data's quantiles, which are part of the weights.

    Whatever the scale or skewness of a feature, its score is the standard normal quantile at its rank among the
    training values, interpolated between stored quantiles. Outside the training range it goes on at the slope of the
    whole range and is clipped to +-4, so that an instance unlike any other cannot drive the network out of its range.
    A missing value has score 0, and an indicator if values of that feature were missing in training; a feature that
    was constant in training has score 0.

    Parameters
    ----------
    features
        Number of features.
    """

    knots: Tensor
    scores: Tensor
    varies: Tensor
    indicated: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        levels = (np.arange(_KNOTS) + 0.5) / _KNOTS
        self.register_buffer("knots", torch.zeros(features, _KNOTS))
        self.register_buffer("scores", torch.from_numpy(ndtri(levels).astype(np.float32)), persistent=False)
        self.register_buffer("varies", torch.zeros(features, dtype=torch.bool))
        self.register_buffer("indicated", torch.zeros(features, dtype=torch.bool))
        self.channels = 2 * features

    def set_statistics(self, values: ArrayLike) -> None:
        """Learn from training values.

        Parameters
        ----------
        values
            ``[n, features]``, NaN where missing. Rows with nothing at all are left out: a vector that is missing as
            a whole is not a matter of single features.
        """
        table: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
        table = table[~np.isnan(table).all(axis=1)] if table.shape[1] else table
        levels = (np.arange(_KNOTS) + 0.5) / _KNOTS
        for column in range(table.shape[1]):
            present = table[~np.isnan(table[:, column]), column]
            self.indicated[column] = 0 < len(present) < len(table)
            if len(present):
                knots = torch.from_numpy(np.quantile(present, levels).astype(np.float32))
                self.knots[column] = knots
                self.varies[column] = bool(knots[-1] > knots[0])

    def forward(self, values: Tensor) -> Tensor:
        """Return scores and indicators.

        Parameters
        ----------
        values
            ``float32[B, features]``, NaN where missing.

        Returns
        -------
        Tensor
            ``float32[B, 2 * features]``: scores, then indicators; finite.
        """
        missing = values.isnan()
        columns = torch.where(missing, self.knots[:, :1].T, values).T.contiguous()
        left = torch.searchsorted(self.knots, columns, right=False)
        right = torch.searchsorted(self.knots, columns, right=True)
        last = _KNOTS - 1
        lower = (left - 1).clamp(0, last)
        upper = left.clamp(0, last)
        below, above = self.knots.gather(1, lower), self.knots.gather(1, upper)
        gap = above - below
        share = torch.where(gap > 0, (columns - below) / gap.where(gap > 0, torch.ones_like(gap)), 0.0)
        between = self.scores[lower] + share * (self.scores[upper] - self.scores[lower])
        # A value that is itself a knot, perhaps many times over, has the mean score of these knots.
        running = torch.cat([self.scores.new_zeros(1), self.scores.cumsum(0)])
        count = right - left
        tied = (running[right] - running[left]) / count.clamp(min=1)
        first, final = self.knots[:, :1], self.knots[:, -1:]
        slope = (self.scores[-1] - self.scores[0]) / (final - first).clamp(min=1e-12)
        beyond = torch.where(
            columns > final,
            self.scores[-1] + (columns - final) * slope,
            self.scores[0] + (columns - first) * slope,
        )
        score = torch.where(count > 0, tied, between)
        score = torch.where((columns > final) | (columns < first), beyond, score).clamp(-_LIMIT, _LIMIT)
        score = torch.where(missing | ~self.varies, torch.zeros_like(values), score.T)
        return torch.cat([score, (missing & self.indicated).to(score.dtype)], dim=1)


class _Branch(nn.Module):
    """One branch: its vector, or a learnt stand-in where the branch is missing."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width), nn.LayerNorm(width)
        )
        self.stand_in = nn.Parameter(torch.zeros(width))

    def forward(self, values: Tensor, missing: Tensor) -> Tensor:
        return torch.where(missing[:, None], self.stand_in, self.layers(values).float())


class Fusion(nn.Module):
    """Late fusion: a vector for each branch, side by side, and two layers over them.

    In training each branch is at times missing for an instance, at random but never all of them, so that the network
    can do without any of them: without the early search when the probe failed, and without leaning on one branch
    alone when the others know more.

    Parameters
    ----------
    config
        ``branches``, ``fused_width``, ``film``, ``dropout`` and ``branch_dropout`` are used.
    channels
        Branch -> size of its input vector.
    """

    def __init__(self, config: ModelConfig, channels: Mapping[str, int]) -> None:
        super().__init__()
        width = config.fused_width
        self.names: tuple[str, ...] = config.branches
        self.branch_dropout = config.branch_dropout
        self.branches = nn.ModuleDict({name: _Branch(channels[name], width, config.dropout) for name in self.names})
        self.film = nn.Linear(width, 2 * width) if config.film and {"graph", "online"} <= set(self.names) else None
        if self.film is not None:
            # It starts as the identity.
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)
        self.mix = nn.Sequential(
            nn.Linear(len(self.names) * width, width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(width, width)
        )
        self.shortcut = nn.Linear(len(self.names) * width, width)
        self.norm = nn.LayerNorm(width)
        self.channels = width

    def forward(self, vectors: Mapping[str, Tensor], missing: Mapping[str, Tensor]) -> Tensor:
        """Fuse the branches.

        Parameters
        ----------
        vectors
            Branch -> ``[B, channels]``.
        missing
            Branch -> ``bool[B]``: the branch says nothing about this instance.

        Returns
        -------
        Tensor
            ``float32[B, fused_width]``.
        """
        absent = torch.stack([missing[name] for name in self.names])
        if self.training and self.branch_dropout > 0:
            dropped = absent | (torch.rand(absent.shape, device=absent.device) < self.branch_dropout)
            absent = torch.where(dropped.all(dim=0), absent, dropped)
        parts = {name: self.branches[name](vectors[name], gone) for name, gone in zip(self.names, absent, strict=True)}
        if self.film is not None:
            scale, shift = self.film(parts["online"]).chunk(2, dim=1)
            parts["graph"] = parts["graph"] * (1 + torch.tanh(scale)) + shift
        joined = torch.cat([parts[name] for name in self.names], dim=1)
        fused: Tensor = self.norm(self.shortcut(joined) + self.mix(joined))
        return fused.float()
