"""What racing does to a fit: estimators fitted to labels as a race leaves them, and to all of the runs.

python benchmarks/race_effect.py aslib/SAT11-INDU aslib/SAT12-ALL … -o docs/benchmarks/race_effect.json

In a race (``satcost collect --race``) a solver is stopped at four times the best time so far, so that its run is
censored at a moment that depends on another solver. Published scenarios (ASlib) have every run up to the cutoff: the
labels of a race are made from them, each estimator is fitted to all labels in the scenario's own folds, and all fits
are judged by all of the runs. Beside the race as it is there is one of sixteen times the best time, and one whose
stopped runs are left out of the fit. CPU seconds of a race are counted as if the best solver ran first.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.aslib import read_scenario
from satcost_gnn.data.race import CAP_FACTOR, cap_s
from satcost_gnn.evaluate.aslib_problem import ScenarioProblem, pose
from satcost_gnn.evaluate.metrics import c_index
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.registry import make_estimator

_FOREST = {"features": "static", "n_trees": 100, "max_features": 1 / 3}
ESTIMATORS: dict[str, dict[str, Any]] = {
    "constant": {},
    "linear": {"features": "static"},
    "forest": _FOREST,
}


def raced(problem: ScenarioProblem, factor: float = CAP_FACTOR, *, left_out: bool = False) -> TrainingTable:
    """Return the labels that a race would have left: others than the best are censored at their cap, or left out."""
    table = problem.table
    seconds = 10 ** (table.cost - problem.shift)
    best = np.where(table.censored, np.inf, seconds).min(axis=1)
    caps = np.array([cap_s(value * factor / CAP_FACTOR) if np.isfinite(value) else np.inf for value in best])
    stopped = seconds > caps[:, None]
    cost = np.where(stopped, np.log10(np.minimum(seconds, caps[:, None])) + problem.shift, table.cost)
    return replace(table, cost=cost, censored=table.censored | stopped, known=table.known & ~(stopped & left_out))


def predictions(problem: ScenarioProblem, table: TrainingTable, name: str) -> CostDistribution:
    """Return what an estimator predicts of each fold, fitted to the labels of the other folds."""
    cdf = np.zeros((*table.cost.shape, table.grid.bins + 1))
    for fold in np.unique(problem.folds):
        out = np.flatnonzero(problem.folds == fold)
        fitted = make_estimator(name, **ESTIMATORS[name]).fit(table.subset(np.flatnonzero(problem.folds != fold)))
        cdf[out] = fitted.predict([table.instances[k] for k in out]).cdf
    return CostDistribution(table.grid, cdf)


def scores(problem: ScenarioProblem, predicted: CostDistribution) -> dict[str, float]:
    """Return the measures over all runs of all solvers, and PAR2 of choosing the least restricted mean."""
    table = problem.table
    limit = np.full(table.cost.shape, problem.cutoff)
    mean = predicted.restricted_mean(limit)
    solver = range(table.cost.shape[1])
    chosen = mean.argmin(axis=1)
    par2 = problem.scenario.par(2.0)[:, problem.columns]
    return {
        "crps": float(predicted.crps(table.cost, table.censored, limit).mean()),
        "c_index": float(np.mean([c_index(mean[:, k], table.cost[:, k], table.censored[:, k]) for k in solver])),
        "bias": float(np.mean(mean - np.minimum(table.cost, problem.cutoff))),
        "par2_s": float(par2[np.arange(len(par2)), chosen].mean()),
    }


def effect(path: Path) -> dict[str, Any]:
    """Return the measures of a scenario, both ways."""
    problem = pose(read_scenario(path))
    labels = {
        "all runs": problem.table,
        "raced": raced(problem),
        "raced, 16 times": raced(problem, 16.0),
        "raced, stopped runs left out": raced(problem, left_out=True),
    }
    seconds = {name: 10 ** (table.cost - problem.shift) for name, table in labels.items()}
    par2 = problem.scenario.par(2.0)[:, problem.columns]
    found: dict[str, Any] = {
        "instances": len(problem.table.instances),
        "solvers": len(problem.columns),
        "cpu_share": {name: round(float(each.sum() / seconds["all runs"].sum()), 3) for name, each in seconds.items()},
        "censored": {name: round(float(table.censored.mean()), 3) for name, table in labels.items()},
        "single_best_par2_s": round(float(par2.mean(axis=0).min()), 1),
        "virtual_best_par2_s": round(float(par2.min(axis=1).mean()), 1),
        "estimators": {},
    }
    for name in ESTIMATORS:
        each = {which: scores(problem, predictions(problem, table, name)) for which, table in labels.items()}
        found["estimators"][name] = {
            which: {key: round(value, 4) for key, value in one.items()} for which, one in each.items()
        }
        print(f"{path.name:16s} {name:10s} {found['estimators'][name]}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for path in options.scenarios:
        found[path.name] = effect(path)
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
