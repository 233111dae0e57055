"""What the networks of an ensemble make of instances, computed with numpy."""

from __future__ import annotations

from collections.abc import Sequence

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
    model: ArrayModel, samples: Sequence[GraphSample], without_graph: NDArray[np.bool_], paths: Sequence[str]
) -> Floats:
    graph = _graph_vectors(model, samples, paths)
    static = np.stack([sample.static for sample in samples])
    online = np.stack([sample.online for sample in samples])
    return model.fused(graph, without_graph, static, online)


def readings(
    models: Sequence[ArrayModel],
    samples: Sequence[GraphSample],
    without_graph: NDArray[np.bool_],
    paths: Sequence[str],
    unit: str,
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

    Returns
    -------
    float64[B, n_models, n_solvers, bins + 1]

    Raises
    ------
    NetworkOutOfMemoryError
        If the memory doesn't suffice for some graph.
    """
    parts = []
    for start in range(0, len(samples), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        each = [model.cdf(_fused(model, samples[here], without_graph[here], paths[here]), unit) for model in models]
        parts.append(np.stack(each, axis=1))
    return np.concatenate(parts)


def online_readings(models: Sequence[ArrayModel], static: Floats, online: Floats, unit: str) -> NDArray[np.float64]:
    """Return the distributions of each network where the graph is missing; no graph is encoded for it.

    Parameters
    ----------
    models, unit
        See :func:`readings`.
    static, online
        ``float32[B, .]``: raw features, NaN where missing.
    """
    without = np.ones(len(online), dtype=np.bool_)
    found = []
    for model in models:
        graph = np.zeros((len(online), model.graph_channels), dtype=np.float32)
        found.append(model.cdf(model.fused(graph, without, static, online), unit))
    return np.stack(found, axis=1)


def embedding(model: ArrayModel, samples: Sequence[GraphSample], paths: Sequence[str]) -> Floats:
    """Return the fused vectors of one network, averaged over its members, ``float32[B, fused_width]``."""
    parts = []
    for start in range(0, len(samples), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        without = np.zeros(len(samples[here]), dtype=np.bool_)
        parts.append(_fused(model, samples[here], without, paths[here]).mean(axis=1))
    return np.concatenate(parts)
