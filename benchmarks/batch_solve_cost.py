"""What `satcost batch-solve` costs on easy files, in CPU seconds, against the single best solver alone.

python benchmarks/batch_solve_cost.py --out docs/benchmarks/batch_solve_cost.json

Beside it run `satcost collect` with that solver alone, one child a file, and a loop of PySAT in one process, which
protects itself against nothing. All child processes count.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# Family, number of files, parameters: those that a solver of today answers in a tenth of a second or so.
FAMILIES = [
    ("random-ksat", 12, ["n=150"]),
    ("modular-ksat", 10, ["n=200"]),
    ("tseitin", 6, []),
    ("sudoku", 4, []),
    ("graph-colouring", 8, []),
]
LOOP = """
import sys
from pysat.formula import CNF
from pysat.solvers import Solver
for path in sys.argv[2:]:
    with Solver(name=sys.argv[1], bootstrap_with=CNF(from_file=path)) as solver:
        solver.solve()
"""


def cpu_seconds(command: list[str], *, check: bool = True) -> float:
    """Return the CPU seconds of a command and all its children; ``check``: it must end with exit code 0."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solver", default="cadical195")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=Path, help="Directory of CNF files in place of generated ones.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    satcost = [sys.executable, "-m", "satcost_gnn"]
    with tempfile.TemporaryDirectory() as scratch:
        space = Path(scratch)
        where = options.files or space / "cnf"
        if options.files is None:
            for family, count, parameters in FAMILIES:
                sets = [word for parameter in parameters for word in ("--set", parameter)]
                command = [*satcost, "generate", family, *sets, "--count", str(count), "-o", str(where / family)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        files = sorted(str(path) for path in where.rglob("*.cnf*"))
        spent: dict[str, list[float]] = {"batch-solve": [], "collect": [], "loop": []}
        for number in range(options.repeats):
            table, labels = space / f"{number}.jsonl", space / f"labels{number}"
            batch = [*satcost, "batch-solve", *files, "-o", str(table)]
            collect = [*satcost, "collect", *files, "--solvers", options.solver, "-o", str(labels)]
            spent["batch-solve"].append(cpu_seconds(batch))
            spent["collect"].append(cpu_seconds(collect))
            spent["loop"].append(cpu_seconds([sys.executable, "-c", LOOP, options.solver, *files]))
        rows = [json.loads(line) for line in table.read_text().splitlines()]
    medians = {name: statistics.median(values) for name, values in spent.items()}
    result = {
        "files": len(files),
        "answered_by_presolving": sum(row["status"] in ("SAT", "UNSAT") and row["runs"] == 0 for row in rows),
        "median_cpu_seconds": medians,
        "ratio_to_collect": statistics.median(
            a / b for a, b in zip(spent["batch-solve"], spent["collect"], strict=True)
        ),
        "ratio_to_loop": statistics.median(a / b for a, b in zip(spent["batch-solve"], spent["loop"], strict=True)),
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
