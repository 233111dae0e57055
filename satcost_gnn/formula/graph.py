"""The clause-variable graph of a formula, with what an early search saw on its nodes, as flat arrays.

Nodes are variables and clauses, edges are literal occurrences with a sign. No input holds a variable's number or a
position in the file, so that renaming variables or shuffling clauses and literals permutes the nodes and changes
nothing else. Variables that occur in no clause are left out: they are an accident of numbering.

A *literal node* ``2 * variable + sign`` (sign 1 for a negated literal) is how both signs fit into one sparse product:
a clause gathers from its literals, and a literal, so each variable once for each sign, gathers from its clauses.

A large formula is gone through in pieces, twice: first its occurrences are counted and the clauses to keep are chosen,
then what is kept is described. Nothing is held for a clause or an edge that is not kept but the clause's length, so
that a formula of any size that can be read gets a graph, which is bit for bit what a sample from its whole graph would
be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import FormulaError, FormulaTooLargeError
from satcost_gnn.formula.compact_graph import (
    CLAUSE_INPUTS,
    COLOUR_INPUTS,
    GRAPH_INPUTS,
    VARIABLE_INPUTS,
    CompactGraph,
)
from satcost_gnn.formula.graph_pieces import Occurrences, Pieces
from satcost_gnn.formula.mixing import mixed
from satcost_gnn.formula.refinement import Colours, clause_colours, literal_colours, row_colours

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

    from satcost_gnn.formula.cnf import Formula
    from satcost_gnn.search.trace import Trace

#: Literal occurrences that are kept by default; of larger formulas a sample of the clauses is.
DEFAULT_MAX_EDGES: Final = 200_000


class FormulaTooLargeForGraphError(FormulaTooLargeError):
    """A formula has more literal occurrences than a graph is built for."""


def _probe_inputs(
    trace: Trace | None, used: NDArray[np.int64], chosen: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the columns that come from a trace, for the variables ``chosen``; zeros where it says nothing.

    Counts are relative to their means over the variables ``used``.
    """
    zeros = np.zeros(len(chosen))
    if trace is None:
        return {}
    scale = np.log1p(max(1, trace.conflicts))

    def counts(name: str, known: NDArray[np.bool_], where: NDArray[np.int64]) -> NDArray[np.int32]:
        values: NDArray[np.int32] = getattr(trace, name)[where]
        return np.where(known[where] & (values >= 0), values, 0)

    def relative(name: str, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return log((1 + count / mean) / 2), the mean being that of the known ones; 0 where nothing is known."""
        # A sum of whole numbers is exact in any order.
        total = float(counts(name, known, used).sum(dtype=np.int64))
        if total <= 0:
            return zeros
        share = counts(name, known, chosen).astype(np.float64) * (int(known[used].sum()) / total)
        return np.where(known[chosen], np.log1p(share) - np.log(2.0), 0.0)

    def balance(positive: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(2 * positive - total, total, out=zeros.copy(), where=total > 0)

    # Of all variables of the formula, those that each kind of count is known of.
    seen = trace.observed & (trace.assigned >= 0)
    decided_known = seen & (trace.decided >= 0)
    learnt_known = trace.learnt >= 0
    assigned, flips, positive, decided, learnt, learnt_positive = (
        counts(name, known, chosen).astype(np.float64)
        for name, known in (
            ("assigned", seen),
            ("flips", seen),
            ("positive", seen),
            ("decided", decided_known),
            ("learnt", learnt_known),
            ("learnt_positive", learnt_known),
        )
    )
    return {
        "observed": seen[chosen].astype(np.float64),
        "assigned_rate": np.log1p(assigned) / scale,
        "assigned_relative": relative("assigned", seen),
        "flip_share": np.divide(flips, assigned, out=zeros.copy(), where=assigned > 0),
        "flips_relative": relative("flips", seen),
        "positive_balance": balance(positive, assigned),
        "decided_known": decided_known[chosen].astype(np.float64),
        "decided_rate": np.log1p(decided) / scale,
        "decided_relative": relative("decided", decided_known),
        "learnt_known": learnt_known[chosen].astype(np.float64),
        "learnt_rate": np.log1p(learnt) / scale,
        "learnt_relative": relative("learnt", learnt_known),
        "learnt_balance": balance(learnt_positive, learnt),
    }


def _variable_columns(
    counted: _Counted, trace: Trace | None, used: NDArray[np.int64], chosen: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return the columns that need no second look at the formula, for the variables ``chosen`` of those ``used``."""
    positive, negative = (counted.occurrences[s::2][chosen].astype(np.float64) for s in (0, 1))
    degree = positive + negative
    mean_degree = int(counted.degree.sum()) / max(1, len(used))
    return {
        "log_positive": np.log1p(positive),
        "log_negative": np.log1p(negative),
        "log_relative_degree": np.log(degree / mean_degree) if len(chosen) else degree,
        "sign_balance": (positive - negative) / degree,
        **_probe_inputs(trace, used, chosen),
    }


def _clause_colours(pieces: Iterable[Occurrences], variables: Colours) -> Colours:
    """Return the colours of the clauses, given those of the variables to start from."""
    return clause_colours(lambda: ((piece.literals, piece.lengths) for piece in pieces), literal_colours(variables))


def _stacked(columns: dict[str, NDArray[Any]], names: tuple[str, ...], rows: int) -> NDArray[np.float16]:
    table = np.zeros((rows, len(names)), dtype=np.float16)
    for position, name in enumerate(names):
        if name in columns:
            table[:, position] = columns[name]
    return table


def clause_variable_graph(
    formula: Formula,
    trace: Trace | None = None,
    *,
    max_edges: int | None = DEFAULT_MAX_EDGES,
    size_limit: int | None = None,
) -> CompactGraph:
    """Build the clause-variable graph of a formula.

    Parameters
    ----------
    formula
        The formula. Tautological clauses and repeated literals are dropped.
    trace
        Trace of an early search on the same formula, whose counts by variable become inputs of the nodes.
    max_edges
        Literal occurrences to keep, see :func:`sample_clauses`; None for all.
    size_limit
        Literal occurrences beyond which no graph is built; None for no limit.

    Returns
    -------
    CompactGraph
        With inputs computed from the whole formula, also if only a sample of the clauses is kept: what
        :func:`sample_clauses` makes of the whole graph, without that graph ever being in memory.

    Raises
    ------
    FormulaTooLargeForGraphError
        If the formula has more than ``size_limit`` literal occurrences.
    FormulaError
        If the trace is of a formula with another number of variables.
    ValueError
        If ``max_edges`` is negative.
    """
    if size_limit is not None and formula.n_literals > size_limit:
        raise FormulaTooLargeForGraphError(
            f"found {formula.n_literals} literal occurrences; a graph is built for at most {size_limit}: "
            "use an estimator on features, or raise the limit",
            formula.source,
        )
    if trace is not None and trace.n_vars != formula.n_vars:
        raise FormulaError(
            f"found a trace over {trace.n_vars} variables; expected one over the formula's {formula.n_vars}",
            formula.source,
        )
    pieces = Pieces(formula)
    counted = _Counted.of(pieces, formula.n_vars)
    used = np.flatnonzero(counted.degree)
    n_variables, n_clauses, n_edges = len(used), len(counted.lengths), int(counted.degree.sum())
    picked = None
    if max_edges is not None and n_edges > max_edges:
        everywhere = _variable_columns(counted, trace, used, used)
        colours = np.zeros(formula.n_vars, dtype=np.uint64)
        colours[used] = row_colours(_stacked(everywhere, COLOUR_INPUTS, len(used)))
        picked = _picked_clauses(_clause_colours(pieces, colours), counted.lengths, n_edges, max_edges)
    kept = _Kept.of(pieces, counted, used, picked)

    chosen = kept.variables
    # Sums of whole numbers are exact in any order, so that a renamed or shuffled formula has bit-equal inputs.
    mean_degree = n_edges / max(1, n_variables)
    lengths, positives_in = kept.lengths, kept.positives_in
    variable_columns: dict[str, NDArray[Any]] = {
        **_variable_columns(counted, trace, used, chosen),
        **{name: number / counted.degree[chosen] for name, number in kept.occurrences_in.items()},
    }
    safe_length = np.maximum(lengths, 1)
    mean_in_clause = kept.degree_sum / safe_length / max(mean_degree, 1e-9)
    clause_columns: dict[str, NDArray[Any]] = {
        "log_length": np.log1p(lengths),
        "is_unit": lengths == 1,
        "is_binary": lengths == 2,
        "is_ternary": lengths == 3,
        "is_horn": positives_in <= 1,
        "sign_balance": np.where(lengths > 0, (2 * positives_in - lengths) / safe_length, 0.0),
        "log_relative_degree": np.log(np.where(lengths > 0, mean_in_clause, 1.0)),
    }
    overall = {
        "log10_variables": np.log10(1 + n_variables),
        "log10_clauses": np.log10(1 + n_clauses),
        "log10_edges": np.log10(1 + n_edges),
        "log10_clause_ratio": np.log10((1 + n_clauses) / (1 + n_variables)),
        "log10_mean_length": np.log10((1 + n_edges) / (1 + n_clauses)),
        "tautology_share": counted.tautologies / max(1, formula.n_clauses),
        "duplicate_share": counted.duplicates / max(1, formula.n_literals),
        "kept_clause_share": 1.0 if picked is None else len(picked) / n_clauses,
        "kept_variable_share": 1.0 if picked is None else len(chosen) / max(1, n_variables),
        "log10_conflicts": np.log10(1 + trace.conflicts) if trace is not None else np.nan,
        "observed_share": trace.observed[used].mean() if trace is not None and n_variables else np.nan,
    }
    return CompactGraph(
        variable_inputs=_stacked(variable_columns, VARIABLE_INPUTS, len(chosen)),
        clause_inputs=_stacked(clause_columns, CLAUSE_INPUTS, len(lengths)),
        graph_inputs=np.array([overall[name] for name in GRAPH_INPUTS], dtype=np.float32),
        clause_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        clause_literals=kept.literals.astype(np.int32),
    )


@dataclass(frozen=True)
class _Counted:
    """What the whole formula has, counted piece by piece."""

    occurrences: NDArray[np.int64]  # of each literal node
    degree: NDArray[np.int64]  # of each variable
    lengths: NDArray[np.int32]  # of each clause
    duplicates: int
    tautologies: int

    @classmethod
    def of(cls, pieces: Pieces, n_vars: int) -> Self:
        occurrences = np.zeros(2 * n_vars, dtype=np.int64)
        lengths = [np.zeros(0, dtype=np.int32)]
        duplicates = tautologies = 0
        for piece in pieces:
            occurrences += np.bincount(piece.literals, minlength=2 * n_vars)
            lengths.append(piece.lengths.astype(np.int32))
            duplicates += piece.duplicates
            tautologies += piece.tautologies
        return cls(occurrences, occurrences[0::2] + occurrences[1::2], np.concatenate(lengths), duplicates, tautologies)


@dataclass(frozen=True)
class _Kept:
    """The clauses that a graph keeps and their variables, with what is counted over the whole formula for them."""

    variables: NDArray[np.int64]  # numbers from 0, rising
    occurrences_in: dict[str, NDArray[np.int64]]  # of each variable in clauses of some kind
    lengths: NDArray[np.int32]  # of each clause
    literals: NDArray[np.int64]  # literal nodes, of the variables' positions in ``variables``
    positives_in: NDArray[np.int64]  # of each clause
    degree_sum: NDArray[np.float64]  # of each clause's variables

    @classmethod
    def of(cls, pieces: Pieces, counted: _Counted, used: NDArray[np.int64], picked: NDArray[np.int64] | None) -> Self:
        """Collect the clauses ``picked`` (positions, rising; None for all), knowing the variables that occur at all."""
        chosen = used
        if picked is not None:
            # Which variables the picked clauses hold has to be known before their occurrences can be counted.
            literals = [piece.literals[edges] for piece, _, edges in _picked_in(pieces, picked)]
            chosen = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *literals]) >> 1)
        position = np.full(len(counted.degree), -1, dtype=np.int64)
        position[chosen] = np.arange(len(chosen))
        in_kind = {
            name: np.zeros(len(chosen), dtype=np.int64)
            for name in ("unit_share", "binary_share", "ternary_share", "horn_share")
        }
        nodes, positives, degrees = [], [], []
        for piece, clauses, edges in _picked_in(pieces, picked):
            clause_of = piece.clause_of
            negative = (piece.literals & 1).astype(bool)
            positives_in = np.bincount(clause_of[~negative], minlength=len(piece.lengths))
            place = position[piece.literals >> 1]
            here = place >= 0
            kinds = (piece.lengths == 1, piece.lengths == 2, piece.lengths == 3, positives_in <= 1)
            for number, kind in zip(in_kind.values(), kinds, strict=True):
                number += np.bincount(place[here & kind[clause_of]], minlength=len(chosen))
            degree_sum = np.bincount(
                clause_of, weights=counted.degree[piece.literals >> 1], minlength=len(piece.lengths)
            )
            nodes.append(2 * place[edges] + negative[edges])
            positives.append(positives_in[clauses])
            degrees.append(degree_sum[clauses])
        return cls(
            variables=chosen,
            occurrences_in=in_kind,
            lengths=counted.lengths if picked is None else counted.lengths[picked],
            literals=np.concatenate([np.zeros(0, dtype=np.int64), *nodes]),
            positives_in=np.concatenate([np.zeros(0, dtype=np.int64), *positives]),
            degree_sum=np.concatenate([np.zeros(0), *degrees]),
        )


