"""From a clause-variable graph to a vector: message passing along signed edges, then pooling.

All aggregation is sums over segments of rows gathered by index. A sum in one direction has the sum in the other as its
gradient, and a batch holds both directions, so neither pass ever sorts, coalesces or scatters: on a CPU that is the
difference between seconds and minutes an epoch, and on a GPU it makes the result the same every time.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from satcost_gnn.config import ModelConfig
from satcost_gnn.formula.compact_graph import CLAUSE_INPUTS, PROBE_INPUTS, VARIABLE_INPUTS
from satcost_gnn.learn.network.batching import GraphBatch, NodeRanges
from satcost_gnn.learn.network.definition import EXTREME_LIMIT, INPUT_LIMIT, SCORE_LIMIT


class _SegmentSum(torch.autograd.Function):
    """``result[i] = sum of values[indices[offsets[i]:offsets[i + 1]]]``, given the same sparse matrix transposed."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, indices: Tensor, offsets: Tensor, back_indices: Tensor, back_offsets: Tensor
    ) -> Tensor:
        ctx.save_for_backward(back_indices, back_offsets)
        return _gather_sum(values, indices, offsets)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        back_indices, back_offsets = ctx.saved_tensors
        return _gather_sum(gradients[0].contiguous(), back_indices, back_offsets), None, None, None, None


def _gather_sum(values: Tensor, indices: Tensor, offsets: Tensor) -> Tensor:
    if not len(indices) or not len(values):
        return values.new_zeros(len(offsets) - 1, values.shape[1])
    # Of all kernels that gather and sum without storing the gathered rows this one is the fastest on a CPU (2 to 4
    # times a CSR product), and the same call runs on a GPU.
    return functional.embedding_bag(indices, values, offsets, mode="sum", include_last_offset=True)


def segment_sum(values: Tensor, indices: Tensor, offsets: Tensor, back_indices: Tensor, back_offsets: Tensor) -> Tensor:
    """Sum rows over segments, in single precision whatever the surrounding precision is: ``float32[m, d]``.

    Segment ``i`` sums the rows ``indices[offsets[i]:offsets[i + 1]]`` of ``[n, d]``, zeros for an empty one; the
    indices are ``int64[e]``, the offsets ``int64[m + 1]``. ``back_indices`` and ``back_offsets`` are the transposed
    matrix, used for the gradient: for each row of ``values`` the segments that it is in.
    """
    with torch.autocast(device_type=values.device.type, enabled=False):
        result: Tensor = _SegmentSum.apply(  # type: ignore[no-untyped-call]
            values.float(), indices, offsets, back_indices, back_offsets
        )
        return result


def soft_bounded(values: Tensor, limit: float) -> Tensor:
    """Squash values smoothly into (-limit, limit), leaving small ones as they are."""
    return limit * torch.tanh(values / limit)


class Standardiser(nn.Module):
    """Centres and scales node inputs by training statistics, which are part of the weights, and clips."""

    mean: Tensor
    scale: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Take the statistics of the training set; a constant column is only centred."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation)))

    def forward(self, values: Tensor) -> Tensor:
        """Return the values in standard deviations from the training mean."""
        return ((values - self.mean) / self.scale).clamp(-INPUT_LIMIT, INPUT_LIMIT)


class Aggregation(nn.Module):
    """Messages of ``mean_channels`` that are averaged and ``extreme_channels`` of which a soft maximum is taken.

    The soft maximum is log(mean(exp(x))) of bounded x: an average in another scale, so that it costs no more than one,
    has a gradient for every neighbour, and cannot overflow.
    """

    def __init__(self, mean_channels: int, extreme_channels: int) -> None:
        super().__init__()
        self.mean_channels = mean_channels
        self.channels = mean_channels + extreme_channels

    def forward(self, messages: Tensor, forward: tuple[Tensor, Tensor], backward: tuple[Tensor, Tensor]) -> Tensor:
        """Aggregate rows of messages over segments; indices and offsets as in :func:`segment_sum`."""
        messages = messages.float()
        extreme = soft_bounded(messages[:, self.mean_channels :], EXTREME_LIMIT)
        sent = torch.cat([messages[:, : self.mean_channels], extreme.exp()], dim=1)
        total = segment_sum(sent, *forward, *backward)
        mean = total / forward[1].diff().clamp(min=1)[:, None]
        # A node without neighbours gets the least value that a maximum can have.
        largest = mean[:, self.mean_channels :].clamp(min=math.exp(-EXTREME_LIMIT)).log()
        return torch.cat([mean[:, : self.mean_channels], largest], dim=1)


