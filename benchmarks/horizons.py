"""What checkpoints say of costs from 1 to 5,000 s, on the test side, own and published runs apart.

python benchmarks/horizons.py checkpoints/satcost-v11 -o docs/benchmarks/horizons.json

Every estimator of the checkpoints, calibrated, on the test instances of the data sets of the first one's configuration
that are in the cache and were not solved by the probe. ``published``: instances with runs of the Anniversary track;
``own``: all others. Seconds are those of our machine. Of a horizon only runs count whose limit reaches it, solved or
not.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.config import TrainingConfig
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.evaluate.horizons import measured, run_limits
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.labelled_instances import open_datasets, preprocess_settings
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.checkpoint_contents import open_estimator, read_calibrations
from satcost_gnn.serve.members import Members

UNIT = "cpu_seconds"
SOURCE = "sc2022_anni"


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
    source = np.array(["published" if name in published else "own" for name in names])
    counts = {name: int((source == name).sum()) for name in ("published", "own")}
    found: dict[str, Any] = {"side": options.side, "instances": counts}
    for checkpoint in checkpoints:
        solvers = tuple(one for one in checkpoint.config.solvers if one in dataset.solvers)
        matrix = dataset.cost_matrix(solvers, UNIT, instances=names)
        limit = run_limits(dataset, solvers, names)
        calibrations = read_calibrations(checkpoint, UNIT)
        for member in checkpoint.config.chain:
            estimator = open_estimator(Members(checkpoint, UNIT, "cpu"), member)
            if isinstance(estimator, str):
                raise SystemExit(f"{checkpoint.directory}: {member} {estimator}")
            predicted = calibrations[member].apply(estimator.predict(list(instances.values())))
            for column, solver in enumerate(solvers):
                mine = np.flatnonzero(matrix.known[:, column])
                numbers = measured(
                    predicted[mine, checkpoint.config.solvers.index(solver)],
                    matrix.cost[mine, column],
                    matrix.censored[mine, column],
                    limit[mine, column],
                    source[mine],
                )
                for group, measures in numbers.items():
                    place = found.setdefault(checkpoint.config.label, {}).setdefault(group, {}).setdefault(solver, {})
                    place[member] = measures
                    overall = measures["overall"]
                    print(
                        f"{checkpoint.config.label} {group:9s} {solver:11s} {member:13s} n {overall['runs']:4.0f} "
                        f"C {overall['c_index']:.3f} CRPS {overall['crps']:.4f} RMSE {overall['rmse_capped']:.3f}",
                        flush=True,
                    )
    if options.output is not None:
        options.output.write_text(json.dumps(_rounded(found), separators=(",", ":")) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 4)
    return value


if __name__ == "__main__":
    main()
