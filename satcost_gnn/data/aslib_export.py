"""A data set as a scenario in ASlib format."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.aslib_description import Description
from satcost_gnn.data.aslib_scenario import (
    AslibScenario,
    FeatureStep,
)
from satcost_gnn.data.dataset import CostUnit, Dataset, run_cost
from satcost_gnn.data.run_outcome import outcome_within
from satcost_gnn.data.schema import ManifestRow, Run, RunStatus
from satcost_gnn.data.split_groups import group_instances
from satcost_gnn.errors import DatasetError

_STATUS_OF: Mapping[RunStatus, str] = {
    RunStatus.SAT: "ok",
    RunStatus.UNSAT: "ok",
    RunStatus.TIMEOUT: "timeout",
    RunStatus.MEMOUT: "memout",
    RunStatus.CRASHED: "crash",
    RunStatus.UNSUPPORTED: "not_applicable",
}


def _group_folds(rows: Sequence[ManifestRow], n_folds: int) -> NDArray[np.int64]:
    """Return ``int64[n]``: folds ``1 .. n_folds`` of about equal size that related instances never straddle."""
    groups = group_instances(rows)
    sizes = Counter(groups.values())
    load = Counter(dict.fromkeys(range(1, n_folds + 1), 0))
    fold_of: dict[str, int] = {}
    order = sorted(sizes, key=lambda name: (-sizes[name], hashlib.sha256(name.encode()).hexdigest()))
    for group in order:
        fold_of[group] = min(load, key=lambda fold: (load[fold], fold))
        load[fold_of[group]] += sizes[group]
    return np.array([fold_of[groups[row.instance]] for row in rows], dtype=np.int64)


def scenario_from_dataset(
    dataset: Dataset,
    *,
    unit: CostUnit | str = CostUnit.CPU_SECONDS,
    name: str | None = None,
    solvers: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    cutoff_s: float | None = None,
    features: Mapping[str, FeatureVector] | None = None,
    steps: Mapping[str, Sequence[str]] | None = None,
    folds: Literal["instance", "family"] = "instance",
) -> AslibScenario:
    """Return a data set as a scenario.

    Instances are left out that are in quarantine or lack a run of one of the solvers with one of the seeds that tells
    what happens within the cutoff.

    Parameters
    ----------
    dataset
        The data set.
    unit
        Measure: ``cpu_seconds`` (called ``runtime`` in the scenario), ``conflicts``, ``decisions``, ``propagations``.
    name
        ``scenario_id``; by default the name of the data set's directory.
    solvers
        Algorithms; by default all that have runs.
    seeds
        Seeds, which become repetitions 1, 2, ...
    cutoff_s
        CPU seconds after which a run counts as cut off; by default the CPU limit that most runs had.
    features
        Instance -> features, with the seconds of each group; by default the sizes of the manifest.
    steps
        Group of features -> their names; by default all features are one step.
    folds
        ``instance``: ten folds of about equal size that related instances never straddle. ``family``: the data set's
        own folds of whole families; instances that have none are left out.

    Raises
    ------
    DatasetError
        If nothing is left, a solver doesn't report the measure, features of an instance or the splits are missing.
    """
    unit = CostUnit.of(unit)
    if not dataset.runs:
        raise DatasetError(f"{dataset.directory}: found no runs, expected some; collect them first")
    algorithms = tuple(dataset.solvers if solvers is None else solvers)
    limits = Counter(run.cpu_limit_s for run in dataset.runs)
    cutoff = max(limits, key=lambda limit: (limits[limit], limit)) if cutoff_s is None else float(cutoff_s)
    if folds == "family" and dataset.splits is None:
        raise DatasetError(f"{dataset.directory}: found no splits, expected them for folds by family; make them first")

    chosen: list[str] = []
    cells: list[list[list[tuple[Run, RunStatus]]]] = []
    for instance in dataset.instances:
        if folds == "family" and dataset.splits is not None and dataset.splits.fold.get(instance) is None:
            continue
        by_key: dict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in dataset.runs_of.get(instance, ()):
            by_key[run.solver, run.seed].append(run)
        found = [[outcome_within(by_key[solver, seed], cutoff) for seed in seeds] for solver in algorithms]
        whole = [[cell for cell in row if cell is not None] for row in found]
        if all(len(row) == len(seeds) for row in whole):
            chosen.append(instance)
            cells.append(whole)
    if not chosen:
        raise DatasetError(
            f"{dataset.directory}: found no instance with runs of {', '.join(algorithms)} (seeds "
            f"{', '.join(map(str, seeds))}) at {cutoff:g} s, expected some; choose fewer solvers or seeds"
        )
    shape = (len(chosen), len(algorithms), len(seeds))
    runtimes = np.full(shape, np.nan)
    statuses = np.full(shape, "", dtype="<U16")
    for i, j, r in np.ndindex(*shape):
        run, status = cells[i][j][r]
        statuses[i, j, r] = _STATUS_OF[status]
        if unit is CostUnit.CPU_SECONDS:
            runtimes[i, j, r] = run.cpu_s if status.solved else cutoff
            continue
        cost = run_cost(run, unit)
        if cost is not None:
            runtimes[i, j, r] = cost[0]
        elif status.solved:
            raise DatasetError(
                f"{dataset.directory}: found no {unit} of {run.solver} on {run.instance}, expected a count; "
                "leave that solver out or take cpu_seconds"
            )

    vectors = _vectors(dataset, chosen, features)
    feature_names = vectors[0].names
    grouped = {group: tuple(its) for group, its in (steps or {"ALL": feature_names}).items()}
    unknown = sorted({feature for its in grouped.values() for feature in its} - set(feature_names))
    if unknown:
        raise DatasetError(f"steps: found features {', '.join(unknown)}, expected names of the feature vectors")
    matrix = np.array([vector.values for vector in vectors], dtype=np.float64).reshape(len(chosen), len(feature_names))
    position = {feature: k for k, feature in enumerate(feature_names)}
    states = np.full((len(chosen), len(grouped)), "ok", dtype="<U32")
    costs = np.full(states.shape, np.nan)
    for k, (group, its) in enumerate(grouped.items()):
        columns = [position[feature] for feature in its]
        states[np.isnan(matrix[:, columns]).all(axis=1), k] = "other"
        for i, vector in enumerate(vectors):
            costs[i, k] = vector.seconds.get(group, np.nan) if steps else vector.total_seconds
    has_costs = any(vector.seconds for vector in vectors)

    if folds == "instance" or dataset.splits is None:
        fold = _group_folds([dataset.by_instance[instance] for instance in chosen], 10)
    else:
        fold = np.array([1 + (dataset.splits.fold[instance] or 0) for instance in chosen], dtype=np.int64)
    satisfiable = dataset.satisfiable(chosen)
    measure = "runtime" if unit is CostUnit.CPU_SECONDS else str(unit)
    memory = max((run.memory_limit_mb for run in dataset.runs if run.memory_limit_mb is not None), default=None)
    description: dict[str, Description] = {
        "scenario_id": name or dataset.directory.resolve().name,
        "performance_measures": [measure],
        "maximize": [False],
        "performance_type": ["runtime"],
        "algorithm_cutoff_time": cutoff if unit is CostUnit.CPU_SECONDS else "?",
        "algorithm_cutoff_memory": "?" if memory is None else memory,
        "features_cutoff_time": "?",
        "features_cutoff_memory": "?",
        "number_of_feature_steps": len(grouped),
        "feature_steps": {group: {"provides": list(its)} for group, its in grouped.items()},
        "default_steps": list(grouped),
        "features_deterministic": list(feature_names),
        "features_stochastic": None,
        "metainfo_algorithms": {
            solver: {"configuration": "", "deterministic": len(seeds) == 1} for solver in algorithms
        },
    }
    return AslibScenario(
        name=str(description["scenario_id"]),
        instances=tuple(chosen),
        algorithms=algorithms,
        measure=measure,
        is_runtime=True,
        maximise=False,
        cutoff_s=cutoff if unit is CostUnit.CPU_SECONDS else None,
        runtimes=runtimes,
        statuses=statuses,
        feature_names=feature_names,
        features=matrix,
        steps=tuple(FeatureStep(group, its) for group, its in grouped.items()),
        feature_statuses=states,
        feature_costs=costs if has_costs else None,
        default_steps=tuple(grouped),
        folds=fold[:, None],
        ground_truth={"SATUNSAT": tuple({1: "SAT", 0: "UNSAT"}.get(int(answer)) for answer in satisfiable)},
        description=description,
    )


def _vectors(
    dataset: Dataset, instances: Sequence[str], features: Mapping[str, FeatureVector] | None
) -> list[FeatureVector]:
    if features is None:
        names = ("n_vars", "n_clauses", "bytes")
        rows = [dataset.by_instance[instance] for instance in instances]
        return [FeatureVector.from_mapping(names, {name: float(getattr(row, name)) for name in names}) for row in rows]
    vectors = []
    for instance in instances:
        if instance not in features:
            raise DatasetError(f"features: found none of {instance}, expected those of every instance with runs")
        vectors.append(features[instance])
        if vectors[-1].names != vectors[0].names:
            raise DatasetError(f"features: found other names for {instance}, expected those of {instances[0]}")
    return vectors


def write_scenario(
    dataset: Dataset,
    directory: Path | str,
    unit: CostUnit | str = CostUnit.CPU_SECONDS,
    *,
    name: str | None = None,
    solvers: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    cutoff_s: float | None = None,
    features: Mapping[str, FeatureVector] | None = None,
    steps: Mapping[str, Sequence[str]] | None = None,
    folds: Literal["instance", "family"] = "instance",
    overwrite: bool = False,
) -> AslibScenario:
    """Write a data set as a scenario and return it; see :func:`scenario_from_dataset` for what goes into it.

    Raises
    ------
    DatasetError
        If nothing can be made of the data set, or there is a scenario already and ``overwrite`` is not given.
    """
    scenario = scenario_from_dataset(
        dataset,
        unit=unit,
        name=name or Path(directory).resolve().name,
        solvers=solvers,
        seeds=seeds,
        cutoff_s=cutoff_s,
        features=features,
        steps=steps,
        folds=folds,
    )
    scenario.write(directory, overwrite=overwrite)
    return scenario
