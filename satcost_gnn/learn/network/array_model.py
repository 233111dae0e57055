"""The network computed with numpy alone: the same weights, the same distributions, and no torch to wait for.

Importing torch takes longer, and more memory, than all else that a prediction of one file needs, and on one core it
computes no faster. What is computed is described where it is learnt: in :mod:`~satcost_gnn.learn.network.encoder`,
:mod:`~satcost_gnn.learn.network.fusion` and :mod:`~satcost_gnn.learn.network.cost_model`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import ModelConfig
from satcost_gnn.formula.compact_graph import (
    GRAPH_INPUTS,
    PROBE_GRAPH_INPUTS,
    PROBE_INPUTS,
    VARIABLE_INPUTS,
    CompactGraph,
)
from satcost_gnn.learn.network.batching import GraphSample
from satcost_gnn.learn.network.definition import (
    EXTREME_LIMIT,
    FEATURE_LIMIT,
    INPUT_LIMIT,
    KNOTS,
    LOGIT_LIMIT,
    LOGIT_SLOPE,
    SCORE_LIMIT,
    hazard_basis,
    normal_scores,
)
from satcost_gnn.learn.network.device import NetworkOutOfMemoryError

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]

# torch's, in a normalisation of layers.
_NORM_EPSILON = 1e-5
# The normal distribution is known at so many points a unit, as far as single precision tells it from 0 and 1.
_POINTS, _REACH = 64, 6
_POINT = np.arange(-_REACH * _POINTS, _REACH * _POINTS + 1) / _POINTS
_BELOW = np.array([0.0, *(0.5 * (1.0 + math.erf(x * math.sqrt(0.5))) for x in _POINT[1:-1]), 1.0])
_DENSITY = np.exp(-0.5 * _POINT**2) / math.sqrt(2 * math.pi)
_DENSITY[[0, -1]] = 0.0
_TABLE = np.stack([_BELOW, _DENSITY, -_DENSITY * _POINT / 2, _DENSITY * (_POINT**2 - 1) / 6]).astype(np.float32)

# Instances whose fused vectors are held at a time.
_AT_ONCE = 64


def gelu(x: Floats) -> Floats:
    """Return ``x * P(N(0, 1) <= x)``: a Taylor series at the nearest point, exact to single precision."""
    scaled = np.clip(x, np.float32(-_REACH), np.float32(_REACH)) * np.float32(_POINTS)
    nearest = np.rint(scaled)
    scaled -= nearest
    scaled /= np.float32(_POINTS)
    nearest += np.float32(_REACH * _POINTS)
    place = nearest.astype(np.int32)
    sum_: Floats = _TABLE[3].take(place, mode="clip")
    for row in _TABLE[2::-1]:
        sum_ *= scaled
        sum_ += row.take(place, mode="clip")
    sum_ *= x
    return sum_


def soft_bounded(x: Floats, limit: float) -> Floats:
    """Squash values smoothly into (-limit, limit), leaving small ones as they are."""
    return np.asarray(limit * np.tanh(x / np.float32(limit)), dtype=np.float32)


def segment_sums(values: Floats, indices: NDArray[np.integer[Any]], offsets: NDArray[np.integer[Any]]) -> Floats:
    """Sum rows of ``float32[n, d]`` over segments: ``float32[m, d]``, zeros for an empty one.

    Segment ``i`` has the rows ``indices[offsets[i]:offsets[i + 1]]``, of ``int[e]`` and ``int[m + 1]``.
    """
    found = np.zeros((len(offsets) - 1, values.shape[1]), dtype=np.float32)
    filled = np.diff(offsets) > 0
    if filled.any():
        found[filled] = np.add.reduceat(values[indices], offsets[:-1][filled], axis=0)
    return found


class ArrayModel:
    """Distribution of the cost of each solver on each instance, as a :class:`~.CostModel` predicts it.

    The weights are those of :func:`~satcost_gnn.learn.network.definition.planned_weights`.
    """

    def __init__(self, config: ModelConfig, weights: Arrays) -> None:
        self.config, self.weights = config, weights
        self._scores = normal_scores()
        self._seen = np.array([config.probe_node_features or name not in PROBE_INPUTS for name in VARIABLE_INPUTS])
        hidden = () if config.probe_node_features else PROBE_GRAPH_INPUTS
        self._hidden = np.array([name in hidden for name in GRAPH_INPUTS])

    # Parts ------------------------------------------------------------------------------------------------------------

    def _linear(self, name: str, x: Floats) -> Floats:
        found: Floats = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        if bias is not None:
            found += bias
        return found

    def _normed(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        centred /= np.sqrt(variance + np.float32(_NORM_EPSILON))
        centred *= self.weights[f"{name}.weight"]
        centred += self.weights[f"{name}.bias"]
        return np.asarray(centred, dtype=np.float32)

    def _standardised(self, name: str, x: NDArray[Any]) -> Floats:
        scores = (x.astype(np.float32) - self.weights[f"{name}.mean"]) / self.weights[f"{name}.scale"]
        return np.asarray(np.clip(scores, -INPUT_LIMIT, INPUT_LIMIT), dtype=np.float32)

    def _features(self, name: str, values: Floats) -> Floats:
        """Return scores and indicators of features, ``float32[B, 2 * features]``."""
        knots, scores = self.weights[f"{name}.knots"], self._scores
        missing = np.isnan(values)
        columns = np.where(missing, knots[:, 0], values).astype(np.float32)
        left = (columns[:, :, None] > knots).sum(axis=2)
        right = (columns[:, :, None] >= knots).sum(axis=2)
        each = np.arange(len(knots))
        lower, upper = np.clip(left - 1, 0, KNOTS - 1), np.minimum(left, KNOTS - 1)
        below, gap = knots[each, lower], knots[each, upper] - knots[each, lower]
        share = np.where(gap > 0, (columns - below) / np.where(gap > 0, gap, 1), 0)
        between = scores[lower] + share * (scores[upper] - scores[lower])
        running = np.concatenate([[np.float32(0)], np.cumsum(scores, dtype=np.float32)])
        count = right - left
        tied = (running[right] - running[left]) / np.maximum(count, 1).astype(np.float32)
        first, final = knots[:, 0], knots[:, -1]
        slope = (scores[-1] - scores[0]) / np.maximum(final - first, np.float32(1e-12))
        with np.errstate(over="ignore", invalid="ignore"):
            above, under = scores[-1] + (columns - final) * slope, scores[0] + (columns - first) * slope
        found = np.where(count > 0, tied, between)
        found = np.where(columns > final, above, np.where(columns < first, under, found))
        found = np.clip(found, -FEATURE_LIMIT, FEATURE_LIMIT)
        found = np.where(missing | ~self.weights[f"{name}.varies"], 0, found)
        return np.concatenate([found, missing & self.weights[f"{name}.indicated"]], axis=1, dtype=np.float32)

    # The graph --------------------------------------------------------------------------------------------------------

    def _aggregated(self, messages: Floats, indices: NDArray[Any], offsets: NDArray[Any]) -> Floats:
        """Return means of some channels of messages over segments and soft maxima of the others."""
        split = self.config.mean_channels
        extreme = messages[:, split:]
        np.exp(soft_bounded(extreme, EXTREME_LIMIT), out=extreme)
        mean = segment_sums(messages, indices, offsets)
        mean /= np.maximum(np.diff(offsets), 1).astype(np.float32)[:, None]
        largest = mean[:, split:]
        np.log(np.maximum(largest, np.float32(math.exp(-EXTREME_LIMIT))), out=largest)
        return mean

    def _pooled(self, name: str, nodes: Floats) -> Floats:
        """Return mean, attention and maximum of all nodes of a type, ``float32[3 * width]``; zeros for none."""
        count, width = nodes.shape
        if not count:
            return np.zeros(3 * width, dtype=np.float32)
        heads = self.config.heads
        weights = np.exp(soft_bounded(self._linear(f"{name}.score", nodes), SCORE_LIMIT))
        # In double precision: a hundred thousand single ones are summed.
        total = (nodes.reshape(count, heads, -1) * weights[:, :, None]).sum(axis=0, dtype=np.float64)
        attention = total / np.maximum(weights.sum(axis=0, dtype=np.float64), 1e-6)[:, None]
        mean = nodes.mean(axis=0, dtype=np.float64)
        return np.concatenate([mean, attention.ravel(), nodes.max(axis=0)], dtype=np.float32)

    def _encoded(self, graph: CompactGraph) -> Floats:
        """Return a graph as a vector, ``float32[6 * width]``."""
        sent = self.config.mean_channels + self.config.extreme_channels
        inputs = self._standardised("encoder.variable_inputs", graph.variable_inputs) * self._seen.astype(np.float32)
        hidden = gelu(self._linear("encoder.embed_variable.0", inputs))
        variables = self._linear("encoder.embed_variable.2", hidden)
        inputs = self._standardised("encoder.clause_inputs", graph.clause_inputs)
        clauses = self._linear("encoder.embed_clause", inputs)
        literals = (np.log1p(np.diff(graph.literal_offsets)) / 3.0).astype(np.float32)
        for number in range(self.config.rounds):
            here = f"encoder.rounds.{number}"
            # (n, 2 c) read as (2 n, c) has the literal nodes 2 v and 2 v + 1 of variable v in the right rows.
            messages = self._linear(f"{here}.to_clause", variables).reshape(-1, sent)
            heard = self._aggregated(messages, graph.clause_literals, graph.clause_offsets)
            update = self._linear(f"{here}.clause_own", clauses) + self._linear(f"{here}.clause_heard", heard)
            clauses = self._normed(f"{here}.clause_norm", clauses + gelu(update))
            messages = self._linear(f"{here}.to_variable", clauses)
            heard = self._aggregated(messages, graph.literal_clauses, graph.literal_offsets)
            scaled: Floats = heard * literals[:, None]
            both = (heard.reshape(-1, 2 * sent), scaled.reshape(-1, 2 * sent))
            update = self._linear(f"{here}.variable_own", variables)
            update += self._linear(f"{here}.variable_heard", np.concatenate(both, axis=1, dtype=np.float32))
            variables = self._normed(f"{here}.variable_norm", variables + gelu(update))
        return np.concatenate(
            [self._pooled("encoder.pool_variables", variables), self._pooled("encoder.pool_clauses", clauses)],
            dtype=np.float32,
        )

    @property
    def graph_channels(self) -> int:
        """Size of what :meth:`graph_vector` returns, 0 for a network without that modality."""
        return self.weights["fusion.narrow.0.weight"].shape[1] if "graph" in self.config.modalities else 0

    def graph_vector(self, graph: CompactGraph) -> Floats | None:
        """Return what a graph says, before fusion; None for a network without that modality."""
        if "graph" not in self.config.modalities:
            return None
        inputs = np.where(self._hidden, np.nan, graph.graph_inputs).astype(np.float32)
        return np.concatenate([self._encoded(graph), self._features("graph_inputs", inputs[None])[0]])

    # All of it --------------------------------------------------------------------------------------------------------

    def fused(self, graph: Floats | None, without_graph: NDArray[np.bool_], static: Floats, online: Floats) -> Floats:
        """Return the fused vectors ``float32[B, fused_members, fused_width]``.

        The graph is ``float32[B, .]``, what :meth:`graph_vector` returned for each, and counts as missing where
        ``bool[B]`` says so; raw features are ``float32[B, .]``, NaN where missing.
        """
        parts: list[Floats] = []
        for name in self.config.modalities:
            if name == "graph":
                assert graph is not None
                there = np.logical_not(without_graph)[:, None]
                vectors = self._normed("fusion.narrow.1", self._linear("fusion.narrow.0", graph))
            else:
                raw = static if name == "static" else online
                there = np.logical_not(np.isnan(raw).all(axis=1))[:, None]
                vectors = self._features(name, raw)
            parts += [np.where(there, vectors, np.float32(0)), there.astype(np.float32)]
        joined = np.concatenate(parts, axis=1)
        scales = self.weights["fusion.scales"]
        rows = (joined[:, None, :] * scales).reshape(-1, scales.shape[1])
        for layer in ("fusion.layers.0", "fusion.layers.3"):
            rows = self._linear(layer, rows)
            np.maximum(rows, 0, out=rows)
        return rows.reshape(len(joined), len(scales), -1)

    def logits(self, fused: Floats, unit: str) -> Floats:
        """Return the hazards' logits in a unit, ``float32[B, fused_members, n_solvers, bins]``."""
        head = f"heads.{unit}"
        bias = self.weights[f"{head}.bias"]
        read = np.matmul(fused.transpose(1, 0, 2), self.weights[f"{head}.coefficients"]).transpose(1, 0, 2)
        read = read + self.weights[f"{head}.member_bias"]
        coefficients = read.reshape(*read.shape[:2], len(bias), -1)
        logits = bias + coefficients @ hazard_basis(bias.shape[1], coefficients.shape[3])
        inside = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)
        return np.asarray(inside + LOGIT_SLOPE * (logits - inside), dtype=np.float32)

    def cdf(self, fused: Floats, unit: str) -> NDArray[np.float64]:
        """Return the distributions that the fused vectors stand for, ``float64[B, n_solvers, bins + 1]``."""
        logits = self.logits(fused, unit).astype(np.float64)
        survival = np.cumprod(1.0 / (1.0 + np.exp(logits)), axis=-1).mean(axis=1)
        found = np.zeros((*survival.shape[:-1], survival.shape[-1] + 1))
        found[..., 1:] = 1.0 - survival
        return found


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


