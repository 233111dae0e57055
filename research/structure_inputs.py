"""Graphs that say more of a formula's structure than the one that ships: constraints, preprocessing, learnt clauses.

PYTHONPATH=research python research/structure_inputs.py NAMES.txt CNF --cache cache -o out/graphs

For every identity in the list, from the cached instance (for the trace of its probe) and its file, three graphs of at
most 10,000 edges, with columns beyond those of the package (:data:`VARIABLE_EXTRA`, :data:`CLAUSE_EXTRA`):

``plain``         the formula;
``preprocessed``  what CaDiCaL's preprocessing leaves of it (one round, through PySAT);
``learnt``        the formula and the clauses of up to eight literals learnt in its first 2,000 conflicts.

Each file is done in a process of its own, with a limit of CPU time; formulas of more than a million literals are left
out. Files that are there already are not made again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import read_config
from satcost_gnn.data.instance_index import read_index
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.formula import compact_graph
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.graph import clause_variable_graph, sample_clauses
from satcost_gnn.formula.parity import parity_constraints
from satcost_gnn.formula.sources import load
from satcost_gnn.learn.labelled_instances import preprocess_settings
from satcost_gnn.search.trace import Trace

VARIABLE_EXTRA = ("parity_share", "exclusive_share", "gate_outputs", "gate_inputs")
CLAUSE_EXTRA = ("in_parity", "in_gate", "is_learnt")
VARIANTS = ("plain", "preprocessed", "learnt")
MAX_EDGES = 10_000
MAX_LITERALS = 1_000_000
CONFLICTS = 2_000
LONGEST_LEARNT = 8
LONGEST_PARITY = 6
LONGEST_GATE = 12
CPU_S = 60

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def widen() -> None:
    """Make room for the columns in all graphs from now on; those of the package can no longer be read then."""
    wide = {
        "VARIABLE_INPUTS": (*compact_graph.VARIABLE_INPUTS, *VARIABLE_EXTRA),
        "CLAUSE_INPUTS": (*compact_graph.CLAUSE_INPUTS, *CLAUSE_EXTRA),
    }
    for name, module in list(sys.modules.items()):
        for inputs, columns in wide.items():
            if name.startswith("satcost_gnn.") and hasattr(module, inputs):
                setattr(module, inputs, columns)


def in_parity_constraints(formula: Formula) -> Bools:
    """Return which clauses belong to a parity constraint of at least three variables."""
    constraints = parity_constraints(formula, LONGEST_PARITY).constraints
    found = {variables for variables, _ in constraints if len(variables) > 2}
    lengths = formula.clause_lengths
    inside = np.zeros(formula.n_clauses, dtype=bool)
    if found:
        for k in np.flatnonzero((lengths > 2) & (lengths <= LONGEST_PARITY)):
            literals = formula.literals[formula.offsets[k] : formula.offsets[k + 1]]
            inside[k] = tuple(sorted(abs(int(one)) for one in literals)) in found
    return inside


def gates(formula: Formula) -> tuple[NDArray[np.int64], Bools]:
    """Return how often each variable is the output of an AND or OR gate, and which long clauses define one.

    A clause ``(o, a1, ..., ak)`` with the binary clauses ``(-o, -ai)`` for all ``i`` says ``o = -a1 and ... and -ak``.
    """
    outputs, defining = np.zeros(formula.n_vars, dtype=np.int64), np.zeros(formula.n_clauses, dtype=bool)
    lengths, literals = formula.clause_lengths, formula.literals.astype(np.int64)
    node = 2 * (np.abs(literals) - 1) + (literals < 0)
    width = 2 * formula.n_vars
    starts = formula.offsets[:-1]
    binary = starts[lengths == 2]
    pairs = np.sort(node[binary[:, None] + np.arange(2)], axis=1)
    there = np.unique(pairs[:, 0] * width + pairs[:, 1])
    if not len(there):
        return outputs, defining
    for length in range(3, LONGEST_GATE + 1):
        rows = np.flatnonzero(lengths == length)
        for part in np.array_split(rows, max(1, len(rows) // 50_000)):
            clause = node[starts[part][:, None] + np.arange(length)]
            for place in range(length):
                others = np.delete(clause, place, axis=1) ^ 1
                output = np.broadcast_to(clause[:, [place]] ^ 1, others.shape)
                keys = np.minimum(others, output) * width + np.maximum(others, output)
                position = np.minimum(np.searchsorted(there, keys), len(there) - 1)
                whole = (there[position] == keys).all(axis=1)
                np.add.at(outputs, clause[whole, place] >> 1, 1)
                defining[part[whole]] = True
    return outputs, defining


def structure_columns(formula: Formula) -> tuple[Floats, Floats]:
    """Return :data:`VARIABLE_EXTRA` of all variables and :data:`CLAUSE_EXTRA` of all clauses; nothing is learnt yet."""
    lengths = formula.clause_lengths
    clause_of = np.repeat(np.arange(formula.n_clauses), lengths)
    variable = np.abs(formula.literals) - 1
    positives = np.bincount(clause_of[formula.literals > 0], minlength=formula.n_clauses)
    parity = in_parity_constraints(formula)
    exclusive = (lengths == 2) & (positives == 0)
    outputs, defining = gates(formula)

    def occurrences(clauses: Bools) -> Floats:
        return np.bincount(variable[clauses[clause_of]], minlength=formula.n_vars).astype(np.float64)

    degree = np.maximum(occurrences(np.ones(formula.n_clauses, dtype=bool)), 1.0)
    inputs = np.maximum(occurrences(defining) - outputs, 0)
    variables = [occurrences(parity) / degree, occurrences(exclusive) / degree, np.log1p(outputs), np.log1p(inputs)]
    clauses = [parity, defining, np.zeros(formula.n_clauses)]
    return np.stack(variables, axis=1), np.stack(clauses, axis=1).astype(np.float64)


def with_columns(formula: Formula, trace: Trace | None, variables: Floats, clauses: Floats) -> CompactGraph:
    """Return the formula's graph, the columns put into it, reduced to :data:`MAX_EDGES`."""
    graph = clause_variable_graph(formula, trace, max_edges=None)
    used = np.unique(np.abs(formula.literals)) - 1
    if len(used) != graph.n_variables or formula.n_clauses != graph.n_clauses:
        raise ValueError("tautological clauses: nodes cannot be told")
    graph.variable_inputs[:, -len(VARIABLE_EXTRA) :] = variables[used]
    graph.clause_inputs[:, -len(CLAUSE_EXTRA) :] = clauses
    return sample_clauses(graph, MAX_EDGES)


