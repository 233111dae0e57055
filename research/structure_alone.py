"""What does one network say without any search? Networks that learn to miss the early search, and those that do not.

PYTHONPATH=research python research/structure_alone.py --cache cache -o docs/benchmarks/structure_alone.json

Three folds of the instances of all data sets of the configuration, test sides left out: groups of related instances, or
whole blocks of families. What learns from the other two folds:

``shipped``         the network of the configuration
``structure too``   the same without the probe's counts on the graph's nodes; the early search is missing in a fifth of
                    its training, and it also learns from what the probe solves, without that search
``forest``          on all features
``forest static``   on static features, from what the probe leaves open (``open``) or from everything

With the early search they are judged on what the probe leaves open, by themselves and half of each beside the forest;
before it, on all instances, by themselves, half of each, and with a share of the training set's own distribution as far
as an instance is out of distribution (``gated``). Scores are CRPS in decades.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from training_side import training_side

from satcost_gnn.config import TrainingConfig, read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.evaluate.horizons import sources
from satcost_gnn.evaluate.metrics import c_index
from satcost_gnn.learn.base import Estimator, TrainingTable, group_folds
from satcost_gnn.learn.ensemble.mixture import Mixture
from satcost_gnn.learn.ensemble.ood_gate import OutOfDistributionGate
from satcost_gnn.learn.ensemble.structure_alone import StructureAlone
from satcost_gnn.learn.fitting import CLASSICAL
from satcost_gnn.learn.labelled_instances import LabelledInstances, load_labelled
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.learn.registry import make_estimator

FOLDS = 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows of what the probe leaves open and of what it solves."""

    open: NDArray[np.int64]
    solved: NDArray[np.int64]


def picks(fold: int) -> tuple[Callable[[NDArray[np.int64]], NDArray[np.bool_]], ...]:
    """Return what tells the other folds, and what tells this one."""
    return lambda of: of != fold, lambda of: of == fold


#: Share of the training set's own distribution, far out of distribution.
SHARES = (0.3, 0.6, 0.9)


