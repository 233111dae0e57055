"""Measure how far off a monitor is about a run's whole cost, after each fraction of it.

Recording continues what an interrupted call has left:

    python research/monitor_error.py record --root CNF --work DIR --solvers glucose42,minisat22
    python research/monitor_error.py listen --root CNF --work DIR
    python research/monitor_error.py report --root CNF --work DIR --evaluation EVALUATION -o out/monitor_error.json

``record`` runs the checkpoint's solvers under the monitor on instances of the test side: on a sample of the runs of the
data set. Of the others it is known which checkpoints they passed, and no more: a search without counters. The monitor's
model is fitted by ``satcost fit-monitor``.

``listen`` records runs of CaDiCaL on the test side with the monitor and the listening propagator on one search, so that
the classical estimators (``monitor_classical.py``) are asked at the monitor's own checkpoints. Predictions of the test
side come from an evaluation: ``satcost evaluate datasets/corpus --config configs/corpus.toml --root CNF --checkpoint
CHECKPOINT --seeds 0 -o EVALUATION``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from listened_runs import run_listened
from monitor_classical import FIRST_WINDOW, NETWORK, along, evaluated, observed, without_side
from online_record import recording_path
from online_restarts import Observations

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.decide.monitored_runs import MonitoredRun, read_monitored_runs
from satcost_gnn.decide.reestimate import Reestimator, conditional
from satcost_gnn.decide.time_left import WIDEST
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.serve.predictor import Predictor
from satcost_gnn.train.monitor import (
    LEAST_CONFLICTS,
    Priors,
    Sample,
    Stratum,
    chosen_runs,
    has_counters,
    joined_runs,
    record_runs,
)

#: What the monitor says: the prediction before the run given what has been survived, and with the re-estimator as well.
MONITOR, MODELLED = "monitor", "monitor with the model of the hazard"
# Censored runs have no true cost for fractions of it: none is recorded.
TEST = Sample("test", (Stratum(0.5, 20), Stratum(2.0, 8), Stratum(5.0, 3), Stratum(10.0, 1), Stratum(np.inf, np.inf)))
#: Of the checkpoint's solvers the one whose search the classical estimators can be shown.
LISTENED = "cadical195"
# Listening to the assignments of a few dozen variables costs little, and leaves the solver free to eliminate the
# others; levels, conflicts and backjumps, which the tree is made of, are all seen.
LISTENING = ProbeSettings(
    solver=LISTENED, conflicts=5_000_000, max_events=10**12, max_observed=64, cpu_s=40.0, wall_s=1800.0
)
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 0.75)
# CPU seconds after which a run is asked whether it will end before it is stopped.
ELAPSED = (0.5, 1.0, 2.0, 5.0)
IN_TIME = 10.0

#: Unit -> what is predicted of one run.
ByUnit = Mapping[str, CostDistribution]


def run_record(options: argparse.Namespace) -> None:
    dataset = Dataset.open(options.dataset)
    wanted = chosen_runs(dataset, TEST, options.solvers.split(","), options.share)
    options.work.mkdir(parents=True, exist_ok=True)
    record_runs(dataset, wanted, options.work / "test.jsonl", root=options.root, store=store_of(options))


def run_listen(options: argparse.Namespace) -> None:
    """Run the solver whose search can be listened to under the monitor and the listening propagator at once."""
    dataset = Dataset.open(options.dataset)
    names = [instance for instance, _ in chosen_runs(dataset, TEST, (LISTENED,), options.share)]
    target = options.work / "listened.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    done = {json.loads(line)["instance"] for line in target.read_text().splitlines()} if target.exists() else set()
    todo = [name for name in names if name not in done]
    files = materialise(dataset, options.root, store_of(options), instances=todo)
    spent = 0.0
    with Sandbox() as sandbox, target.open("a") as stream:
        for name in todo:
            if name not in files or spent > options.cpu_s:
                continue
            path = recording_path(options.work, LISTENED, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            found = run_listened(sandbox, files[name], path, LISTENING, instance=name)
            stream.write(json.dumps(found.to_json()) + "\n")
            stream.flush()
            spent += found.states[-1].cpu_s if found.states else 0.0
            print(name, found.status, found.states[-1:], f"{spent:.0f} CPU s", file=sys.stderr, flush=True)


def load(
    dataset: Dataset, work: Path, priors: Mapping[str, Priors]
) -> list[tuple[MonitoredRun, dict[str, CostDistribution]]]:
    """Return the runs of the test side with their predictions, at the speed of a search that nobody listens to."""
    recorded = {(run.instance, run.solver): run for run in read_monitored_runs(work / "test.jsonl")}
    measured = {(run.instance, run.solver): run for run in dataset.runs if not run.seed}
    for run in read_monitored_runs(work / "listened.jsonl"):
        plain = measured[run.instance, run.solver]
        recorded[run.instance, run.solver] = (
            unburdened(run, plain.cpu_s / plain.conflicts) if run.solved and plain.conflicts else run
        )
    return joined_runs(dataset, TEST, recorded.values(), priors)


def unburdened(run: MonitoredRun, seconds_per_conflict: float) -> MonitoredRun:
    """Return a run with its seconds scaled to what a conflict took without a listener: to be listened to costs time."""
    end = run.states[-1]
    factor = seconds_per_conflict / (end.cpu_s / end.conflicts)
    return replace(run, states=tuple(replace(state, cpu_s=factor * state.cpu_s) for state in run.states))


def estimates_of(
    run: MonitoredRun,
    priors: ByUnit,
    unit: str,
    models: Mapping[str, Reestimator | None],
    first_window: Mapping[str, ByUnit] = MappingProxyType({}),
    along: Mapping[int, Mapping[str, float]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return a row for each fraction of a solved run's cost: what each method said at the last checkpoint before.

    ``first_window`` are predictions of classical estimators before the run (name -> unit -> distribution), ``along``
    their estimates during it (conflicts so far -> name -> log10 of the whole in conflicts); in seconds these are taken
    at the rate so far, and where there is none, twice of what has been used stands.
    """
    total = run.states[-1].cost(unit)
    rows = []
    used = np.array([state.cost(unit) for state in run.states[:-1]])
    for fraction in FRACTIONS:
        k = int(np.searchsorted(used, fraction * total, side="right")) - 1
        if k < 0 or run.states[k].conflicts < LEAST_CONFLICTS // 2 or used[k] < 0.5 * fraction * total:
            continue
        history = run.states[: k + 1]
        row: dict[str, Any] = {"fraction": fraction, "used": used[k], "total": total, "weight": run.weight}
        found = {MONITOR: conditional(priors[unit], used[k])}
        for name, model in models.items():
            if model is not None:
                found[name] = model.reestimate(unit, priors[unit], history)
        for name, prediction in first_window.items():
            found[f"{name} of the first window, given survival"] = conditional(prediction[unit], used[k])
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
        conflicts = run.states[k].conflicts
        for name, estimate in along.get(conflicts, {}).items():
            median = np.log10(2 * used[k]) if np.isnan(estimate) else estimate + np.log10(used[k] / conflicts)
            row["methods"][name] = {"median": float(median), "known": not np.isnan(estimate)}
        rows.append(row)
    return rows


