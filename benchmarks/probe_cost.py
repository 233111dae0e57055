"""Measure what the probe costs, and how much of it is listening.

Runs the probe and the same search without a listener on CNF files of a directory, and writes a JSON report,
whose summary is kept as ``docs/benchmarks/probe_cost.json``:

    python benchmarks/probe_cost.py DIRECTORY -o out/probe_cost.json

Files are grouped by the directory they lie in; from each group, files spread evenly over its sizes are taken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.errors import SatcostError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.online import online_features
from satcost_gnn.search.probe import probe
from satcost_gnn.search.probe_settings import PROBE_VERSION, ProbeSettings

SUFFIXES = (".cnf", ".cnf.gz", ".cnf.bz2", ".cnf.xz", ".cnf.zst")


def plain_child(formula: Formula, settings: ProbeSettings) -> dict[str, float]:
    """Run the same search without a listener and without a proof."""
    from pysat.solvers import Solver

    begin = time.process_time()
    with Solver(name=settings.solver) as solver:
        if settings.solver_options:
            solver.configure(settings.solver_options)
        solver.append_formula(formula.clauses())
        solver.conf_budget(settings.conflicts)
        loaded = time.process_time()
        solver.solve_limited()
        done = time.process_time()
        counters = solver.accum_stats()
    return {"load": loaded - begin, "search": done - loaded, "conflicts": counters["conflicts"]}


def choose(root: Path, per_group: int) -> list[Path]:
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in root.rglob("*"):
        if path.name.endswith(SUFFIXES) and path.is_file():
            groups[path.parent].append(path)
    chosen = []
    for _, members in sorted(groups.items()):
        members.sort(key=lambda p: (p.stat().st_size, p.name))
        ranks = np.unique(np.linspace(0, len(members) - 1, per_group + 2)[1:-1].round().astype(int))
        chosen += [members[rank] for rank in ranks] if per_group > 1 else [members[len(members) // 2]]
    return chosen


def measure(path: Path, root: Path, settings: ProbeSettings, sandbox: Sandbox) -> dict[str, Any]:
    row: dict[str, Any] = {"path": str(path.relative_to(root))}
    begin = time.process_time()
    try:
        formula = read_dimacs(path)
    except SatcostError as error:
        return {**row, "status": "UNREADABLE", "detail": str(error)}
    row["parse_s"] = time.process_time() - begin
    row.update(n_vars=formula.n_vars, n_clauses=formula.n_clauses, n_literals=formula.n_literals)
    begin = time.monotonic()
    result = probe(formula, settings, sandbox)
    row["wall_s"] = time.monotonic() - begin
    row.update(
        status=result.status,
        detail=result.detail,
        truncated=result.truncated,
        conflicts=result.conflicts,
        decisions=result.decisions,
        propagations=result.propagations,
        restarts=result.restarts,
        events=result.events,
        cpu_s=result.cpu_s,
        peak_memory_mb=round(result.peak_memory_mb, 1),
        **{f"{stage}_s": seconds for stage, seconds in result.timings.items()},
    )
    if result.trace is not None:
        row.update(conflicts_seen=result.trace.conflicts, observed_share=result.trace.observed_share)
        begin = time.process_time()
        features = online_features(result.trace)
        row["features_s"] = time.process_time() - begin
        row["features_missing"] = int(features.is_missing.sum())
    outcome = sandbox.run("probe_cost:plain_child", {"formula": formula, "settings": settings}, settings.limits)
    row["plain_status"] = outcome.status
    if outcome.status == "OK":
        row.update(
            plain_load_s=outcome.value["load"],
            plain_search_s=outcome.value["search"],
            plain_conflicts=outcome.value["conflicts"],
        )
    return row


def spread(values: Iterable[float]) -> dict[str, float]:
    array = np.array(list(values), dtype=float)
    if not len(array):
        return {}
    marks = {"min": 0, "q25": 25, "median": 50, "q75": 75, "q90": 90, "q95": 95, "max": 100}
    return {"n": len(array), **{name: round(float(np.percentile(array, mark)), 6) for name, mark in marks.items()}}


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    done = [row for row in rows if "cpu_s" in row]
    unsolved = [row for row in done if row["status"] == "UNKNOWN"]
    paired = [row for row in unsolved if "plain_search_s" in row and not row["truncated"] and row["conflicts"] >= 1000]
    seen = [row for row in done if row.get("conflicts_seen") is not None and row["conflicts"] >= 100]
    statuses = [row["status"] for row in rows]
    return {
        "files": len(rows),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "cpu_s": spread(row["cpu_s"] for row in done),
        "cpu_s_unsolved": spread(row["cpu_s"] for row in unsolved),
        "wall_s": spread(row["wall_s"] for row in done),
        **{
            f"{stage}_s": spread(row[f"{stage}_s"] for row in done if f"{stage}_s" in row)
            for stage in ("parse", "load", "search", "trace", "features")
        },
        "events": spread(row["events"] for row in done),
        "truncated_by_events": sum(row["truncated"] and "events" in row["detail"] for row in done),
        "search_with_listener_over_without": spread(
            (row["search_s"] / row["conflicts"]) / (row["plain_search_s"] / row["plain_conflicts"])
            for row in paired
            if row["plain_conflicts"] and row["plain_search_s"] > 0
        ),
        "conflicts_seen_over_counted": spread(row["conflicts_seen"] / row["conflicts"] for row in seen),
        "share_within_half_a_second": round(float(np.mean([row["cpu_s"] < 0.5 for row in done])), 4) if done else None,
        "share_within_five_seconds": round(float(np.mean([row["cpu_s"] < 5 for row in done])), 4) if done else None,
    }


def render(report: dict[str, Any]) -> str:
    """Write the report as JSON with one line for each file."""
    rows = [{k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()} for row in report["rows"]]
    head = json.dumps({**report, "rows": []}, indent=1)
    return head.removesuffix("[]\n}") + "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="JSON report (default: standard output)")
    parser.add_argument("--per-group", type=int, default=1, help="files from each directory")
    parser.add_argument("--solver", default="cadical195")
    parser.add_argument("--conflicts", type=int, default=ProbeSettings.conflicts)
    parser.add_argument("--max-events", type=int, default=ProbeSettings.max_events)
    parser.add_argument("--max-observed", type=int, default=ProbeSettings.max_observed)
    arguments = parser.parse_args()
    settings = ProbeSettings(
        solver=arguments.solver,
        conflicts=arguments.conflicts,
        max_events=arguments.max_events,
        max_observed=arguments.max_observed,
    )
    # The sandbox's helper process imports this file for the search without a listener.
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part)
    rows = []
    with Sandbox() as sandbox:
        for path in choose(arguments.directory, arguments.per_group):
            rows.append(measure(path, arguments.directory, settings, sandbox))
            print(f"{rows[-1].get('cpu_s', 0.0):8.2f} s  {rows[-1]['status']:10} {rows[-1]['path']}", file=sys.stderr)
    import pysat

    report = {
        "question": "CPU seconds of the probe, by stage, and of the same search without a listener",
        "settings": settings.key(),
        "probe_version": PROBE_VERSION,
        "python": platform.python_version(),
        "python_sat": pysat.__version__,
        "processors": os.cpu_count(),
        "summary": summarise(rows),
        "rows": rows,
    }
    if arguments.output is None:
        print(render(report))
    else:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(render(report))
        print(json.dumps(report["summary"], indent=1))


if __name__ == "__main__":
    main()
