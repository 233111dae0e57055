"""What each stage of the early search answers, costs and teaches, on files with and without labels.

    python benchmarks/early_search.py DIRECTORY -o docs/benchmarks/early_search.json [--per-family 2] [--resume]
    python benchmarks/early_search.py DIRECTORY -o docs/benchmarks/early_search_labelled.json --labelled 40

Of each family of DIRECTORY (a folder each) some files are taken, by hash; or so many files of the test side with a
label under 10 s, and as many with one over 10 s. For each: the plain run in its stages, the
listening probe and the renamed replicate of it, whatever the earlier ones answered, so that every order and budget can
be computed from the rows; and what the forests of the shipped checkpoint predict from what is known after each stage,
beside the label, where a data set has one. The plain run is timed once more for as many conflicts as the probe made,
right after the probe, so that both see the same load of the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.preprocessing import preprocess
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.learn.early_answers import above_survived
from satcost_gnn.learn.labelled_instances import open_datasets
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.plain_run import PlainRun, PlainSettings
from satcost_gnn.search.probe_replicate import replicate_features
from satcost_gnn.serve.checkpoint import Checkpoint, find_checkpoint
from satcost_gnn.serve.predictor import Predictor

SOLVER = "cadical195"
# All stages are wanted, whatever they cost.
PLAIN = PlainSettings(propagations=10**12, literals=10**9, cpu_s=60.0)
LIMITS = Limits(150.0, 900.0, 8192)


def plain_run(formula: Formula, settings: PlainSettings, sandbox: Sandbox) -> PlainRun | str:
    """Return a plain run made in a child, or why there is none."""
    kwargs = {"formula": formula, "settings": settings}
    outcome = sandbox.run("satcost_gnn.search.plain_run:run_plain", kwargs, LIMITS)
    return outcome.value if outcome.status == "OK" else f"plain run: {outcome.status} {outcome.detail}"


def chosen_files(directory: Path, per_family: int, largest: int) -> list[Path]:
    """Return some files of each folder, the same in each call."""
    files: list[Path] = []
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        inside = [path for path in folder.rglob("*.cnf*") if path.stat().st_size <= largest]
        files += sorted(inside, key=lambda path: hashlib.sha256(path.name.encode()).digest())[:per_family]
    return files


def labels(dataset: Dataset) -> dict[str, dict[str, tuple[float, bool]]]:
    """Return instance -> unit -> log10 of the solver's cost and whether it is a bound."""
    found: dict[str, dict[str, tuple[float, bool]]] = {}
    for unit in ("conflicts", "cpu_seconds"):
        matrix = dataset.cost_matrix([SOLVER], unit)
        for row, name in enumerate(dataset.instances):
            if matrix.known[row, 0]:
                found.setdefault(name, {})[unit] = (float(matrix.cost[row, 0]), bool(matrix.censored[row, 0]))
    return found


def labelled_files(directory: Path, dataset: Dataset, known: dict[str, Any], count: int, largest: int) -> list[Path]:
    """Return files of the test side, so many with a label under 10 s and so many over, the same in each call."""
    assert dataset.splits is not None
    sides: dict[bool, list[Path]] = {True: [], False: []}
    for name in sorted(known, key=lambda name: hashlib.sha256(name.encode()).digest()):
        where = dataset.by_instance[name].path
        if dataset.splits.side[name] != "test" or where is None or "cpu_seconds" not in known[name]:
            continue
        path = directory / where
        cost, censored = known[name]["cpu_seconds"]
        # Stopped before 10 s: on neither side.
        if path.exists() and path.stat().st_size <= largest and not (censored and cost < 0.95):
            sides[cost >= 0.95].append(path)
    return sides[False][:count] + sides[True][:count]


