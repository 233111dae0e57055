"""The sum of the costs of all cubes: what a sample says with predictions and without them.

Cubes of a few hard generated instances are predicted and all of them run once; then both estimators are given many
random samples of the same number of cubes:

    python benchmarks/cubes_sum.py --work DIR -o docs/benchmarks/cubes_sum.json

Continues what an interrupted call has left in DIR. The instances are on the test side of ``datasets/corpus``. Plain
Monte-Carlo is the mean of N random cubes times their number. Ours spends N runs too, but chooses them by their
predictions, and gets the cubes for nothing that the probe solves on the way; since it prefers the costly ones, its runs
cost more: Monte-Carlo is also given as many runs as that cost buys on average, probes included.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.data.generate.cube import cubes, parse_cube_recipe, with_units
from satcost_gnn.decide.cube_sampling import design, estimate
from satcost_gnn.decide.cubes import predict_cubes, total_of
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.solver_run import run_solver
from satcost_gnn.serve.predictor import Predictor

SOLVER = "cadical195"
# (recipe, units in a cube)
INSTANCES = (
    ("count-miter:n=19,second=sorter,seed=27", 4),
    ("bmc-queue:slots=8,width=4,depth=16,bug=0,seed=55", 5),
    ("netlist-miter:inputs=30,gates=612,outputs=8,fault=no,seed=94", 4),
    ("social-golfer:groups=5,size=3,weeks=8,fixed=3,seed=1050", 5),
    ("regular-colouring:n=84,colours=4,degree=9,seed=52", 4),
    ("dominating-set:n=80,degree=3,size=15,seed=44", 4),
)
COUNT = 48
SAMPLES = (6, 12, 24)
RESAMPLES = 2000


def measure(recipe: str, k: int, sandbox: Sandbox, predictor: Predictor) -> dict[str, Any]:
    """Predict the cubes of an instance and run all of them."""
    parent = from_recipe(recipe)
    made = [parse_cube_recipe(cube.source)[0] for cube in cubes(parent, k, "lookahead", count=COUNT)]
    predicted = predict_cubes(parent, made, predictor, SOLVER)
    rows = []
    for literals, cube in zip(made, predicted, strict=True):
        run = run_solver(sandbox, SOLVER, with_units(parent, literals, parent.source), cpu_s=30.0, wall_s=1800.0)
        rows.append(
            {
                "literals": literals,
                "known": cube.known,
                "size": cube.size,
                "probe_conflicts": cube.known if cube.known is not None else 2000,
                "conflicts": run.conflicts,
                "cpu_s": round(run.cpu_s, 3),
                "status": run.status,
            }
        )
    total = total_of(predicted)
    return {"recipe": recipe, "k": k, "rows": rows, "predicted": [total.low, total.median, total.high]}


def log_error(estimates: Any, truth: float) -> float:
    """Return the root mean square of log10(estimate / truth)."""
    return float(np.sqrt(np.mean(np.log10(np.maximum(estimates, 1.0) / truth) ** 2)))


def compare(found: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return the errors of both estimators over many samples."""
    rows = found["rows"]
    cost = np.array([row["conflicts"] for row in rows], dtype=float)
    open_ = np.array([row["known"] is None for row in rows])
    known = sum(row["known"] for row in rows if row["known"] is not None)
    truth = cost.sum()
    size = np.array([row["size"] for row in rows])
    low, median, high = found["predicted"]
    result: dict[str, Any] = {
        "cubes": len(rows),
        "solved_by_probe": int((~open_).sum()),
        "stopped": sum(row["status"] not in ("SAT", "UNSAT") for row in rows),
        "conflicts": truth,
        "coefficient_of_variation": float(cost.std() / cost.mean()),
        "correlation_of_open": float(np.corrcoef(size[open_], cost[open_])[0, 1]) if open_.sum() > 2 else None,
        "predicted_over_true": median / truth,
        "true_in_80_interval": bool(low <= truth <= high),
        "samples": {},
    }
    for n in SAMPLES:
        ours, spent, inside = [], [], []
        if open_.sum() >= 2:
            plan = design(size[open_], n)
            for _ in range(RESAMPLES):
                rows_ = plan.draw(rng)
                y = cost[open_][rows_]
                total = estimate(plan, rows_, y)
                ours.append(total.value + known)
                spent.append(y.sum())
                inside.append(total.low + known <= truth <= total.high + known)
        else:
            ours, spent, inside = [truth], [0.0], [True]
        probing = sum(row["probe_conflicts"] for row in rows)
        same_cost = (float(np.mean(spent)) + probing) / cost.mean()
        plain = [len(cost) * rng.choice(cost, n, replace=False).mean() for _ in range(RESAMPLES)]
        bought = int(np.clip(round(same_cost), 1, len(cost)))
        richer = [len(cost) * rng.choice(cost, bought, replace=False).mean() for _ in range(RESAMPLES)]
        result["samples"][str(n)] = {
            "error": {
                "ours": log_error(ours, truth),
                "monte_carlo_same_n": log_error(plain, truth),
                "monte_carlo_same_conflicts": log_error(richer, truth),
            },
            # All cubes run: there is no interval.
            "coverage_of_80": float(np.mean(inside)) if n < open_.sum() else None,
            "monte_carlo_n_at_same_conflicts": bought,
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    store = options.work / "cubes.jsonl"
    done = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    known = {item["recipe"] for item in done}
    with Sandbox() as sandbox, Predictor.from_checkpoint(device="cpu") as predictor, store.open("a") as stream:
        for recipe, k in INSTANCES:
            if recipe not in known:
                done.append(measure(recipe, k, sandbox, predictor))
                stream.write(json.dumps(done[-1]) + "\n")
                stream.flush()
                print(recipe, file=sys.stderr, flush=True)
    rng = np.random.default_rng(0)
    results = {item["recipe"]: compare(item, rng) for item in done}
    mean: dict[str, Any] = {}
    for n in map(str, SAMPLES):
        names = next(iter(results.values()))["samples"][n]["error"]
        mean[n] = {name: float(np.mean([r["samples"][n]["error"][name] for r in results.values()])) for name in names}
        covered = [r["samples"][n]["coverage_of_80"] for r in results.values()]
        mean[n]["coverage_of_80"] = float(np.mean([value for value in covered if value is not None]))
    report = {"solver": SOLVER, "unit": "conflicts", "error": "RMS of log10(estimate / true sum)", "mean": mean}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**report, "instances": results, "runs": done}) + "\n")
    print(json.dumps(mean, indent=1))


if __name__ == "__main__":
    main()
