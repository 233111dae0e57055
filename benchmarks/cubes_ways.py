"""The ways of predicting cubes against each other: what each knows of cubes that have been run, and what it costs.

    python benchmarks/cubes_ways.py --root CNF --work DIR -o docs/benchmarks/cubes_ways.json

Cubes of real formulas are those of the data set (its test side; none of a formula's cubes is on another side), with the
conflicts of its runs; those of generated formulas are those of ``cubes_sum.json``, all of which have been run. Nothing
is run here but probes. What was predicted is kept in DIR, and an interrupted call goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from satcost_gnn.data.dataset import Dataset, indexed_files
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.data.generate.cube import parse_cube_recipe
from satcost_gnn.decide.cubes import FEATURES, STATIC_ESTIMATOR, predict_cubes, total_of
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.serve.predictor import Predictor

SOLVER = "cadical195"
LEAST_CUBES = 10
# Cubes that the probe solves are known to it; the others are what has to be predicted.
PROBE_CONFLICTS = 2000


def real_splits(dataset: Dataset, root: Path) -> dict[str, tuple[Formula, list[tuple[list[int], int]]]]:
    """Return the formulas of the test side with enough solved cubes: name -> formula, cubes and their conflicts."""
    assert dataset.splits is not None
    side = dataset.splits.side
    runs = {run.instance: run for run in dataset.runs if run.solver == SOLVER and not run.seed}
    found: dict[str, list[tuple[list[int], int]]] = defaultdict(list)
    families: dict[str, str] = {}
    for name in dataset.instances:
        row, run = dataset.by_instance[name], runs.get(name)
        if row.parent is None or row.recipe is None or side.get(name) != "test" or run is None:
            continue
        if run.status in ("SAT", "UNSAT") and run.conflicts is not None:
            found[row.parent].append((parse_cube_recipe(row.recipe)[0], run.conflicts))
            families[row.parent] = row.family
    files = dict(indexed_files(root))
    return {
        f"{families[parent]} {parent[:8]}": (read_dimacs(files[parent]), cubes)
        for parent, cubes in sorted(found.items())
        if len(cubes) >= LEAST_CUBES and parent in files
    }


def generated_splits(path: Path) -> dict[str, tuple[Formula, list[tuple[list[int], int]]]]:
    """Return the formulas of the comparison of sums, whose cubes have all been run."""
    return {
        found["recipe"]: (
            from_recipe(found["recipe"]),
            [(row["literals"], row["conflicts"]) for row in found["rows"]],
        )
        for found in json.loads(path.read_text())["runs"]
    }


def cpu_s() -> float:
    """Return the CPU seconds of this process and of the helpers that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(formula: Formula, cubes: list[tuple[list[int], int]], way: str, predictor: Predictor) -> dict[str, Any]:
    """Predict the cubes one way."""
    begin = cpu_s()
    found = predict_cubes(formula, [literals for literals, _ in cubes], predictor, SOLVER, features=way)
    predictor.close()
    spent = cpu_s() - begin
    total = total_of(found)
    return {
        "log10": [None if one.cost is None else float(np.log10(max(one.size, 1.0))) for one in found],
        "known": [one.known is not None for one in found],
        "total": [total.low, total.median, total.high],
        "sources": sorted({one.prediction.source for one in found if one.prediction is not None}),
        "cpu_s": round(spent, 3),
    }


def score(cubes: list[tuple[list[int], int]], found: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of one way on one formula."""
    conflicts = np.array([count for _, count in cubes], dtype=float)
    truth = np.log10(np.maximum(conflicts, 1.0))
    said = np.array([np.nan if value is None else value for value in found["log10"]])
    hard = (conflicts > PROBE_CONFLICTS) & ~np.isnan(said)
    error = said - truth
    ranked = hard.sum() > 3 and np.ptp(said[hard]) > 0
    low, median, high = found["total"]
    return {
        "rmse_hard": float(np.sqrt(np.mean(error[hard] ** 2))) if hard.any() else None,
        "rank_correlation_hard": float(spearmanr(said[hard], truth[hard]).statistic) if ranked else None,
        "rmse_all": float(np.sqrt(np.nanmean(error**2))),
        "rank_correlation_all": float(spearmanr(said, truth).statistic) if np.ptp(said) > 0 else None,
        "log10_of_sum": float(np.log10(max(median, 1.0) / conflicts.sum())),
        "sum_in_80_interval": bool(low <= conflicts.sum() <= high),
        "cpu_s_per_cube": found["cpu_s"] / len(cubes),
    }


def mean_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over formulas; of the error of the sum the root of the mean square."""
    result: dict[str, Any] = {"formulas": len(rows)}
    for name in rows[0]:
        values = np.array([row[name] for row in rows if row[name] is not None], dtype=float)
        square = name == "log10_of_sum"
        result[name] = round(float(np.sqrt(np.mean(values**2)) if square else np.mean(values)), 4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("datasets/corpus"))
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--sums", type=Path, default=Path("docs/benchmarks/cubes_sum.json"))
    parser.add_argument(
        "--ways", default=",".join(FEATURES), help="which to predict now; all that are there are reported"
    )
    parser.add_argument("--kinds", default="real,generated", help="which formulas")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    kinds = {
        "real": real_splits(Dataset.open(options.dataset), options.root),
        "generated": generated_splits(options.sums),
    }
    store = options.work / "ways.jsonl"
    done: dict[tuple[str, str], dict[str, Any]] = {}
    if store.exists():
        done = {(row["formula"], row["way"]): row for row in map(json.loads, store.read_text().splitlines())}
    with store.open("a") as stream:
        for way in options.ways.split(","):
            start = STATIC_ESTIMATOR if way == "static" else None
            with Predictor.from_checkpoint(device="cpu", start=start) as predictor:
                label = predictor.checkpoint.config.label
                # What is loaded once is no cost of a cube.
                predictor.estimator(predictor.chain[0])
                for name, (formula, cubes) in (
                    item for kind in options.kinds.split(",") for item in kinds[kind].items()
                ):
                    if (name, way) in done:
                        continue
                    row = {"formula": name, "way": way, **measure(formula, cubes, way, predictor)}
                    done[name, way] = row
                    stream.write(json.dumps(row) + "\n")
                    stream.flush()
                    print(way, name, len(cubes), f"{row['cpu_s']:.1f} s", file=sys.stderr, flush=True)
    report: dict[str, Any] = {"solver": SOLVER, "unit": "conflicts", "checkpoint": label, "ways": dict(FEATURES)}
    for kind, splits in kinds.items():
        scores = {
            way: {name: score(cubes, done[name, way]) for name, (_, cubes) in splits.items() if (name, way) in done}
            for way in FEATURES
        }
        report[kind] = {
            "cubes": {name: len(cubes) for name, (_, cubes) in splits.items()},
            "mean": {way: mean_of(list(rows.values())) for way, rows in scores.items() if rows},
            "formulas": scores,
        }
        print(kind, json.dumps(report[kind]["mean"], indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
