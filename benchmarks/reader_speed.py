"""Time the DIMACS reader against PySAT's on the same file in the same run.

A random 3-SAT formula is written to a temporary directory and read by both readers in turn, so that both meet the same
load of the machine. Both results are compared before anything is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pysat.formula import CNF

from satcost_gnn.formula import Formula, read_dimacs, write_dimacs


def write_random_formula(path: Path, megabytes: float, n_vars: int, seed: int) -> Formula:
    """Write a random 3-SAT formula of about the size asked for."""
    rng = np.random.default_rng(seed)
    n_clauses = int(megabytes * 1e6 / (3 * (len(str(n_vars)) + 0.95) + 2))
    literals = rng.integers(1, n_vars + 1, 3 * n_clauses) * rng.choice([-1, 1], 3 * n_clauses)
    formula = Formula.from_arrays(literals, np.arange(0, 3 * n_clauses + 1, 3), n_vars)
    write_dimacs(formula, path)
    return formula


def main() -> None:
    """Time both readers and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0, help="size of the file (default: %(default)s)")
    parser.add_argument("--variables", type=int, default=200_000, help="of the formula (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="timings of each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    arguments = parser.parse_args()

    seconds: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in ("satcost_gnn", "pysat")}
    with TemporaryDirectory() as directory:
        path = Path(directory) / "random.cnf"
        formula = write_random_formula(path, arguments.megabytes, arguments.variables, arguments.seed)
        n_bytes = path.stat().st_size
        for _ in range(arguments.repeats):
            for name, read in (("satcost_gnn", read_dimacs), ("pysat", lambda file: CNF(from_file=str(file)))):
                wall, cpu = time.perf_counter(), time.process_time()
                found = read(path)
                seconds[name]["wall"].append(time.perf_counter() - wall)
                seconds[name]["cpu"].append(time.process_time() - cpu)
                if name == "satcost_gnn":
                    assert np.array_equal(found.literals, formula.literals)
                    assert np.array_equal(found.offsets, formula.offsets)
                else:
                    assert len(found.clauses) == formula.n_clauses
                del found

    figures = {}
    print(
        f"{n_bytes / 1e6:.1f} MB, {formula.n_vars} variables, {formula.n_clauses} clauses; {arguments.repeats} timings"
    )
    print(f"{'reader':12} {'MB/s best':>10} {'MB/s median':>12} {'MB/s of CPU time':>17}")
    for name, times in seconds.items():
        figures[name] = {
            "best_mb_per_s": n_bytes / 1e6 / min(times["wall"]),
            "median_mb_per_s": n_bytes / 1e6 / statistics.median(times["wall"]),
            "median_mb_per_cpu_s": n_bytes / 1e6 / statistics.median(times["cpu"]),
        }
        print(f"{name:12} " + "{:10.1f} {:12.1f} {:17.1f}".format(*figures[name].values()))
    ratio = {key: figures["satcost_gnn"][key] / figures["pysat"][key] for key in figures["pysat"]}
    print(f"{'ratio':12} " + "{:10.1f} {:12.1f} {:17.1f}".format(*ratio.values()))

    if arguments.out:
        result = {
            "what": "DIMACS reader of satcost_gnn against pysat.formula.CNF(from_file=...), same file, in turn",
            "bytes": n_bytes,
            "n_vars": formula.n_vars,
            "n_clauses": formula.n_clauses,
            "repeats": arguments.repeats,
            **figures,
            "ratio": ratio,
            "seconds": seconds,
            "versions": {name: version(name) for name in ("numpy", "python-sat")}
            | {"python": platform.python_version()},
            "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
