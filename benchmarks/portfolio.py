"""What a checkpoint's decisions come to on the test side of a data set, from its measured runs: nothing is rerun.

    python benchmarks/portfolio.py --root CNF --cutoff 10 --out docs/benchmarks/portfolio.json

Data sets are joined. Instances on which all solvers of the checkpoint have runs that tell. Costs are CPU seconds of
loading and solving, PAR2 at the cutoff; what features, probe, graph and inference took (wall seconds on this machine;
reading the file is left out, as in the runs) is charged to whatever needs them. CNF is the directory of the real
instances; what isn't in the cache yet is probed, so let nothing else run meanwhile if the overheads are to mean
something.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.selection_metrics import closed_gap, of_choice, par, virtual_best
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.joining import join_datasets
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.decide.batch import Aim, BatchQueue, simulate
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.policy import schedule_plan, select_plan, solve_plan
from satcost_gnn.decide.schedule import plan
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import Plan, charge, runtimes, score
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.training_fit import fit_portfolio
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.decide.turns import DECLINING_S, PARITY
from satcost_gnn.evaluate.metrics import paired_bootstrap
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.preprocessing import Preprocessed
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

Costs = NDArray[np.float64]
#: A family with fewer instances says little by itself.
LARGE_FAMILY = 10


def predictions_of(
    predictor: Predictor, cache: InstanceCache, names: list[str]
) -> tuple[dict[str, Prediction], list[str]]:
    """Return the predictions of the cached instances, and the names of those that are not there."""
    found: dict[str, Prediction] = {}
    absent: list[str] = []
    batch: list[tuple[str, Preprocessed]] = []

    def flush() -> None:
        for (name, _), prediction in zip(
            batch, predictor.predict_preprocessed([item for _, item in batch]), strict=True
        ):
            found[name] = prediction
        batch.clear()

    for name, instance in zip(names, cache.load(names), strict=True):
        if instance is None:
            absent.append(name)
            continue
        if not found and not batch:
            # The first pass loads the network: no decision is charged for that.
            predictor.predict_preprocessed([Preprocessed(instance.path, instance)])
        # One at a time, as a user would ask: inference is not shared out over a batch.
        batch.append((name, Preprocessed(instance.path, instance)))
        flush()
    return found, absent


def summary(cost: Costs, reference: Costs, sbs: Costs, cutoff: float) -> dict[str, Any]:
    """Return the PAR2 of a way to choose, what it solves, how much of the gap it closes, and how far from the SBS."""
    against = paired_bootstrap(lambda rows: float(cost[rows].mean()), lambda rows: float(sbs[rows].mean()), len(cost))
    return {
        "par2_s": float(cost.mean()),
        "solved": int((cost <= cutoff).sum()),
        "closed_gap": closed_gap(float(cost.mean()), float(sbs.mean()), float(reference.mean())),
        "relative_to_sbs": float(cost.mean() / sbs.mean() - 1.0),
        "minus_sbs_s": {"value": against.value, "low": against.low, "high": against.high, "p": against.p_value},
    }


def by_family(families: list[str], costs: dict[str, Costs]) -> dict[str, Any]:
    """Return the mean regret against the VBS, and the change against the SBS, of every family."""
    found = {}
    for family in sorted(set(families)):
        rows = np.array([name == family for name in families])
        sbs, vbs = costs["sbs"][rows].mean(), costs["vbs"][rows].mean()
        found[family] = {"n": int(rows.sum()), "sbs_s": float(sbs), "vbs_s": float(vbs)} | {
            name: {"regret_s": float(cost[rows].mean() - vbs), "relative_to_sbs": float(cost[rows].mean() / sbs - 1)}
            for name, cost in costs.items()
            if name not in ("sbs", "vbs")
        }
    return found


def oracle_batch(runtime: Costs, cutoff: float, cores: int, longest_first: bool) -> dict[str, float]:
    """Return what a batch comes to if everything is known: the best solver's time, and no run of what none solves."""
    best = runtime.min(axis=1)
    best = np.sort(best[best <= cutoff])
    free = [0.0] * cores
    ends = []
    for seconds in best[::-1] if longest_first else best:
        now = heapq.heappop(free)
        ends.append(now + seconds)
        heapq.heappush(free, now + seconds)
    return {"mean_solved_s": float(np.mean(ends)), "total_s": float(max(ends))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default=None)
    usual = [Path("datasets") / name for name in ("corpus", "kissat", "long", "members")]
    parser.add_argument("--datasets", type=Path, nargs="+", default=usual)
    parser.add_argument("--root", type=Path, default=None, help="directory of the real instances")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--cutoff", type=float, default=None, help="CPU seconds [default: the checkpoint's]")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--at-most", type=int, default=None, help="instances of each side, for a quick look")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    # Seconds of the runs are those of the training machine.
    predictor = Predictor.from_checkpoint(options.checkpoint, unit="cpu_seconds", machine_factor=1.0)
    solvers = predictor.solvers
    dataset = join_datasets([Dataset.open(path) for path in options.datasets])
    if dataset.splits is None:
        sys.exit("found no splits.json; make it with `satcost dataset split`")
    side = dataset.splits.side
    cutoff = options.cutoff or predictor.cutoff
    names, scores_ = par_scores(dataset, solvers, cutoff)
    wanted = {
        group: [name for name in names if side.get(name) in sides][: options.at_most]
        for group, sides in (("test", ("test",)), ("held_out", ("validation", "calibration")))
    }
    cache = InstanceCache(options.cache, predictor.settings)
    missing = [name for group in wanted.values() for name in group if not cache.has(name)]
    with ProgressLine(len(missing), "instances preprocessed") as bar:
        files = materialise(
            dataset, options.root, options.cache / "instances", instances=missing, on_problem=log.warning
        )
        cache.fill(files, jobs=options.jobs, on_step=lambda _: bar.advance())
    with predictor:
        held_out, _ = predictions_of(predictor, cache, wanted["held_out"])
        predicted, absent = predictions_of(predictor, cache, wanted["test"])
    tests = list(predicted)
    row_of = {name: k for k, name in enumerate(names)}
    measured = scores_[[row_of[name] for name in tests]]
    runtime = np.where(measured <= cutoff, measured, np.inf)

    training = TrainingStatistics.of_checkpoint(predictor.checkpoint)
    origin = "the checkpoint"
    if training.origin == "constants":
        # An older checkpoint: made here as it would be in training, from the sides that are not tested on.
        known = [name for name, p in held_out.items() if p.distribution is not None and p.status == "ok"]
        mean_s = float(np.mean([charge(held_out[name].timings) for name in known]))
        rows = np.stack([held_out[name].distribution.cdf for name in known])  # type: ignore[union-attr]
        grid = held_out[known[0]].distribution.grid  # type: ignore[union-attr]
        fitted = fit_portfolio(dataset, solvers, side, cutoff, known, CostDistribution(grid, rows), mean_s)
        assert fitted is not None
        training, origin = fitted, "the data set's training, validation and calibration sides"
    single = training.single_best(solvers)
    settings = SelectionSettings(Objective.PAR2, cutoff)

    overhead = np.array([charge(predicted[name].timings) for name in tests])
    probe_solves = np.array([bool(predicted[name].result) for name in tests])
    decisions = [decide(predicted[name], training, settings) for name in tests]
    chosen = np.array([solvers.index(decision.chosen) for decision in decisions])
    own = of_choice(runtime, chosen)

    def charged(cost: Costs) -> Costs:
        # Where the probe has solved it, that is all there is to pay.
        return par(np.where(probe_solves, 0.0, cost), True, cutoff, overhead=overhead)

    def scored(policy: Callable[..., Plan], settings: SelectionSettings | ScheduleSettings) -> Costs:
        rows = zip(tests, measured, overhead.tolist(), strict=True)
        return np.array(
            [
                score(
                    policy(predicted[name], seconds, training, settings),
                    runtimes(row, solvers, cutoff),
                    cutoff,
                    seconds,
                    # Where the data set has no runs of it, it is taken to decline.
                    declined_s={PARITY: DECLINING_S},
                )
                for name, row, seconds in rows
            ]
        )

    costs: dict[str, Costs] = {
        "sbs": measured[:, solvers.index(single)],
        "vbs": virtual_best(measured),
        "select": scored(select_plan, settings),
        "select_without_overhead": par(own, True, cutoff),
        "sbs_with_overhead": charged(runtime[:, solvers.index(single)]),
        "vbs_with_overhead": charged(virtual_best(runtime)),
    }
    predicted_value: dict[str, float] = {}
    for cores in (1, 2):
        suffix = f"_{cores}_cores" if cores > 1 else ""
        whole = ScheduleSettings(Objective.PAR2, cutoff, cores, training.copula_correlation)
        costs["schedule" + suffix] = scored(schedule_plan, whole)
        if cores == 1:
            costs["solve"] = scored(solve_plan, whole)
        for copula_correlation, label in (
            (training.copula_correlation, "schedule_as_predicted"),
            (0.0, "schedule_independent"),
        ):
            values, realised_ = [], []
            for k, name in enumerate(tests):
                distribution = predicted[name].distribution
                if probe_solves[k] or distribution is None:
                    realised_.append(score(Plan(()), {}, cutoff, float(overhead[k])))
                    continue
                left = max(cutoff - float(overhead[k]), 0.01 * cutoff)
                limits = ScheduleSettings(Objective.PAR2, left, cores, copula_correlation)
                made = plan(distribution, solvers, limits)
                values.append(made.value)
                runs = runtimes(measured[k], solvers, cutoff)
                realised_.append(score(Plan(made.cores), runs, cutoff, float(overhead[k])))
            key = label + suffix
            costs[key] = np.array(realised_)
            predicted_value[key] = float(np.mean(values)) if values else float("nan")
    seen = [p.distribution.cdf for p in held_out.values() if p.distribution is not None]
    fixed = None
    if seen:
        grid = next(p.distribution.grid for p in held_out.values() if p.distribution is not None)
        fixed = plan(
            CostDistribution(grid, np.stack(seen)),
            solvers,
            ScheduleSettings(Objective.PAR2, cutoff, 1, training.copula_correlation),
        )
        costs["one_schedule_for_all"] = np.array(
            [score(Plan(fixed.cores), runtimes(row, solvers, cutoff), cutoff) for row in measured]
        )

    families = dataset.families(tests)
    per_family = by_family(families, {k: costs[k] for k in ("sbs", "vbs", "select", "schedule", "solve")})
    large = {name: one for name, one in per_family.items() if one["n"] >= LARGE_FAMILY}
    open_ = [k for k, name in enumerate(tests) if not probe_solves[k] and predicted[name].distribution is not None]
    batch: dict[str, Any] = {}
    if open_:
        grid = predicted[tests[open_[0]]].distribution.grid  # type: ignore[union-attr]
        cdf = np.stack([predicted[tests[k]].distribution.cdf for k in open_])  # type: ignore[union-attr]
        distribution = CostDistribution(grid, cdf)
        for cores in (1, 2, 8):
            found: dict[str, Any] = {
                str(aim): simulate(BatchQueue(distribution, solvers, cutoff, aim), runtime[open_], solvers, cores)
                for aim in Aim
            }
            sbs_only = distribution[:, [solvers.index(single)]]
            found["given, single best"] = simulate(
                BatchQueue(sbs_only, [single], cutoff, Aim.GIVEN),
                runtime[open_][:, [solvers.index(single)]],
                [single],
                cores,
            )
            found["oracle, mean"] = oracle_batch(runtime[open_], cutoff, cores, longest_first=False)
            found["oracle, total"] = oracle_batch(runtime[open_], cutoff, cores, longest_first=True)
            batch[f"{cores} cores"] = found

    result: dict[str, Any] = {
        "checkpoint": predictor.checkpoint.config.label,
        "data_sets": [path.name for path in options.datasets],
        "cutoff_s": cutoff,
        "solvers": solvers,
        "instances": len(tests),
        "not_found": len(absent),
        "solved_by_probe": int(probe_solves.sum()),
        "portfolio": {**training.to_json(), "from": origin},
        "single_best": single,
        "overhead_s": {
            "median": float(np.median(overhead)),
            "p95": float(np.quantile(overhead, 0.95)),
            "mean": float(overhead.mean()),
        },
        "results": {name: summary(cost, costs["vbs"], costs["sbs"], cutoff) for name, cost in costs.items()},
        "results_where_the_probe_does_not_solve": {
            name: summary(cost[open_], costs["vbs"][open_], costs["sbs"][open_], cutoff)
            for name, cost in costs.items()
            if open_
        },
        "predicted_par2_of_schedules_s": predicted_value,
        "one_schedule_for_all": fixed.to_json()["cores"] if fixed is not None else None,
        "pick_shares": {
            name: count / max(1, len(open_))
            for name, count in Counter(decisions[k].chosen for k in open_).most_common()
        },
        "best_shares": {
            solvers[k]: count / max(1, len(open_))
            for k, count in Counter(np.argmin(measured[open_], axis=1).tolist()).most_common()
        },
        "separated": float(np.mean([decisions[k].separated for k in open_])) if open_ else None,
        "families": per_family,
        "large_families": {
            "instances_at_least": LARGE_FAMILY,
            "number": len(large),
            "solve_relative_to_sbs": {name: one["solve"]["relative_to_sbs"] for name, one in large.items()},
        },
        "batch": batch,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"{len(tests)} test instances, {int(probe_solves.sum())} solved by the probe; single best: {single}\n")
    print(f"{'':28} {'PAR2 s':>8} {'solved':>7} {'closed gap':>11} {'vs SBS':>8}")
    for name, one in result["results"].items():
        print(
            f"{name:28} {one['par2_s']:8.3f} {one['solved']:7d} {one['closed_gap']:11.2f} "
            f"{one['relative_to_sbs']:+8.1%}"
        )


if __name__ == "__main__":
    main()
