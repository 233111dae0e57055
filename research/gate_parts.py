"""What are the parts of the out-of-distribution gate worth? Ensembles without one of them, by family and by instance.

PYTHONPATH=research python research/gate_parts.py --cache cache -o out/gate_parts.json

Three folds of the instances of all data sets of the configuration, test sides left out: whole blocks of families, or
groups of related instances. A network, a forest, a forest on the early search alone, and the constant learn from the
other two folds; the ensemble's distribution is put together from theirs, with and without each part:

``network``, ``forest``  alone
``mixture``              half of each: no gate
``ensemble``             as it ships
``no second forest``     out of distribution, the early search is read by the network alone
``no constant``          the training set's own distribution has no share
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from training_side import training_side

from satcost_gnn.config import TrainingConfig, read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.evaluate.metrics import c_index
from satcost_gnn.learn.base import TrainingTable, group_folds
from satcost_gnn.learn.ensemble.ood_gate import NOVEL, OutOfDistributionGate
from satcost_gnn.learn.fitting import CLASSICAL
from satcost_gnn.learn.labelled_instances import load_labelled
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.learn.registry import make_estimator

FOLDS = 3
Floats = NDArray[np.float64]


def ensembles(
    config: TrainingConfig, train: dict[str, TrainingTable], test: dict[str, TrainingTable], seed: int
) -> dict[str, dict[str, Floats]]:
    """Return unit -> way -> CDFs of the test instances."""
    units = list(train)
    settings = config.network.model_copy(update={"seed": seed})
    network: Any = make_estimator("gnn", settings=settings, device="cpu")
    network.fit(train[units[0]], extra=[train[unit] for unit in units[1:]])
    detector = OODDetector(judged_by="static").fit(train[units[0]].instances)
    early, constant = config.ensemble.ood_weight, config.ensemble.ood_constant
    found: dict[str, dict[str, Floats]] = {}
    for unit in units:
        table = train[unit].subset(train[unit].known.any(axis=1))
        instances = test[unit].instances
        one, forest = network.for_unit(unit), make_estimator("forest", **CLASSICAL["forest"][1]).fit(table)
        novel, none = make_estimator(NOVEL[0], **NOVEL[1]).fit(table), make_estimator("constant").fit(table)
        parts = {"known": one, "novel": novel, "constant": none, "detector": detector}
        degree = OutOfDistributionGate.of(parts, early, constant).degree(instances)[:, None, None]
        cdf = {name: part.predict(instances).cdf for name, part in (("network", one), ("forest", forest))}
        cdf["mixture"] = (cdf["network"] + cdf["forest"]) / 2
        read = one.online_reading(instances).cdf
        both, alone = (novel.predict(instances).cdf + read) / 2, none.predict(instances).cdf

        def gated(
            novelty: Floats, share: Floats, *, cdf: Any = cdf, degree: Any = degree, alone: Any = alone
        ) -> Floats:
            weight = early * degree * (1 - share)
            return np.asarray((1 - share - weight) * cdf["mixture"] + weight * novelty + share * alone)

        share = constant * degree**4
        cdf["ensemble"] = gated(both, share)
        cdf["no second forest"] = gated(read, share)
        cdf["no constant"] = gated(both, np.zeros_like(share))
        found[unit] = cdf
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--by", default="family,instance")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    side = training_side(config)
    data = load_labelled(side.dataset, side.cache, config.data.solvers, config.data.units, side.sides)
    names = [one.gbdhash for one in data.instances]
    result: dict[str, Any] = {"instances": len(names), "seeds": options.seeds}
    for by in options.by.split(","):
        scores: dict[str, dict[str, list[Floats]]] = {}
        for seed in range(options.seeds):
            fold_of = group_folds([side.groups[by][name] for name in names], FOLDS, seed)
            cdfs: dict[str, dict[str, Floats]] = {}
            for fold in range(FOLDS):
                rows, out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
                train = {unit: table.subset(rows) for unit, table in data.tables.items()}
                test = {unit: table.subset(out) for unit, table in data.tables.items()}
                for unit, found in ensembles(config, train, test, seed).items():
                    for way, cdf in found.items():
                        whole = cdfs.setdefault(unit, {}).setdefault(way, np.zeros((len(names), *cdf.shape[1:])))
                        whole[out] = cdf
                print(f"{by}, seed {seed}, fold {fold}", file=sys.stderr, flush=True)
            for unit, by_way in cdfs.items():
                table = data.tables[unit]
                for way, cdf in by_way.items():
                    predicted = CostDistribution(table.grid, cdf)
                    each = []
                    for column in range(len(table.solvers)):
                        rows = np.flatnonzero(table.known[:, column])
                        one, cost, stopped = (
                            predicted[rows, column],
                            table.cost[rows, column],
                            table.censored[rows, column],
                        )
                        # Up to the bound where stopped: all that is known.
                        limit = np.where(stopped, cost, table.grid.high)
                        each.append([one.crps(cost, stopped, limit).mean(), c_index(one.median(), cost, stopped)])
                    scores.setdefault(unit, {}).setdefault(way, []).append(np.array(each))
        for unit, measured in scores.items():
            for way, seeds in measured.items():
                crps, order = np.mean(seeds, axis=0).T.round(4).tolist()
                row = {"crps": dict(zip(data.tables[unit].solvers, crps, strict=True)), "c_index": order}
                result.setdefault(by, {}).setdefault(unit, {})[way] = row
                print(by, unit, way, crps, order, flush=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