def readings(
    models: Sequence[ArrayModel],
    samples: Sequence[GraphSample],
    without_graph: NDArray[np.bool_],
    paths: Sequence[str],
    unit: str,
) -> NDArray[np.float64]:
    """Return the distributions of each network: ``float64[B, n_models, n_solvers, bins + 1]``.

    Where ``without_graph`` (``bool[B]``) says so the graph counts as missing; ``paths`` are what the instances are
    called in errors. NetworkOutOfMemoryError if the memory doesn't suffice for some graph.
    """
    parts = []
    for start in range(0, len(samples), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        static = np.stack([sample.static for sample in samples[here]])
        online = np.stack([sample.online for sample in samples[here]])
        each = []
        for model in models:
            graph = _graph_vectors(model, samples[here], paths[here])
            each.append(model.cdf(model.fused(graph, without_graph[here], static, online), unit))
        parts.append(np.stack(each, axis=1))
    return np.concatenate(parts)


def online_readings(models: Sequence[ArrayModel], static: Floats, online: Floats, unit: str) -> NDArray[np.float64]:
    """Return the distributions of each network where the graph is missing; no graph is encoded for it.

    Features are raw, ``float32[B, .]``, NaN where missing.
    """
    without = np.ones(len(online), dtype=np.bool_)
    found = []
    for model in models:
        graph = np.zeros((len(online), model.graph_channels), dtype=np.float32)
        found.append(model.cdf(model.fused(graph, without, static, online), unit))
    return np.stack(found, axis=1)
