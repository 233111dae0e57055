"""Choose the instances of the three ensembles of the experiments over the search, by the costs that were measured.

    python benchmarks/online_instances.py datasets/corpus -o benchmarks/online_instances.json

*rand* is random 3-SAT around the threshold, *bmc* bounded model checking, *fv* hardware verification. An instance is taken
if MiniSat 2.2 solved it after 3,000 to 100,000 conflicts; where MiniSat was not run, if CaDiCaL 1.9.5 solved it after
3,000 to 60,000 conflicts and in less than four seconds. Of isomorphic instances only one is taken.
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


def _solved_within(run: Run | None, most: int) -> bool:
    return (
        run is not None
        and run.status.value in ("SAT", "UNSAT")
        and run.conflicts is not None
        and LEAST_CONFLICTS <= run.conflicts <= most
    )


def choose(dataset: Dataset) -> dict[str, list[str]]:
    """Return the identities of each ensemble's instances, in a pseudo-random order."""
    runs = {(run.instance, run.solver): run for run in dataset.runs if run.seed == 0}
    chosen: dict[str, list[str]] = {}
    for ensemble, families in ENSEMBLES.items():
        taken: dict[str, str] = {}
        for name in sorted(dataset.instances, key=lambda name: hashlib.blake2b(name.encode()).digest()):
            row = dataset.by_instance[name]
            if row.family not in families:
                continue
            minisat, cadical = runs.get((name, "minisat22")), runs.get((name, "cadical195"))
            quick = _solved_within(cadical, 60_000) and cadical is not None and cadical.cpu_s < 4.0
            if _solved_within(minisat, 100_000) or (minisat is None and quick):
                taken.setdefault(row.isohash, name)
        chosen[ensemble] = list(taken.values())[:MOST]
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
