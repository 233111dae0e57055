"""From runs under the monitor to its model of the hazard: which are made, what was predicted before them, the fit.

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
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.decide.monitored_runs import MonitoredRun, read_monitored_runs, run_monitored
from satcost_gnn.decide.reestimate import Reestimator, SearchState
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.preprocessing import preprocess
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.predictor import Predictor

#: Conflicts that a run takes at least: shorter ones end before the monitor says anything.
LEAST_CONFLICTS = 4000
UNITS = ("conflicts", "cpu_seconds")

#: Instance and solver.
RunName = tuple[str, str]
#: Unit -> solver -> prediction before the run.
Priors = Mapping[str, Mapping[str, CostDistribution]]


@dataclass(frozen=True)
class Stratum:
    """Runs of a cost up to ``cpu_s``, infinite for runs that a limit stopped.

    One of ``one_of`` such runs is made again; infinite for none.
    """

    cpu_s: float
    one_of: float


@dataclass(frozen=True)
class Sample:
    """Which runs of a side of the split by instance are made again, by strata in order of their costs."""

    side: str
    strata: tuple[Stratum, ...]


#: What a monitor is fitted on. The network learns from the validation side too.
TRAINING = Sample(
    "calibration", (Stratum(0.5, 1), Stratum(2.0, 3), Stratum(5.0, 9), Stratum(10.0, 9), Stratum(np.inf, 48))
)


def by_stratum(dataset: Dataset, sample: Sample) -> dict[int, list[RunName]]:
    """Return the runs of a side by stratum, in pseudo-random order; DatasetError if the data set has no splits."""
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

    ``root`` and ``store`` as for :func:`~satcost_gnn.data.materialise.materialise`.
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
    instances: Collection[str],
    target: Path,
    *,
    checkpoint: str | Path | None,
    root: Path | None,
    store: Path,
) -> None:
    """Predict instances as before any of the runs, those that a file of JSON lines has not got yet.

    ``checkpoint`` is None for the shipped one; ``root`` and ``store`` as for
    :func:`~satcost_gnn.data.materialise.materialise`.
    """
    missing = sorted({*instances} - {row["instance"] for row in _lines(target)})
    if not missing:
        return
    with ExitStack() as stack:
        predictors = [
            stack.enter_context(Predictor.from_checkpoint(checkpoint, unit=unit, device="cpu")) for unit in UNITS
        ]
        sandbox, stream = stack.enter_context(Sandbox()), stack.enter_context(target.open("a"))
        files = iter(materialise(dataset, root, store, instances=missing).items())
        while batch := [
            (name, preprocess(path, predictors[0].settings, sandbox)) for name, path in itertools.islice(files, 16)
        ]:
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


def population(dataset: Dataset, solvers: Collection[str]) -> dict[str, CostDistribution]:
    """Return unit -> distribution of cost over the runs of the training side that take more than 2,000 conflicts.

    DatasetError if there is no such run.
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

    Raises
    ------
    DatasetError
        If the data set has no splits, or no run is long enough.
    """
    config = Checkpoint.open(checkpoint).config
    anyone = population(dataset, config.solvers)
    wanted = chosen_runs(dataset, TRAINING, config.solvers)
    if not wanted:
        raise DatasetError(f"{dataset.directory}: found no run of the {TRAINING.side} side that is long enough")
    record_runs(dataset, wanted, work / "training.jsonl", root=root, store=work / "cnf")
    recorded = list(read_monitored_runs(work / "training.jsonl"))
    predict_before(
        dataset,
        {run.instance for run in recorded},
        work / "priors.jsonl",
        checkpoint=checkpoint,
        root=root,
        store=work / "cnf",
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
