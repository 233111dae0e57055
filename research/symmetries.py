"""Is the symmetry of a formula worth anything at long horizons? Forest and network with and without features of it.

PYTHONPATH=research:benchmarks python research/symmetries.py --cache cache --with-test -o OUT

Colour refinement (Weisfeiler and Leman, 1968) of the clause-variable graph, where a literal is told by its clauses and
by its complement's, gives two variables one colour if they may be exchanged, as far as refinement can see. Features are
the shares of distinct and of unique colours, the largest class, and the entropy of the classes over its largest value,
for variables and for clauses, and the rounds until nothing changes. Of a formula with more than 40,000 edges, what is
coloured is the sample that is kept in the cache. Instances are those of ``research/structure_value.py``: three folds by
instance, judged by runs of over 60 s, CRPS up to their limit; differences with a 95 % interval over instances.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from long_horizon import JUDGED, THIRD, EvaluationSetup, network
from numpy.typing import NDArray

from satcost_gnn.config import read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.evaluate.metrics import paired_bootstrap
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.mixing import mixed
from satcost_gnn.learn.base import TrainingTable, group_folds
from satcost_gnn.learn.labelled_instances import preprocess_settings
from satcost_gnn.learn.registry import make_estimator

FOLDS, ROUNDS = 3, 20
LEAST_S, LONG_S = 12.0, 60.0

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]


def colours(graph: CompactGraph) -> tuple[Hashes, Hashes, int]:
    """Return a colour of each variable and of each clause, and the rounds until their number stood still."""
    starts = graph.clause_offsets.astype(np.int64)
    clause_of = np.repeat(np.arange(graph.n_clauses), np.diff(starts))
    literals = graph.clause_literals.astype(np.int64)
    of_literal = np.ones(2 * graph.n_variables, dtype=np.uint64)
    of_clause = np.ones(graph.n_clauses, dtype=np.uint64)
    classes, used = 0, 0
    with np.errstate(over="ignore"):
        for _ in range(ROUNDS):
            heard = np.zeros(graph.n_clauses, dtype=np.uint64)
            np.add.at(heard, clause_of, mixed(of_literal[literals]))
            of_clause = mixed(of_clause + np.uint64(3) * heard)
            heard = np.zeros(len(of_literal), dtype=np.uint64)
            np.add.at(heard, literals, mixed(of_clause[clause_of]))
            complement = of_literal.reshape(-1, 2)[:, ::-1].ravel()
            of_literal = mixed(of_literal + np.uint64(5) * heard + np.uint64(7) * mixed(complement))
            found = len(np.unique(of_literal)) + len(np.unique(of_clause))
            if found == classes:
                break
            classes, used = found, used + 1
    pairs = of_literal.reshape(-1, 2)
    with np.errstate(over="ignore"):
        return mixed(pairs[:, 0]) + mixed(pairs[:, 1]), of_clause, used


def symmetry_features(graph: CompactGraph | None) -> dict[str, float]:
    """Return the features of a graph; NaN without one."""
    names = [
        f"symmetry_{kind}_{what}"
        for kind in ("variables", "clauses")
        for what in ("distinct", "unique", "largest", "even")
    ]
    if graph is None or not graph.n_variables or not graph.n_clauses:
        return dict.fromkeys([*names, "symmetry_rounds"], float("nan"))
    variables, clauses, rounds = colours(graph)
    values = []
    for of in (variables, clauses):
        counts = np.unique(of, return_counts=True)[1]
        share = counts / counts.sum()
        entropy = -(share * np.log(share)).sum() / max(np.log(len(of)), 1e-9)
        values += [len(counts) / len(of), (counts == 1).sum() / len(of), share.max(), entropy]
    return {**dict(zip(names, map(float, values), strict=True)), "symmetry_rounds": float(rounds)}


def _mean(values: Floats, part: NDArray[np.int64]) -> float:
    return float(values[part].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--long", type=Path, default=Path("datasets/long"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--with-test", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    setup = EvaluationSetup(config, options.with_test)
    cache = InstanceCache(config.data.cache, preprocess_settings(config))
    ours = {run.instance for run in Dataset.open(options.long).runs}
    occupied = (setup.table.known & (setup.table.cost >= np.log10(LEAST_S))).any(axis=1)
    wanted = setup.judged | (np.array([name in ours for name in setup.names]) & occupied)
    rows = np.flatnonzero(wanted)
    names = [setup.names[k] for k in rows]
    without = setup.table.subset(rows)
    told = []
    graphs = [one.graph if (one := cache.get(name)) is not None else None for name in names]
    for one, graph in zip(without.instances, graphs, strict=True):
        more = FeatureVector.from_mapping(tuple(symmetry_features(None)), symmetry_features(graph))
        told.append(replace(one, static=FeatureVector.concatenate(one.static, more)))
    tables = {"without": without, "with": replace(without, instances=told)}
    limit = np.broadcast_to(setup.caps, without.cost.shape)
    long = (
        without.known & (without.cost >= np.log10(LONG_S)) & (~without.censored | (without.cost >= setup.caps - 1e-3))
    )
    judged = np.flatnonzero(long.any(axis=1))
    groups = [setup.groups["instance"][k] for k in rows]

    def crps(table: TrainingTable, kind: str, seed: int) -> Floats:
        fold_of = group_folds(groups, FOLDS, seed)
        cdf = np.zeros((len(names), len(JUDGED), table.grid.bins + 1))
        for fold in range(FOLDS):
            settings = network(seed) if kind == "gnn" else {"seed": seed, **THIRD}
            fitted = make_estimator(kind, **settings).fit(table.subset(fold_of != fold))
            out = np.flatnonzero(fold_of == fold)
            cdf[out] = fitted.predict([table.instances[k] for k in out]).cdf
        each = CostDistribution(table.grid, cdf).crps(np.minimum(table.cost, limit), table.censored, limit)
        return np.asarray(np.nanmean(np.where(long, each, np.nan)[judged], axis=1))

    whole = sum(graph is not None and graph.n_edges < config.preprocess.max_graph_edges for graph in graphs)
    result: dict[str, Any] = {"instances": len(names), "judged": len(judged), "whole": whole, "seeds": options.seeds}
    for kind in ("forest", "gnn"):
        mean = {
            way: np.mean([crps(table, kind, s) for s in range(options.seeds)], axis=0) for way, table in tables.items()
        }
        found = paired_bootstrap(partial(_mean, mean["with"]), partial(_mean, mean["without"]), len(judged))
        row = {way: round(float(values.mean()), 4) for way, values in mean.items()}
        result[kind] = {**row, "difference": [round(float(x), 4) for x in (found.value, found.low, found.high)]}
        print(kind, result[kind], file=sys.stderr, flush=True)
        options.output.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