def medians(predictor: Predictor, instance: Instance, run: PlainRun | None) -> dict[str, float]:
    """Return log10 of the median that is predicted after each stage that leaves the instance open."""
    without = FeatureVector.missing(replicate_features(None).names)
    online = instance.online
    first = None
    if online is not None:
        kept = [name for name in online.names if name not in without.names]
        first = FeatureVector.concatenate(online.select(kept), without)
    cases = {
        "none": ("forest_static", instance, None),
        "plain": ("forest_static", instance, run),
        "probe": ("forest", replace(instance, online=first), run),
        "replicate": ("forest", instance, run),
    }
    found = {}
    for name, (estimator, known, survivor) in cases.items():
        if estimator == "forest" and known.online is None:
            continue
        told = predictor.predict_variants(estimator, [known])[0]
        found[name] = float(above_survived(told, predictor.solvers, survivor, predictor.unit).quantile(0.5)[0])
    return found


def measure(path: Path, predictors: list[Predictor], sandbox: Sandbox, known: dict[str, Any]) -> dict[str, Any]:
    """Return the row of one file."""
    item = preprocess(path, predictors[0].settings.with_features(plain=None), sandbox)
    row: dict[str, Any] = {"file": f"{path.parent.name}/{path.name}", "error": item.error}
    instance = item.instance
    if instance is None or instance.probe is None:
        return row
    probe, second = instance.probe, instance.replicate
    formula = read_dimacs(path)
    equal = plain_run(formula, replace(PLAIN, stages=(max(probe.conflicts or 0, 1),)), sandbox)
    run = plain_run(formula, PLAIN, sandbox)
    row["probe"] = {"status": probe.status, "conflicts": probe.conflicts, "cpu_s": probe.cpu_s}
    row["replicate"] = second and {"status": second.status, "conflicts": second.conflicts, "cpu_s": second.cpu_s}
    row["gbdhash"], row["label"] = instance.gbdhash, known.get(instance.gbdhash)
    if isinstance(run, str) or isinstance(equal, str):
        return {**row, "error": str(run if isinstance(run, str) else equal)}
    row["plain"], row["plain_spent_s"] = [asdict(stage) for stage in run.stages], run.spent_s
    # The probe's time ends with its search, before the trace is made of it; neither reads the file.
    spent = probe.timings.get("load", 0.0) + probe.timings.get("search", 0.0)
    row["equal"] = probe.conflicts and {
        "conflicts": [equal.conflicts, probe.conflicts],
        "cpu_s": equal.spent_s,
        "probe_search_s": spent,
        "probe_s": probe.cpu_s,
    }
    row["median"] = {one.unit: medians(one, one.as_in_training(instance), run) for one in predictors}
    return row