def _picked_in(
    pieces: Pieces, picked: NDArray[np.int64] | None
) -> Iterator[tuple[Occurrences, NDArray[np.int64] | slice, NDArray[np.bool_] | slice]]:
    """Yield each piece with the positions of its picked clauses in it, and which of its edges are theirs."""
    everything = slice(None)
    before = 0
    for piece in pieces:
        if picked is None:
            yield piece, everything, everything
            continue
        first, last = np.searchsorted(picked, [before, before + len(piece.lengths)])
        clauses = picked[first:last] - before
        is_picked = np.zeros(len(piece.lengths), dtype=bool)
        is_picked[clauses] = True
        yield piece, clauses, np.repeat(is_picked, piece.lengths)
        before += len(piece.lengths)


def sample_clauses(graph: CompactGraph, max_edges: int) -> CompactGraph:
    """Keep a sample of the clauses of a large graph, and the variables in them; a small graph is returned as it is.

    A few large graphs would otherwise take most of the time of training and the memory of a batch, while what the
    network reads off a graph are averages over its nodes, which a sample of tens of thousands of clauses gives well.
    Training and prediction must use the same ``max_edges``, since a sample has fewer neighbours to a node.

    The sample is systematic over the clauses in order of length, so that every length keeps its share up to one clause,
    and among clauses of a length in order of their colours after refinement (:mod:`satcost_gnn.formula.refinement`):
    which clauses are kept depends on what they are and on what the probe did with their variables, not on names or
    orders. Only between clauses of the same colour, which look alike as far as the network sees, does the order decide.
    The inputs of nodes stay those of the whole formula (degrees above all), and the shares of clauses and variables
    kept become inputs of the graph. Variables left without a clause go too: they would only carry their own inputs, and
    without them the cost of a pass is bounded by ``max_edges`` alone.

    A clause longer than ``max_edges`` is never kept; ValueError if that is negative.
    """
    if graph.n_edges <= max_edges:
        return graph
    lengths = np.diff(graph.clause_offsets)
    columns = [VARIABLE_INPUTS.index(name) for name in COLOUR_INPUTS]
    variables = row_colours(graph.variable_inputs[:, columns])
    colours = _clause_colours([Occurrences(graph.clause_literals, lengths)], variables)
    picked = _picked_clauses(colours, lengths, graph.n_edges, max_edges)
    kept_edges = np.zeros(len(lengths), dtype=bool)
    kept_edges[picked] = True
    literals = graph.clause_literals[np.repeat(kept_edges, lengths)]
    used = np.zeros(graph.n_variables, dtype=bool)
    used[literals >> 1] = True
    number_of = np.cumsum(used) - 1
    overall = graph.graph_inputs.copy()
    overall[GRAPH_INPUTS.index("kept_clause_share")] *= len(picked) / len(lengths)
    overall[GRAPH_INPUTS.index("kept_variable_share")] *= float(used.mean())
    return CompactGraph(
        variable_inputs=graph.variable_inputs[used],
        clause_inputs=graph.clause_inputs[picked],
        graph_inputs=overall,
        clause_offsets=np.concatenate([[0], np.cumsum(lengths[picked])]),
        clause_literals=2 * number_of[literals >> 1] + (literals & 1),
    )


