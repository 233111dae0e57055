"""One calibration for all, or one by predicted size? Cross-fitted on the calibration side, own and published apart.

PYTHONPATH=research python research/calibration_by_size.py checkpoints/satcost-v11 --cache cache -o out/by_size.json

The calibration side of the checkpoint's data sets in two halves, whole groups of related instances on one of them;
what the head of the checkpoint predicts of each half, uncalibrated, is calibrated by the other one. The test side takes
no part. CPU seconds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.split_groups import group_instances
from satcost_gnn.evaluate.horizons import measured, run_limits, sources
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.learn import calibration
from satcost_gnn.learn.base import group_folds
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.labelled_instances import open_datasets, preprocess_settings
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.checkpoint_contents import open_estimator
from satcost_gnn.serve.members import Members

UNIT = "cpu_seconds"
#: Way -> the least runs in a group: so many that there is one group only, or as shipped.
WAYS = {"none": 0, "one map": 10**9, "by size": calibration.LEAST_IN_GROUP}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    checkpoint = Checkpoint.open(options.checkpoint)
    config = TrainingConfig.checked(checkpoint.config.training["config"], "the checkpoint's configuration")
    dataset = open_datasets(config)
    assert dataset.splits is not None
    side, solvers = dataset.splits.side, checkpoint.config.solvers
    wanted = [name for name in dataset.instances if side[name] == "calibration"]
    cache, instances = InstanceCache(options.cache, preprocess_settings(config)), {}
    for name, one in zip(wanted, cache.load(wanted), strict=True):
        if one is not None and one.online is not None and one.probe is not None and not one.probe.solved:
            instances[name] = replace(one, probe=replace(one.probe, trace=None))
    names = list(instances)
    estimator = open_estimator(Members(checkpoint, UNIT, "cpu"), checkpoint.config.chain[0])
    if isinstance(estimator, str):
        raise SystemExit(estimator)
    predicted = estimator.predict(list(instances.values()))
    matrix = dataset.cost_matrix(solvers, UNIT, instances=names)
    limit, source = run_limits(dataset, solvers, names), sources(dataset, names)
    groups = group_instances(dataset.manifest)
    found: dict[str, Any] = {"instances": len(names), "seeds": options.seeds}
    for way, least in WAYS.items():
        for seed in range(options.seeds):
            half = group_folds([groups[name] for name in names], 2, seed)
            cdf = predicted.cdf.copy()
            with patch.object(calibration, "LEAST_IN_GROUP", least):
                for fold in (0, 1) if least else ():
                    rows, out = np.flatnonzero(half != fold), np.flatnonzero(half == fold)
                    parts = (matrix.cost[rows], matrix.censored[rows], matrix.known[rows])
                    cdf[out] = Calibration.fit(predicted[rows], *parts).apply(predicted[out]).cdf
            for column, solver in enumerate(solvers):
                mine = np.flatnonzero(matrix.known[:, column])
                calibrated = CostDistribution(predicted.grid, cdf)[mine, column]
                told = (matrix.cost[mine, column], matrix.censored[mine, column], limit[mine, column], source[mine])
                for group, measures in measured(calibrated, *told).items():
                    for row, numbers in measures.items():
                        place = found.setdefault(way, {}).setdefault(group, {}).setdefault(solver, {})
                        place.setdefault(row, []).append(numbers)
    for way in WAYS:
        for group, by_solver in found[way].items():
            for solver, rows in by_solver.items():
                for row, each in rows.items():
                    rows[row] = {key: round(float(np.nanmean([one[key] for one in each])), 4) for key in each[0]}
                print(way, group, solver, rows["overall"])
                for row in rows:
                    if row.startswith("by"):
                        print("   ", row, rows[row]["solved"], rows[row]["predicted"], rows[row]["brier"])
                    elif row != "overall":
                        print("   ", row, rows[row])
    options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
