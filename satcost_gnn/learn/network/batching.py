"""Batches of graphs of very different sizes: samples, a plan of batches from known sizes, and their collation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import EstimatorError
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.graph import sample_clauses

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from satcost_gnn.core.feature_vector import FeatureVector
    from satcost_gnn.features.instance import Instance

Floats = NDArray[np.float32]

#: Nodes that are summed in one go.
PIECE = 256


@dataclass(frozen=True, eq=False)
class TargetRow:
    """What is known of one instance's cost in one unit.

    The cost is ``float32[n_solvers]``: log10, of its bound if censored, ignored where not known; the others are
    ``bool[n_solvers]``.
    """

    cost: Floats
    censored: NDArray[np.bool_]
    known: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GraphSample:
    """One instance as the network sees it.

    Parameters
    ----------
    graph
        Clause-variable graph, no larger than the batches are planned for.
    static, online
        ``float32``: raw features; NaN where missing, all NaN for a missing vector.
    targets
        Unit -> costs; empty for prediction.
    encoded
        ``float32``: what the encoder made of the graph, which then isn't looked at; None if that is still to be done.
    family
        Number of its family.
    share
        Probability that it takes part in an epoch of training.
    """

    graph: CompactGraph
    static: Floats
    online: Floats
    targets: Mapping[str, TargetRow] = field(default_factory=dict)
    encoded: Floats | None = None
    family: int = 0
    share: float = 1.0


def _features(vector: FeatureVector | None, names: tuple[str, ...], what: str, path: str) -> Floats:
    if vector is None:
        return np.full(len(names), np.nan, dtype=np.float32)
    if vector.names == names:
        return np.array(vector.values)
    try:
        return np.array(vector.select(names).values)
    except KeyError as error:
        raise EstimatorError(
            f"{path}: found no {what} feature {error}; the network was trained on features of another version of the "
            "package"
        ) from None


def online_vector(instance: Instance, names: tuple[str, ...]) -> Floats:
    """Return the features of the early search in the order of the network's inputs, NaN where missing.

    EstimatorError if a feature is lacking.
    """
    return _features(instance.online, names, "online", instance.path)


def graph_sample(
    instance: Instance, static_names: tuple[str, ...], online_names: tuple[str, ...], max_edges: int
) -> GraphSample:
    """Return an instance as the network sees it, without labels.

    Features are in the order of the names; without online features these are missing. A graph of more than
    ``max_edges`` edges is reduced. EstimatorError if there is no graph or a feature is lacking.
    """
    if instance.graph is None:
        raise EstimatorError(f"{instance.path}: found no graph; the network needs one: use another estimator")
    return GraphSample(
        sample_clauses(instance.graph, max_edges),
        _features(instance.static, static_names, "static", instance.path),
        online_vector(instance, online_names),
    )


def encoded_sample(sample: GraphSample, vector: Floats) -> GraphSample:
    """Return a sample with its graph as a vector: nodes and edges, which nobody reads any more, are left out."""
    graph = sample.graph
    bare = replace(
        graph,
        variable_inputs=graph.variable_inputs[:0],
        clause_inputs=graph.clause_inputs[:0],
        clause_offsets=graph.clause_offsets[:1],
        clause_literals=graph.clause_literals[:0],
    )
    return replace(sample, graph=bare, encoded=vector)


@dataclass(eq=False)
class NodeRanges:
    """Which nodes of one type belong to which graph, by way of pieces.

    A GPU sums many short ranges at once, but goes through a long one row by row.

    Parameters
    ----------
    piece_of
        ``int64[nodes]``: piece of each node, rising. A piece is at most ``PIECE`` nodes of one graph.
    piece_offsets
        ``int64[pieces + 1]``: nodes of each piece.
    graph_of
        ``int64[pieces]``: graph of each piece, rising.
    graph_offsets
        ``int64[B + 1]``: pieces of each graph.
    counts
        ``int64[B]``: nodes of each graph.
    """

    piece_of: Tensor
    piece_offsets: Tensor
    graph_of: Tensor
    graph_offsets: Tensor
    counts: Tensor

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Self:
        """Cut the nodes of graphs that lie side by side into pieces."""
        import torch

        tensor = torch.from_numpy
        pieces = -(-counts // PIECE)
        graph_of = np.repeat(np.arange(len(counts)), pieces)
        graph_offsets = np.concatenate([[0], np.cumsum(pieces)])
        sizes = np.full(len(graph_of), PIECE, dtype=np.int64)
        # The last piece of a graph has what is left.
        held = counts > 0
        sizes[graph_offsets[1:][held] - 1] = counts[held] - (pieces[held] - 1) * PIECE
        return cls(
            piece_of=tensor(np.repeat(np.arange(len(sizes)), sizes)),
            piece_offsets=tensor(np.concatenate([[0], np.cumsum(sizes)])),
            graph_of=tensor(graph_of),
            graph_offsets=tensor(graph_offsets),
            counts=tensor(counts),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the ranges on a device."""
        return replace(
            self, **{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)}
        )


