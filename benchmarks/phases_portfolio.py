"""Whether predicted phases pay as configurations of the portfolio: instances known to be satisfiable, of over a second.

    python benchmarks/phases_portfolio.py --root CNF --work DIR --out docs/benchmarks/phases_portfolio.json

Instances of the test and calibration sides, on which neither the network of the phases nor a portfolio was fitted,
that the single best solver has found satisfiable after more than a second. Those that can be made from their recipes
are, and kept in DIR with all runs, so that the same command goes on where it was ended; with ``--root CNF`` real ones
are taken, too. Every run is on a copy with variables renamed and clauses reordered (signs as they are), so that the
runs that chose an instance are not among those that are compared. What predicting the phases takes is added to the runs
that use them; loading the network is not, nor torch.

A configuration is worth what the virtual best of a set of members loses without it. Another seed of the single best
solver, which costs no prediction, is the rival that it has to beat.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phases import majority

from satcost_gnn.core.selection_metrics import par
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.execution import machine_description
from satcost_gnn.data.joining import join_datasets
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.data.schema import Origin
from satcost_gnn.errors import PhaseError
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.guided import Guidance, run_guided
from satcost_gnn.serve.phases import PhasePredictor

SINGLE = "cadical195"
#: Arm -> solver, seed of the copy, guidance, and where its phases come from.
ARMS: dict[str, tuple[str, int, Guidance, str]] = {
    SINGLE: (SINGLE, 1, Guidance.SET, ""),
    f"{SINGLE}:seed": (SINGLE, 2, Guidance.SET, ""),
    f"{SINGLE}:sat": (f"{SINGLE}:sat", 1, Guidance.SET, ""),
    "network, initial": (SINGLE, 1, Guidance.INITIAL, "network"),
    "network, always": (SINGLE, 1, Guidance.SET, "network"),
    "majority, initial": (SINGLE, 1, Guidance.INITIAL, "majority"),
}
PHASED = [name for name, (_, _, _, phases) in ARMS.items() if phases]
#: What each candidate is added to.
SETS = {"one core": (), "two cores": (SINGLE,), "three cores": (SINGLE, f"{SINGLE}:sat")}
_MOST_CONFLICTS = 2**31 - 1


def chosen(dataset: Dataset, real: bool, per_family: int, most: int, limit_s: float) -> list[str]:
    """Return instances, families in turn."""
    assert dataset.splits is not None
    side = dataset.splits.side
    satisfiable = dict(zip(dataset.instances, dataset.satisfiable().tolist(), strict=True))
    names, scores = par_scores(dataset, [SINGLE], limit_s)
    taken: Counter[str] = Counter()
    found = []
    for name, seconds in sorted(zip(names, scores[:, 0].tolist(), strict=True)):
        row = dataset.by_instance[name]
        wanted = side.get(name) in ("test", "calibration") and satisfiable[name] == 1 and seconds > 1.0
        if wanted and (real or row.origin is Origin.GENERATED) and taken[row.family] < per_family:
            found.append((taken[row.family], name))
            taken[row.family] += 1
    return [name for _, name in sorted(found)][:most]


def measured(
    files: dict[str, Path], names: list[str], limit_s: float, cpu_s: float, kept: Path
) -> list[dict[str, Any]]:
    """Return the runs of all arms on each instance, as long as there is CPU time for more; made ones are kept."""
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    rows = [row for row in rows if row["limit_s"] == limit_s and row["instance"] in names]
    done = {row["instance"] for row in rows}
    used = 0.0
    with Sandbox() as sandbox, PhasePredictor.from_checkpoint() as predictor:
        predictor.predict([[1, -2], [2, 3], [-1, -3]])  # loads the network
        for name in [name for name in names if name not in done]:
            if used > cpu_s:
                break
            formula = read_dimacs(files[name])
            begin = time.process_time()
            try:
                predicted = predictor.predict(files[name])
            except PhaseError as error:
                print(f"{name}: {error}")
                continue
            predicting_s = sum(predicted.timings.values()) + time.process_time() - begin
            phases = {"network": predicted.literals(), "majority": majority(formula), "": None}
            row: dict[str, Any] = {"instance": name, "limit_s": limit_s, "predicting_s": predicting_s}
            for arm, (solver, seed, guidance, source) in ARMS.items():
                run = run_guided(
                    sandbox,
                    solver,
                    formula,
                    phases[source],
                    guidance=guidance,
                    seed=seed,
                    conflicts=_MOST_CONFLICTS,
                    cpu_s=limit_s,
                    # On a busy machine a run must not be ended by the wall clock: it would count as unanswered.
                    wall_s=1000.0 * limit_s,
                )
                used += run.cpu_s
                cost = run.cpu_s + (predicting_s if source == "network" else 0.0)
                row[arm] = {"status": run.status, "cost_s": cost, "conflicts": run.conflicts}
            rows.append(row)
            with kept.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(f"{len(rows)}: " + ", ".join(f"{arm} {row[arm]['cost_s']:.2f}" for arm in ARMS), flush=True)
    return rows


def interval(values: NDArray[np.float64], families: list[str]) -> list[float]:
    """Return the ends of the 95 % interval of a mean, families drawn with replacement."""
    rng = np.random.default_rng(0)
    by_family = defaultdict(list)
    for value, family in zip(values.tolist(), families, strict=True):
        by_family[family].append(value)
    groups = list(by_family.values())
    means = []
    for _ in range(4000):
        drawn = [groups[k] for k in rng.integers(0, len(groups), len(groups))]
        means.append(np.mean([value for group in drawn for value in group]))
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(low), float(high)]


def summary(rows: list[dict[str, Any]], families: list[str], limit_s: float) -> dict[str, Any]:
    """Return PAR2 of the arms, and what each candidate takes away from it when it joins the members of a set."""
    cost = {
        arm: np.array([row[arm]["cost_s"] if row[arm]["status"] == "SAT" else np.inf for row in rows]) for arm in ARMS
    }

    def par2(members: tuple[str, ...]) -> NDArray[np.float64]:
        best = np.min([cost[name] for name in members], axis=0)
        scores: NDArray[np.float64] = par(best, np.isfinite(best), limit_s)
        return scores

    rival = f"{SINGLE}:seed"
    found: dict[str, Any] = {
        "arms": {
            arm: {"par2_s": float(par2((arm,)).mean()), "solved": int((cost[arm] <= limit_s).sum())} for arm in ARMS
        }
    }
    for label, members in SETS.items():
        base = par2(members) if members else par2((SINGLE,))
        with_rival = par2((*members, rival)) if members else base
        found[label] = {"members": list(members), "par2_s": float(base.mean()), "with": {}}
        for arm in (rival, f"{SINGLE}:sat", *PHASED):
            if arm in members:
                continue
            joined = par2((*members, arm))
            found[label]["with"][arm] = {
                "par2_s": float(joined.mean()),
                "gain_s": float((base - joined).mean()),
                "gain_over_seed_s": float((with_rival - joined).mean()),
                "gain_over_seed_95": interval(with_rival - joined, families),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, nargs="+", default=[Path("datasets/corpus"), Path("datasets/long")])
    parser.add_argument("--root", type=Path, help="directory of the real instances")
    parser.add_argument("--work", type=Path, required=True, help="directory for the instances that are made")
    parser.add_argument("--per-family", type=int, default=3)
    parser.add_argument("--at-most", type=int, default=45, help="instances")
    parser.add_argument("--limit", type=float, default=20.0, help="CPU seconds of a run")
    parser.add_argument("--cpu-s", type=float, default=800.0, help="CPU seconds after which no instance is begun")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    dataset = join_datasets([Dataset.open(path) for path in options.datasets])
    names = chosen(dataset, options.root is not None, options.per_family, options.at_most, 10.0)
    files = materialise(dataset, options.root, options.work, instances=names)
    kept = options.work / "phases_portfolio.jsonl"
    rows = measured(files, [name for name in names if name in files], options.limit, options.cpu_s, kept)
    families = dataset.families([row["instance"] for row in rows])
    document = {
        "machine": machine_description(),
        "data_sets": [path.name for path in options.datasets],
        "limit_s": options.limit,
        "instances": len(rows),
        "families": len(set(families)),
        "predicting_s": {
            "mean": float(np.mean([row["predicting_s"] for row in rows])),
            "longest": max(row["predicting_s"] for row in rows),
        },
        **summary(rows, families, options.limit),
        "runs": [{"family": family, **row} for family, row in zip(families, rows, strict=True)],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({key: value for key, value in document.items() if key != "runs"}, indent=1))


if __name__ == "__main__":
    main()
