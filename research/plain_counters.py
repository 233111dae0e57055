"""Are the plain run's counters worth something as features? Cross-validation on published runs of up to 5,000 s.

PYTHONPATH=research:benchmarks python research/plain_counters.py CNF --cache cache -o out/plain_counters

The plain run (up to 20,000 conflicts, as ``predict --limit 3600`` makes it) is made for every instance with published
runs that the probe leaves open; its table is kept in the output directory and not made again. Then a forest is fitted
as in ``benchmarks/long_horizon.py``, on published runs alone, with and without the counters of its stages.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from long_horizon import THIRD, EvaluationSetup

from satcost_gnn.config import read_config
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.instance_index import read_index
from satcost_gnn.features.early_budget import within_limit
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.plain_run import PlainSettings, run_plain

STAGES = (200, 2_000, 20_000)
VIEWS = ("static", "static+counters", "all", "all+counters")


def plain_child(path: str, settings: PlainSettings) -> dict[str, Any]:
    """Make the plain run of a file; executed in a sandboxed child."""
    from satcost_gnn.formula.sources import load

    found = run_plain(load(path), settings)
    return {} if found is None else {"stages": [asdict(stage) for stage in found.stages], "spent_s": found.spent_s}


def collect(root: Path, names: list[str], table: Path) -> dict[str, Any]:
    """Return instance -> stages, from the table as far as it has them."""
    found = json.loads(table.read_text()) if table.exists() else {}
    settings = within_limit(PreprocessSettings(), 3600.0, "cadical195").features.plain
    paths = {row.instance: root / row.path for row in read_index(root / "INDEX.csv") if row.path is not None}
    with Sandbox() as sandbox:
        for k, name in enumerate(names):
            if name in found or name not in paths:
                continue
            kwargs = {"path": str(paths[name]), "settings": settings}
            outcome = sandbox.run("plain_counters:plain_child", kwargs, Limits(wall_s=600, cpu_s=120, memory_mb=8192))
            found[name] = outcome.value if outcome.status == "OK" else {}
            table.write_text(json.dumps(found))
            print(f"{k + 1}/{len(names)} {outcome.status}", file=sys.stderr, flush=True)
    return found


def counters(run: dict[str, Any]) -> dict[str, float]:
    """Return features of the stages: counts for each conflict, their growth, and how far the run came."""
    found: dict[str, float] = {}
    last: dict[str, float] | None = None
    for budget, stage in zip(STAGES, run.get("stages", ()), strict=False):
        conflicts = stage["conflicts"]
        if conflicts == 0:
            continue
        rates = {
            name: float(np.log10((stage[name] + 1) / conflicts)) for name in ("decisions", "propagations", "restarts")
        }
        rates["cpu_s"] = float(np.log10(max(stage["cpu_s"], 1e-3)))
        for name, value in rates.items():
            found[f"plain_{budget}_{name}"] = value
            if last is not None:
                found[f"plain_{budget}_{name}_growth"] = value - last[name]
        last = rates
        found["plain_conflicts"] = float(np.log10(conflicts))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--with-test", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    setup = EvaluationSetup(read_config(options.config, cache=options.cache), options.with_test)
    judged = [name for name, one in zip(setup.names, setup.judged, strict=True) if one]
    runs = collect(options.root, judged, options.output / "plain_runs.json")
    wanted = sorted({key for run in runs.values() for key in counters(run)})
    print(f"{len(judged)} instances, {len(runs)} runs, {len(wanted)} counters", file=sys.stderr)
    found: dict[str, Any] = {}
    table, views = setup.table, list(setup.table.instances)
    only = np.flatnonzero(setup.judged)
    for view in VIEWS:
        for k, name in enumerate(setup.names):
            one = views[k]
            assert one.online is not None
            parts = [one.online] if view.startswith("all") else []
            if view.endswith("counters"):
                parts.append(FeatureVector.from_mapping(wanted, counters(runs.get(name, {}))))
            if not parts:
                parts = [FeatureVector.missing(["nothing"])]
            table.instances[k] = replace(one, online=FeatureVector.concatenate(*parts))
        setup.table = table.subset(only)
        kept = setup.names, setup.judged, setup.groups
        setup.names, setup.judged = judged, np.ones(len(judged), dtype=bool)
        setup.groups = {by: [groups[k] for k in only] for by, groups in kept[2].items()}
        for by in ("instance", "family"):
            each = []
            for seed in range(options.seeds):
                rows, predicted = setup.predict(
                    view, lambda seed: make_estimator("forest", seed=seed, **THIRD), by, seed
                )
                each.append(setup.score(rows, predicted[view]))
            measures = list(next(iter(each[0].values())))[:6]
            mean = {key: round(float(np.mean([one[s][key] for one in each for s in one])), 4) for key in measures}
            found.setdefault(view, {})[by] = mean
            print(f"{view:18s} {by:9s} {mean}", file=sys.stderr, flush=True)
        setup.table, (setup.names, setup.judged, setup.groups) = table, kept
    (options.output / "result.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