@dataclass(eq=False)
class GraphBatch:
    """Several graphs side by side as tensors, with their features and labels.

    Parameters
    ----------
    variable_inputs, clause_inputs
        ``float32[n_variables, .]``, ``float32[n_clauses, .]`` over all graphs.
    clause_offsets, clause_literals
        ``int64``: for each clause its literal nodes (``2 * variable + sign``).
    literal_offsets, literal_clauses
        ``int64``: for each literal node its clauses.
    variables, clauses
        Which nodes are whose.
    graph_inputs, static, online
        ``float32[B, .]``: raw, NaN where missing.
    cost, censored, known
        Unit -> ``[B, n_solvers]``.
    encoded
        ``float32[B, .]``: the graphs as vectors; None if they are still to be encoded.
    family
        ``int64[B]``.
    """

    variable_inputs: Tensor
    clause_inputs: Tensor
    clause_offsets: Tensor
    clause_literals: Tensor
    literal_offsets: Tensor
    literal_clauses: Tensor
    variables: NodeRanges
    clauses: NodeRanges
    graph_inputs: Tensor
    static: Tensor
    online: Tensor
    cost: dict[str, Tensor]
    censored: dict[str, Tensor]
    known: dict[str, Tensor]
    encoded: Tensor | None
    family: Tensor

    def __len__(self) -> int:
        return len(self.family)

    @property
    def n_edges(self) -> int:
        """Literal occurrences over all graphs."""
        return len(self.clause_literals)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the batch on a device."""

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: moved(entry) for name, entry in value.items()}
            return None if value is None else value.to(device, non_blocking=non_blocking)

        return replace(self, **{f.name: moved(getattr(self, f.name)) for f in fields(self)})


def plan_batches(
    edges: Sequence[int] | NDArray[np.integer],
    *,
    max_edges: int,
    max_graphs: int,
    order: Sequence[int] | NDArray[np.integer] | None = None,
) -> list[NDArray[np.int64]]:
    """Cut a sequence of graphs, of so many edges each, into batches of bounded size: ``int64`` positions in each.

    A graph with more edges than ``max_edges`` is a batch of its own. Graphs are taken in an ``order`` of positions; by
    default each once, largest first, so that a batch that is too much for the memory is met at once. ValueError if a
    bound is not positive.
    """
    if max_edges < 1 or max_graphs < 1:
        raise ValueError(f"found bounds of {max_edges} edges and {max_graphs} graphs; expected at least 1 of each")
    sizes = np.asarray(edges, dtype=np.int64)
    taken = np.argsort(-sizes, kind="stable") if order is None else np.asarray(order, dtype=np.int64)
    cuts = []
    start, total = 0, 0
    for position, size in enumerate(sizes[taken].tolist()):
        if position > start and (total + size > max_edges or position - start >= max_graphs):
            cuts.append(position)
            start, total = position, 0
        total += size
    return [part for part in np.split(taken, cuts) if len(part)]


def planned_batches(
    edges: Sequence[int] | NDArray[np.integer],
    *,
    max_edges: int,
    max_graphs: int,
    seed: int,
    epoch: int,
    families: Sequence[int] | NDArray[np.integer] | None = None,
    family_balance: float = 0.0,
    shares: Sequence[float] | None = None,
) -> list[list[int]]:
    """Return the batches of one epoch in a random order, known in advance: a batch sampler for torch's DataLoader.

    Parameters
    ----------
    edges, max_edges, max_graphs
        See :func:`plan_batches`.
    seed, epoch
        Determine the order.
    families
        Family of each sample; only needed for balancing.
    family_balance
        0: each sample exactly once. Otherwise as many samples are drawn with replacement, from a family of share
        ``s`` with a probability proportional to ``s ** (1 - family_balance)``: 1 makes families equally likely.
    shares
        Probability that each sample takes part in the epoch; None for all of them.
    """
    random = np.random.default_rng([seed, epoch])
    count = len(edges)
    if family_balance > 0 and families is not None and count:
        _, member, sizes = np.unique(np.asarray(families), return_inverse=True, return_counts=True)
        weights = (sizes[member] / count) ** -family_balance
        order = random.choice(count, size=count, p=weights / weights.sum())
    else:
        order = random.permutation(count)
    if shares is not None and min(shares, default=1.0) < 1.0:
        order = order[random.random(len(order)) < np.asarray(shares)[order]]
    return [batch.tolist() for batch in plan_batches(edges, max_edges=max_edges, max_graphs=max_graphs, order=order)]


def _joined_offsets(parts: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
    """Join offsets that each start at 0 to offsets into the joined entries."""
    lengths = [np.diff(part) for part in parts]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths, dtype=np.int64))])


def _joined_nodes(parts: Sequence[NDArray[np.int32]], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join node numbers that each start at 0, given how many nodes each graph has."""
    starts = np.cumsum(counts) - counts
    return np.concatenate([part.astype(np.int64) + start for part, start in zip(parts, starts, strict=True)])


