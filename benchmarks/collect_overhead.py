"""Measure what collecting costs beyond the solver's own CPU time.

Collects a few generated instances and writes a JSON report:

    python benchmarks/collect_overhead.py -o docs/benchmarks/collect_overhead.json

For each run longer than a second: CPU and wall-clock seconds of everything between two finished runs (reading the file,
loading clauses into Python, forking, watching, journal) beyond the CPU seconds recorded for the solver. On a machine
that is busy with other things the wall-clock numbers hold the waiting too; the CPU numbers do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from satcost_gnn.data.collect import collect, plan
from satcost_gnn.data.execution import CollectLimits, machine_description
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.data.schema import Run
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.runtime.process_tree import below, usage
from satcost_gnn.search.external import is_definition, register_external

RECIPES = (
    "random-ksat:k=3,n=250,ratio=4.4,seed=3",
    "random-ksat:k=3,n=260,ratio=4.4,seed=4",
    "random-ksat:k=3,n=20000,ratio=4.1,seed=5",
    "clique-colouring:n=9,clique=4,colours=3,seed=0",
    "social-golfer:groups=4,size=3,weeks=5,fixed=0,seed=0",
    "bmc-queue:slots=4,width=2,depth=20,bug=0,seed=0",
)
LONG_S = 1.0


def cpu_of_all() -> float:
    """Return the CPU seconds of this process, of all below it, and of those of theirs that have ended."""
    return usage([os.getpid(), *below(os.getpid())])[0]


def measure(solvers: list[str], cpu_s: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        instances, names = [], {}
        for recipe in RECIPES:
            formula = from_recipe(recipe)
            instance = gbdhash(formula)
            path = Path(directory, f"{instance}.cnf")
            path.write_text(formula.to_dimacs())
            instances.append((instance, path))
            names[instance] = recipe
        last = [time.monotonic(), cpu_of_all()]

        def step(run: Run | None) -> None:
            now = [time.monotonic(), cpu_of_all()]
            assert run is not None and run.wall_s is not None
            rows.append(
                {
                    "recipe": names[run.instance],
                    "solver": run.solver,
                    "status": str(run.status),
                    "cpu_s": run.cpu_s,
                    "wall_s": run.wall_s,
                    "cpu_beyond_s": now[1] - last[1] - run.cpu_s,
                    "wall_beyond_cpu_s": now[0] - last[0] - run.cpu_s,
                    "wall_beyond_s": now[0] - last[0] - run.wall_s,
                }
            )
            print(f"{run.cpu_s:7.2f} s  {rows[-1]['cpu_beyond_s']:6.3f} s beyond  {run.solver}", file=sys.stderr)
            last[:] = now

        collect(list(plan(instances, solvers)), Path(directory, "set"), limits=CollectLimits(cpu_s), on_progress=step)
    return rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    long = [row for row in rows if row["cpu_s"] > LONG_S]
    total = sum(row["cpu_s"] for row in long)
    if not long:
        return {"runs": 0}
    return {
        "runs": len(long),
        "solver_cpu_s": round(total, 3),
        **{
            f"{name.removesuffix('_s')}_share": round(sum(row[name] for row in long) / total, 4)
            for name in ("cpu_beyond_s", "wall_beyond_s", "wall_beyond_cpu_s")
        },
        "largest_cpu_beyond_share": round(max(row["cpu_beyond_s"] / row["cpu_s"] for row in long), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON report (default: standard output)")
    parser.add_argument("--solver", action="append", help="name or NAME=COMMAND; may be given several times")
    parser.add_argument("--cpu", type=float, default=3.0, help="CPU seconds a run")
    arguments = parser.parse_args()
    given = arguments.solver or ["cadical195", "minisat22"]
    solvers = [register_external(name) if is_definition(name) else name for name in given]
    load = os.getloadavg()[0]
    rows = measure(solvers, arguments.cpu)
    # The first run of a collector includes the start of its helper process.
    steady = rows[1:]
    report = {
        "question": "CPU and wall-clock seconds of collecting beyond the solver's own CPU time, for runs over 1 s",
        "python": platform.python_version(),
        "machine": machine_description(),
        "load_before": round(load, 2),
        "summary": {
            "all": summarise(steady),
            **{name: summarise([row for row in steady if row["solver"] == name]) for name in solvers},
        },
        "rows": [{k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows],
    }
    text = json.dumps(report, indent=1) + "\n"
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text)
        print(json.dumps(report["summary"], indent=1))


if __name__ == "__main__":
    main()
