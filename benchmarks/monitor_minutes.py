"""How well runs of a minute to hours are told while they run, from labels: no run is made again.

python benchmarks/monitor_minutes.py --config configs/corpus.toml --cache cache -o docs/benchmarks/monitor_minutes.json

Test instances that the probe left open, runs of 60 s and more in seconds of our machine (published ones stand for ours
by relatives). Asked when 10 s and 60 s have passed and at a quarter, half and three quarters of the true cost. The
monitor's rule is the prediction before the run, given that it has got so far; classical estimators are fitted and
calibrated on the same labels and given the same. "Twice so far" needs no fit. Whether a run ends within 1,000 s is
asked of stopped runs too, if their limit reaches it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.evaluate.horizons import FEWEST, run_limits
from satcost_gnn.evaluate.metrics import auc, brier
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.labelled_instances import load_labelled, open_datasets, preprocess_settings
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.serve.checkpoint import Checkpoint, find_checkpoint
from satcost_gnn.serve.checkpoint_contents import open_estimator, read_calibrations
from satcost_gnn.serve.members import Members

UNIT = "cpu_seconds"
SHORTEST_S = 60.0
AT_S = (10.0, 60.0)
FRACTIONS = (0.25, 0.5, 0.75)
WITHIN_S = 1000.0
CLASSICAL: dict[str, Callable[[], Any]] = {
    "constant": lambda: make_estimator("constant"),
    "LMP": lambda: make_estimator("linear"),
    "WBE": lambda: make_estimator("tree_size"),
    "Holt": lambda: make_estimator("holt"),
    "forest": lambda: make_estimator("forest"),
}

Floats = NDArray[np.float64]


def errors(told: Floats, cost: Floats, spent: Floats | float) -> dict[str, float]:
    """Return the geometric-mean ratio, shares within factors of 2 and 4, and of what is left within 2; all log10."""
    size = np.abs(told - cost)
    left = np.log10(np.maximum(10.0**told - 10.0**spent, 1e-3)) - np.log10(10.0**cost - 10.0**spent)
    return {
        "runs": len(cost),
        "ratio": float(10 ** size.mean()),
        "within_2": float((size <= np.log10(2) + 1e-9).mean()),
        "within_4": float((size <= np.log10(4) + 1e-9).mean()),
        "left_within_2": float((np.abs(left) <= np.log10(2) + 1e-9).mean()),
    }


def measures(predicted: CostDistribution | None, cost: Floats, censored: NDArray[np.bool_], limit: Floats) -> Any:
    """Return the measures of one method, None for twice so far, at every time it is asked."""
    found: dict[str, Any] = {}
    solved = ~censored & (cost >= np.log10(SHORTEST_S))
    moments = [(f"{s:g} s", np.full(len(cost), np.log10(s))) for s in AT_S]
    moments += [(f"{fraction:.0%} of the cost", cost + np.log10(fraction)) for fraction in FRACTIONS]
    for name, spent in moments:
        rows = np.flatnonzero(solved & (cost > spent))
        if len(rows) < FEWEST:
            continue
        twice = spent[rows] + np.log10(2)
        told = twice if predicted is None else predicted[rows].condition_above(spent[rows]).median()
        found[name] = errors(told, cost[rows], spent[rows])
    at = np.log10(WITHIN_S)
    for seconds in AT_S:
        spent_s = np.log10(seconds)
        rows = np.flatnonzero((limit >= at - 1e-3) & (cost > spent_s))
        if predicted is None or len(rows) < FEWEST:
            continue
        p = predicted[rows].condition_above(np.full(len(rows), spent_s)).cdf_at(np.full(len(rows), at))
        ends = (~censored[rows] & (cost[rows] <= at)).astype(float)
        found[f"within {WITHIN_S:g} s, asked at {seconds:g} s"] = {
            "runs": len(rows),
            "end": float(ends.mean()),
            "brier": brier(p, ends),
            "brier_constant": float(ends.var()),
            "auc": auc(p, ends),
        }
    return found


def main() -> None:
    """Measure, and write a JSON report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    dataset = open_datasets(config)
    assert dataset.splits is not None
    checkpoint = Checkpoint.open(find_checkpoint())
    solvers = checkpoint.config.solvers
    cache = InstanceCache(config.data.cache, preprocess_settings(config))
    sides = dataset.splits.side
    data = load_labelled(dataset, cache, solvers, [UNIT], sides, keep=("graph",))
    table = data.tables[UNIT]
    training, calibration, test = (data.side("train", "validation"), data.side("calibration"), data.side("test"))
    names = [data.instances[k].gbdhash for k in test]
    limit = run_limits(dataset, solvers, names)
    instances = [data.instances[k] for k in test]
    predicted: dict[str, CostDistribution | None] = {"twice so far": None}
    network = open_estimator(Members(checkpoint, UNIT, "cpu"), checkpoint.config.chain[0])
    if isinstance(network, str):
        raise SystemExit(f"{checkpoint.directory}: {network}")
    shipped = read_calibrations(checkpoint, UNIT)[checkpoint.config.chain[0]]
    predicted["monitor"] = shipped.apply(network.predict(instances))
    for name, make in CLASSICAL.items():
        fitted = make().fit(table.subset(training))
        seen = fitted.predict([data.instances[k] for k in calibration])
        held_out = table.subset(calibration)
        own = Calibration.fit(seen, held_out.cost, held_out.censored, held_out.known)
        predicted[name] = own.apply(fitted.predict(instances))
    mine = table.subset(test)
    found: dict[str, Any] = {"checkpoint": checkpoint.config.label, "test_instances": len(test), "solvers": {}}
    rows, columns = np.nonzero(mine.known & ~np.isnan(limit))
    groups = {"all": np.arange(len(rows))}
    groups |= {solver: np.flatnonzero(columns == k) for k, solver in enumerate(solvers)}
    for group, chosen in groups.items():
        at = rows[chosen], columns[chosen]
        runs = mine.cost[at], mine.censored[at], limit[at]
        found["solvers"][group] = {
            name: measures(None if one is None else CostDistribution(one.grid, one.cdf[at]), *runs)
            for name, one in predicted.items()
        }
    text = json.dumps(_rounded(found), separators=(",", ":")) + "\n"
    print(text)
    if options.output is not None:
        options.output.write_text(text)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 3)
    return value


if __name__ == "__main__":
    main()
