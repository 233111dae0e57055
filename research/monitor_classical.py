"""What the classical estimators say of the runs that a monitor is judged on; used by ``monitor_error.py``.

From the first window alone: the linear model (LMP), the tree-size estimators and Holt's forecast as ``satcost
evaluate`` has fitted and calibrated them, on the training side and on a search of 2000 conflicts.
There are such predictions for every test instance and solver, and none of them looks at the run again.

Along the search: what they say at the monitor's own checkpoints, of the runs that were recorded through the listening
propagator. Tree size needs no training. The LMP and the scaled estimates are fitted by cross-validation over those runs
and the searches of the table of observations whose instances aren't on the test side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from observation import ESTIMATES, Point, checkpoints, feature_names, observations
from online_errors import (
    FOLDS,
    ObservedRuns,
    held_out_predictions,
    linear,
    mean,
    scaled,
    standing_at,
    start_predictions,
)
from online_observe import STRUCTURE
from online_record import recording_path
from online_restarts import Observations
from recording import Recording

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.decide.monitored_runs import MonitoredRun
from satcost_gnn.errors import DatasetError
from satcost_gnn.evaluate.results import calibrated_by_others
from satcost_gnn.evaluate.stored_predictions import StoredPredictions, file_name
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.features import static_features
from satcost_gnn.learn.base import group_folds
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.search.online import WAITING_CONFLICTS

Floats = NDArray[np.float64]

NETWORK = "gnn"
#: Estimator of the evaluation -> what it is called beside the monitor.
FIRST_WINDOW = {
    "linear": "LMP",
    "tree_size": "WBE",
    "tree_size_recursive": "recursive",
    "holt": "Holt",
}
#: Estimate without training -> what it is called.
ALONG = {"wbe": "WBE", "recursive": "recursive", "holt": "Holt"}
_WINDOW = 2000
_FIRST = 250


# From the first window ------------------------------------------------------------------------------------------------


def evaluated(
    directory: Path, name: str, seed: int | None, dataset: Dataset, solvers: Sequence[str], side: str = "test"
) -> dict[str, dict[str, dict[str, CostDistribution]]]:
    """Return an estimator's predictions for the instances of a side: instance -> unit -> solver -> distribution.

    Those for the test side are calibrated on the calibration side, as in the evaluation's report; those for the
    calibration side each on other instances of it.

    Raises
    ------
    DatasetError
        If the evaluation has none of this estimator.
    """
    path = directory / "predictions" / file_name(name, seed, None)
    stored = StoredPredictions.read(path)
    if stored is None:
        raise DatasetError(f"{path}: found no stored predictions; run satcost evaluate with -o {directory} first")
    runs = {(run.instance, run.solver): run for run in dataset.runs if not run.seed}
    found: dict[str, dict[str, dict[str, CostDistribution]]] = {}
    for unit in sorted({unit for unit, _ in stored.cdf}):
        names = stored.instances["calibration"]
        cost = np.full((len(names), len(solvers)), np.nan)
        censored = np.zeros(cost.shape, dtype=bool)
        for i, instance in enumerate(names):
            for k, solver in enumerate(solvers):
                run = runs.get((instance, solver))
                if run is None or run.status not in ("SAT", "UNSAT", "TIMEOUT") or run.conflicts is None:
                    continue
                spent = float(run.conflicts) if unit == "conflicts" else run.cpu_s
                cost[i, k] = max(np.log10(max(spent, 1e-9)), GRIDS[unit].low)
                censored[i, k] = run.status == "TIMEOUT"
        seen = CostDistribution(GRIDS[unit], stored.cdf[unit, "calibration"].astype(np.float64))
        if side == "calibration":
            calibrated = calibrated_by_others(seen, cost, censored, ~np.isnan(cost))
        else:
            test = CostDistribution(GRIDS[unit], stored.cdf[unit, "test"].astype(np.float64))
            calibrated = Calibration.fit(seen, cost, censored).apply(test)
        for i, instance in enumerate(stored.instances[side]):
            found.setdefault(instance, {})[unit] = {solver: calibrated[i, k] for k, solver in enumerate(solvers)}
    return found


# Along the search -----------------------------------------------------------------------------------------------------


def observe(run: MonitoredRun, recording: Recording, structure: Mapping[str, float]) -> dict[str, Any]:
    """Return what is known at points of a recorded search, as plain values."""
    grid = checkpoints(recording, _FIRST, 2.0, WAITING_CONFLICTS, _WINDOW)
    # Restarts play no part in what is taken from the monitor's checkpoints.
    ends = [state.conflicts for state in run.states[:-1] if WAITING_CONFLICTS < state.conflicts < recording.conflicts]
    mine = [Point(0, max(WAITING_CONFLICTS, end - _WINDOW), end) for end in ends]
    known = {one.point: one for one in observations(recording, [*grid, *mine])}
    return {
        "instance": run.instance,
        "status": run.status,
        "conflicts": recording.conflicts,
        "structure": dict(structure),
        "checkpoints": [
            {"end": point.end, "estimates": known[point].estimates, "features": known[point].features.values.tolist()}
            for point in grid
            if point in known
        ],
        "along": {str(point.end): known[point].estimates for point in mine if point in known},
    }


def observed(work: Path, solver: str, runs: Sequence[MonitoredRun], files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return :func:`observe` of every recorded run; what was made before is read from ``work``."""
    found = []
    for run in runs:
        source, target = recording_path(work, solver, run.instance), work / "observed" / f"{run.instance}.json"
        if not target.exists():
            if not source.exists() or run.instance not in files:
                continue
            values = static_features(read_dimacs(files[run.instance]))
            made = observe(run, Recording.load(source), {name: values[name] for name in STRUCTURE})
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(made) + "\n")
        found.append(json.loads(target.read_text()))
    return found


