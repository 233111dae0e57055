"""Runs under the monitor, to fit it on: which are made, what they cost, and what was predicted before them.

Runs of a data set that are long enough are sorted into strata by what they cost; of each stratum a sample is run again
under the monitor. Of the others it is known which counts of conflicts they passed, and no more: a search without
counters. Predictions are those of the checkpoint for the calibration side, whose labels it has seen for its
one-dimensional calibration map only. What an interrupted call has left is not made again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.decide.monitored_runs import MonitoredRun, run_monitored
from satcost_gnn.decide.reestimate import SearchState
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.preprocessing import Preprocessed, preprocess
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.serve.predictor import Predictor

#: Conflicts that a run takes at least: shorter ones end before the monitor says anything.
LEAST_CONFLICTS = 4000
UNITS = ("conflicts", "cpu_seconds")

Item = TypeVar("Item")
#: Instance and solver.
RunName = tuple[str, str]
#: Unit -> solver -> prediction before the run.
Priors = Mapping[str, Mapping[str, CostDistribution]]


@dataclass(frozen=True)
class Stratum:
    """Runs of a cost.

    Parameters
    ----------
    cpu_s
        Largest cost; infinite for runs that a limit stopped.
    one_of
        One of how many such runs is made again; infinite for none.
    """

    cpu_s: float
    one_of: float


@dataclass(frozen=True)
class Sample:
    """Which runs of a data set are made again.

    Parameters
    ----------
    side
        Side of the split by instance.
    strata
        In order of their costs.
    """

    side: str
    strata: tuple[Stratum, ...]


#: What a monitor is fitted on. The network learns from the validation side too.
TRAINING = Sample(
    "calibration", (Stratum(0.5, 1), Stratum(2.0, 3), Stratum(5.0, 9), Stratum(10.0, 9), Stratum(np.inf, 48))
)


def by_stratum(dataset: Dataset, sample: Sample) -> dict[int, list[RunName]]:
    """Return the runs of a side by stratum, in pseudo-random order.

    Raises
    ------
    DatasetError
        If the data set has no splits.
    """
    if dataset.splits is None:
        raise DatasetError(f"{dataset.directory}: found no splits.json; make it with `satcost dataset split`")
    sides = dataset.splits.side
    found: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for run in dataset.runs:
        if run.seed or sides.get(run.instance) != sample.side or run.status not in ("SAT", "UNSAT", "TIMEOUT"):
            continue
        if run.conflicts is None or run.conflicts < LEAST_CONFLICTS:
            continue
        cost = run.cpu_s if run.status != "TIMEOUT" else np.inf
        place = next((k for k, stratum in enumerate(sample.strata) if cost <= stratum.cpu_s), None)
        if place is not None:
            key = hashlib.sha256(f"{run.instance} {run.solver}".encode()).hexdigest()
            found[place].append((key, run.instance, run.solver))
    return {place: [(one[1], one[2]) for one in sorted(members)] for place, members in sorted(found.items())}


def chosen_runs(dataset: Dataset, sample: Sample, solvers: Collection[str], share: float = 1.0) -> list[RunName]:
    """Return the runs of some solvers to make again, all strata at an even pace; ``share`` of the usual sample."""
    found = []
    for place, everyone in by_stratum(dataset, sample).items():
        members = [item for item in everyone if item[1] in solvers]
        one_of = sample.strata[place].one_of
        count = max(1, round(share * len(members) / one_of)) if np.isfinite(one_of) else 0
        found += [((k + 0.5) / count, item) for k, item in enumerate(members[:count])]
    return [item for _, item in sorted(found)]


def record_runs(dataset: Dataset, wanted: Sequence[RunName], target: Path, *, root: Path | None, store: Path) -> None:
    """Make runs under the monitor, those that a file of JSON lines has not got yet.

    Parameters
    ----------
    dataset
        Of the instances.
    wanted
        Which.
    target
        The file.
    root, store
        See :func:`~satcost_gnn.data.materialise.materialise`.
    """
    done = {(run["instance"], run["solver"]) for run in _lines(target)}
    todo = [item for item in wanted if item not in done]
    files = materialise(dataset, root, store, instances=sorted({item[0] for item in todo}))
    todo = [item for item in todo if item[0] in files]
    spent = 0.0
    with Sandbox() as sandbox, target.open("a") as stream:
        for k, (instance, solver) in enumerate(todo):
            found = run_monitored(sandbox, solver, files[instance], instance=instance, cpu_s=10.0)
            stream.write(json.dumps(found.to_json()) + "\n")
            stream.flush()
            spent += found.states[-1].cpu_s if found.states else 0.0
            if k % 20 == 0:
                log.info(f"{k} of {len(todo)} runs, {spent:.0f} CPU s")


def predict_before(
    dataset: Dataset,
    recorded: Collection[str],
    others: Collection[str],
    target: Path,
    *,
    checkpoint: str | Path | None,
    root: Path | None,
    store: Path,
    caches: Sequence[InstanceCache] = (),
) -> None:
    """Predict instances as before any of the runs, those that a file of JSON lines has not got yet.

    Parameters
    ----------
    dataset
        Of the instances.
    recorded, others
        Instances that have runs under the monitor, and further ones, which are predicted if a cache has them.
    target
        The file.
    checkpoint
        Whose predictions; None for the shipped one.
    root, store
        See :func:`~satcost_gnn.data.materialise.materialise`.
    caches
        Preprocessed instances.
    """
    known = {row["instance"] for row in _lines(target)}
    predictors = [Predictor.from_checkpoint(checkpoint, unit=unit, device="cpu") for unit in UNITS]

    def items() -> Iterator[tuple[str, Preprocessed]]:
        missing = []
        for name in sorted({*recorded, *others} - known):
            instance = next((found for cache in caches if (found := cache.get(name)) is not None), None)
            if instance is not None:
                yield name, Preprocessed(name, instance)
            elif name in recorded:
                missing.append(name)
        if missing:
            with Sandbox() as sandbox:
                for name, path in materialise(dataset, root, store, instances=missing).items():
                    yield name, preprocess(path, predictors[0].settings, sandbox)

    try:
        with target.open("a") as stream:
            for batch in _batches(items(), 16):
                rows: list[dict[str, Any]] = [{"instance": name, "source": "", "cdf": {}} for name, _ in batch]
                for predictor in predictors:
                    found = predictor.predict_preprocessed([item for _, item in batch])
                    for row, prediction in zip(rows, found, strict=True):
                        row["source"] = prediction.source
                        if prediction.distribution is not None:
                            row["cdf"][predictor.unit] = {
                                solver: prediction.distribution.cdf[k].round(5).tolist()
                                for k, solver in enumerate(prediction.solvers)
                            }
                stream.writelines(json.dumps(row) + "\n" for row in rows)
                stream.flush()
    finally:
        for predictor in predictors:
            predictor.close()


def read_priors(path: Path) -> dict[str, Priors]:
    """Return instance -> predictions before any run, of those that the probe left open."""
    return {
        row["instance"]: {
            unit: {solver: CostDistribution(GRIDS[unit], np.array(cdf)) for solver, cdf in by_solver.items()}
            for unit, by_solver in row["cdf"].items()
        }
        for row in _lines(path)
        if row["source"] not in ("probe", "")
    }


def joined_runs(
    dataset: Dataset, sample: Sample, recorded: Iterable[MonitoredRun], priors: Mapping[str, Priors]
) -> list[tuple[MonitoredRun, dict[str, CostDistribution]]]:
    """Return the runs of a sample's strata with their predictions (by unit); those without one are left out.

    A run that was not recorded is one with checkpoints but without counters: of those it is known that it passed them.
    Its seconds are spread evenly over its conflicts.
    """
    by_name = {(run.instance, run.solver): run for run in recorded}
    wanted = {item for members in by_stratum(dataset, sample).values() for item in members}
    found = []
    for run in dataset.runs:
        known = priors.get(run.instance)
        if run.seed or (run.instance, run.solver) not in wanted or known is None or run.conflicts is None:
            continue
        if not all(run.solver in by_solver for by_solver in known.values()):
            continue
        monitored = by_name.get((run.instance, run.solver))
        if monitored is None:
            counts = LEAST_CONFLICTS / 2 * 1.25 ** np.arange(80)
            ends = [*(int(count) for count in counts if count < run.conflicts), run.conflicts]
            states = tuple(SearchState(n, None, None, None, run.cpu_s * n / run.conflicts) for n in ends)
            monitored = MonitoredRun(run.instance, run.solver, str(run.status), states)
        found.append((monitored, {unit: by_solver[run.solver] for unit, by_solver in known.items()}))
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file of JSON objects; none without a file, the last one left out if it is cut off."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    stream = iter(items)
    while batch := list(itertools.islice(stream, size)):
        yield batch
