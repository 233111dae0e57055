"""What checkpoints say of costs from 1 to 5,000 s, on the test side, own and published runs apart.

python benchmarks/horizons.py checkpoints/satcost-v8 checkpoints/satcost-v7 -o docs/benchmarks/horizons.json

Every estimator of the checkpoints, calibrated, on the test instances of the data sets of the first one's configuration
that are in the cache and were not solved by the probe. ``published``: instances with runs of the Anniversary track;
``own``: all others. Seconds are those of our machine. Of a horizon only runs count whose limit reaches it, solved or
not.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.evaluate.metrics import auc, brier, c_index
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.labelled_instances import open_datasets, preprocess_settings
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.checkpoint_contents import open_estimator, read_calibrations

UNIT = "cpu_seconds"
SOURCE = "sc2022_anni"
HORIZONS_S = (1.0, 10.0, 60.0, 300.0, 1000.0, 2500.0)
#: Decades of the predicted median.
DECADES = (-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0)
FEWEST = 20


def limits(dataset: Dataset, solvers: tuple[str, ...], instances: list[str]) -> NDArray[np.float64]:
    """Return log10 of the limit of the run that tells of each solver on each instance, NaN without one."""
    found = np.full((len(instances), len(solvers)), np.nan)
    for row, name in enumerate(instances):
        for column, solver in enumerate(solvers):
            runs = [run for run in dataset.runs_of.get(name, ()) if run.solver == solver and run.seed == 0]
            solved = [run.cpu_limit_s for run in runs if run.status.solved]
            stopped = [run.cpu_limit_s for run in runs if run.status.censored]
            if solved or stopped:
                found[row, column] = np.log10(max(solved or stopped))
    return found


def measures(
    predicted: CostDistribution, cost: NDArray[np.float64], censored: NDArray[np.bool_], limit: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the measures of one solver's predictions of shape ``(n,)``."""
    cap = np.minimum(limit, predicted.grid.high)
    told = np.minimum(cost, cap)
    median = np.minimum(predicted.median(), cap)
    found: dict[str, Any] = {
        "runs": len(cost),
        "solved": int((~censored).sum()),
        "c_index": c_index(predicted.mean(), cost, censored),
        "crps": float(predicted.crps(cost, censored, cap).mean()),
        "rmse_capped": float(np.sqrt(((median - told) ** 2).mean())),
        "median_of_unsolved_s": float(10 ** np.median(predicted.median()[censored])) if censored.any() else None,
        "horizons": {},
        "decades": {},
    }
    for horizon in HORIZONS_S:
        at = np.log10(horizon)
        rows = np.flatnonzero(limit >= at - 1e-3)
        if len(rows) < FEWEST:
            continue
        p = predicted[rows].cdf_at(np.full(len(rows), at))
        solved = (~censored[rows] & (cost[rows] <= at)).astype(float)
        found["horizons"][f"{horizon:g}"] = {
            "runs": len(rows),
            "solved": float(solved.mean()),
            "predicted": float(p.mean()),
            "brier": brier(p, solved),
            "brier_constant": float(solved.var()),
            "auc": auc(p, solved),
        }
    low, high = (predicted.quantile(q) for q in (0.1, 0.9))
    centre = predicted.median()
    for least, most in itertools.pairwise(DECADES):
        rows = np.flatnonzero((centre >= least) & (centre < most))
        if len(rows) < FEWEST:
            continue
        # A run that was stopped inside its interval may be in it or above: both bounds are told.
        inside = ~censored[rows] & (cost[rows] >= low[rows]) & (cost[rows] <= high[rows])
        maybe = censored[rows] & (cost[rows] <= high[rows])
        found["decades"][f"1e{least:g} to 1e{most:g}"] = {
            "runs": len(rows),
            "inside_80_least": float(inside.mean()),
            "inside_80_most": float((inside | maybe).mean()),
            "width_80": float((high[rows] - low[rows]).mean()),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--side", default="test")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    checkpoints = [Checkpoint.open(path) for path in options.checkpoints]
    config = TrainingConfig.checked(checkpoints[0].config.training["config"], "the checkpoint's configuration")
    dataset = open_datasets(config)
    assert dataset.splits is not None
    side = dataset.splits.side
    published = {run.instance for path in config.data.also for run in Dataset.open(path).runs if run.source == SOURCE}
    cache = InstanceCache(options.cache, preprocess_settings(config))
    wanted = [name for name in dataset.instances if side[name] == options.side]
    instances: dict[str, Instance] = {}
    for name, one in zip(wanted, cache.load(wanted), strict=True):
        if one is not None and one.online is not None and one.probe is not None and not one.probe.solved:
            instances[name] = replace(one, probe=replace(one.probe, trace=None))
    names = list(instances)
    groups = {
        "published": np.array([name in published for name in names]),
        "own": np.array([name not in published for name in names]),
    }
    found: dict[str, Any] = {"side": options.side, "instances": {k: int(v.sum()) for k, v in groups.items()}}
    for checkpoint in checkpoints:
        solvers = tuple(one for one in checkpoint.config.solvers if one in dataset.solvers)
        matrix = dataset.cost_matrix(solvers, UNIT, instances=names)
        limit = limits(dataset, solvers, names)
        calibrations = read_calibrations(checkpoint, UNIT)
        for member in checkpoint.config.chain:
            estimator = open_estimator(checkpoint, member, UNIT, "cpu")
            if isinstance(estimator, str):
                raise SystemExit(f"{checkpoint.directory}: {member} {estimator}")
            predicted = calibrations[member].apply(estimator.predict(list(instances.values())))
            for group, rows in groups.items():
                for solver in solvers:
                    column = solvers.index(solver)
                    mine = np.flatnonzero(rows & matrix.known[:, column])
                    if len(mine) < FEWEST:
                        continue
                    one = measures(
                        predicted[mine, checkpoint.config.solvers.index(solver)],
                        matrix.cost[mine, column],
                        matrix.censored[mine, column],
                        limit[mine, column],
                    )
                    place = found.setdefault(checkpoint.config.label, {}).setdefault(group, {}).setdefault(solver, {})
                    place[member] = one
                    print(
                        f"{checkpoint.config.label} {group:9s} {solver:11s} {member:13s} n {one['runs']:4d} "
                        f"C {one['c_index']:.3f} CRPS {one['crps']:.4f} RMSE {one['rmse_capped']:.3f}",
                        flush=True,
                    )
    if options.output is not None:
        options.output.write_text(json.dumps(_rounded(found), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
