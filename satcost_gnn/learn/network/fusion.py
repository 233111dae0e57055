"""Fusion of what the graph, the static features and the early search say into one vector."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from satcost_gnn.config import ModelConfig
from satcost_gnn.learn.network.definition import FEATURE_LIMIT, KNOTS, normal_scores


class QuantileNormaliser(nn.Module):
    """Maps raw features to normal scores by the training data's quantiles, which are part of the weights.

    Whatever the scale or skewness of a feature, its score is the standard normal quantile at its rank among the
    training values, interpolated between stored quantiles. Outside the training range it goes on at the slope of the
    whole range and is clipped to +-4, so that an instance unlike any other cannot drive the network out of its range.
    A missing value has score 0, and an indicator if values of that feature were missing in training; a feature that
    was constant in training has score 0.
    """

    knots: Tensor
    scores: Tensor
    varies: Tensor
    indicated: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("knots", torch.zeros(features, KNOTS))
        self.register_buffer("scores", torch.from_numpy(normal_scores()), persistent=False)
        self.register_buffer("varies", torch.zeros(features, dtype=torch.bool))
        self.register_buffer("indicated", torch.zeros(features, dtype=torch.bool))
        self.channels = 2 * features

    def set_statistics(self, values: ArrayLike) -> None:
        """Learn from training values ``[n, features]``, NaN where missing.

        Rows with nothing at all are left out: a vector that is missing as a whole is not a matter of single features.
        """
        table: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
        table = table[~np.isnan(table).all(axis=1)] if table.shape[1] else table
        levels = (np.arange(KNOTS) + 0.5) / KNOTS
        for column in range(table.shape[1]):
            present = table[~np.isnan(table[:, column]), column]
            self.indicated[column] = 0 < len(present) < len(table)
            if len(present):
                knots = torch.from_numpy(np.quantile(present, levels).astype(np.float32))
                self.knots[column] = knots
                self.varies[column] = bool(knots[-1] > knots[0])

    def forward(self, values: Tensor) -> Tensor:
        """Return scores, then indicators, ``float32[B, 2 * features]``, finite, of values ``float32[B, features]``.

        NaN marks a missing value.
        """
        missing = values.isnan()
        columns = torch.where(missing, self.knots[:, :1].T, values).T.contiguous()
        left = torch.searchsorted(self.knots, columns, right=False)
        right = torch.searchsorted(self.knots, columns, right=True)
        last = KNOTS - 1
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
        score = torch.where((columns > final) | (columns < first), beyond, score).clamp(-FEATURE_LIMIT, FEATURE_LIMIT)
        score = torch.where(missing | ~self.varies, torch.zeros_like(values), score.T)
        return torch.cat([score, (missing & self.indicated).to(score.dtype)], dim=1)


class Fusion(nn.Module):
    """Late fusion: the modalities side by side, read by an ensemble that shares its layers.

    Each member scales the joined vector in its own way, by factors that start as random signs, and has its own output
    (:class:`~satcost_gnn.learn.network.cost_model.HazardHead`); the layers between are the same for all. That is
    TabM-mini (Gorishniy, Kotelnikov and Babenko, "TabM: Advancing Tabular Deep Learning with Parameter-Efficient
    Ensembling", ICLR 2025): the accuracy of an ensemble at about the cost of one network.

    In training each modality is at times missing for an instance, at random but never all of them, so that the network
    can do without any of them: without the early search when the probe failed, and with nothing but the early search on
    formulas that are unlike those of the training data. A missing modality is zeros, and each modality says by one more
    input whether it is there. ``channels`` are modality -> size of its input vector.
    """

    def __init__(self, config: ModelConfig, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.names: tuple[str, ...] = config.modalities
        self.modality_dropout, self.online_only_dropout = config.modality_dropout, config.online_only_dropout
        self.structure_only_dropout = config.structure_only_dropout
        widths = {name: channels[name] for name in self.names}
        if "graph" in widths:
            # What an encoder says in hundreds of channels drowns the features if it is not narrowed.
            self.narrow = nn.Sequential(
                nn.Linear(widths["graph"], config.graph_width), nn.LayerNorm(config.graph_width)
            )
            widths["graph"] = config.graph_width
        inputs = sum(widths.values()) + len(self.names)
        self.members, self.channels = config.fused_members, config.fused_width
        signs = torch.randint(0, 2, (self.members, inputs)) * 2.0 - 1.0
        self.scales = nn.Parameter(signs if self.members > 1 else torch.ones(1, inputs))
        self.layers = nn.Sequential(
            nn.Linear(inputs, self.channels),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(self.channels, self.channels),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )

    def forward(self, vectors: Mapping[str, Tensor], missing: Mapping[str, Tensor]) -> Tensor:
        """Fuse the modalities into ``float32[B, fused_members, fused_width]``.

        Both arguments are by modality: ``[B, channels]``, and ``bool[B]``, whether it says nothing about an instance.
        """
        absent = self._absent(torch.stack([missing[name] for name in self.names]))
        parts = []
        for name, gone in zip(self.names, absent, strict=True):
            vector = self.narrow(vectors[name]) if name == "graph" else vectors[name]
            there = ~gone[:, None]
            parts += [torch.where(there, vector.float(), torch.zeros_like(vector, dtype=torch.float32)), there.float()]
        joined = torch.cat(parts, dim=1)
        fused: Tensor = self.layers(joined[:, None, :] * self.scales)
        return fused.float()

    def _absent(self, absent: Tensor) -> Tensor:
        """Return which modalities are missing, ``bool[modalities, B]``: in training some more than there are."""
        if not self.training:
            return absent
        if self.modality_dropout > 0:
            dropped = absent | (torch.rand(absent.shape, device=absent.device) < self.modality_dropout)
            absent = torch.where(dropped.all(dim=0), absent, dropped)
        if self.online_only_dropout > 0 and "online" in self.names:
            others = torch.tensor([name != "online" for name in self.names], device=absent.device)[:, None]
            alone = torch.rand(absent.shape[1], device=absent.device) < self.online_only_dropout
            # Only where the early search is there to be read.
            alone = alone & ~absent[self.names.index("online")]
            absent = absent | (others & alone)
        if self.structure_only_dropout > 0 and "online" in self.names and len(self.names) > 1:
            search = torch.tensor([name == "online" for name in self.names], device=absent.device)[:, None]
            alone = torch.rand(absent.shape[1], device=absent.device) < self.structure_only_dropout
            # Only where there is something of the structure to be read.
            alone = alone & ~(absent | search).all(dim=0)
            absent = absent | (search & alone)
        return absent