def predictions(
    config: TrainingConfig, data: LabelledInstances, train: Rows, test: Rows, seed: int, network: bool = True
) -> dict[str, dict[str, dict[str, Floats]]]:
    """Return unit -> ``search`` or ``structure`` -> what is judged -> CDFs of the test instances."""
    units = list(data.tables)
    learnt = {unit: data.tables[unit].subset(train.open) for unit in units}
    solved = {unit: data.solved_tables[unit].subset(train.solved) for unit in units}
    settings = config.network.model_copy(update={"seed": seed})
    without = settings.model.model_copy(update={"probe_node_features": False, "structure_only_dropout": 0.2})
    networks: dict[str, Any] = {}
    for name, model in (("shipped", settings.model), ("structure too", without)) if network else ():
        networks[name] = make_estimator("gnn", settings=settings.model_copy(update={"model": model}), device="cpu")
        structure = [solved[unit] for unit in units] if name == "structure too" else []
        networks[name].fit(learnt[units[0]], extra=[learnt[unit] for unit in units[1:]], structure=structure)
    found: dict[str, dict[str, dict[str, Floats]]] = {}
    for unit in units:
        instances = data.tables[unit].subset(test.open).instances
        search = {name: one.for_unit(unit).predict(instances).cdf for name, one in networks.items()}
        everything = learnt[unit].joined(solved[unit])
        everything = everything.subset(everything.known.any(axis=1))
        table = learnt[unit].subset(learnt[unit].known.any(axis=1))
        search["forest"] = make_estimator("forest", **CLASSICAL["forest"][1]).fit(table).predict(instances).cdf
        for name in networks:
            search[f"{name} and forest"] = (search[name] + search["forest"]) / 2
        bare = instances + data.solved_tables[unit].subset(test.solved).instances
        static = StructureAlone().fit(everything)
        structure_of = {
            "forest static, open": StructureAlone().fit(table).predict(bare).cdf,
            "forest static": static.predict(bare).cdf,
        }
        known: Estimator = static
        if network:
            view = StructureAlone.of(networks["structure too"].for_unit(unit))
            structure_of["structure too"] = view.predict(bare).cdf
            known = Mixture.of([view, static], [0.5, 0.5])
            structure_of["structure too and forest static"] = known.predict(bare).cdf
        constant = make_estimator("constant").fit(everything)
        detector = OODDetector(judged_by="static").fit(table.instances)
        for share in SHARES:
            gate = OutOfDistributionGate.of({"known": known, "constant": constant, "detector": detector}, 0.0, share)
            structure_of[f"gated, {share}"] = gate.predict(bare).cdf
        found[unit] = {"search": search, "structure": structure_of}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--by", default="instance,family")
    parser.add_argument("--forest-alone", action="store_true", help="no network")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    side = training_side(config)
    data = load_labelled(side.dataset, side.cache, config.data.solvers, config.data.units, side.sides, keep=("graph",))
    names = [one.gbdhash for one in data.instances]
    solved = list(data.solved)
    source = {"search": sources(side.dataset, names), "structure": sources(side.dataset, names + solved)}
    result: dict[str, Any] = {"open": len(names), "solved_by_probe": len(solved), "seeds": options.seeds}
    for by in options.by.split(","):
        scores: dict[tuple[str, str, str], list[dict[str, list[float]]]] = {}
        for seed in range(options.seeds):
            fold_of = group_folds([side.groups[by][name] for name in names + solved], FOLDS, seed)
            parts = fold_of[: len(names)], fold_of[len(names) :]
            cdfs: dict[tuple[str, str, str], Floats] = {}
            for fold in range(FOLDS):
                train, test = (Rows(*(np.flatnonzero(pick(one)) for one in parts)) for pick in picks(fold))
                for unit, by_view in predictions(config, data, train, test, seed, not options.forest_alone).items():
                    for view, found in by_view.items():
                        out = test.open if view == "search" else np.concatenate([test.open, test.solved + len(names)])
                        for name, cdf in found.items():
                            shape = (len(source[view]), *cdf.shape[1:])
                            cdfs.setdefault((unit, view, name), np.zeros(shape))[out] = cdf
                print(f"{by}, seed {seed}, fold {fold}", file=sys.stderr, flush=True)
            for (unit, view, name), cdf in cdfs.items():
                table = data.tables[unit]
                table = table if view == "search" else table.joined(data.solved_tables[unit])
                one = crps_and_c_index(CostDistribution(table.grid, cdf), table, source[view])
                scores.setdefault((unit, view, name), []).append(one)
        for (unit, view, name), each in scores.items():
            row = {key: np.mean([one[key] for one in each], axis=0).round(4).tolist() for key in each[0]}
            result.setdefault(by, {}).setdefault(unit, {}).setdefault(view, {})[name] = row
            print(by, unit, view, name, row, flush=True)
        options.output.write_text(json.dumps(result) + "\n")


def crps_and_c_index(
    predicted: CostDistribution, table: TrainingTable, source: NDArray[np.str_]
) -> dict[str, list[float]]:
    """Return source and measure -> value for each solver."""
    found: dict[str, list[float]] = {}
    for which in ("own", "published"):
        for column in range(len(table.solvers)):
            rows = np.flatnonzero(table.known[:, column] & (source == which))
            if len(rows) < 20:
                continue
            one, cost, stopped = predicted[rows, column], table.cost[rows, column], table.censored[rows, column]
            # Up to the bound where stopped: all that is known.
            limit = np.where(stopped, cost, table.grid.high)
            found.setdefault(f"crps, {which}", []).append(float(one.crps(cost, stopped, limit).mean()))
            found.setdefault(f"c_index, {which}", []).append(c_index(one.median(), cost, stopped))
    return found


if __name__ == "__main__":
    main()
