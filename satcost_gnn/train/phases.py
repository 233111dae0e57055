"""From models and backbones of satisfiable instances, found once and kept in a directory, to a checkpoint of phases.

Instances are chosen by the data set's runs and its split by instance: small ones that a solver found satisfiable at
once. What an interrupted call has left is not made again.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.errors import DatasetError, SatcostError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.learn.network.phase_samples import PhaseSample
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.model_sampling import SampledModels
from satcost_gnn.search.phase_graph import node_variables, read_phase_graph
from satcost_gnn.search.probe_settings import ProbeSettings

#: Solver whose runs say which instances are easy enough.
CHOSEN_BY = "cadical195"
#: Literal occurrences of a formula whose whole graph is labelled.
MOST_EDGES = 40_000
#: Models that are sampled of each instance; one with fewer has no label.
MODELS = 3
#: The early search on the graph's nodes.
PROBE = ProbeSettings()
_MOST_BYTES = 400_000
#: Settings of the training that the checkpoint in the package was made with.
SETTINGS: dict[str, Any] = {
    "model": {"width": 24, "rounds": 4, "mean_channels": 12, "extreme_channels": 4},
    "epochs": 16,
    "patience": 6,
    "learning_rate": 5e-3,
    "edges": 24_000,
}
#: Larger graphs are left out of training: a few of them would take most of its time.
MOST_EDGES_IN_TRAINING = 12_000


@dataclass(frozen=True)
class SideChoice:
    """Which instances of a side are taken.

    Parameters
    ----------
    per_family, most
        Instances of one family and of all at most.
    cpu_s, conflicts
        CPU seconds that the run that solved one took at most; least and largest number of its conflicts.
    """

    per_family: int
    most: int
    cpu_s: float
    conflicts: tuple[float, float] = (0, float("inf"))


#: What is learnt from, and what stops the training.
TRAINING_SPLITS = {"validation": SideChoice(1, 24, 0.15), "train": SideChoice(8, 363, 0.15)}


def choose_instances(dataset: Dataset, sides: Mapping[str, SideChoice]) -> dict[str, list[str]]:
    """Return the identities of each side's instances, families in turn, so that any prefix is a mixture of families.

    DatasetError if the data set has no splits.
    """
    if dataset.splits is None:
        raise DatasetError(f"{dataset.directory}: found no splits.json; make it with `satcost dataset split`")
    runs = {run.instance: run for run in dataset.runs if run.seed == 0 and run.solver == CHOSEN_BY}
    taken: Counter[tuple[str, str]] = Counter()
    chosen: dict[str, list[tuple[int, str]]] = {side: [] for side in sides}
    for name in sorted(dataset.instances, key=lambda name: hashlib.blake2b(name.encode()).digest()):
        row, run, side = dataset.by_instance[name], runs.get(name), dataset.splits.side.get(name, "")
        if side not in sides or run is None or run.status.value != "SAT" or run.conflicts is None:
            continue
        least, most = sides[side].conflicts
        if row.bytes > _MOST_BYTES or run.cpu_s > sides[side].cpu_s or not least <= run.conflicts <= most:
            continue
        if taken[side, row.family] < sides[side].per_family:
            chosen[side].append((taken[side, row.family], name))
            taken[side, row.family] += 1
    return {side: [name for _, name in sorted(names)][: sides[side].most] for side, names in chosen.items()}


def whole_graphs(directory: Path | None) -> InstanceCache | None:
    """Return the cache of instances with whole graphs, None without a directory."""
    if directory is None:
        return None
    features = FeatureSpec(probe=PROBE, probe_replicate=False, max_graph_edges=MOST_EDGES)
    return InstanceCache(directory, PreprocessSettings(features))


def searched_graph(sandbox: Sandbox, formula: Formula, cached: Instance | None) -> tuple[CompactGraph, str, float]:
    """Return the whole graph after an early search, how that ended if it solved the formula, and CPU seconds."""
    if cached is not None and cached.graph is not None and cached.graph.kept_clause_share == 1 and cached.probe:
        return cached.graph, str(cached.probe.status) if cached.probe.solved else "", 0.0
    found = read_phase_graph(sandbox, formula, PROBE)
    return found.graph, found.result, sum(found.timings.values())


def label_instance(sandbox: Sandbox, path: Path, cached: Instance | None) -> tuple[PhaseSample | None, float]:
    """Return the sample of one instance and the CPU seconds spent; None if it is too large or had too few models."""
    formula = read_dimacs(path)
    if formula.n_literals > MOST_EDGES:
        return None, 0.0
    graph, result, spent = searched_graph(sandbox, formula, cached)
    outcome = sandbox.run(
        "satcost_gnn.search.model_sampling:sample_models_child",
        {
            "formula": formula,
            "count": MODELS,
            "seed": 1,
            "conflicts": 40_000,
            "models_cpu_s": 2.0,
            "backbone_cpu_s": 0.1,
        },
        Limits(15.0, 300.0, 4096),
    )
    spent += outcome.cpu_s
    if outcome.value is None or outcome.status != "OK":
        log.info(f"{path.name}: {outcome.status} {outcome.detail}")
        return None, spent
    sampled = SampledModels(**outcome.value)
    if len(sampled.models) < MODELS:
        return None, spent
    variables = node_variables(formula, graph.n_variables)
    sample = PhaseSample(
        graph,
        variables,
        sampled.true_share[variables - 1].astype("float32"),
        sampled.backbone[variables - 1],
        len(sampled.models),
        result,
    )
    return sample, spent


def label_instances(
    dataset: Dataset,
    sides: Mapping[str, SideChoice],
    work: Path,
    *,
    root: Path | None,
    store: Path,
    cache: InstanceCache | None = None,
    cpu_s: float = float("inf"),
) -> None:
    """Make the samples of all sides that aren't there yet.

    Parameters
    ----------
    work
        Directory of the samples, in ``labels/SIDE``.
    root, store
        See :func:`~satcost_gnn.data.materialise.materialise`.
    cache
        Instances that are preprocessed already.
    cpu_s
        CPU seconds after which no further instance is begun.

    Raises
    ------
    DatasetError
        If the data set has no splits.
    """
    spent = 0.0
    with Sandbox() as sandbox:
        for side, names in choose_instances(dataset, sides).items():
            folder = work / "labels" / side
            folder.mkdir(parents=True, exist_ok=True)
            # An instance that gave no label isn't tried again.
            todo = [n for n in names if not any((folder / f"{n}{end}").exists() for end in (".npz", ".refused"))]
            files = materialise(dataset, root, store, instances=todo)
            for name in (name for name in todo if name in files):
                if spent > cpu_s:
                    log.info(f"stopped at {spent:.0f} CPU seconds")
                    return
                try:
                    sample, used = label_instance(sandbox, files[name], cache.get(name) if cache else None)
                except SatcostError as error:
                    log.warning(str(error))
                    continue
                spent += used
                if sample is None:
                    (folder / f"{name}.refused").touch()
                else:
                    sample.write(folder / f"{name}.npz")
            log.info(f"{side}: {len(list(folder.glob('*.npz')))} of {len(names)} labelled; {spent:.0f} CPU s")


def read_samples(work: Path, side: str, most_edges: int = MOST_EDGES) -> dict[str, PhaseSample]:
    """Return identity -> sample of one side, those of larger graphs left out."""
    found = {path.stem: PhaseSample.read(path) for path in sorted((work / "labels" / side).glob("*.npz"))}
    return {name: sample for name, sample in found.items() if sample.graph.n_edges <= most_edges}


def train_phase_checkpoint(work: Path, target: Path, *, dataset: str, command: str) -> None:
    """Train the network of the phases on ``labels/train`` and ``labels/validation`` in a directory.

    ``target`` is the directory of the new checkpoint; ``dataset`` and ``command`` are kept in it, for the record.

    Raises
    ------
    DatasetError
        If a side has no labels.
    CheckpointError
        If the target exists.
    """
    # Imported here: the command's help works without torch.
    import torch

    from satcost_gnn.learn.network.phase_training import PhaseTrainingConfig, train_phases
    from satcost_gnn.serve.phases import save_phase_checkpoint

    sides = {side: read_samples(work, side, MOST_EDGES_IN_TRAINING) for side in ("train", "validation")}
    for side, samples in sides.items():
        if not samples:
            raise DatasetError(
                f"{work}: found no labelled instance of the {side} side; expected small satisfiable instances "
                "with runs of the solver that they are chosen by"
            )
    torch.set_num_threads(1)
    config = PhaseTrainingConfig.checked(SETTINGS)
    start = time.process_time()
    model = train_phases(config, list(sides["train"].values()), list(sides["validation"].values()))
    about = {
        "command": command,
        "dataset": f"{dataset}, split by instance",
        "instances": {side: len(samples) for side, samples in sides.items()},
        "probe_unsolved": sum(not sample.probe_result for sample in sides["train"].values()),
        "models_each": MODELS,
        "config": config.model_dump(),
        "cpu_s": round(time.process_time() - start, 1),
    }
    save_phase_checkpoint(target, model, about)
