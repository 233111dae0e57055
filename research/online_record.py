"""Record the long searches that the experiments over the search are made of.

    python research/online_record.py --dataset datasets/corpus --root CNF --store cache/online

Every instance of ``online_instances.json`` is searched by every solver for up to 200,000 conflicts; each search is one
file under the store. What is there already is not recorded again, so the same command continues after a stop.
CNF is the directory of the real instances; without it only the generated ones are recorded.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

from recording import LONG, record

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.runtime.progress import ProgressLine, print_above
from satcost_gnn.runtime.sandbox import Sandbox

HERE = Path(__file__).resolve().parent
SOLVERS = ("minisatep", "cadical195", "ergo", "cadical300")


def instances(most: int | None = None) -> dict[str, list[str]]:
    """Return the identities of each ensemble's instances."""
    chosen: dict[str, list[str]] = json.loads((HERE / "online_instances.json").read_text())
    return {ensemble: names[:most] for ensemble, names in chosen.items()}


def recording_path(store: Path, solver: str, instance: str) -> Path:
    """Return where the recording of a search is kept."""
    return store / "recordings" / solver / f"{instance}.npz"


def formula_files(dataset: Dataset, root: Path | None, store: Path, names: list[str]) -> dict[str, Path]:
    """Return the DIMACS files of instances."""
    return materialise(
        dataset, root, store / "cnf", instances=names, on_problem=lambda text: print(text, file=sys.stderr)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("datasets/corpus"))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--solvers", default=",".join(SOLVERS))
    parser.add_argument("--most", type=int, help="instances of each ensemble")
    options = parser.parse_args()
    # One of each ensemble in turn, so that a stop leaves ensembles of about equal size.
    turns = itertools.zip_longest(*instances(options.most).values())
    names = [name for turn in turns for name in turn if name is not None]
    files = formula_files(Dataset.open(options.dataset), options.root, options.store, names)
    solvers = options.solvers.split(",")
    with Sandbox() as sandbox, ProgressLine(len(names) * len(solvers), "searches") as progress:
        for name in names:
            for solver in solvers:
                path = recording_path(options.store, solver, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                if name in files and not path.exists():
                    made = record(read_dimacs(files[name]), path, replace(LONG, solver=solver), sandbox)
                    if made.status not in ("SAT", "UNSAT", "UNKNOWN"):
                        print_above(f"{name} {solver}: {made.status}: {made.detail}")
                progress.advance()


if __name__ == "__main__":
    main()
