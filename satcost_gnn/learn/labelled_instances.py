"""Instances joined with their labels: from a data set and the cache of preprocessed instances to training tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import TrainingConfig
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.joining import declared_relatives, join_datasets
from satcost_gnn.data.materialise import fill_cache
from satcost_gnn.data.splits import SIDES
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.early_answers import probe_cost
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.search.probe_settings import ProbeSettings

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster


@dataclass(frozen=True, eq=False)
class LabelledInstances:
    """Preprocessed instances with their labels, in one order.

    Parameters
    ----------
    instances
        Instances that the probe did not solve.
    tables
        Unit -> table of their costs.
    sides
        ``train``, ``validation``, ``calibration`` or ``test`` of each.
    probe_offsets
        Unit -> solver -> log10 of its cost over the probe's, for training instances that the probe solved.
    solved_by_probe
        Instances that the probe solved, by side.
    solved
        Identity -> those instances, without trace.
    solved_tables
        Unit -> table of their costs.
    solved_sides
        Side of each.
    """

    instances: list[Instance]
    tables: dict[str, TrainingTable]
    sides: NDArray[np.str_]
    probe_offsets: dict[str, dict[str, NDArray[np.float64]]]
    solved_by_probe: dict[str, int]
    solved: dict[str, Instance] = field(default_factory=dict)
    solved_tables: dict[str, TrainingTable] = field(default_factory=dict)
    solved_sides: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))

    def side(self, *names: str) -> NDArray[np.int64]:
        """Return the positions of the instances on some sides."""
        return np.flatnonzero(np.isin(self.sides, names))

    def solved_table(self, unit: str, *sides: str) -> TrainingTable:
        """Return the costs of the instances on some sides that the probe solved."""
        return self.solved_tables[unit].subset(np.isin(self.solved_sides, sides))

    def before_search(self, unit: str, *sides: str) -> TrainingTable:
        """Return the costs of all instances on some sides, whether the probe solved them or not."""
        return self.tables[unit].subset(self.side(*sides)).joined(self.solved_table(unit, *sides))


def load_labelled(
    dataset: Dataset,
    cache: InstanceCache,
    solvers: Sequence[str],
    units: Sequence[str],
    sides: Mapping[str, str],
    keep: Collection[str] = ("graph", "trace"),
) -> LabelledInstances:
    """Join the cached instances of a data set with its labels.

    Instances without a side (``sides``: instance -> side) are left out; ``keep`` lists the large parts to hold in
    memory: ``graph``, ``trace``. DatasetError if no instance is left.
    """
    names = [name for name in dataset.instances if sides.get(name) in SIDES]
    kept: list[str] = []
    instances: list[Instance] = []
    solved: dict[str, Instance] = {}
    absent = 0
    for name, instance in zip(names, cache.load(names), strict=True):
        if instance is None or instance.online is None:
            absent += 1
        elif instance.probe is not None and instance.probe.solved:
            solved[name] = _with_parts(instance, {"graph"} & {*keep})
        else:
            kept.append(name)
            instances.append(_with_parts(instance, keep))
    if not kept:
        raise DatasetError(f"{dataset.directory}: found no labelled instance that was read and not solved by the probe")
    log.info(f"{len(kept)} instances to learn from, {len(solved)} solved by the probe, {absent} absent or not probed")
    offsets = {unit: _probe_offsets(dataset, solved, solvers, unit, sides) for unit in units}
    by_side = {side: sum(sides[name] == side for name in solved) for side in SIDES}
    return LabelledInstances(
        instances,
        _tables(dataset, dict(zip(kept, instances, strict=True)), solvers, units),
        np.array([sides[name] for name in kept]),
        offsets,
        by_side,
        solved,
        _tables(dataset, solved, solvers, units),
        np.array([sides[name] for name in solved], dtype=np.str_),
    )


def _tables(
    dataset: Dataset, instances: Mapping[str, Instance], solvers: Sequence[str], units: Sequence[str]
) -> dict[str, TrainingTable]:
    """Return unit -> what each solver's run on some instances cost."""
    names = list(instances)
    found = {}
    for unit in units:
        matrix = dataset.cost_matrix(solvers, unit, instances=names)
        found[unit] = TrainingTable(
            list(instances.values()),
            tuple(solvers),
            unit,
            np.nan_to_num(matrix.cost),
            matrix.censored,
            matrix.known,
            dataset.families(names),
            dataset.satisfiable(names),
            largest_limits(dataset, names),
        )
    return found


def largest_limits(dataset: Dataset, instances: Sequence[str]) -> NDArray[np.float64]:
    """Return the largest CPU limit in seconds of each instance's runs, own and published, by any solver; 0 for none."""
    runs_of = dataset.runs_of
    return np.array([max((run.cpu_limit_s for run in runs_of.get(name, ())), default=0.0) for name in instances])