class _Round(nn.Module):
    """One round: clauses hear from their literals, then variables from their clauses, by sign.

    States are normalised after each update and there is no dropout here: with a hundred thousand nodes a graph, the
    time goes into what is done to every node, and it is not the nodes that are too few to learn from.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.aggregation = Aggregation(config.mean_channels, config.extreme_channels)
        sent = self.aggregation.channels
        self.to_clause = nn.Linear(config.width, 2 * sent)
        self.to_variable = nn.Linear(config.width, sent)
        self.clause_own = nn.Linear(config.width, config.width)
        self.clause_heard = nn.Linear(sent, config.width, bias=False)
        self.clause_norm = nn.LayerNorm(config.width)
        self.variable_own = nn.Linear(config.width, config.width)
        # The aggregate of each sign, and again times the log of the number of clauses: a mean alone forgets it.
        self.variable_heard = nn.Linear(4 * sent, config.width, bias=False)
        self.variable_norm = nn.LayerNorm(config.width)

    def forward(self, variables: Tensor, clauses: Tensor, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        by_clause = (batch.clause_literals, batch.clause_offsets)
        by_literal = (batch.literal_clauses, batch.literal_offsets)
        sent = self.aggregation.channels
        # (n, 2 c) read as (2 n, c) has the literal nodes 2 v and 2 v + 1 of variable v in the right rows.
        heard = self.aggregation(self.to_clause(variables).view(-1, sent), by_clause, by_literal)
        clauses = self.clause_norm(clauses + functional.gelu(self.clause_own(clauses) + self.clause_heard(heard)))
        heard = self.aggregation(self.to_variable(clauses), by_literal, by_clause)
        scaled = heard * (batch.literal_offsets.diff().log1p() / 3.0)[:, None]
        both = torch.cat([heard.view(-1, 2 * sent), scaled.view(-1, 2 * sent)], dim=1)
        update = functional.gelu(self.variable_own(variables) + self.variable_heard(both))
        return self.variable_norm(variables + update), clauses


class _Pooling(nn.Module):
    """Nodes of one type to a vector for each graph: mean, maximum, and attention with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.score = nn.Linear(width, heads)
        self.channels = 3 * width

    def forward(self, nodes: Tensor, ranges: NodeRanges) -> Tensor:
        nodes = nodes.float()
        count, width = nodes.shape
        graphs = len(ranges.counts)
        # Bounded scores need no maximum subtracted before the exponential.
        weights = soft_bounded(self.score(nodes).float(), SCORE_LIMIT).exp()
        weighted = (nodes.view(count, self.heads, width // self.heads) * weights[:, :, None]).view(count, width)
        total, largest = torch.cat([nodes, weighted, weights], dim=1), nodes
        for part_of, offsets in (
            (ranges.piece_of, ranges.piece_offsets),
            (ranges.graph_of, ranges.graph_offsets),
        ):
            numbers = torch.arange(len(part_of) + 1, device=nodes.device)
            total = segment_sum(total, numbers[:-1], offsets, part_of, numbers)
            largest = nodes.new_zeros(len(offsets) - 1, width).scatter_reduce(
                0, part_of[:, None].expand(-1, width), largest, "amax", include_self=False
            )
        mean = total[:, :width] / ranges.counts.clamp(min=1)[:, None]
        weight = total[:, 2 * width :].clamp(min=1e-6)
        attention = total[:, width : 2 * width].reshape(graphs, self.heads, width // self.heads) / weight[:, :, None]
        return torch.cat([mean, attention.reshape(graphs, width), largest], dim=1)


class GraphEncoder(nn.Module):
    """Encodes each graph of a batch as a vector: embedding of nodes, rounds of message passing, pooling.

    The result does not depend on the order of variables, of clauses, or of literals in a clause (up to rounding).
    """

    seen: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        seen = [config.probe_node_features or name not in PROBE_INPUTS for name in VARIABLE_INPUTS]
        self.register_buffer("seen", torch.tensor(seen, dtype=torch.float32), persistent=False)
        self.variable_inputs = Standardiser(len(VARIABLE_INPUTS))
        self.clause_inputs = Standardiser(len(CLAUSE_INPUTS))
        self.embed_variable = nn.Sequential(
            nn.Linear(len(VARIABLE_INPUTS), config.width), nn.GELU(), nn.Linear(config.width, config.width)
        )
        self.embed_clause = nn.Linear(len(CLAUSE_INPUTS), config.width)
        self.rounds = nn.ModuleList(_Round(config) for _ in range(config.rounds))
        self.pool_variables = _Pooling(config.width, config.heads)
        self.pool_clauses = _Pooling(config.width, config.heads)
        self.channels = self.pool_variables.channels + self.pool_clauses.channels

    def forward(self, batch: GraphBatch) -> Tensor:
        """Encode a batch: ``float32[B, channels]``, finite for graphs without variables or clauses too."""
        variables = self.embed_variable(self.variable_inputs(batch.variable_inputs) * self.seen)
        clauses = self.embed_clause(self.clause_inputs(batch.clause_inputs))
        for step in self.rounds:
            variables, clauses = step(variables, clauses, batch)
        return torch.cat(
            [
                self.pool_variables(variables, batch.variables),
                self.pool_clauses(clauses, batch.clauses),
            ],
            dim=1,
        )
