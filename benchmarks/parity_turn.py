"""When `parity` is to have its turn, and for how long: the rule of `decide/turns.py`, weighed on the training side.

    python benchmarks/parity_turn.py datasets/corpus --root CNF --work DIR --out docs/benchmarks/parity_turn.json

Instances of the training and validation sides that the single best solver does not answer within a second. Its runs
are those of the data set; `parity` is run on each, as `satcost solve` runs it: a child reads the file, and that counts.
What starting its helper process takes is measured, too. Rules are then replayed: the single best solver, `parity`
after so many seconds for so long, the single best again. CNF is the directory of the real instances; without it only
those are taken that can be made from their recipes. Those made are kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.execution import machine_description
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.decide.scoring import Plan, Slice, score
from satcost_gnn.decide.solver_child import ANSWER_CHILD
from satcost_gnn.decide.turns import AFTER_S, DECLINING_S, LEAST_S, MOST_S, MOSTLY_XOR, PARITY, SHARE, parity_s
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.features import static_features
from satcost_gnn.formula.sources import for_children
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.sandbox import Limits, Sandbox

#: What is compared: seconds before the turn at one limit, and limits with the rule's own seconds.
AFTERS, AT_LIMIT_S = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0), 20.0
LIMITS = (10.0, 20.0, 30.0, 100.0, 1000.0)
#: A family with fewer instances says little by itself.
LARGE_FAMILY = 10
#: Runs of the data set end here.
CUTOFF_S = 10.0
#: Of those that it declines, so many are looked at for XOR constraints, which takes longer than declining.
DECLINED_LOOKED_AT = 60
#: CPU seconds that a run of `parity` has here, to see what more time would bring.
RUN_S = 20.0


def starting_s(repeats: int = 7) -> float:
    """Return the CPU seconds that a helper process takes beside what its child does: the median of several starts."""
    found = []
    for _ in range(repeats):
        with Sandbox() as sandbox:
            outcome = sandbox.run(
                ANSWER_CHILD, {"solver": PARITY, "formula": Formula.from_clauses([[1]])}, Limits(10.0, 60.0, 1024)
            )
            found.append(sandbox.spent_s() - outcome.cpu_s)
    return statistics.median(found)


def measured(files: dict[str, Path], names: list[str]) -> list[dict[str, Any]]:
    """Return of each instance whether `parity` answers, its CPU seconds, and of some the share of clauses in XORs."""
    rows: list[dict[str, Any]] = []
    looked_at = 0
    with Sandbox() as sandbox, ProgressLine(len(names), "instances shown to parity") as bar:
        for name in names:
            with for_children(files[name]) as formula:
                call = {"solver": PARITY, "formula": formula}
                outcome = sandbox.run(ANSWER_CHILD, call, Limits(RUN_S, 10 * RUN_S, 4096))
            # A run that has been ended leaves what it reported last.
            status = outcome.value["status"] if outcome.status == "OK" else ""
            answers = status in ("SAT", "UNSAT")
            row = {"instance": name, "answers": answers, "cpu_s": outcome.cpu_s}
            looked_at += not answers
            if answers or looked_at <= DECLINED_LOOKED_AT:
                row["xor_share"] = static_features(read_dimacs(files[name])).as_dict()["xor_share"]
            rows.append(row)
            bar.advance()
    return rows


def replayed(
    single_s: NDArray[np.float64], rows: list[dict[str, Any]], after_s: float, limit_s: float, start_s: float
) -> float:
    """Return the change of the mean PAR2 by a turn of `parity`, in CPU seconds.

    Parameters
    ----------
    single_s
        ``float64[n]``: CPU seconds of the single best solver; infinite where its run has not answered.
    rows
        See :func:`measured`.
    after_s, limit_s
        CPU seconds before the turn, and of everything.
    start_s
        CPU seconds for starting the helper process.
    """
    slice_s = parity_s(limit_s)
    turns = [Slice("single", after_s), Slice(PARITY, slice_s + start_s)]
    change = 0.0
    for seconds, row in zip(single_s.tolist(), rows, strict=True):
        needed = row["cpu_s"] + start_s
        plan = Plan(((Slice("single", np.inf),),), tuple(turns if slice_s else turns[:1]))
        runs = {"single": seconds, PARITY: needed if row["answers"] and row["cpu_s"] <= slice_s else np.inf}
        change += score(plan, runs, limit_s, declined_s={PARITY: needed})
        change -= score(Plan(((Slice("single", np.inf),),)), runs, limit_s)
    return change / len(rows)


def slower_families(cost: dict[str, float], families: list[str], after_s: float, declining_s: float) -> dict[str, Any]:
    """Return by how much waiting for `parity` to decline slows families down that the single best solver answers.

    Parameters
    ----------
    cost
        Instance -> CPU seconds of the single best solver; infinite where its run has not answered.
    families
        Family of each.
    after_s, declining_s
        CPU seconds before the turn, and of the turn.
    """
    by_family: dict[str, list[float]] = defaultdict(list)
    for family, seconds in zip(families, cost.values(), strict=True):
        if seconds < np.inf:
            by_family[family].append(seconds)
    worse = {
        family: declining_s * sum(seconds > after_s for seconds in each) / sum(each)
        for family, each in by_family.items()
        if len(each) >= LARGE_FAMILY
    }
    return {"largest": max(worse.values()), "over_3_percent": sum(value > 0.03 for value in worse.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--root", type=Path, help="directory of the real instances")
    parser.add_argument("--work", type=Path, required=True, help="directory for the instances that are made")
    parser.add_argument("--solver", default="cadical195", help="the single best solver")
    parser.add_argument("--at-most", type=int, help="instances, drawn by chance, for a quick look")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    dataset = Dataset.open(options.dataset)
    assert dataset.splits is not None
    side = dataset.splits.side
    names, par2 = par_scores(dataset, [options.solver], CUTOFF_S)
    cost = {
        name: float(seconds) if seconds <= CUTOFF_S else np.inf
        for name, seconds in zip(names, par2[:, 0].tolist(), strict=True)
        if side.get(name) in ("train", "validation")
    }
    late = sorted(name for name, seconds in cost.items() if seconds > 1.0)
    if options.root is None:
        late = [name for name in late if dataset.by_instance[name].origin == "generated"]
    if options.at_most is not None and options.at_most < len(late):
        late = sorted(np.random.default_rng(0).choice(late, options.at_most, replace=False).tolist())
    with ProgressLine(len(late), "instances found or made") as bar:
        files = materialise(dataset, options.root, options.work, instances=late, on_step=bar.advance)
    late = [name for name in late if name in files]
    rows, start_s = measured(files, late), starting_s()
    single_s = np.array([cost[name] for name in late])
    answered = np.array([row["answers"] for row in rows])
    used_s = np.array([row["cpu_s"] for row in rows])
    declined_s = used_s[~answered]
    document = {
        "machine": machine_description(),
        "dataset": str(options.dataset),
        "solver": options.solver,
        "real_instances": options.root is not None,
        "rule": {"after_s": AFTER_S, "share": SHARE, "most_s": MOST_S, "least_s": LEAST_S, "declining_s": DECLINING_S},
        "training_and_validation": len(cost),
        "answered_within_after_s": float(np.mean([seconds <= AFTER_S for seconds in cost.values()])),
        "later_than_1_s": len(late),
        "later_than_2_s": int((single_s > 2.0).sum()),
        "unanswered_after_10_s": int(np.isinf(single_s).sum()),
        "parity_answers": {
            "later_than_1_s": int(answered.sum()),
            "later_than_2_s": int((answered & (single_s > 2.0)).sum()),
            "unanswered_after_10_s": int((answered & np.isinf(single_s)).sum()),
            "longest_s": float(used_s[answered].max(initial=0.0)),
        },
        "parity_declines": {"mean_s": float(declined_s.mean()), "longest_s": float(declined_s.max())},
        "starting_s": start_s,
        "mostly_xor": {
            label: f"{sum(row['xor_share'] >= MOSTLY_XOR for row in some)} of {len(some)}"
            for label, some in (
                ("answered", [row for row in rows if row["answers"]]),
                ("declined", [row for row in rows if not row["answers"] and "xor_share" in row]),
            )
        },
        "single_best_par2_s": {
            f"{limit:g}": float(np.where(np.isinf(single_s), 2 * limit, single_s).mean()) for limit in LIMITS
        },
        "change_by_seconds_before": {
            f"{after:g}": replayed(single_s, rows, after, AT_LIMIT_S, start_s) for after in AFTERS
        },
        "families_slower_by_seconds_before": {
            f"{after:g}": slower_families(cost, dataset.families(list(cost)), after, start_s + float(declined_s.mean()))
            for after in AFTERS
        },
        "change_by_limit": {f"{limit:g}": replayed(single_s, rows, AFTER_S, limit, start_s) for limit in LIMITS},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