def _with_parts(instance: Instance, parts: Collection[str]) -> Instance:
    """Return the instance without the large parts that aren't listed."""
    probe = instance.probe
    if probe is not None and "trace" not in parts:
        probe = replace(probe, trace=None)
    return replace(instance, probe=probe, graph=instance.graph if "graph" in parts else None)


def _probe_offsets(
    dataset: Dataset, solved: Mapping[str, Instance], solvers: Sequence[str], unit: str, sides: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    names = [name for name in solved if sides[name] == "train"]
    matrix = dataset.cost_matrix(solvers, unit, instances=names)
    base = np.array([probe_cost(solved[name], unit) for name in names])
    found = {}
    for column, solver in enumerate(solvers):
        usable = matrix.known[:, column]
        values = matrix.cost[usable, column] - base[usable]
        found[solver] = values if len(values) else np.zeros(1)
    return found


def preprocess_settings(config: TrainingConfig) -> PreprocessSettings:
    """Return how the configuration wants instances preprocessed."""
    return PreprocessSettings(
        FeatureSpec(
            probe=ProbeSettings(conflicts=config.preprocess.conflicts),
            probe_replicate=config.preprocess.probe_replicate,
            max_graph_edges=config.preprocess.max_graph_edges,
        )
    )


def open_datasets(config: TrainingConfig) -> Dataset:
    """Open the data sets of a configuration and join them; DatasetError if one cannot be read or has no splits."""
    parts = [Dataset.open(path) for path in (config.data.dataset, *config.data.also)]
    for part in parts:
        if part.splits is None:
            raise DatasetError(f"{part.directory}: found no splits.json; make it with `satcost dataset split`")
    return join_datasets(parts, declared_relatives(config.data.model_dump()))


def prepare(config: TrainingConfig, progress: Callable[[int, str], ProgressLine]) -> tuple[Dataset, LabelledInstances]:
    """Open the data set, preprocess what isn't cached, and join instances and labels.

    DatasetError if the data set has no splits, or no instance of it can be had.
    """
    dataset = open_datasets(config)
    cache = cached_instances(dataset, config, progress)
    data = load_labelled(dataset, cache, config.data.solvers, config.data.units, split_sides(dataset, config))
    log.info(", ".join(f"{side}: {len(data.side(side))}" for side in SIDES))
    return dataset, data


def cached_instances(
    dataset: Dataset,
    config: TrainingConfig,
    progress: Callable[[int, str], ProgressLine],
    cluster: RayCluster | None = None,
) -> InstanceCache:
    """Preprocess the instances that have runs and aren't cached yet, here or on a cluster, and return the cache."""
    labelled = sorted({run.instance for run in dataset.runs} & set(dataset.instances))
    cache, failed = fill_cache(
        dataset,
        labelled,
        config.data.cache,
        preprocess_settings(config),
        root=config.data.root,
        jobs=config.preprocess.jobs,
        progress=progress,
        cluster=cluster,
    )
    for item in failed:
        log.warning(f"left out: {item.error}")
    return cache


def split_sides(dataset: Dataset, config: TrainingConfig) -> dict[str, str]:
    """Return instance -> side of the split that the configuration asks for."""
    splits = dataset.splits
    assert splits is not None
    if config.data.split == "instance":
        return dict(splits.side)
    return {name: side for side, names in splits.leave_out(config.data.fold).items() for name in names}


#: Seconds of the default budget for ``p_solved``, where the labels reach as far.
_HOUR_S = 3600.0


def own_limit(dataset: Dataset) -> float:
    """Return the CPU limit in seconds that most runs of our own were made under; of all runs if none is our own."""
    limits = Counter(run.cpu_limit_s for run in dataset.runs if not run.source)
    limits = limits or Counter(run.cpu_limit_s for run in dataset.runs)
    return max(limits, key=lambda limit: (limits[limit], limit))


def default_cutoffs(
    dataset: Dataset, units: Sequence[str], bounds: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return budgets for ``p_solved``, by unit, given how far the labels reach.

    Seconds are an hour where the labels reach beyond one; by default, and where they end before, the CPU limit of most
    own runs. Counts are a round number that most runs reach in ten seconds.
    """
    found = {"conflicts": 1e5, "propagations": 1e8, "cpu_seconds": own_limit(dataset)}
    if bounds is not None and bounds.get("cpu_seconds", 0.0) >= _HOUR_S:
        found["cpu_seconds"] = _HOUR_S
    return {unit: found[unit] for unit in units}


def largest_solved(data: LabelledInstances, unit: str) -> dict[str, float]:
    """Return log10 of the largest cost at which each solver solved an instance of the training side."""
    table = data.tables[unit].subset(data.side("train"))
    solved = table.known & ~table.censored
    return {solver: float(table.cost[solved[:, k], k].max()) for k, solver in enumerate(table.solvers)}
