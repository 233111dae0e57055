"""What `solve` on one core comes to with today's rule of turns, replayed on all test instances with runs.

    python benchmarks/solve_policy.py --root CNF --work DIR --out docs/benchmarks/solve_policy.json

As `benchmarks/portfolio.py` replays it, by the same policy, for several limits and sets of solvers. It is quick, since
an instance is only predicted where the policy predicts it: not before presolving is over, and not where too little is
left of the limit. The data sets are joined; an instance counts if all solvers of a set have runs on it that tell at the
limit; at 2,500 s these are published runs of relatives. CNF is the directory of the real instances; what is predicted
is kept in DIR.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from portfolio import LARGE_FAMILY, by_family, predictions_of, summary

from satcost_gnn.core.selection_metrics import virtual_best
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.joining import declared_relatives, join_datasets
from satcost_gnn.data.materialise import fill_cache
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.policy import solve_plan
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import charge, runtimes, score
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.decide.turns import DECLINING_S, PARITY, needed_for_prediction_s, presolving_turns
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

SOLVERS = ("cadical195", "kissat404", "glucose42", "minisat22")
#: Solvers and limits of the replays. At the last one published runs of relatives stand for the solvers.
REPLAYS = (
    (SOLVERS, 10.0),
    (SOLVERS, 100.0),
    (SOLVERS, 300.0),
    (("cadical195", "glucose42", "minisat22"), 10.0),
    (("cadical195", "glucose42", "minisat22"), 100.0),
    (("cadical195", "kissat404", "glucose42"), 2500.0),
)
#: From this limit on an instance counts only if some run on it had that long: others are easier.
LONG_S = 1000.0


def unpredicted(predictor: Predictor, name: str) -> Prediction:
    """Return what stands for the prediction of an instance that is not predicted: nothing is known of it."""
    return Prediction(
        path=name,
        gbdhash=name,
        status="ok",
        unit=predictor.unit,
        solvers=predictor.solvers,
        cutoff=predictor.cutoff,
    )


def replayed(dataset: Dataset, solvers: tuple[str, ...], limit_s: float, options: argparse.Namespace) -> dict[str, Any]:
    """Return what `solve` comes to on the test side."""
    assert dataset.splits is not None
    side = dataset.splits.side
    names, scores = par_scores(dataset, solvers, limit_s)
    rows = [
        k
        for k, name in enumerate(names)
        if side.get(name) == "test"
        and (limit_s < LONG_S or any(run.cpu_limit_s >= limit_s for run in dataset.runs_of[name]))
    ]
    tests, measured = [names[k] for k in rows], scores[rows]
    predictor = Predictor.from_checkpoint(
        options.checkpoint, unit="cpu_seconds", solvers=solvers, machine_factor=1.0, limit_s=limit_s
    )
    training = TrainingStatistics.of_checkpoint(predictor.checkpoint).at(limit_s)
    single = training.single_best(solvers)
    alone = measured[:, solvers.index(single)]
    turns = presolving_turns(training, solvers, limit_s)
    before = sum(part.cpu_s for part in turns)
    asked = limit_s - before >= needed_for_prediction_s(training.prediction_s, loaded=False)
    late = [
        name for name, seconds in zip(tests, alone.tolist(), strict=True) if asked and seconds > training.first_look_s
    ]
    found: dict[str, Prediction] = {}
    if late:
        cache, _ = fill_cache(dataset, late, options.work / "cache", predictor.settings, root=options.root, jobs=1)
        with predictor:
            found, _ = predictions_of(predictor, cache, late)
    settings = ScheduleSettings(Objective.PAR2, limit_s, 1, training.copula_correlation)
    # It answers or declines; where a data set has no runs of it, it is taken to decline.
    parity = {run.instance: {PARITY: run.cpu_s} for run in dataset.runs if run.solver == PARITY and run.status.solved}
    cost: NDArray[np.float64] = np.array(
        [
            score(
                solve_plan(
                    found.get(name, unpredicted(predictor, name)),
                    overhead := charge(found[name].timings) if name in found else 0.0,
                    training,
                    settings,
                ),
                runtimes(row, solvers, limit_s) | parity.get(name, {}),
                limit_s,
                overhead,
                declined_s={PARITY: DECLINING_S},
            )
            for name, row in zip(tests, measured, strict=True)
        ]
    )
    best = np.minimum(virtual_best(measured), [parity.get(name, {}).get(PARITY, np.inf) for name in tests])
    costs = {"sbs": alone, "vbs": best, "solve": cost}
    per_family = by_family(dataset.families(tests), costs)
    large = {name: one["solve"]["relative_to_sbs"] for name, one in per_family.items() if one["n"] >= LARGE_FAMILY}
    return {
        "limit_s": limit_s,
        "solvers": solvers,
        "instances": len(tests),
        "single_best": single,
        "predicted": len(found),
        "presolving_s": training.first_look_s,
        "parity_s": sum(part.cpu_s for part in turns if part.solver == PARITY),
        "par2_s": {name: float(one.mean()) for name, one in costs.items()},
        "alone_par2_s": dict(zip(solvers, measured.mean(axis=0).tolist(), strict=True)),
        "solved": {name: int((one <= limit_s).sum()) for name, one in costs.items()},
        "solve": summary(cost, best, alone, limit_s),
        "large_families": {
            "instances_at_least": LARGE_FAMILY,
            "number": len(large),
            "worst_relative_to_sbs": max(large.values(), default=None),
            "more_than_3_percent_worse": sorted(name for name, worse in large.items() if worse > 0.03),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = [Path("datasets") / name for name in ("corpus", "kissat", "long", "members")]
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--datasets", type=Path, nargs="+", default=usual)
    parser.add_argument("--published", type=Path, default=Path("datasets/published"))
    parser.add_argument("--root", type=Path, help="directory of the real instances")
    parser.add_argument("--work", type=Path, required=True, help="directory for what is made and predicted")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    own = [Dataset.open(path) for path in options.datasets]
    relatives = declared_relatives(Checkpoint.open(options.checkpoint).config.training["config"]["data"])
    dataset = join_datasets(own)
    long = join_datasets([*own, Dataset.open(options.published)], relatives)
    rows = [replayed(long if limit_s >= LONG_S else dataset, solvers, limit_s, options) for solvers, limit_s in REPLAYS]
    document = {"data_sets": [path.name for path in options.datasets], "replays": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