def collate(samples: Sequence[GraphSample]) -> GraphBatch:
    """Put samples side by side; ValueError if there is none."""
    import torch

    if not samples:
        raise ValueError("found no samples; a batch needs at least one")
    tensor = torch.from_numpy
    graphs = [sample.graph for sample in samples]
    variables = np.array([graph.n_variables for graph in graphs], dtype=np.int64)
    clauses = np.array([graph.n_clauses for graph in graphs], dtype=np.int64)
    targets = [sample.targets for sample in samples]
    encoded = [sample.encoded for sample in samples if sample.encoded is not None]
    return GraphBatch(
        variable_inputs=tensor(np.concatenate([graph.variable_inputs for graph in graphs], dtype=np.float32)),
        clause_inputs=tensor(np.concatenate([graph.clause_inputs for graph in graphs], dtype=np.float32)),
        clause_offsets=tensor(_joined_offsets([graph.clause_offsets for graph in graphs])),
        clause_literals=tensor(_joined_nodes([graph.clause_literals for graph in graphs], 2 * variables)),
        literal_offsets=tensor(_joined_offsets([graph.literal_offsets for graph in graphs])),
        literal_clauses=tensor(_joined_nodes([graph.literal_clauses for graph in graphs], clauses)),
        variables=NodeRanges.of(variables),
        clauses=NodeRanges.of(clauses),
        graph_inputs=tensor(np.stack([graph.graph_inputs for graph in graphs])),
        static=tensor(np.stack([sample.static for sample in samples])),
        online=tensor(np.stack([sample.online for sample in samples])),
        cost={unit: tensor(np.stack([t[unit].cost for t in targets])) for unit in targets[0]},
        censored={unit: tensor(np.stack([t[unit].censored for t in targets])) for unit in targets[0]},
        known={unit: tensor(np.stack([t[unit].known for t in targets])) for unit in targets[0]},
        encoded=tensor(np.stack(encoded)) if encoded else None,
        family=tensor(np.array([sample.family for sample in samples], dtype=np.int64)),
    )
