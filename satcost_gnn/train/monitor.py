"""From runs under the monitor to its model of the hazard, and the population that stands in for a prediction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.decide.monitored_runs import MonitoredRun, read_monitored_runs
from satcost_gnn.decide.reestimate import Reestimator
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.runtime.logs import log
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.train.monitor_runs import (
    TRAINING,
    UNITS,
    by_stratum,
    chosen_runs,
    joined_runs,
    predict_before,
    read_priors,
    record_runs,
)


def population(dataset: Dataset, solvers: Collection[str]) -> dict[str, CostDistribution]:
    """Return unit -> distribution of cost over the runs of the training side that take more than 2,000 conflicts.

    Raises
    ------
    DatasetError
        If there is no such run.
    """
    sides = dataset.splits.side if dataset.splits is not None else {}
    runs = [
        run
        for run in dataset.runs
        if sides.get(run.instance) == "train"
        and not run.seed
        and run.solver in solvers
        and run.status in ("SAT", "UNSAT", "TIMEOUT")
        and (run.conflicts or 0) > 2000
    ]
    if not runs:
        raise DatasetError(f"{dataset.directory}: found no run of the train side with more than 2,000 conflicts")
    censored = [run.status == "TIMEOUT" for run in runs]
    found = {}
    for unit in UNITS:
        costs = [max(float(run.conflicts or 0) if unit == "conflicts" else run.cpu_s, 1e-3) for run in runs]
        found[unit] = CostDistribution.from_samples(GRIDS[unit], np.log10(costs), censored=censored)
    return found


def has_counters(run: MonitoredRun) -> bool:
    """Whether a run was recorded under the monitor."""
    return run.states[0].decisions is not None


def fit_monitor(
    dataset: Dataset,
    work: Path,
    *,
    checkpoint: str | Path | None = None,
    root: Path | None = None,
    caches: Sequence[InstanceCache] = (),
    share: float = 1.0,
) -> Reestimator:
    """Record runs, predict their instances, and fit the monitor's model; what is there is not made again.

    Parameters
    ----------
    dataset
        With splits and runs of the checkpoint's solvers.
    work
        Directory of recorded runs (``training.jsonl``), predictions (``priors.jsonl``) and generated instances.
    checkpoint
        Whose solvers and predictions; None for the shipped one.
    root
        Directory with the real instances.
    caches
        Preprocessed instances.
    share
        Share of the usual sample of runs to record.

    Raises
    ------
    DatasetError
        If the data set has no splits, or no run is long enough.
    """
    config = Checkpoint.open(checkpoint).config
    anyone = population(dataset, config.solvers)
    wanted = chosen_runs(dataset, TRAINING, config.solvers, share)
    if not wanted:
        raise DatasetError(f"{dataset.directory}: found no run of the {TRAINING.side} side that is long enough")
    record_runs(dataset, wanted, work / "training.jsonl", root=root, store=work / "cnf")
    recorded = list(read_monitored_runs(work / "training.jsonl"))
    others = {instance for members in by_stratum(dataset, TRAINING).values() for instance, _ in members}
    predict_before(
        dataset,
        {run.instance for run in recorded},
        others,
        work / "priors.jsonl",
        checkpoint=checkpoint,
        root=root,
        store=work / "cnf",
        caches=caches,
    )
    loaded = joined_runs(dataset, TRAINING, recorded, read_priors(work / "priors.jsonl"))
    runs = [run.run(priors) for run, priors in loaded]
    about: dict[str, Any] = {
        "dataset": dataset.directory.name,
        "sides": [TRAINING.side],
        "checkpoint": config.label,
        "runs": len(runs),
        "recorded": sum(has_counters(run) for run, _ in loaded),
        "censored": sum(run.censored for run in runs),
        "instances": len({run.group for run in runs}),
    }
    log.info(", ".join(f"{name}: {about[name]}" for name in ("runs", "recorded", "censored", "instances")))
    return Reestimator.fit(runs, anyone, provenance=about)
