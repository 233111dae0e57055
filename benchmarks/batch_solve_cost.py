"""What `satcost batch-solve` costs on easy files, in CPU seconds, against the single best solver alone.

python benchmarks/batch_solve_cost.py --out docs/benchmarks/batch_solve_cost.json

Beside it run, in turn: PySAT in a process of its own for each file, which protects a script against a file that
crashes; a loop of PySAT in one process, which is protected against nothing; and `satcost collect` with that solver
alone, a child a file. All child processes count. What each takes for one file says what starting up is of it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
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
    parser.add_argument("--times", type=int, default=1, help="So many times as many files.")
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
                command = [
                    *satcost,
                    "generate",
                    family,
                    *sets,
                    "--count",
                    str(count * options.times),
                    "-o",
                    str(where / family),
                ]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        files = sorted(str(path) for path in where.rglob("*.cnf*"))
        loop = [sys.executable, "-c", LOOP, options.solver]
        spent: dict[str, list[float]] = defaultdict(list)
        for number in range(options.repeats):
            table, labels = space / f"{number}.jsonl", space / f"labels{number}"
            batch, collect = [*satcost, "batch-solve"], [*satcost, "collect", "--solvers", options.solver]
            spent["batch-solve"].append(cpu_seconds([*batch, *files, "-o", str(table)]))
            spent["process_each"].append(sum(cpu_seconds([*loop, file]) for file in files))
            spent["loop"].append(cpu_seconds([*loop, *files]))
            spent["collect"].append(cpu_seconds([*collect, *files, "-o", str(labels)]))
            spent["batch-solve of one"].append(cpu_seconds([*batch, files[0], "-o", str(table.with_suffix(".csv"))]))
            spent["loop of one"].append(cpu_seconds([*loop, files[0]]))
        rows = [json.loads(line) for line in table.read_text().splitlines()]
    medians = {name: statistics.median(values) for name, values in spent.items()}

    def ratio(name: str) -> float:
        return statistics.median(a / b for a, b in zip(spent["batch-solve"], spent[name], strict=True))

    further = [
        (a - b) / (c - d)
        for a, b, c, d in zip(
            spent["batch-solve"], spent["batch-solve of one"], spent["loop"], spent["loop of one"], strict=True
        )
    ]
    result = {
        "files": len(files),
        "answered_by_presolving": sum(row["status"] in ("SAT", "UNSAT") and row["runs"] == 0 for row in rows),
        "median_cpu_seconds": medians,
        "ratio_to_process_each": ratio("process_each"),
        "ratio_to_loop": ratio("loop"),
        "ratio_to_loop_after_the_first_file": statistics.median(further),
        "ratio_to_collect": ratio("collect"),
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
