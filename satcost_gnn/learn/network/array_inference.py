"""What the networks of an ensemble make of instances, computed with numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.learn.network.array_model import ArrayModel, Floats
from satcost_gnn.learn.network.batching import GraphSample
from satcost_gnn.learn.network.device import NetworkOutOfMemoryError

# Instances whose fused vectors are held at a time.
_AT_ONCE = 64


def _graph_vectors(model: ArrayModel, samples: Sequence[GraphSample], paths: Sequence[str]) -> Floats | None:
    """Return what a network reads off the graphs, ``float32[B, .]``; a graph that several share is encoded once."""
    known: dict[int, Floats] = {}
    for sample, path in zip(samples, paths, strict=True):
        if id(sample.graph) in known:
            continue
        try:
            found = model.graph_vector(sample.graph)
        except MemoryError as error:
            raise NetworkOutOfMemoryError(f"{path}: out of memory in the network ({error})") from error
        if found is None:
            return None
        known[id(sample.graph)] = found
    return np.stack([known[id(sample.graph)] for sample in samples])


def _fused(
    model: ArrayModel,
    samples: Sequence[GraphSample],
    without_graph: NDArray[np.bool_],
    paths: Sequence[str],
    early: bool,
) -> Iterator[Floats]:
    """Yield the fused vectors of all that there is and, if wanted, of the early search alone."""
    graph = _graph_vectors(model, samples, paths)
    static = np.stack([sample.static for sample in samples])
    online = np.stack([sample.online for sample in samples])
    yield model.fused(graph, without_graph, static, online)
    if early:
        yield model.fused(graph, np.ones_like(without_graph), np.full_like(static, np.nan), online)


def readings(
    models: Sequence[ArrayModel],
    samples: Sequence[GraphSample],
    without_graph: NDArray[np.bool_],
    paths: Sequence[str],
    unit: str,
    early: bool,
) -> NDArray[np.float64]:
    """Return the distributions of each network.

    Parameters
    ----------
    models
        The networks.
    samples
        Instances.
    without_graph
        ``bool[B]``: the graph counts as missing.
    paths
        What the instances are called in errors.
    unit
        Unit of the costs.
    early
        Whether a second reading of the early search alone is wanted.

    Returns
    -------
    float64[B, 1 or 2, n_models, n_solvers, bins + 1]

    Raises
    ------
    NetworkOutOfMemoryError
        If the memory doesn't suffice for some graph.
    """
    parts = []
    for start in range(0, len(samples), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        each = [
            [model.cdf(fused, unit) for fused in _fused(model, samples[here], without_graph[here], paths[here], early)]
            for model in models
        ]
        parts.append(np.moveaxis(np.array(each), 2, 0))
    return np.concatenate(parts).swapaxes(1, 2)


def embedding(model: ArrayModel, samples: Sequence[GraphSample], paths: Sequence[str]) -> Floats:
    """Return the fused vectors of one network, averaged over its members, ``float32[B, fused_width]``."""
    parts = []
    for start in range(0, len(samples), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        without = np.zeros(len(samples[here]), dtype=np.bool_)
        parts += [fused.mean(axis=1) for fused in _fused(model, samples[here], without, paths[here], False)]
    return np.concatenate(parts)
