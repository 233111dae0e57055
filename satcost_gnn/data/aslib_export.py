"""A data set as a scenario in ASlib format, with features of its instances as steps and what each step costs."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from satcost_gnn.data.arff import NUMERIC, STRING, Column, Kind, format_arff
from satcost_gnn.data.aslib_scenario import (
    COSTS_FILE,
    DESCRIPTION_FILE,
    FOLDS_FILE,
    RUN_STATUSES,
    RUNS_FILE,
    STATUS_FILE,
    TRUTH_FILE,
    VALUES_FILE,
    AslibScenario,
    FeatureStep,
)
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.run_outcome import outcome_within
from satcost_gnn.data.schema import ManifestRow, Run, RunStatus
from satcost_gnn.data.split_groups import group_instances
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.instance import Instance
from satcost_gnn.runtime.output_files import write_text

FEATURE_STATUSES = ("ok", "timeout", "memout", "presolved", "crash", "other", "unknown")
#: Feature step -> stages of preprocessing whose CPU seconds it costs. Reading the file is not among them: every solver
#: has to do it.
STEPS: Mapping[str, tuple[str, ...]] = {"structure": ("features",), "early_search": ("probe", "probe replicate")}
_SIZES = ("n_vars", "n_clauses", "bytes")
_STATUS_OF: Mapping[RunStatus, str] = {
    RunStatus.SAT: "ok",
    RunStatus.UNSAT: "ok",
    RunStatus.TIMEOUT: "timeout",
    RunStatus.MEMOUT: "memout",
    RunStatus.CRASHED: "crash",
    RunStatus.UNSUPPORTED: "not_applicable",
}


def _group_folds(rows: Sequence[ManifestRow]) -> NDArray[np.int64]:
    """Return ``int64[n]``: folds ``1 .. 10`` of about equal size that related instances never straddle."""
    groups = group_instances(rows)
    sizes = Counter(groups.values())
    load = Counter(dict.fromkeys(range(1, 11), 0))
    fold_of: dict[str, int] = {}
    order = sorted(sizes, key=lambda name: (-sizes[name], hashlib.sha256(name.encode()).hexdigest()))
    for group in order:
        fold_of[group] = min(load, key=lambda fold: (load[fold], fold))
        load[fold_of[group]] += sizes[group]
    return np.array([fold_of[groups[row.instance]] for row in rows], dtype=np.int64)


def export_scenario(
    dataset: Dataset,
    directory: Path | str,
    *,
    solvers: Sequence[str],
    cutoff_s: float | None = None,
    instances: Mapping[str, Instance] | None = None,
    folds: Literal["instance", "family"] = "instance",
) -> AslibScenario:
    """Write a data set as a scenario, measured in CPU seconds with seed 0, and return it.

    Instances are left out that are in quarantine or lack a run of one of the solvers that tells what happens within
    the cutoff.

    Parameters
    ----------
    dataset
        The data set.
    directory
        Of the scenario; its name is that of the scenario.
    solvers
        Algorithms.
    cutoff_s
        CPU seconds after which a run counts as cut off; by default the CPU limit that most runs had.
    instances
        Identity -> preprocessed instance, whose features are written; the others are left out. One without an early
        search has its features missing, at no cost. By default features are the sizes of the manifest.
    folds
        ``instance``: ten folds of about equal size that related instances never straddle. ``family``: the data set's
        own folds of whole families; instances that have none are left out.

    Raises
    ------
    DatasetError
        If nothing is left, splits are missing, or there is a scenario already.
    """
    if instances is not None:
        dataset = replace(dataset, runs=tuple(run for run in dataset.runs if run.instance in instances))
    if not dataset.runs:
        raise DatasetError(f"{dataset.directory}: found no runs, expected some; collect them first")
    limits = Counter(run.cpu_limit_s for run in dataset.runs)
    cutoff = max(limits, key=lambda limit: (limits[limit], limit)) if cutoff_s is None else float(cutoff_s)
    family_folds = {} if folds == "instance" or dataset.splits is None else dataset.splits.fold
    if folds == "family" and dataset.splits is None:
        raise DatasetError(f"{dataset.directory}: found no splits, expected them for folds by family; make them first")

    chosen: list[str] = []
    cells: list[list[tuple[Run, RunStatus]]] = []
    for instance in dataset.instances:
        if folds == "family" and family_folds.get(instance) is None:
            continue
        by_solver: dict[str, list[Run]] = defaultdict(list)
        for run in dataset.runs_of.get(instance, ()):
            if run.seed == 0:
                by_solver[run.solver].append(run)
        found = [outcome_within(by_solver[solver], cutoff) for solver in solvers]
        whole = [cell for cell in found if cell is not None]
        if len(whole) == len(solvers):
            chosen.append(instance)
            cells.append(whole)
    if not chosen:
        raise DatasetError(
            f"{dataset.directory}: found no instance with runs of {', '.join(solvers)} at {cutoff:g} s, expected some; "
            "choose fewer solvers"
        )
    rows = [dataset.by_instance[instance] for instance in chosen]
    if instances is None:
        steps: tuple[FeatureStep, ...] = (FeatureStep("ALL", _SIZES),)
        values = np.array([[getattr(row, name) for name in _SIZES] for row in rows], dtype=np.float32)
        costs = None
    else:
        steps, values, costs = _features([instances[name] for name in chosen])
    if folds == "instance":
        fold = _group_folds(rows)
    else:
        fold = np.array([1 + (family_folds[instance] or 0) for instance in chosen], dtype=np.int64)
    times = np.array([[run.cpu_s if status.solved else cutoff for run, status in row] for row in cells])
    scenario = AslibScenario(
        name=Path(directory).resolve().name,
        instances=tuple(chosen),
        algorithms=tuple(solvers),
        cutoff_s=cutoff,
        runtimes=times[:, :, None],
        statuses=np.array([[_STATUS_OF[status] for _, status in row] for row in cells])[:, :, None],
        feature_names=tuple(name for step in steps for name in step.provides),
        features=values.astype(np.float64),
        steps=steps,
        feature_costs=costs,
        default_steps=tuple(step.name for step in steps),
        folds=fold[:, None],
    )
    answers = [{1: "SAT", 0: "UNSAT"}.get(int(answer)) for answer in dataset.satisfiable(chosen)]
    memory = max((run.memory_limit_mb for run in dataset.runs if run.memory_limit_mb is not None), default=None)
    write_scenario(scenario, directory, answers, memory)
    return scenario


def _features(
    instances: Sequence[Instance],
) -> tuple[tuple[FeatureStep, ...], NDArray[np.float32], NDArray[np.float64]]:
    """Return the steps, ``float32[n, f]`` features, and ``float64[n, s]`` CPU seconds of each step."""
    structure = instances[0].static.names
    early = next((one.online.names for one in instances if one.online is not None), ())
    names = [name for name, its in zip(STEPS, (structure, early), strict=True) if its]
    nothing = np.full(len(early), np.nan, dtype=np.float32)
    values = [
        np.concatenate([one.static.values, nothing if one.online is None else one.online.values]) for one in instances
    ]
    costs = [
        [
            sum(one.timings.get(stage, 0.0) for stage in STEPS[name])
            if name == "structure" or one.online is not None
            else np.nan
            for name in names
        ]
        for one in instances
    ]
    provided = {"structure": structure, "early_search": early}
    return tuple(FeatureStep(name, provided[name]) for name in names), np.array(values), np.array(costs)


def write_scenario(
    scenario: AslibScenario, directory: Path | str, answers: Sequence[str | None] = (), memory_mb: int | None = None
) -> None:
    """Write a scenario; reading it gives the same arrays. Features and their costs are written as one repetition.

    Parameters
    ----------
    scenario
        The scenario.
    directory
        Where to; made if it isn't there.
    answers
        ``SAT``, ``UNSAT`` or None (not known) for each instance; empty to write none.
    memory_mb
        Memory limit of the runs in mebibytes, if it is known.

    Raises
    ------
    DatasetError
        If there is a scenario already, or a name doesn't fit into ARFF.
    OutputError
        If a file can't be written.
    """
    directory = Path(directory)
    if (directory / DESCRIPTION_FILE).exists():
        raise DatasetError(f"{directory}: found a scenario there, expected none; name another place")
    once = np.ones(len(scenario.instances))
    names: list[str | None] = list(scenario.instances)
    head: list[tuple[str, Kind]] = [("instance_id", STRING), ("repetition", NUMERIC)]

    def write(file: str, relation: str, attributes: Sequence[tuple[str, Kind]], columns: Sequence[Column]) -> None:
        write_text(directory / file, format_arff(f"{relation}_{scenario.name}", attributes, columns))

    cells = [cell for cell in np.ndindex(*scenario.runtimes.shape) if scenario.statuses[cell]]
    write(
        RUNS_FILE,
        "ALGORITHM_RUNS",
        [*head, ("algorithm", STRING), ("runtime", NUMERIC), ("runstatus", RUN_STATUSES)],
        [
            [names[i] for i, _, _ in cells],
            np.array([r + 1.0 for _, _, r in cells]),
            [scenario.algorithms[j] for _, j, _ in cells],
            np.array([scenario.runtimes[cell] for cell in cells]),
            [str(scenario.statuses[cell]) for cell in cells],
        ],
    )
    write(
        VALUES_FILE,
        "FEATURE_VALUES",
        [*head, *((name, NUMERIC) for name in scenario.feature_names)],
        [names, once, *scenario.features.T],
    )
    states: list[Column] = []
    for step in scenario.steps:
        its = scenario.features[:, [scenario.feature_names.index(name) for name in step.provides]]
        states.append(["other" if missing else "ok" for missing in np.asarray(np.isnan(its).all(axis=1)).tolist()])
    write(
        STATUS_FILE,
        "FEATURE_RUNSTATUS",
        [*head, *((step.name, FEATURE_STATUSES) for step in scenario.steps)],
        [names, once, *states],
    )
    if scenario.feature_costs is not None:
        attributes = [*head, *((step.name, NUMERIC) for step in scenario.steps)]
        write(COSTS_FILE, "FEATURE_COSTS", attributes, [names, once, *scenario.feature_costs.T])
    if scenario.folds is not None:
        write(FOLDS_FILE, "CV", [*head, ("fold", NUMERIC)], [names, once, scenario.folds[:, 0].astype(np.float64)])
    if answers:
        choices = sorted({answer for answer in answers if answer is not None})
        write(TRUTH_FILE, "GROUND_TRUTH", [head[0], ("SATUNSAT", choices)], [names, list(answers)])
    description: dict[str, object] = {
        "scenario_id": scenario.name,
        "performance_measures": ["runtime"],
        "maximize": [False],
        "performance_type": ["runtime"],
        "algorithm_cutoff_time": scenario.cutoff_s,
        "algorithm_cutoff_memory": "?" if memory_mb is None else memory_mb,
        "features_cutoff_time": "?",
        "features_cutoff_memory": "?",
        "number_of_feature_steps": len(scenario.steps),
        "feature_steps": {step.name: {"provides": list(step.provides)} for step in scenario.steps},
        "default_steps": list(scenario.default_steps),
        "features_deterministic": list(scenario.feature_names),
        "features_stochastic": None,
        "metainfo_algorithms": {name: {"configuration": "", "deterministic": True} for name in scenario.algorithms},
    }
    # Last, since it is what tells a scenario from an unfinished one.
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=1_000_000)
    write_text(directory / DESCRIPTION_FILE, text)