def _picked_clauses(colours: Colours, lengths: NDArray[np.int32], n_edges: int, max_edges: int) -> NDArray[np.int64]:
    """Return the positions, rising, of the clauses that :func:`sample_clauses` keeps of more than ``max_edges``."""
    if max_edges < 0:
        raise ValueError(f"max_edges must not be negative; found {max_edges}")
    # Lengths first, colours behind the point. In place, since the number of clauses is what the memory of a large
    # formula's graph goes by.
    by_length = mixed(colours) * 2.0**-64
    by_length += lengths
    order = _stable_order(by_length)
    count = int(len(lengths) * (max_edges / n_edges))
    picked = order[((np.arange(count) + 0.5) * (len(lengths) / max(1, count))).astype(np.int64)]
    # Rounding may leave a few edges too many; the longest clauses are the last.
    return np.asarray(np.sort(picked[np.cumsum(lengths[picked]) <= max_edges]), dtype=np.int64)


def _stable_order(values: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return ``argsort(values, kind="stable")``, a few times as fast where few values are equal."""
    order = np.argsort(values)
    ordered = values[order]
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(equal):
        among = np.union1d(equal, equal + 1)
        order[among] = order[among][np.lexsort((order[among], ordered[among]))]
    return order


def to_pyg(graph: CompactGraph) -> HeteroData:
    """Return the graph as PyTorch Geometric data.

    Node types ``variable`` and ``clause`` with ``x`` (float32); edge types ``("variable", "positive", "clause")`` and
    ``("variable", "negative", "clause")`` and their reverses ``("clause", "rev_positive", "variable")`` and
    ``("clause", "rev_negative", "variable")`` with ``edge_index``; the graph's inputs as ``graph_inputs`` of shape
    ``(1, len(GRAPH_INPUTS))``, so that PyG's loaders stack them.
    """
    import torch
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["variable"].x = torch.from_numpy(graph.variable_inputs.astype(np.float32))
    data["clause"].x = torch.from_numpy(graph.clause_inputs.astype(np.float32))
    data.graph_inputs = torch.from_numpy(graph.graph_inputs[None].copy())
    clauses = np.repeat(np.arange(graph.n_clauses), np.diff(graph.clause_offsets))
    literals = graph.clause_literals.astype(np.int64)
    for sign, name in ((0, "positive"), (1, "negative")):
        chosen = (literals & 1) == sign
        edges = torch.from_numpy(np.stack([literals[chosen] >> 1, clauses[chosen]]))
        data["variable", name, "clause"].edge_index = edges
        data["clause", f"rev_{name}", "variable"].edge_index = edges.flip(0)
    return data