def main() -> None:
    """Measure the files, a row a line, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--per-family", type=int, default=2)
    parser.add_argument("--labelled", type=int, metavar="N", help="instead: N files with labels on each side of 10 s")
    parser.add_argument("--largest", type=int, default=2_000_000, help="bytes of a packed file")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    partial = options.output.with_suffix(".jsonl")
    rows = [json.loads(line) for line in partial.open()] if options.resume and partial.exists() else []
    done = {row["file"] for row in rows}
    made_with = Checkpoint.open(find_checkpoint()).config.training["config"]
    config = TrainingConfig.checked(made_with, "the checkpoint's configuration")
    dataset = open_datasets(config)
    known = labels(dataset)
    if options.labelled:
        files = labelled_files(options.directory, dataset, known, options.labelled, options.largest)
    else:
        files = chosen_files(options.directory, options.per_family, options.largest)
    with (
        Sandbox() as sandbox,
        Predictor.from_checkpoint(unit="conflicts", solvers=[SOLVER], machine_factor=1.0) as conflicts,
        Predictor.from_checkpoint(unit="cpu_seconds", solvers=[SOLVER], machine_factor=1.0) as seconds,
        partial.open("a" if options.resume else "w") as stream,
    ):
        for path in files:
            if f"{path.parent.name}/{path.name}" in done:
                continue
            rows.append(measure(path, [conflicts, seconds], sandbox, known))
            stream.write(json.dumps(rows[-1]) + "\n")
            stream.flush()
    options.output.write_text(json.dumps(summary(rows), indent=1) + "\n")
    print(options.output.read_text())


def _answered(result: dict[str, Any] | None) -> bool:
    return result is not None and result["status"] in ("SAT", "UNSAT")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return shares answered, CPU seconds and errors after each stage, for every order of the stages."""
    usable = [row for row in rows if "plain" in row]
    today = [_answered(row["probe"]) or _answered(row["replicate"]) for row in usable]
    probe_s = np.array([row["probe"]["cpu_s"] for row in usable])
    replicate_s = np.array([row["replicate"]["cpu_s"] if row["replicate"] else 0.0 for row in usable])
    # Where the plain run needed as many conflicts as the probe was given.
    equal = [row["equal"] for row in usable if row["equal"] and not _answered(row["probe"])]
    equal = [one for one in equal if one["conflicts"][0] >= one["conflicts"][1]]
    found: dict[str, Any] = {
        "files": len(usable),
        "not_measured": len(rows) - len(usable),
        "plain_over_probe_same_conflicts": {
            "files": len(equal),
            "sum": _ratio(equal, "probe_s"),
            "sum_without_the_trace": _ratio(equal, "probe_search_s"),
            "median": float(np.median([one["cpu_s"] / one["probe_s"] for one in equal])) if equal else None,
        },
        "today": {"answered": int(sum(today)), "cpu_s": float((probe_s + replicate_s).sum())},
        "policies": {},
    }
    for budget in PLAIN.stages:
        spent, solved = [], []
        for row in usable:
            stages = [stage for stage in row["plain"] if stage["budget"] <= budget]
            load = _load_s(row)
            spent.append(load + sum(max(stage["cpu_s"] - load, 0.0) for stage in stages))
            solved.append(any(stage["status"] in ("SAT", "UNSAT") for stage in stages))
        done = np.array(solved, dtype=bool)
        for name, also in (("plain", ()), ("plain, probe", ("probe",)), ("all", ("probe", "replicate"))):
            cost = np.array(spent) + sum(
                ({"probe": probe_s, "replicate": replicate_s}[part] * ~done for part in also), np.zeros(len(usable))
            )
            by = [any(_answered(row[part]) for part in also) for row in usable]
            found["policies"][f"{name} {budget}"] = {
                "known_cost": int(done.sum()),
                "answered": int((done | np.array(by, dtype=bool)).sum()),
                "cpu_s": float(cost.sum()),
            }
    found["after"] = {
        f"{unit}, {side}": _errors(usable, unit, side)
        for unit in ("conflicts", "cpu_seconds")
        for side in ("under 10 s", "over 10 s")
    }
    return found


def _ratio(rows: list[dict[str, Any]], name: str) -> float | None:
    """Return the plain run's share of what another one took; None without files to compare."""
    return float(sum(row["cpu_s"] for row in rows) / sum(row[name] for row in rows)) if rows else None


def _load_s(row: dict[str, Any]) -> float:
    stages = row["plain"]
    if len(stages) < 2:
        return 0.0
    return float(max(0.0, (sum(stage["cpu_s"] for stage in stages) - row["plain_spent_s"]) / (len(stages) - 1)))


def _errors(rows: list[dict[str, Any]], unit: str, side: str) -> dict[str, Any]:
    """Return, the share answered after each stage, and the RMSE (decades) of the median on the rest."""
    table: dict[str, Any] = {}
    labelled = [row for row in rows if row["label"] and unit in row["label"]]
    labelled = [row for row in labelled if (row["label"]["cpu_seconds"][0] < 0.95) == (side == "under 10 s")]
    for name in ("none", "plain", "probe", "replicate"):
        left, errors, below = [], [], 0
        for row in labelled:
            by = name != "none" and any(stage["status"] in ("SAT", "UNSAT") for stage in row["plain"])
            by = by or (name in ("probe", "replicate") and _answered(row["probe"]))
            by = by or (name == "replicate" and _answered(row["replicate"]))
            if by:
                continue
            left.append(row)
            cost, censored = row["label"][unit]
            told = row["median"][unit].get(name)
            if told is None:
                continue
            if censored:
                below += told < cost
            else:
                errors.append(told - cost)
        table[name] = {
            "files": len(labelled),
            "answered": len(labelled) - len(left),
            "rmse": float(np.sqrt(np.mean(np.square(errors)))) if errors else None,
            "rmse_files": len(errors),
            "bounds_not_kept": below,
        }
    return table


if __name__ == "__main__":
    main()
