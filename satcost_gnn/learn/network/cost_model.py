"""The network: predictor of fusion of encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from satcost_gnn.config import ModelConfig
from satcost_gnn.core.distribution import CostDistribution, CostGrid, grid_for
from satcost_gnn.formula.compact_graph import GRAPH_INPUTS, PROBE_GRAPH_INPUTS
from satcost_gnn.learn.network.batching import GraphBatch, GraphSample
from satcost_gnn.learn.network.definition import (
    LOGIT_LIMIT,
    LOGIT_SLOPE,
    SMALLEST_HAZARD,
    ModelShape,
    hazard_basis,
)
from satcost_gnn.learn.network.encoder import GraphEncoder
from satcost_gnn.learn.network.fusion import Fusion, QuantileNormaliser


def hazard_logits(distribution: CostDistribution) -> NDArray[np.float32]:
    """Return the logits of a distribution's hazards on its grid, kept away from certainty: ``float32[..., bins]``.

    Each is the logit of P(ends in bin | reached it), that of 1/2 where the bin cannot be reached. Mass below the grid
    counts as an end in the first bin.
    """
    cdf = distribution.cdf.copy()
    cdf[..., 0] = 0.0
    survival = 1.0 - cdf[..., :-1]
    reached = survival > 1e-9
    hazard = np.divide(np.diff(cdf, axis=-1), survival, out=np.full(survival.shape, 0.5), where=reached)
    hazard = np.clip(hazard, SMALLEST_HAZARD, 1 - SMALLEST_HAZARD)
    return np.asarray(np.log(hazard) - np.log1p(-hazard), dtype=np.float32)


class HazardHead(nn.Module):
    """Discrete-time hazards for several solvers on one grid.

    ``logit h[s, b] = bias[s, b] + sum over k of c[s, k] phi_k(b)`` for solver ``s`` and bin ``b``: the bias starts at
    the training set's own hazard, the coefficients ``c`` are linear in the fused vector of ``channels``, with weights
    of its own for each member of the ensemble, and start at zero, and the ``basis`` functions ``phi`` are bumps over
    the grid, so that neighbouring bins, few of which ever hold many instances, move together.
    """

    basis: Tensor

    def __init__(self, channels: int, members: int, solvers: int, grid: CostGrid, basis: int) -> None:
        super().__init__()
        self.solvers = solvers
        self.bias = nn.Parameter(torch.zeros(solvers, grid.bins))
        self.coefficients = nn.Parameter(torch.zeros(members, channels, solvers * basis))
        self.member_bias = nn.Parameter(torch.zeros(members, solvers * basis))
        self.register_buffer("basis", torch.from_numpy(hazard_basis(grid.bins, basis)), persistent=False)

    def forward(self, fused: Tensor) -> Tensor:
        """Return the logits ``float32[B, members, solvers, bins]``, bounded so that hazards stay off 0 and 1."""
        with torch.autocast(device_type=fused.device.type, enabled=False):
            read = torch.einsum("bmc,mco->bmo", fused.float(), self.coefficients) + self.member_bias
        logits = self.bias + read.view(*read.shape[:2], self.solvers, -1) @ self.basis
        # The slope outside the bound keeps a gradient where a plain clamp would have none.
        inside = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        bounded: Tensor = inside + LOGIT_SLOPE * (logits - inside)
        return bounded


class CostModel(nn.Module):
    """Distribution of the cost of each solver on each instance, in each unit.

    ``CostModel = HazardHead of Fusion of (GraphEncoder of the clause-variable graph with the probe's counts on its
    nodes, normalised static features, normalised features of the early search)``

    The instances it is for were not solved by the probe: all its probabilities are conditional on that. All
    normalisation is part of the weights, so that a saved model takes raw inputs.
    """

    of_probe: Tensor

    def __init__(self, config: ModelConfig, shape: ModelShape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        channels: dict[str, int] = {}
        if "graph" in config.modalities:
            self.encoder = GraphEncoder(config)
            self.graph_inputs = QuantileNormaliser(len(GRAPH_INPUTS))
            of_probe = torch.tensor([name in PROBE_GRAPH_INPUTS for name in GRAPH_INPUTS])
            self.register_buffer("of_probe", of_probe, persistent=False)
            channels["graph"] = self.encoder.channels + self.graph_inputs.channels
        if "static" in config.modalities:
            self.static = QuantileNormaliser(shape.static)
            channels["static"] = self.static.channels
        if "online" in config.modalities:
            self.online = QuantileNormaliser(shape.online)
            channels["online"] = self.online.channels
        self.fusion = Fusion(config, channels)
        self.heads = nn.ModuleDict(
            {
                unit: HazardHead(
                    self.fusion.channels, self.fusion.members, len(names), grid_for(unit), config.hazard_basis
                )
                for unit, names in shape.solvers.items()
            }
        )

    @classmethod
    def from_arrays(cls, config: ModelConfig, shape: ModelShape, weights: Mapping[str, NDArray[Any]]) -> Self:
        """Return the network of given weights, for predictions."""
        model = cls(config, shape)
        model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        return model.eval()

    def graph_vectors(self, batch: GraphBatch) -> Tensor | None:
        """Return what the graphs say, before fusion, ``float32[B, .]``; None for a network without that modality."""
        if "graph" not in self.config.modalities:
            return None
        encoded = self.encoder(batch) if batch.encoded is None else batch.encoded
        inputs = batch.graph_inputs
        if not self.config.probe_node_features:
            inputs = torch.where(self.of_probe, torch.nan, inputs)
        return torch.cat([encoded, self.graph_inputs(inputs)], dim=1)

    def fuse(self, graph: Tensor | None, without_graph: Tensor, static: Tensor, online: Tensor) -> Tensor:
        """Return the fused vectors ``float32[B, fused_members, fused_width]``.

        The graph, what :meth:`graph_vectors` returned, counts as missing where ``bool[B]`` says so; raw features are
        ``float32[B, .]``, NaN where missing.
        """
        vectors: dict[str, Tensor] = {}
        missing: dict[str, Tensor] = {}
        if graph is not None:
            vectors["graph"], missing["graph"] = graph, without_graph
        for name, raw in (("static", static), ("online", online)):
            if name in self.config.modalities:
                vectors[name] = getattr(self, name)(raw)
                missing[name] = raw.isnan().all(dim=1)
        fused: Tensor = self.fusion(vectors, missing)
        return fused

    def embedding(self, batch: GraphBatch) -> Tensor:
        """Return the fused vectors ``float32[B, fused_members, fused_width]``."""
        there = torch.zeros(len(batch), dtype=torch.bool, device=batch.family.device)
        return self.fuse(self.graph_vectors(batch), there, batch.static, batch.online)

    def forward(self, batch: GraphBatch, units: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the hazards' logits, unit -> ``float32[B, fused_members, n_solvers, bins]``, in some units or all."""
        fused = self.embedding(batch)
        wanted = self.shape.solvers if units is None else units
        return {unit: self.heads[unit](fused) for unit in wanted}

    def set_statistics(self, samples: Iterable[GraphSample], marginal: Mapping[str, NDArray[np.float32]]) -> None:
        """Learn all normalisation, and the biases of the heads, from the training set.

        ``marginal`` is unit -> ``float32[n_solvers, bins]``: logits of the training set's own hazards.
        """
        known = list(samples)
        with torch.no_grad():
            if "graph" in self.config.modalities:
                for part, standardiser in (
                    ("variable_inputs", self.encoder.variable_inputs),
                    ("clause_inputs", self.encoder.clause_inputs),
                ):
                    # Every graph counts the same, however many nodes it has.
                    tables = [np.asarray(getattr(s.graph, part), dtype=np.float64) for s in known]
                    tables = [table for table in tables if len(table)]
                    if not tables:
                        continue
                    first = np.stack([table.mean(axis=0) for table in tables])
                    second = np.stack([(table**2).mean(axis=0) for table in tables])
                    mean = first.mean(axis=0)
                    deviation = np.sqrt(np.maximum(second.mean(axis=0) - mean**2, 0.0))
                    standardiser.set_statistics(torch.from_numpy(mean).float(), torch.from_numpy(deviation).float())
                self.graph_inputs.set_statistics(np.stack([s.graph.graph_inputs for s in known]))
            if "static" in self.config.modalities:
                self.static.set_statistics(np.stack([s.static for s in known]))
            if "online" in self.config.modalities:
                self.online.set_statistics(np.stack([s.online for s in known]))
            for unit, head in self.heads.items():
                assert isinstance(head, HazardHead)
                head.bias.copy_(torch.from_numpy(marginal[unit]))
