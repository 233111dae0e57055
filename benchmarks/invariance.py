"""What renaming variables, shuffling clauses and literals, and flipping signs do to predictions.

Instances are sample files, and generated ones drawn from the test side of a data set, of all families in turn; those
that the probe solves are left out. For each there are several isomorphic copies. Differences are those in the mean of
log10 of the conflicts, before calibration, the largest over the solvers:

- `graph, renamed`: the network on the copy's graph, with the statistics of the original's probe carried over to the new
  names; static and online features are the original's
- `graph, renamed and flipped`: the same on a copy with signs flipped
- `features, renamed`: static features of the copy, all else the original's
- `all, renamed`, `all, renamed and flipped`: everything anew, with a probe of the copy
- `forest, ...`: the same for the fallback forest

python benchmarks/invariance.py datasets/corpus --samples datasets/samples --out docs/benchmarks/invariance.json
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.execution import machine_description
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.formula.shuffle import renamed_trace, shuffled, signed_renaming
from satcost_gnn.runtime.file_names import is_cnf_name
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.serve.predictor import Predictor

# Agreement that the graph modality is held to, in decades.
TOLERANCE = 1e-3


def drawn(dataset: Dataset, largest: int, seed: int) -> Iterator[tuple[str, Formula]]:
    """Yield generated instances of the test side, one of each family in turn."""
    by_family: dict[str, list[str]] = defaultdict(list)
    assert dataset.splits is not None
    side = dataset.splits.side
    names = [name for name in dataset.instances if side[name] == "test" and dataset.by_instance[name].recipe]
    for name in np.random.default_rng(seed).permutation(sorted(names)).tolist():
        by_family[dataset.by_instance[name].family].append(name)
    waiting = [by_family[family] for family in sorted(by_family)]
    while waiting:
        for queue in waiting:
            recipe = dataset.by_instance[queue.pop(0)].recipe or ""
            # A cube's parent may be a file that isn't there.
            if not recipe.startswith("cube:"):
                formula = from_recipe(recipe)
                if formula.n_literals <= largest:
                    yield recipe, formula
        waiting = [queue for queue in waiting if queue]


def samples(directory: Path) -> Iterator[tuple[str, Formula]]:
    """Yield the readable sample files."""
    for path in sorted(directory.iterdir()):
        if is_cnf_name(path.name):
            try:
                yield path.name, read_dimacs(path)
            except FormulaError:
                continue


def differences(predictor: Predictor, formula: Formula, copies: int) -> tuple[bool, list[dict[str, float]]] | None:
    """Return whether the network sees a sample of the clauses, and the differences for each copy; None if solved."""
    settings = predictor.settings
    original = predictor.preprocess(formula).instance
    if original is None or original.probe is None or original.probe.solved or original.probe.trace is None:
        return None
    if original.online is None or original.graph is None:
        return None
    network, forest = predictor.estimator("gnn"), predictor.estimator("forest")
    kept = predictor.checkpoint.config.training["config"]["batches"]["max_graph_edges"]
    sampled = formula.n_literals > min(kept, settings.features.max_graph_edges)
    found: list[dict[str, float]] = []
    for seed in range(1, copies + 1):
        variants = {}
        for how, flip in (("renamed", False), ("renamed and flipped", True)):
            copy = shuffled(formula, Draws(seed, "invariance"), flip=flip)
            trace = renamed_trace(
                original.probe.trace, signed_renaming(formula.n_vars, Draws(seed, "invariance"), flip=flip)
            )
            graph = clause_variable_graph(copy, trace, max_edges=settings.features.max_graph_edges)
            variants[f"graph, {how}"] = replace(original, graph=graph)
            fresh = predictor.preprocess(copy).instance
            if fresh is not None and fresh.online is not None and fresh.graph is not None:
                if not flip:
                    variants["features, renamed"] = replace(original, static=fresh.static)
                if fresh.probe is not None and not fresh.probe.solved:
                    variants[f"all, {how}"] = fresh
        instances = [original, *variants.values()]
        row = {}
        for prefix, estimator in (("", network), ("forest, ", forest)):
            mean = estimator.predict(instances).mean()
            for name, one in zip(variants, mean[1:], strict=True):
                if not prefix or not name.startswith("graph"):
                    row[prefix + name] = float(f"{np.abs(one - mean[0]).max():.3g}")
        found.append(row)
    return sampled, found


def effect_of_graph(predictor: Predictor, directory: Path) -> dict[str, dict[str, float]]:
    """Return how far predictions of the sample files go when the graph says something else: what differences are to."""
    found: dict[str, list[float]] = defaultdict(list)
    network = predictor.estimator("gnn")
    known = []
    for _, formula in samples(directory):
        instance = predictor.preprocess(formula, plain=False).instance
        if instance is None or instance.graph is None or instance.probe is None or instance.probe.solved:
            continue
        bare = clause_variable_graph(formula, max_edges=predictor.settings.features.max_graph_edges)
        known.append((instance, replace(instance, graph=bare)))
    for k, (instance, without) in enumerate(known):
        other = replace(instance, graph=known[k - 1][0].graph)
        mean = network.predict([instance, without, other]).mean()
        for what, one in zip(("without the search on its nodes", "that of another file"), mean[1:], strict=True):
            found[what].append(float(np.abs(one - mean[0]).max()))
    return {what: summary(values) for what, values in found.items()}


def summary(values: list[float]) -> dict[str, float]:
    """Summarise differences in decades."""
    table = np.array(values)
    return {
        "copies": len(table),
        "median": float(f"{np.median(table):.3g}"),
        "q90": float(f"{np.quantile(table, 0.9):.3g}"),
        "max": float(f"{table.max():.3g}"),
        "share_within_tolerance": round(float((table <= TOLERANCE).mean()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40, help="generated instances")
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--largest", type=int, default=120_000, help="literal occurrences")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    by_size: dict[str, dict[str, list[float]]] = {"whole": defaultdict(list), "sampled": defaultdict(list)}
    rows = []
    with Predictor.from_checkpoint() as predictor:
        for source, wanted in (
            (samples(options.samples), len(list(options.samples.iterdir()))),
            (drawn(Dataset.open(options.dataset), options.largest, options.seed), options.count),
        ):
            used = 0
            for name, formula in source:
                if used == wanted:
                    break
                found = differences(predictor, formula, options.copies)
                if found is None:
                    continue
                used += 1
                size = "sampled" if found[0] else "whole"
                rows.append({"instance": name, "n_literals": formula.n_literals, "graph": size, "copies": found[1]})
                for row in found[1]:
                    for what, value in row.items():
                        by_size[size][what].append(value)
                print(json.dumps(rows[-1]), flush=True)
        effect = effect_of_graph(predictor, options.samples)
    result = {
        "machine": machine_description(),
        "checkpoint": predictor.checkpoint.config.label,
        "unit": "decades of conflicts (log10), largest over the solvers",
        "tolerance": TOLERANCE,
        "instances": {size: sum(row["graph"] == size for row in rows) for size in by_size},
        "differences": {
            size: {what: summary(values) for what, values in sorted(found.items())} for size, found in by_size.items()
        },
        "effect_of_another_graph": effect,
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main()
