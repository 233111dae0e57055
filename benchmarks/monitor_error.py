"""Measure how far off a monitor is about a run's whole cost, after each fraction of it.

Recording and predicting continue what an interrupted call has left:

    python benchmarks/monitor_error.py record --root CNF --work DIR --side training --share 1
    python benchmarks/monitor_error.py record --root CNF --work DIR --side test --share 1
    python benchmarks/monitor_error.py predict --root CNF --work DIR
    python benchmarks/monitor_error.py fit --work DIR -o satcost_gnn/portfolio/reestimator.json
    python benchmarks/monitor_error.py report --work DIR -o docs/benchmarks/monitor_error.json

``record`` runs the checkpoint's solvers under the monitor on instances of the data set. Training is done on the
validation and calibration sides: the predictions of the checkpoint are made without their labels, as those of any new
instance are, but for the one-dimensional calibration map. Runs are sampled by what they cost in the data set, the long
ones less often, and stand for those that were left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.distribution import GRIDS, CostDistribution
from satcost_gnn.portfolio.monitor import WIDEST
from satcost_gnn.portfolio.monitored_runs import MonitoredRun, read_monitored_runs, run_monitored
from satcost_gnn.portfolio.reestimate import Reestimator, conditional
from satcost_gnn.predictor import Predictor
from satcost_gnn.preprocess import preprocess
from satcost_gnn.search.sandbox import Sandbox

SIDES = {"training": ("validation", "calibration"), "test": ("test",)}
# CPU seconds in the data set -> one of how many such runs is recorded at share 1.
STRATA = {
    "training": ((0.5, 1), (2.0, 3), (5.0, 9), (10.0, 9), (np.inf, 48)),
    "test": ((0.5, 3), (2.0, 4), (5.0, 8), (10.0, 5), (np.inf, 60)),
}
LEAST_CONFLICTS = 4000
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 0.75)


def strata(dataset: Dataset, side: str) -> dict[int, list[tuple[str, str]]]:
    """Return the runs of a side as (instance, solver), by what they cost in the data set, in pseudo-random order."""
    sides = dataset.splits.side
    found: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for run in dataset.runs:
        if run.seed or sides.get(run.instance) not in SIDES[side] or run.status not in ("SAT", "UNSAT", "TIMEOUT"):
            continue
        if run.conflicts is None or run.conflicts < LEAST_CONFLICTS:
            continue
        cost = run.cpu_s if run.status != "TIMEOUT" else np.inf
        stratum = next(k for k, (limit, _) in enumerate(STRATA[side]) if cost <= limit)
        key = hashlib.sha256(f"{run.instance} {run.solver}".encode()).hexdigest()
        found[stratum].append((key, run.instance, run.solver))
    return {stratum: [item[1:] for item in sorted(members)] for stratum, members in sorted(found.items())}


def chosen(dataset: Dataset, side: str, share: float) -> list[tuple[str, str]]:
    """Return the runs to record, all strata at an even pace."""
    found = []
    for stratum, members in strata(dataset, side).items():
        count = max(1, round(share * len(members) / STRATA[side][stratum][1]))
        found += [((k + 0.5) / count, item) for k, item in enumerate(members[:count])]
    return [item for _, item in sorted(found)]


def run_record(options: argparse.Namespace) -> None:
    dataset = Dataset.open(options.dataset)
    wanted = chosen(dataset, options.side, options.share)
    target = options.work / f"{options.side}.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    done = (
        {(r["instance"], r["solver"]) for r in map(json.loads, target.read_text().splitlines())}
        if target.exists()
        else set()
    )
    todo = [item for item in wanted if item not in done]
    names = sorted({item[0] for item in todo})
    files = materialise(
        dataset,
        options.root,
        options.work / "cnf",
        instances=names,
        on_problem=lambda text: print(text, file=sys.stderr),
    )
    spent = 0.0
    with Sandbox() as sandbox, target.open("a") as stream:
        for k, (instance, solver) in enumerate(todo):
            if instance not in files:
                continue
            found = run_monitored(sandbox, solver, files[instance], instance=instance, cpu_s=10.0)
            stream.write(json.dumps(found.to_json()) + "\n")
            stream.flush()
            spent += found.states[-1].cpu_s if found.states else 0.0
            if k % 20 == 0:
                print(f"{k}/{len(todo)} runs, {spent:.0f} CPU s", file=sys.stderr, flush=True)


def run_predict(options: argparse.Namespace) -> None:
    """Predict the instances of all recorded runs, as before any of them."""
    dataset = Dataset.open(options.dataset)
    recorded = [run for side in SIDES for run in read_monitored_runs(options.work / f"{side}.jsonl")]
    target = options.work / "priors.jsonl"
    known = {json.loads(line)["instance"] for line in target.read_text().splitlines()} if target.exists() else set()
    missing = [name for name in dict.fromkeys(run.instance for run in recorded) if name not in known]
    predictors = [Predictor.from_checkpoint(unit=unit, device="cpu") for unit in ("conflicts", "cpu_seconds")]
    with Sandbox() as sandbox, target.open("a") as stream:
        for name, path in materialise(dataset, options.root, options.work / "cnf", instances=missing).items():
            item = preprocess(path, predictors[0].settings, sandbox)
            row: dict[str, Any] = {"instance": name, "cdf": {}}
            for predictor in predictors:
                found = predictor.predict_preprocessed([item])[0]
                row["source"] = found.source
                if found.distribution is not None:
                    row["cdf"][predictor.unit] = {
                        solver: found.distribution.cdf[k].round(5).tolist() for k, solver in enumerate(found.solvers)
                    }
            stream.write(json.dumps(row) + "\n")
            stream.flush()


def load(dataset: Dataset, work: Path, side: str) -> list[tuple[MonitoredRun, dict[str, CostDistribution]]]:
    """Return the recorded runs of a side with their predictions; those that the probe solved are left out.

    Each run stands for as many as its stratum has runs for one that was recorded.
    """
    recorded = list(read_monitored_runs(work / f"{side}.jsonl"))
    weight = {}
    for members in strata(dataset, side).values():
        there = set(members) & {(run.instance, run.solver) for run in recorded}
        weight.update(dict.fromkeys(there, len(members) / max(len(there), 1)))
    priors = {}
    for line in (work / "priors.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["source"] not in ("probe", ""):
            priors[row["instance"]] = row["cdf"]
    found = []
    for recording in recorded:
        cdf = priors.get(recording.instance)
        if cdf is not None and all(recording.solver in cdf[unit] for unit in cdf):
            distributions = {u: CostDistribution(GRIDS[u], np.array(cdf[u][recording.solver])) for u in cdf}
            found.append((replace(recording, weight=weight[recording.instance, recording.solver]), distributions))
    return found


def population(dataset: Dataset, solvers: Iterable[str]) -> dict[str, CostDistribution]:
    """Return the distribution of cost over the runs of the training side that take more than 2000 conflicts."""
    sides = dataset.splits.side
    runs = [
        run
        for run in dataset.runs
        if sides.get(run.instance) == "train"
        and not run.seed
        and run.solver in solvers
        and run.status in ("SAT", "UNSAT", "TIMEOUT")
        and (run.conflicts or 0) > 2000
    ]
    found = {}
    for unit in ("conflicts", "cpu_seconds"):
        cost = np.log10([max(run.conflicts if unit == "conflicts" else run.cpu_s, 1e-3) for run in runs])
        censored = [run.status == "TIMEOUT" for run in runs]
        found[unit] = CostDistribution.from_samples(GRIDS[unit], cost, censored=censored)
    return found


def estimates_of(
    run: MonitoredRun, priors: dict[str, CostDistribution], unit: str, models: dict[str, Reestimator | None]
) -> list[dict[str, Any]]:
    """Return a row for each fraction of a solved run's cost: what each method said at the last checkpoint before."""
    total = run.states[-1].cost(unit)
    rows = []
    used = np.array([state.cost(unit) for state in run.states[:-1]])
    for fraction in FRACTIONS:
        k = int(np.searchsorted(used, fraction * total, side="right")) - 1
        if k < 0 or run.states[k].conflicts < LEAST_CONFLICTS // 2 or used[k] < 0.5 * fraction * total:
            continue
        history = run.states[: k + 1]
        row: dict[str, Any] = {"fraction": fraction, "used": used[k], "total": total, "weight": run.weight}
        found = {"prior given survival": conditional(priors[unit], used[k])}
        for name, model in models.items():
            if model is not None:
                found[name] = model.reestimate(unit, priors[unit], history)
                found[f"{name}, no prior"] = model.reestimate(unit, None, history)
        row["methods"] = {
            name: {
                "median": float(d.median()),
                "low": float(d.quantile(0.1)),
                "high": float(d.quantile(0.9)),
                "open": bool(d.censored_above(0.9)),
                "crps": float(d.crps(np.log10(total))),
            }
            for name, d in found.items()
        }
        row["methods"]["twice so far"] = {"median": float(np.log10(2 * used[k]))}
        row["methods"]["prior alone"] = {"median": float(priors[unit].median())}
        rows.append(row)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return weighted measures of every method over rows of one fraction."""
    weight = np.array([row["weight"] for row in rows])
    weight = weight / weight.sum()
    truth = np.log10([row["total"] for row in rows])
    used = np.log10([row["used"] for row in rows])
    result: dict[str, Any] = {}
    for name in rows[0]["methods"]:
        each = [row["methods"][name] for row in rows]
        median = np.array([item["median"] for item in each])
        error = median - truth
        left = np.log10(np.maximum(10.0**median - 10.0**used, 1e-9)) - np.log10(10.0**truth - 10.0**used)
        found: dict[str, Any] = {
            "geometric_mean_ratio": float(10.0 ** (weight @ np.abs(error))),
            "within_2": float(weight @ (np.abs(error) <= np.log10(2.0))),
            "within_4": float(weight @ (np.abs(error) <= np.log10(4.0))),
            "remaining_within_2": float(weight @ (np.abs(left) <= np.log10(2.0))),
            "remaining_within_4": float(weight @ (np.abs(left) <= np.log10(4.0))),
        }
        if "low" in each[0]:
            low, high = (np.array([item[key] for item in each]) for key in ("low", "high"))
            unknown = np.array([item["open"] for item in each]) | (high - low > WIDEST)
            found["coverage_of_80"] = float(weight @ ((low <= truth) & (truth <= high)))
            found["width_of_80"] = float(weight @ (high - low))
            found["unknown"] = float(weight @ unknown)
            found["crps"] = float(weight @ np.array([item["crps"] for item in each]))
        result[name] = {key: round(value, 4) for key, value in found.items()}
    return result


def by_fraction(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        str(fraction): {"runs": len(chosen_), **summary(chosen_)}
        for fraction in FRACTIONS
        if (chosen_ := [row for row in rows if row["fraction"] == fraction])
    }


def run_fit(options: argparse.Namespace) -> None:
    dataset = Dataset.open(options.dataset)
    loaded = load(dataset, options.work, "training")
    runs = [run.run(priors) for run, priors in loaded]
    anyone = population(dataset, {run.solver for run, _ in loaded})
    about = {
        "dataset": dataset.directory.name,
        "sides": list(SIDES["training"]),
        "checkpoint": Predictor.from_checkpoint(device="cpu").checkpoint.config.label,
        "runs": len(runs),
        "stopped": sum(run.censored for run in runs),
        "instances": len({run.group for run in runs}),
    }
    # Cross-validation by instance, to choose the penalty and to see whether the search says anything at all.
    groups = sorted({run.group for run in runs})
    fold = {group: k % 5 for k, group in enumerate(groups)}
    trials = {}
    for penalty in (1.0, 3.0, 10.0, 30.0, 100.0):
        rows = []
        for k in range(5):
            model = Reestimator.fit([run for run in runs if fold[run.group] != k], anyone, penalty=penalty)
            for run, priors in loaded:
                if fold[run.instance] == k and run.solved:
                    rows += estimates_of(run, priors, "conflicts", {"monitor": model})
        trials[penalty] = by_fraction(rows)
        print(
            penalty, {f: (r["monitor"]["crps"], r["prior given survival"]["crps"]) for f, r in trials[penalty].items()}
        )

    def crps(penalty: float) -> float:
        return float(np.mean([found["monitor"]["crps"] for found in trials[penalty].values()]))

    best = min(trials, key=crps)
    model = Reestimator.fit(runs, anyone, penalty=best, provenance={**about, "penalty": best})
    options.out.write_text(json.dumps(model.to_json(), indent=1) + "\n")
    print(f"penalty {best:g}, {about}")
    print(json.dumps(trials[best], indent=1))


def run_report(options: argparse.Namespace) -> None:
    models = {"monitor": Reestimator.shipped()}
    loaded = [(run, priors) for run, priors in load(Dataset.open(options.dataset), options.work, "test") if run.solved]
    report: dict[str, Any] = {
        "question": "error of the predicted whole cost against the fraction of it that has been used",
        "checkpoint": Predictor.from_checkpoint(device="cpu").checkpoint.config.label,
        "runs": len(loaded),
        "instances": len({run.instance for run, _ in loaded}),
        "note": "rows are weighted by how many runs of the test side each stands for; runs of at least "
        f"{LEAST_CONFLICTS} conflicts that ended within 10 CPU seconds",
        "units": {},
    }
    for unit in ("conflicts", "cpu_seconds"):
        rows = [(run, row) for run, priors in loaded for row in estimates_of(run, priors, unit, models)]
        report["units"][unit] = {
            "all": by_fraction([row for _, row in rows]),
            "longer than 5 s": by_fraction([row for run, row in rows if run.states[-1].cpu_s > 5.0]),
            "by solver": {
                solver: by_fraction([row for run, row in rows if run.solver == solver])
                for solver in sorted({run.solver for run, _ in rows})
            },
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({unit: found["all"] for unit, found in report["units"].items()}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record", help="run solvers under the monitor")
    before = commands.add_parser("predict", help="predict what is recorded")
    for command in (recorder, before):
        command.add_argument("--root", type=Path)
    recorder.add_argument("--side", choices=tuple(SIDES), required=True)
    recorder.add_argument("--share", type=float, default=1.0, help="share of the usual sample")
    fitter = commands.add_parser("fit", help="fit the re-estimator on the training side")
    reporter = commands.add_parser("report", help="measure on the test side")
    for command in (fitter, reporter):
        command.add_argument("-o", "--out", type=Path, required=True)
    for command in (recorder, before, fitter, reporter):
        command.add_argument("--work", type=Path, required=True)
        command.add_argument("--dataset", type=Path, default=Path("datasets/corpus"))
    options = parser.parse_args()
    {"record": run_record, "predict": run_predict, "fit": run_fit, "report": run_report}[options.command](options)


if __name__ == "__main__":
    main()
