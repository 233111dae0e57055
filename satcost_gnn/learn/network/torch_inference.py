"""What the networks of an ensemble make of instances, computed with torch: on a GPU, or where they were learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from satcost_gnn.config import BatchConfig
from satcost_gnn.learn.network.batching import GraphBatch, GraphSample, collate, plan_batches
from satcost_gnn.learn.network.cost_model import CostModel
from satcost_gnn.learn.network.device import NetworkOutOfMemoryError, inference, out_of_memory, torch_device


class TorchInference:
    """Runs networks on a device (``auto``, ``cpu``, ``cuda`` …), in batches of bounded size."""

    def __init__(self, models: Sequence[CostModel], device: str, bounds: BatchConfig) -> None:
        self._models, self._device, self._bounds = models, device, bounds

    def readings(self, samples: Sequence[GraphSample], paths: Sequence[str], unit: str) -> NDArray[Any]:
        """Return the distributions of each network; see :func:`satcost_gnn.learn.network.array_model.readings`."""

        def compute(batch: GraphBatch) -> torch.Tensor:
            each = []
            for model in self._models:
                logits = model.heads[unit](model.embedding(batch)).double()
                each.append(1.0 - torch.sigmoid(-logits).cumprod(dim=-1).mean(dim=1))
            cdf = torch.stack(each, dim=1)
            return torch.cat([torch.zeros_like(cdf[..., :1]), cdf], dim=-1)

        return self._apply(compute, samples, paths)

    def _apply(
        self, compute: Callable[[GraphBatch], torch.Tensor], samples: Sequence[GraphSample], paths: Sequence[str]
    ) -> NDArray[Any]:
        """Return what is computed for each sample; NetworkOutOfMemoryError if one is too much even alone."""
        device = torch_device(self._device)
        for model in self._models:
            model.to(device).eval()
        edges = [sample.graph.n_edges for sample in samples]
        waiting = plan_batches(edges, max_edges=self._bounds.edges, max_graphs=8 * self._bounds.graphs)
        rows: list[Any] = [None] * len(samples)
        while waiting:
            positions = waiting.pop()
            try:
                with inference():
                    found = compute(collate([samples[i] for i in positions]).to(device)).cpu().numpy()
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if len(positions) == 1:
                    raise NetworkOutOfMemoryError(
                        f"{paths[positions[0]]}: out of memory in the network ({error})"
                    ) from error
                waiting += np.array_split(positions, 2)
                continue
            for position, row in zip(positions.tolist(), found, strict=True):
                rows[position] = row
        return np.stack(rows)
