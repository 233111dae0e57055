"""What the stages before and around the searches cost on a large formula: identity, features, graph, handing over.

python benchmarks/large_stages.py --literals 5e6 --out docs/benchmarks/large_stages.json

Random 3-SAT with 4.2 clauses a variable. Each stage is run in a process of its own, which also says how much memory it
took beyond what the formula itself takes; medians of ``--repeats`` turns. ``hand over`` loads the formula into
cadical195 through PySAT, as a prediction does three times: for the plain run, the probe, and its replicate.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling import random_formula

from satcost_gnn.data.execution import machine_description
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import write_dimacs
from satcost_gnn.formula.features import static_features
from satcost_gnn.formula.gbdc_process import on_the_spot
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.runtime.scratch_space import scratch_directory
from satcost_gnn.search.loading import open_solver

# The edges that the shipped checkpoint keeps of a graph.
_EDGES = 40_000


def _identity(formula: Formula) -> None:
    gbdhash(formula)
    renumbered(formula)


def _gbdc(formula: Formula) -> None:
    with scratch_directory() as directory:
        write_dimacs(formula, directory / "formula.cnf")
        on_the_spot("extract_base_features", str(directory / "formula.cnf"))


def _hand_over(formula: Formula) -> None:
    open_solver("cadical195", formula).delete()


STAGES: dict[str, Callable[[Formula], Any]] = {
    "identity": _identity,
    # Own features alone: in a process that is no child of a sandbox gbdc has a helper of its own.
    "features": static_features,
    "gbdc": _gbdc,
    "graph": lambda formula: clause_variable_graph(formula, None, max_edges=_EDGES),
    "hand over": _hand_over,
}


def _measured(name: str, n_literals: int, results: Any) -> None:
    formula = random_formula(n_literals, 0)
    # What making it took at most is not the stage's.
    Path("/proc/self/clear_refs").write_text("5")
    before_kib, start = resident_kib("VmRSS"), time.process_time()
    STAGES[name](formula)
    results.put((time.process_time() - start, 1024 * (resident_kib("VmHWM") - before_kib) / formula.n_literals))


def resident_kib(key: str) -> int:
    """Return an entry of this process's status, such as ``VmRSS``, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--literals", type=float, default=5e6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in STAGES}
    for _ in range(options.repeats):
        for name, rows in found.items():
            results: Any = context.Queue()
            process = context.Process(target=_measured, args=(name, int(options.literals), results))
            process.start()
            rows.append(results.get(timeout=600))
            process.join()
    stages = {
        name: {
            "cpu_s": round(statistics.median(seconds for seconds, _ in rows), 3),
            "bytes_a_literal": round(statistics.median(size for _, size in rows), 1),
        }
        for name, rows in found.items()
    }
    print(json.dumps(stages, indent=1))
    report = {"machine": machine_description(), "literals": options.literals, "date": time.strftime("%F")}
    options.out.write_text(json.dumps({**report, "repeats": options.repeats, "stages": stages}, indent=1) + "\n")


if __name__ == "__main__":
    main()