def ending_in_time(
    runs: Sequence[tuple[MonitoredRun, ByUnit, Mapping[str, ByUnit]]], models: Mapping[str, Reestimator | None]
) -> dict[str, Any]:
    """Return Brier score and log loss of the probability that a run which goes on after some seconds ends in time.

    Fractions of the true cost are known of runs that ended; here those that were stopped at :data:`IN_TIME` seconds
    count too, as a monitor meets them.
    """
    unit, result = "cpu_seconds", {}
    for elapsed in ELAPSED:
        truth: list[bool] = []
        said: dict[str, list[float]] = defaultdict(list)
        for run, priors, first_window in runs:
            used = np.array([state.cpu_s for state in run.states[:-1]])
            k = int(np.searchsorted(used, elapsed, side="right")) - 1
            if run.states[-1].cpu_s <= elapsed or k < 0 or used[k] < 0.5 * elapsed:
                continue
            truth.append(run.solved and run.states[-1].cpu_s <= IN_TIME)
            found = {MONITOR: conditional(priors[unit], used[k])}
            for name, model in models.items():
                if model is not None:
                    found[name] = model.reestimate(unit, priors[unit], run.states[: k + 1])
            for name, prediction in first_window.items():
                found[f"{name} of the first window, given survival"] = conditional(prediction[unit], used[k])
            for name, distribution in found.items():
                said[name].append(float(distribution.cdf_at(np.log10(IN_TIME))))
        y = np.array(truth, dtype=float)
        scores = {}
        for name, values in said.items():
            p = np.clip(values, 0.01, 0.99)
            brier, loss = np.mean((p - y) ** 2), -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
            scores[name] = {"brier": round(float(brier), 4), "log_loss": round(float(loss), 4)}
        result[str(elapsed)] = {"runs": len(y), "ended": int(y.sum()), **scores}
    return result


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return weighted measures of every method over rows of one fraction."""
    weight = np.array([row["weight"] for row in rows])
    weight = weight / weight.sum()
    truth = np.log10([row["total"] for row in rows])
    used = np.log10([row["used"] for row in rows])
    result: dict[str, Any] = {}
    # The classical estimators along the search are there for the runs that were listened to.
    for name in [name for name in rows[0]["methods"] if all(name in row["methods"] for row in rows)]:
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
        if "known" in each[0]:
            found["known"] = float(weight @ np.array([item["known"] for item in each]))
        result[name] = {key: round(value, 4) for key, value in found.items()}
    return result


def by_fraction(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        str(fraction): {"runs": len(chosen_), **summary(chosen_)}
        for fraction in FRACTIONS
        if (chosen_ := [row for row in rows if row["fraction"] == fraction])
    }


def run_report(options: argparse.Namespace) -> None:
    shipped = Reestimator.shipped()
    models = {MODELLED: shipped}
    dataset = Dataset.open(options.dataset)
    checkpoint = Predictor.from_checkpoint(device="cpu").checkpoint.config
    priors = evaluated(options.evaluation, NETWORK, 0, dataset, checkpoint.solvers)
    classical = {
        title: evaluated(options.evaluation, name, None, dataset, checkpoint.solvers)
        for name, title in FIRST_WINDOW.items()
    }
    everything = load(dataset, options.work, priors)
    before_the_run = [
        {title: {u: d[run.solver] for u, d in by[run.instance].items()} for title, by in classical.items()}
        for run, _ in everything
    ]
    loaded = [(run, found, here) for (run, found), here in zip(everything, before_the_run, strict=True) if run.solved]
    watched = [run for run in read_monitored_runs(options.work / "listened.jsonl") if run.solved]
    names = [run.instance for run in watched]
    files = materialise(dataset, options.root, store_of(options), instances=names)
    others = without_side(Observations(options.observations), LISTENED, dataset, "test")
    traced = observed(options.work, LISTENED, watched, files)
    estimates = along(traced, others, dataset) if traced else {}
    report: dict[str, Any] = {
        "question": "error of the predicted whole cost against the fraction of it that has been used",
        "checkpoint": checkpoint.label,
        "reestimator": shipped.provenance if shipped is not None else None,
        "runs": len(loaded),
        "recorded": sum(has_counters(run) for run, *_ in loaded),
        "listened to": len(estimates),
        "other searches the LMP is fitted to": len(others),
        "instances": len({run.instance for run, *_ in loaded}),
        "note": f"runs of the test side of at least {LEAST_CONFLICTS} conflicts that ended within 10 CPU seconds and "
        "that the probe doesn't solve; of those not recorded only the conflicts so far are known, no counters",
        "ends within 10 s": ending_in_time(
            [(run, found, here) for (run, found), here in zip(everything, before_the_run, strict=True)], models
        ),
        "units": {},
    }
    for unit in ("conflicts", "cpu_seconds"):
        rows = []
        for run, before, here in loaded:
            during = estimates.get(run.instance, {}) if run.solver == LISTENED else {}
            rows += [(run, row) for row in estimates_of(run, before, unit, models, here, during)]
        groups: dict[str, Callable[[MonitoredRun], bool]] = {
            "all": lambda _: True,
            "recorded, with counters": has_counters,
            "listened to": lambda run: run.solver == LISTENED and run.instance in estimates,
        }
        found: dict[str, Any] = {}
        for group, within in groups.items():
            for beyond, title in ((0.0, group), (5.0, f"{group}, longer than 5 s")):
                found[title] = by_fraction([row for run, row in rows if within(run) and run.states[-1].cpu_s > beyond])
        found["by solver"] = {
            solver: by_fraction([row for run, row in rows if run.solver == solver])
            for solver in sorted({run.solver for run, _ in rows})
        }
        report["units"][unit] = found
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["ends within 10 s"], indent=1))
    for unit, found in report["units"].items():
        for group in found:
            if group != "by solver":
                for fraction, methods in found[group].items():
                    for name, values in methods.items():
                        if isinstance(values, dict):
                            print(unit, group, fraction, methods["runs"], name, values)


def store_of(options: argparse.Namespace) -> Path:
    store: Path = options.store or options.work / "cnf"
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record", help="run solvers under the monitor")
    reporter = commands.add_parser("report", help="measure on the test side")
    listener = commands.add_parser("listen", help="record runs of the test side through the listening propagator too")
    listener.add_argument("--cpu-s", type=float, default=600.0, help="CPU seconds after which no further one begins")
    for command in (recorder, listener, reporter):
        command.add_argument("--root", type=Path)
        command.add_argument("--store", type=Path, help="instances made from their recipes; by default WORK/cnf")
    for command in (recorder, listener):
        command.add_argument("--share", type=float, default=1.0, help="share of the usual sample")
    recorder.add_argument("--solvers", default="cadical195,glucose42,minisat22,maplechrono", help="whose runs")
    reporter.add_argument("--evaluation", type=Path, required=True, help="output of satcost evaluate, by instance")
    reporter.add_argument(
        "--observations",
        type=Path,
        default=Path("out/online_observations_2000.parquet"),
        help="table of online_observe.py",
    )
    reporter.add_argument("-o", "--out", type=Path, required=True)
    for command in (recorder, listener, reporter):
        command.add_argument("--work", type=Path, required=True)
        command.add_argument("--dataset", type=Path, default=Path("datasets/corpus"))
    options = parser.parse_args()
    runners = {"record": run_record, "listen": run_listen, "report": run_report}
    runners[options.command](options)


if __name__ == "__main__":
    main()
