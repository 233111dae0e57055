"""What the phase network reads: a formula's whole graph, which variable each node is, and perhaps an early search."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import PhaseError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeSettings

__all__ = ["PHASE_GRAPH_LIMIT", "PhaseGraph", "node_variables", "phase_graph", "phase_graph_child", "read_phase_graph"]

#: Literal occurrences beyond which no phases are predicted: a sample of the clauses would lack variables.
PHASE_GRAPH_LIMIT = 5_000_000


@dataclass(frozen=True, eq=False)
class PhaseGraph:
    """A formula's graph and its variables.

    Parameters
    ----------
    graph
        All clauses but tautologies; with the probe's counts on its nodes if there was a probe.
    variables
        ``int32[graph.n_variables]``: number of each variable node, rising.
    result
        ``SAT`` or ``UNSAT`` if the probe solved the formula, else empty.
    model
        ``int32[k]``: literals of the model that the probe found.
    timings
        CPU seconds of ``parse``, ``probe`` and ``graph``.
    """

    graph: CompactGraph
    variables: NDArray[np.int32]
    n_vars: int
    result: str = ""
    model: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    timings: dict[str, float] = field(default_factory=dict)


def node_variables(formula: Formula, n_nodes: int) -> NDArray[np.int32]:
    """Return ``int32[n_nodes]``: the number of each variable node of a formula's whole graph, rising."""
    variables = np.unique(np.abs(formula.literals))
    if len(variables) != n_nodes:
        # Some occur in tautologies alone, which the graph leaves out.
        kept = (clause for clause in map(set, formula.clauses()) if not any(-literal in clause for literal in clause))
        variables = np.unique(np.abs(np.array([literal for clause in kept for literal in clause], dtype=np.int32)))
    return variables.astype(np.int32)


def phase_graph(
    formula: Formula, probe: ProbeSettings | None = None, size_limit: int = PHASE_GRAPH_LIMIT
) -> PhaseGraph:
    """Build the graph of a formula in this process.

    Parameters
    ----------
    probe
        An early search whose counts become inputs of the nodes; None for none.
    size_limit
        Literal occurrences beyond which no graph is built.

    Raises
    ------
    FormulaTooLargeForGraphError
        If the formula is larger than that.
    """
    begin = time.process_time()
    timings = {}
    trace, result, model = None, "", np.zeros(0, dtype=np.int32)
    if probe is not None:
        found = run_probe(formula, probe, deadline=begin + probe.cpu_s)
        trace, result = found.trace, found.status if found.solved else ""
        model = found.model if found.model is not None else model
        timings["probe"] = time.process_time() - begin
    begin = time.process_time()
    graph = clause_variable_graph(formula, trace, max_edges=None, size_limit=size_limit)
    variables = node_variables(formula, graph.n_variables)
    timings["graph"] = time.process_time() - begin
    return PhaseGraph(graph, variables, formula.n_vars, result, model, timings)


def phase_graph_child(formula: FormulaInChild, probe: ProbeSettings | None, size_limit: int) -> PhaseGraph:
    """Read a file and build its graph; executed in a sandboxed child. The parameters are those of its caller."""
    begin = time.process_time()
    formula, numbering = renumbered(load(formula))
    parse = time.process_time() - begin
    found = phase_graph(formula, probe, size_limit)
    found.timings["parse"] = parse
    return replace(
        found,
        variables=numbering.original(found.variables),
        n_vars=numbering.n_vars,
        model=numbering.original(found.model),
    )


def read_phase_graph(
    sandbox: Sandbox,
    formula: FormulaInChild,
    probe: ProbeSettings | None = None,
    *,
    size_limit: int = PHASE_GRAPH_LIMIT,
) -> PhaseGraph:
    """Read a formula and build its graph in a child with 120 CPU seconds and 8 GiB; see :func:`phase_graph`.

    Raises
    ------
    PhaseError
        If the formula can't be read, is too large, or the child ran into a limit or crashed.
    """
    kwargs: dict[str, Any] = {"formula": formula, "probe": probe, "size_limit": size_limit}
    outcome = sandbox.run("satcost_gnn.search.phase_graph:phase_graph_child", kwargs, Limits(120.0, 300.0, 8192))
    if outcome.status == "OK":
        found: PhaseGraph = outcome.value
        return found
    if outcome.status == "ERROR":
        raise PhaseError(outcome.detail)
    source = formula.source if isinstance(formula, Formula) else getattr(formula, "name", formula)
    raise PhaseError(f"{source}: its graph could not be built: {outcome.status}, {outcome.detail}")