def as_observed_runs(found: Sequence[Mapping[str, Any]]) -> ObservedRuns:
    """Return the searches at their checkpoints, in the layout of the experiments over the search."""
    names = feature_names(learnt=True)
    count = max(len(one["checkpoints"]) for one in found)
    spent = np.full((len(found), count), np.nan)
    features = np.full((len(found), count, len(names)), np.nan)
    estimates = {name: np.full((len(found), count), np.nan) for name in ESTIMATES}
    for i, one in enumerate(found):
        for k, at in enumerate(one["checkpoints"]):
            spent[i, k], features[i, k] = at["end"], at["features"]
            for name in ESTIMATES:
                estimates[name][i, k] = at["estimates"][name]
    return ObservedRuns(
        instances=tuple(one["instance"] for one in found),
        log10_cost=np.log10([max(one["conflicts"], 1) for one in found]),
        censored=np.array([one["status"] not in ("SAT", "UNSAT") for one in found]),
        satisfiable=np.array([{"SAT": 1, "UNSAT": 0}.get(one["status"], -1) for one in found], dtype=np.int8),
        spent=spent,
        names=names,
        features=features,
        static_names=STRUCTURE,
        static=np.array([[one["structure"][name] for name in STRUCTURE] for one in found]),
        estimates=estimates,
    )


def joined(first: ObservedRuns, second: ObservedRuns) -> ObservedRuns:
    """Return the searches of both, with the features that both have; DatasetError if the formulas' features differ."""
    if first.static_names != second.static_names:
        raise DatasetError("found observations with other features of the formula; make them with this version")
    names = tuple(name for name in first.names if name in second.names)
    count = max(first.spent.shape[1], second.spent.shape[1])

    def padded(values: Floats) -> Floats:
        wanted = [(0, 0), (0, count - values.shape[1]), *([(0, 0)] * (values.ndim - 2))]
        return np.pad(values, wanted, constant_values=np.nan)

    def chosen(runs: ObservedRuns) -> Floats:
        return padded(runs.features[:, :, [runs.names.index(name) for name in names]])

    return replace(
        first,
        instances=first.instances + second.instances,
        spent=np.concatenate([padded(first.spent), padded(second.spent)]),
        names=names,
        features=np.concatenate([chosen(first), chosen(second)]),
        estimates={
            name: np.concatenate([padded(values), padded(second.estimates[name])])
            for name, values in first.estimates.items()
        },
        log10_cost=np.concatenate([first.log10_cost, second.log10_cost]),
        censored=np.concatenate([first.censored, second.censored]),
        satisfiable=np.concatenate([first.satisfiable, second.satisfiable]),
        static=np.concatenate([first.static, second.static]),
    )


def without_side(table: Observations, solver: str, dataset: Dataset, side: str) -> ObservedRuns:
    """Return the searches of the table of observations whose instances aren't on a side of the data set."""
    assert dataset.splits is not None
    sides = dataset.splits.side
    names = [name for name in table.recorded(("rand", "bmc", "fv"), [solver]) if sides.get(name, side) != side]
    return table.runs(names, solver, "checkpoint")


def along(
    found: Sequence[Mapping[str, Any]], others: ObservedRuns, dataset: Dataset
) -> dict[str, dict[int, dict[str, float]]]:
    """Return log10 of the conflicts estimated along every search: instance -> conflicts so far -> name -> estimate.

    An estimate is NaN where there is none: only Holt's is missing at times.
    """
    own = as_observed_runs(found)
    runs = joined(own, others)
    # Cubes of one formula and isomorphic copies are held out together.
    rows = [dataset.by_instance[name] for name in runs.instances]
    groups = [row.parent or row.isohash for row in rows]
    folds = group_folds(groups, min(FOLDS, len(set(groups))))
    middle, structure = start_predictions(runs, mean, folds), start_predictions(runs, linear, folds)
    learnt = {"LMP": (held_out_predictions(runs, linear, earlier=True, folds=folds), structure)} | {
        f"{title}, scaled": (held_out_predictions(runs, scaled, estimate=name, static=False, folds=folds), middle)
        for name, title in ALONG.items()
    }
    result: dict[str, dict[int, dict[str, float]]] = {}
    for i, one in enumerate(found):
        told = result.setdefault(one["instance"], {})
        for text, estimates in one["along"].items():
            at = np.array([float(text)])
            told[int(text)] = {ALONG[name]: float(estimates[name]) for name in ALONG} | {
                title: float(standing_at(runs.spent[[i]], made[[i]], at, start[[i]])[0])
                for title, (made, start) in learnt.items()
            }
    return result
