"""What `satcost solve` costs in CPU seconds on instances that the single best solver answers soon, against PySAT.

python benchmarks/solve_cost.py --out docs/benchmarks/solve_cost.json

The other one is a script that reads the file by PySAT and runs the same solver in its own process, which no limit
binds and whose model nobody checks. All child processes count. What starting up costs is measured on a formula of one
clause and taken off for ``beyond_start``. The four commands of a file are run in turn, so that all meet the same
load, which adds CPU seconds (shared caches and cores) and takes none off: of the repeats the least counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from batch_solve_cost import cpu_seconds

# A solver's exit codes are 10 and 20.
cost = partial(cpu_seconds, check=False)

# What cadical195 answers in .1 to 2 s or so.
SAMPLES = [
    Path("datasets/samples") / f"{name}.cnf"
    for name in (
        "random3-240",
        "golfer-4-3-5",
        "clique-colouring-9",
        "colouring-120",
        "keccak-20",
        "multiplier-miter-6",
        "modular-600",
        "van-der-waerden-77",
    )
]
SCRIPT = """
import sys
from pysat.formula import CNF
from pysat.solvers import Solver
with Solver(name=sys.argv[1], bootstrap_with=CNF(from_file=sys.argv[2])) as solver:
    print(solver.solve(), solver.get_model())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solver", default="cadical195")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=Path, nargs="+", default=SAMPLES, help="CNF files.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    satcost = [sys.executable, "-m", "satcost_gnn"]
    with tempfile.TemporaryDirectory() as scratch:
        space = Path(scratch)
        trivial = space / "trivial.cnf"
        trivial.write_text("p cnf 1 1\n1 0\n")
        rows = []
        for path in options.files:
            spent: dict[str, list[float]] = {name: [] for name in ("solve_start", "pysat_start", "solve", "pysat")}
            for _ in range(options.repeats):
                for ending, file in (("_start", str(trivial)), ("", str(path))):
                    spent["solve" + ending].append(cost([*satcost, "solve", file]))
                    spent["pysat" + ending].append(cost([sys.executable, "-c", SCRIPT, options.solver, file]))
            rows.append({"file": path.name, **{name: min(values) for name, values in spent.items()}})
            print(json.dumps(rows[-1]), flush=True)
    beyond = [{name: row[name] - row[f"{name}_start"] for name in ("solve", "pysat")} for row in rows]
    counted = [(row, own) for row, own in zip(rows, beyond, strict=True) if own["pysat"] >= 0.1]
    ratios = [row["solve"] / row["pysat"] for row, _ in counted]
    beyond_ratios = [own["solve"] / own["pysat"] for _, own in counted]
    result = {
        "start_cpu_s": {name: min(row[f"{name}_start"] for row in rows) for name in ("solve", "pysat")},
        "instances_of_a_tenth_second_or_more": len(counted),
        "median_ratio": statistics.median(ratios) if ratios else None,
        "median_ratio_beyond_start": statistics.median(beyond_ratios) if ratios else None,
        "largest_ratio_beyond_start": max(beyond_ratios, default=None),
        "ratio_of_sums_beyond_start": (
            sum(own["solve"] for _, own in counted) / sum(own["pysat"] for _, own in counted) if counted else None
        ),
        "rows": rows,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "rows"}, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
