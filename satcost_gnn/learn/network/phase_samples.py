"""Labelled formulas for the network that predicts phases: graphs, what models say of the variables, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.compact_graph import VARIABLE_INPUTS, CompactGraph
from satcost_gnn.learn.network.batching import GraphBatch, GraphSample, collate
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.runtime.stored_files import read_arrays

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Columns of a variable node that come from an early search; 0 without one.
PROBE_COLUMNS = slice(VARIABLE_INPUTS.index("observed"), len(VARIABLE_INPUTS))

_NOTHING = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class PhaseSample:
    """One satisfiable formula.

    Parameters
    ----------
    graph
        Its whole graph.
    variables
        ``int32[n]``: number of each variable node.
    true_share
        ``float32[n]``: share of models in which each is true; 0 or 1 for the backbone.
    backbone
        ``int8[n]``: 1 or -1 for a variable proved to have this sign in all models, else 0.
    n_models
        Models that the shares are of.
    probe_result
        ``SAT`` if the early search on the graph's nodes had solved the formula, else empty.
    """

    graph: CompactGraph
    variables: NDArray[np.int32]
    true_share: NDArray[np.float32]
    backbone: NDArray[np.int8]
    n_models: int
    probe_result: str

    def write(self, path: Path) -> None:
        """Write the sample as ``.npz``."""
        arrays: dict[str, Any] = {f"graph.{name}": array for name, array in self.graph.to_arrays().items()}
        for name in ("variables", "true_share", "backbone"):
            arrays[name] = getattr(self, name)
        arrays["n_models"] = np.array(self.n_models)
        arrays["probe_result"] = np.array(self.probe_result)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` has written.

        DamagedFileError if the file can't be read, ValueError if another version of the graph's module made it.
        """
        arrays = read_arrays(path)
        graph = {name.removeprefix("graph."): array for name, array in arrays.items() if name.startswith("graph.")}
        return cls(
            CompactGraph.from_arrays(graph),
            arrays["variables"],
            arrays["true_share"],
            arrays["backbone"],
            n_models=int(arrays["n_models"]),
            probe_result=str(arrays["probe_result"]),
        )

    def without_probe(self) -> PhaseSample:
        """Return the sample as it is when no early search was made."""
        return replace(self, graph=without_probe(self.graph), probe_result="")


def without_probe(graph: CompactGraph) -> CompactGraph:
    """Return the graph as it is when no early search was made."""
    inputs = graph.variable_inputs.copy()
    inputs[:, PROBE_COLUMNS] = 0
    return replace(graph, variable_inputs=inputs)


@dataclass(eq=False)
class PhaseBatch:
    """Several labelled formulas side by side.

    Share of models and weight are ``float32[n_variables]``; weights sum to 1 over each formula, so that every formula
    counts the same.
    """

    graphs: GraphBatch
    true_share: Tensor
    weight: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PhaseBatch:
        """Return the batch on a device."""
        return PhaseBatch(
            self.graphs.to(device, non_blocking=non_blocking),
            self.true_share.to(device, non_blocking=non_blocking),
            self.weight.to(device, non_blocking=non_blocking),
        )


def collate_graphs(graphs: Sequence[CompactGraph]) -> GraphBatch:
    """Put graphs side by side, without features or labels."""
    return collate([GraphSample(graph, _NOTHING, _NOTHING) for graph in graphs])


def collate_phases(samples: Sequence[PhaseSample]) -> PhaseBatch:
    """Put samples side by side."""
    import torch

    counts = np.array([sample.graph.n_variables for sample in samples])
    return PhaseBatch(
        collate_graphs([sample.graph for sample in samples]),
        torch.from_numpy(np.concatenate([sample.true_share for sample in samples])),
        torch.from_numpy(np.repeat(1.0 / np.maximum(counts, 1), counts).astype(np.float32)),
    )
