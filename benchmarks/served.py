"""What `satcost predict` says of test instances, early search and all, against the times that solvers took.

    python benchmarks/served.py list --root CNF --cache cache -o test.txt
    satcost predict @test.txt --unit cpu_seconds --limit 3600 --cutoff 1,10,60,300,1000,2500 -o served.parquet
    python benchmarks/served.py judge served.parquet -o docs/benchmarks/served.json

``list`` names the files of the test side that the probe leaves open (generated ones as the cache keeps them). ``judge``
compares the table with the labels of the data sets, in seconds of the training machine: own runs and published ones
apart, and apart from those what the plain run has not answered. Only runs whose limit reaches a budget count there.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from satcost_gnn.config import read_config
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.instance_index import read_index
from satcost_gnn.evaluate.horizons import run_limits, sources
from satcost_gnn.evaluate.metrics import auc, brier, c_index
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.learn.labelled_instances import open_datasets, preprocess_settings

UNIT = "cpu_seconds"
FEWEST = 20
BUDGETS_S = (1, 10, 60, 300, 1000, 2500)
#: Ends of the classes of the predicted median, in seconds.
DECADES = (0.0, 0.1, 1.0, 10.0, 100.0, 1000.0, float("inf"))
_SAME = 1e-3

Floats = NDArray[np.float64]
Row = dict[str, Any]


def listed(config: Path, root: Path, cache: Path, side: str) -> list[Path]:
    """Return the files of a side's instances that the probe leaves open."""
    settings = read_config(config, cache=cache)
    dataset = open_datasets(settings)
    assert dataset.splits is not None
    names = [name for name in dataset.instances if dataset.splits.side[name] == side]
    real = {row.instance: root / str(row.path) for row in read_index(root / "INDEX.csv")}
    found = []
    for name, one in zip(names, InstanceCache(cache, preprocess_settings(settings)).load(names), strict=True):
        if one is not None and one.online is not None and one.probe is not None and not one.probe.solved:
            found.append(real.get(name, cache / "instances" / f"{name}.cnf.xz").absolute())
    return found


def log10_quantile(rows: list[Row], name: str) -> Floats:
    """Return log10 of a quantile; infinity where it is open."""
    return np.array([np.inf if row[name] is None else np.log10(max(row[name], 1e-9)) for row in rows])


def judged(rows: list[Row], cost: Floats, censored: NDArray[np.bool_], limit: Floats) -> Row:
    """Return the measures of one solver's rows."""
    median = log10_quantile(rows, "q50")
    order = np.array([6.0 if row["mean_log10"] is None else row["mean_log10"] for row in rows])
    error = np.minimum(median, limit) - np.minimum(cost, limit)
    unsolved = 10 ** np.median(median[censored]) if censored.any() else None
    found: Row = {
        "runs": len(rows),
        "c_index": c_index(np.minimum(median, 9.0), cost, censored),
        "c_index_of_mean": c_index(order, cost, censored),
        "rmse_capped": float(np.sqrt((error**2).mean())),
        "median_of_unsolved_s": None if unsolved is None or np.isinf(unsolved) else float(unsolved),
    }
    for budget in BUDGETS_S:
        at = np.log10(budget)
        p = np.array([np.nan if row[f"p_solved_{budget}"] is None else row[f"p_solved_{budget}"] for row in rows])
        told = ~np.isnan(p) & (limit >= at - _SAME)
        solved = (~censored & (cost <= at))[told].astype(float)
        if told.sum() >= FEWEST and 0 < solved.sum() < len(solved):
            found[f"by {budget} s"] = {
                "runs": int(told.sum()),
                "solved": float(solved.mean()),
                "predicted": float(p[told].mean()),
                "brier_of_constant": brier(p[told], solved) / float(solved.var()),
                "auc": auc(p[told], solved),
            }
    low, high = log10_quantile(rows, "q10"), log10_quantile(rows, "q90")
    for start, end in pairwise(DECADES):
        mine = np.flatnonzero((10**median >= start) & (10**median < end))
        if len(mine) >= FEWEST:
            inside = ~censored & (low <= cost) & (cost <= high)
            maybe = censored & (cost <= high)
            found[f"median from {start:g} to {end:g} s"] = {
                "runs": len(mine),
                "coverage_least": float(inside[mine].mean()),
                "coverage_most": float((inside | maybe)[mine].mean()),
            }
    return found


def judge(config: Path, table: Path) -> Row:
    """Return all measures of a table of predictions."""
    dataset: Dataset = open_datasets(read_config(config))
    rows = [row for row in pq.read_table(table).to_pylist() if row["gbdhash"] in dataset.by_instance]
    found: Row = {"checkpoint": sorted({str(row["checkpoint"]) for row in rows}), "files": 0}
    for solver in sorted({str(row["solver"]) for row in rows if row["solver"]}):
        mine = [row for row in rows if row["solver"] == solver and row["status"] in ("ok", "solved")]
        found["files"] = max(found["files"], len(mine))
        names = [row["gbdhash"] for row in mine]
        matrix, limit = dataset.cost_matrix([solver], UNIT, instances=names), run_limits(dataset, [solver], names)[:, 0]
        cost, censored = matrix.cost[:, 0], matrix.censored[:, 0]
        open_ = np.array([row["source"] not in ("search", "relative_cost", "probe") for row in mine])
        known, source = matrix.known[:, 0] & ~np.isnan(limit), sources(dataset, names)
        for name in ("own", "published"):
            for group, taken in (("all", np.ones(len(mine), dtype=bool)), ("left open", open_)):
                rows_of = np.flatnonzero(known & (source == name) & taken)
                if len(rows_of) >= FEWEST:
                    numbers = judged([mine[k] for k in rows_of], cost[rows_of], censored[rows_of], limit[rows_of])
                    found.setdefault(name, {}).setdefault(group, {})[solver] = numbers
                    print(name, group, solver, {key: value for key, value in numbers.items() if key[:3] != "med"})
    return found


def rounded(value: Any) -> Any:
    """Return numbers with four digits, wherever they are."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    lister, judge_ = commands.add_parser("list"), commands.add_parser("judge")
    lister.add_argument("--root", type=Path, required=True)
    lister.add_argument("--cache", type=Path, default=Path("cache"))
    lister.add_argument("--side", default="test")
    judge_.add_argument("table", type=Path)
    for command in (lister, judge_):
        command.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
        command.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "list":
        files = listed(options.config, options.root, options.cache, options.side)
        options.output.write_text("".join(f"{path}\n" for path in files))
        return
    options.output.write_text(json.dumps(rounded(judge(options.config, options.table)), indent=1) + "\n")


if __name__ == "__main__":
    main()
