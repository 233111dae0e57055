"""Choose the instances of the three ensembles of the experiments over the search, by the costs that were measured.

    python research/online_instances.py datasets/corpus -o research/online_instances.json

*rand* is random 3-SAT around the threshold, *bmc* bounded model checking, *fv* hardware verification. An instance is
taken if MiniSat 2.2 solved it after 3,000 to 100,000 conflicts; where MiniSat was not run, if CaDiCaL 1.9.5 solved it
after 3,000 to 60,000 conflicts and in less than four seconds. Of isomorphic instances only one is taken, and of more
than 63 a pseudo-random sample. They stand in the order of these costs, so that a part of the recordings is quickly
made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.schema import Run

ENSEMBLES: dict[str, tuple[str, ...]] = {
    "rand": ("random-ksat", "satlib-uf-random3sat", "satlib-uuf-random3sat"),
    "bmc": ("bmc-counter", "bmc-lock", "bmc-queue", "software-cbmc-small", "software-verif-spear-calysto"),
    "fv": (
        "adder-miter",
        "count-miter",
        "sorter-miter",
        "multiplier-miter",
        "netlist-miter",
        "mixed-boolean-arithmetic",
        "lec-sorting",
        "multiplier-factoring",
        "circuit-iscas",
    ),
}
MOST = 63
LEAST_CONFLICTS = 3_000


def _conflicts(run: Run | None, most: int) -> int | None:
    """Return the conflicts of a run that was solved within the range, else None."""
    if run is None or run.status.value not in ("SAT", "UNSAT") or run.conflicts is None:
        return None
    return run.conflicts if LEAST_CONFLICTS <= run.conflicts <= most else None


def choose(dataset: Dataset) -> dict[str, list[str]]:
    """Return the identities of each ensemble's instances, the cheapest first."""
    runs = {(run.instance, run.solver): run for run in dataset.runs if run.seed == 0}
    chosen: dict[str, list[str]] = {}
    for ensemble, families in ENSEMBLES.items():
        taken: dict[str, tuple[str, int]] = {}
        for name in sorted(dataset.instances, key=lambda name: hashlib.blake2b(name.encode()).digest()):
            row = dataset.by_instance[name]
            if row.family not in families:
                continue
            minisat, cadical = runs.get((name, "minisat22")), runs.get((name, "cadical195"))
            cost = _conflicts(minisat, 100_000)
            if minisat is None and cadical is not None and cadical.cpu_s < 4.0:
                cost = _conflicts(cadical, 60_000)
            if cost is not None:
                taken.setdefault(row.isohash, (name, cost))
        sample = list(taken.values())[:MOST]
        chosen[ensemble] = [name for name, cost in sorted(sample, key=lambda one: one[1])]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    chosen = choose(Dataset.open(options.dataset))
    options.out.write_text(json.dumps(chosen, indent=1) + "\n")
    print({ensemble: len(names) for ensemble, names in chosen.items()})


if __name__ == "__main__":
    main()
