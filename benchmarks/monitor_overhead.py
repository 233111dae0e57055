"""Measure what the monitor costs: CPU seconds of a monitored run against a plain one with as many conflicts.

    python benchmarks/monitor_overhead.py -o docs/benchmarks/monitor_overhead.json

A watched solver's search is the same with and without monitor, so its CPU seconds can be compared directly. A sliced
solver (CaDiCaL) searches a little differently, so seconds per conflict are compared, and what slicing does to its
number of conflicts is reported beside it, with the same for watched solvers run in slices all the same. All is done
in sandboxed children; the least of several repeats counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.sandbox import Limits, Sandbox

SOLVERS = ("cadical195", "cadical153", "minisat22", "glucose42")
RECIPES = (
    "random-ksat:k=3,n=220,ratio=4.5,seed=3",
    "count-miter:n=17,second=sorter,seed=27",
    "bmc-queue:slots=4,width=3,depth=15,bug=0,seed=47",
)


def timed_child(formula: Formula, solver: str, mode: str) -> dict[str, float]:
    """Run plainly or under the monitor; executed in a sandboxed child."""
    import time

    from pysat.solvers import Solver

    from satcost_gnn.core.distribution import GRIDS, CostDistribution
    from satcost_gnn.decide.monitor import CostMonitor

    prior = {unit: CostDistribution.normal(GRIDS[unit], mean, 0.5) for unit, mean in PRIOR.items()}
    with Solver(name=solver, bootstrap_with=formula.clauses()) as engine:
        begin, wall = time.process_time(), time.monotonic()
        estimates, own = 0, 0.0
        if mode == "plain":
            engine.solve_limited()
        else:
            monitor = CostMonitor(engine, prior, mode="auto" if mode == "monitor" else "slices")
            monitor.run()
            estimates, own = len(monitor.estimates), monitor.overhead_s
        spent = time.process_time() - begin
        return {
            "cpu_s": spent,
            "wall_s": time.monotonic() - wall,
            "conflicts": engine.accum_stats()["conflicts"],
            "estimates": estimates,
            "own_s": own,
        }


PRIOR = {"conflicts": 5.0, "cpu_seconds": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    # The sandbox's helper process imports this file.
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part)
    rows: list[dict[str, Any]] = []
    with Sandbox() as sandbox:
        for recipe in RECIPES:
            formula = from_recipe(recipe)
            for solver in SOLVERS:
                row: dict[str, Any] = {"recipe": recipe, "solver": solver}
                modes = ("plain", "monitor") if solver.startswith("cadical") else ("plain", "monitor", "slices")
                for _ in range(options.repeats):
                    for mode in modes:
                        outcome = sandbox.run(
                            "monitor_overhead:timed_child",
                            {"formula": formula, "solver": solver, "mode": mode},
                            Limits(120.0, 3600.0, 4096),
                        )
                        if outcome.status != "OK":
                            raise SystemExit(f"{recipe} {solver} {mode}: {outcome.status} {outcome.detail}")
                        known = row.get(mode)
                        if known is None or outcome.value["cpu_s"] < known["cpu_s"]:
                            row[mode] = outcome.value
                per_conflict = [row[mode]["cpu_s"] / row[mode]["conflicts"] for mode in ("plain", "monitor")]
                row["overhead"] = per_conflict[1] / per_conflict[0] - 1.0
                # The monitor's own CPU seconds, which noise in the solver's doesn't hide.
                row["own_share"] = row["monitor"]["own_s"] / row["monitor"]["cpu_s"]
                row["conflicts_ratio"] = row["monitor"]["conflicts"] / row["plain"]["conflicts"]
                if "slices" in row:
                    row["conflicts_ratio_if_sliced"] = row["slices"]["conflicts"] / row["plain"]["conflicts"]
                rows.append(row)
                measured = f"{row['overhead']:+.1%} {row['own_share']:.1%} {row['conflicts_ratio']:.2f}"
                print(f"{solver:12} {measured} {recipe}", file=sys.stderr)
                write(rows, options)
    print(json.dumps(write(rows, options), indent=1))


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Write the report of what has been measured so far and return its summary."""
    summary: dict[str, Any] = {}
    for solver in dict.fromkeys(row["solver"] for row in rows):
        mine = [row for row in rows if row["solver"] == solver]
        seconds = {mode: sum(row[mode]["cpu_s"] for row in mine) for mode in ("plain", "monitor")}
        conflicts = {mode: sum(row[mode]["conflicts"] for row in mine) for mode in ("plain", "monitor")}
        summary[solver] = {
            "overhead_of_the_total": (seconds["monitor"] / conflicts["monitor"])
            / (seconds["plain"] / conflicts["plain"])
            - 1.0,
            "own_share_of_the_total": sum(r["monitor"]["own_s"] for r in mine) / seconds["monitor"],
            "median_overhead": float(np.median([row["overhead"] for row in mine])),
            "conflicts_geometric_mean_ratio": float(np.exp(np.mean(np.log([r["conflicts_ratio"] for r in mine])))),
        }
        if "slices" in mine[0]:
            ratios = [row["conflicts_ratio_if_sliced"] for row in mine]
            summary[solver]["conflicts_geometric_mean_ratio_if_sliced"] = float(np.exp(np.mean(np.log(ratios))))
    report = {"question": __doc__.splitlines()[0], "repeats": options.repeats, "summary": summary, "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    return summary


if __name__ == "__main__":
    main()