def formula_of(clauses: list[list[int]], n_vars: int) -> Formula:
    """Return clauses as a formula over so many variables."""
    kept = (clause for clause in clauses if not {-one for one in clause} & set(clause))
    return Formula.from_clauses(kept, n_vars)


def learnt_clauses(clauses: list[list[int]]) -> list[list[int]]:
    """Return the short clauses that CaDiCaL's first conflicts teach, each once."""
    from pysat.solvers import Solver

    with Solver(name="cadical195", bootstrap_with=clauses, with_proof=True) as solver:
        solver.conf_budget(CONFLICTS)
        solver.solve_limited()
        lines = solver.get_proof() or []
    found: dict[tuple[int, ...], None] = {}
    for line in lines:
        if not line.startswith("d"):
            literals = tuple(sorted(int(one) for one in line.split()[:-1]))
            if 0 < len(literals) <= LONGEST_LEARNT:
                found[literals] = None
    given = {tuple(sorted(clause)) for clause in clauses}
    return [list(one) for one in found if one not in given]


def graphs(formula: Formula, trace: Trace | None) -> dict[str, CompactGraph]:
    """Return the graphs by variant."""
    from pysat.process import Processor

    ends = formula.offsets
    clauses = [formula.literals[a:b].tolist() for a, b in pairwise(ends)]
    formula = formula_of(clauses, formula.n_vars)
    variables, kinds = structure_columns(formula)
    found = {"plain": with_columns(formula, trace, variables, kinds)}
    learnt = learnt_clauses(clauses)
    if learnt:
        longer = formula_of([*clauses, *learnt], formula.n_vars)
        marked = np.zeros((longer.n_clauses, len(CLAUSE_EXTRA)))
        marked[: len(kinds)] = kinds
        marked[len(kinds) :, CLAUSE_EXTRA.index("is_learnt")] = 1.0
        found["learnt"] = with_columns(longer, trace, variables, marked)
    processor = Processor(bootstrap_with=clauses)
    left = processor.process(rounds=1).clauses
    processor.delete()
    if left and all(left):
        simpler = formula_of(left, formula.n_vars)
        found["preprocessed"] = with_columns(simpler, trace, *structure_columns(simpler))
    return found


def make(path: str, trace: Trace | None, output: Path) -> None:
    """Write the graphs of a file; executed in a process of its own."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    widen()
    formula = load(path)
    if formula.n_literals > MAX_LITERALS:
        raise SystemExit(2)
    arrays: dict[str, Any] = {
        f"{variant}.{name}": array
        for variant, graph in graphs(formula, trace).items()
        for name, array in graph.to_arrays().items()
    }
    part = output.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.rename(output)


def read_graphs(path: Path) -> dict[str, CompactGraph]:
    """Return the graphs of a file by variant; that of the formula stands in where preprocessing or search answers."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    found = {
        variant: CompactGraph.from_arrays(
            {name.removeprefix(f"{variant}."): one for name, one in arrays.items() if name.startswith(f"{variant}.")}
        )
        for variant in VARIANTS
        if f"{variant}.version" in arrays
    }
    return {variant: found.get(variant, found["plain"]) for variant in VARIANTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--store", type=Path, help="instances made from their recipes, NAME.cnf.xz")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    config = read_config(options.config, cache=options.cache)
    cache = InstanceCache(config.data.cache, preprocess_settings(config))
    paths = {row.instance: options.root / row.path for row in read_index(options.root / "INDEX.csv")}
    names = options.names.read_text().split()
    for k, name in enumerate(names):
        output, failed = options.output / f"{name}.npz", options.output / f"{name}.failed"
        path = paths.get(name) or (options.store / f"{name}.cnf.xz" if options.store else None)
        instance = cache.get(name)
        if output.exists() or failed.exists() or path is None or not path.exists() or instance is None:
            continue
        trace = instance.probe.trace if instance.probe is not None else None
        process = multiprocessing.get_context("fork").Process(target=make, args=(str(path), trace, output))
        process.start()
        process.join(4 * CPU_S)
        if process.is_alive():
            process.kill()
            process.join()
        if not output.exists():
            failed.write_text(f"exit code {process.exitcode}\n")
        print(f"{k + 1}/{len(names)} {name} {process.exitcode}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
