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
from satcost_gnn.learn.network.device import NetworkOutOfMemoryError, out_of_memory, torch_device
from satcost_gnn.learn.network.inference import inference


class TorchInference:
    """Runs networks on a device, in batches of bounded size.

    Parameters
    ----------
    models
        The networks.
    device
        ``auto``, ``cpu``, ``cuda`` …
    bounds
        Size of a batch.
    """

    def __init__(self, models: Sequence[CostModel], device: str, bounds: BatchConfig) -> None:
        self._models, self._device, self._bounds = models, device, bounds

    def readings(self, samples: Sequence[GraphSample], paths: Sequence[str], unit: str) -> NDArray[Any]:
        """Return the distributions of each network; see :func:`satcost_gnn.learn.network.array_inference.readings`."""

        def compute(batch: GraphBatch) -> torch.Tensor:
            here = torch.zeros(len(batch), dtype=torch.bool, device=batch.static.device)
            graphs = [model.graph_vectors(batch) for model in self._models]
            return self._read(graphs, here, batch.static, batch.online, unit)

        return self._apply(compute, samples, paths)

    def variant_readings(
        self, samples: Sequence[GraphSample], without_graph: NDArray[np.bool_], unit: str
    ) -> NDArray[Any]:
        """Return the same for samples of one graph, which is encoded once, on the processor."""
        static = torch.from_numpy(np.stack([sample.static for sample in samples]))
        online = torch.from_numpy(np.stack([sample.online for sample in samples]))
        with inference():
            batch = collate(samples[:1])
            graphs = []
            for model in self._models:
                graph = model.to("cpu").eval().graph_vectors(batch)
                graphs.append(None if graph is None else graph.expand(len(samples), -1))
            found = self._read(graphs, torch.from_numpy(without_graph), static, online, unit)
            return np.asarray(found.numpy())

    def embedding(self, samples: Sequence[GraphSample], paths: Sequence[str]) -> NDArray[np.float32]:
        """Return the fused vectors of the first network, averaged over its members, ``float32[B, fused_width]``."""
        found = self._apply(lambda batch: self._models[0].embedding(batch).mean(dim=1), samples, paths)
        return found.astype(np.float32)

    def _read(
        self,
        graphs: Sequence[torch.Tensor | None],
        without_graph: torch.Tensor,
        static: torch.Tensor,
        online: torch.Tensor,
        unit: str,
    ) -> torch.Tensor:
        each = []
        for model, graph in zip(self._models, graphs, strict=True):
            logits = model.heads[unit](model.fuse(graph, without_graph, static, online)).double()
            each.append(1.0 - torch.sigmoid(-logits).cumprod(dim=-1).mean(dim=1))
        cdf = torch.stack(each, dim=1)
        return torch.cat([torch.zeros_like(cdf[..., :1]), cdf], dim=-1)

    def online_readings(self, static: NDArray[np.float32], online: NDArray[np.float32], unit: str) -> NDArray[Any]:
        """Return the distributions where the graph is missing, on the processor; no graph is encoded for it."""
        missing = torch.ones(len(online), dtype=torch.bool)
        with inference():
            graphs = [torch.zeros(len(online), model.to("cpu").eval().graph_channels) for model in self._models]
            found = self._read(graphs, missing, torch.from_numpy(static), torch.from_numpy(online), unit)
            return np.asarray(found.numpy())

    def _apply(
        self, compute: Callable[[GraphBatch], torch.Tensor], samples: Sequence[GraphSample], paths: Sequence[str]
    ) -> NDArray[Any]:
        """Return what is computed for each sample.

        Raises
        ------
        NetworkOutOfMemoryError
            If the memory doesn't suffice for some sample even alone.
        """
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
