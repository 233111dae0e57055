"""Is structure worth more at long horizons? The network with and without its graph, on runs of over a minute.

PYTHONPATH=research:benchmarks python research/structure_value.py GRAPHS --cache cache -o out/structure_value.json

GRAPHS is what ``structure_inputs.py`` wrote. Networks as configured learn from the published instances, and from those
of ``datasets/long`` that occupied some solver for more than 12 s (CPU seconds of four solvers; ``--with-test`` adds the
test sides), three folds by instance or by family, one network a fold and seed. Judged are the runs left out that took,
or were given, more than 60 s: CRPS up to their limit, and the C-index. Differences are from the network without a
graph, the mean over seeds, with a 95 % interval over instances.

``none``          static features and early search
``graph``         and the graph as it ships (a sample of 2,000 edges)
``larger``        10,000 edges
``structure``     parity, at-most-one and gate structure on the nodes
``preprocessed``  the graph of what preprocessing leaves
``learnt``        learnt clauses as nodes of a kind of their own
``forest``        for comparison; ``half`` is half of it and half the network without a graph
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from long_horizon import JUDGED, THIRD, UNIT, EvaluationSetup
from numpy.typing import NDArray
from structure_inputs import CLAUSE_EXTRA, VARIABLE_EXTRA, read_graphs, widen

from satcost_gnn.config import NetworkConfig, read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.evaluate.metrics import c_index, paired_bootstrap
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.learn.base import Estimator, TrainingTable, group_folds
from satcost_gnn.learn.registry import make_estimator

FOLDS = 3
LEAST_S, LONG_S = 12.0, 60.0
LARGER = 10_000

Floats = NDArray[np.float64]
#: Variant -> graph of structure_inputs, whether its extra columns are shown, edges.
VARIANTS: dict[str, tuple[str, bool, int]] = {
    "graph": ("plain", False, 2_000),
    "larger": ("plain", False, LARGER),
    "structure": ("plain", True, 2_000),
    "preprocessed": ("preprocessed", False, 2_000),
    "learnt": ("learnt", True, 2_000),
}


def without_extra(graph: CompactGraph) -> CompactGraph:
    """Return a graph whose extra columns are zero: the same network, told nothing by them."""
    variables, clauses = graph.variable_inputs.copy(), graph.clause_inputs.copy()
    variables[:, -len(VARIABLE_EXTRA) :] = 0
    clauses[:, -len(CLAUSE_EXTRA) :] = 0
    return replace(graph, variable_inputs=variables, clause_inputs=clauses)


class Experiment:
    """Instances with graphs, their labels, and what is judged."""

    def __init__(self, graphs: Path, setup: EvaluationSetup, long: Path) -> None:
        ours = {run.instance for run in Dataset.open(long).runs}
        self.paths = {name: graphs / f"{name}.npz" for name in setup.names if (graphs / f"{name}.npz").exists()}
        occupied = (setup.table.known & (setup.table.cost >= np.log10(LEAST_S))).any(axis=1)
        wanted = setup.judged | (np.array([name in ours for name in setup.names]) & occupied)
        rows = [k for k, name in enumerate(setup.names) if name in self.paths and wanted[k]]
        self.names = [setup.names[k] for k in rows]
        self.table = setup.table.subset(np.array(rows))
        self.groups = {by: [groups[k] for k in rows] for by, groups in setup.groups.items()}
        self.caps = setup.caps
        known = self.table.known & (self.table.cost >= np.log10(LONG_S))
        # A run that was given up sooner than the judged limit tells nothing of what lies between.
        told = ~self.table.censored | (self.table.cost >= self.caps - 1e-3)
        self.long = known & told

    def table_of(self, variant: str) -> TrainingTable:
        """Return the table with the graphs of a variant."""
        source, extra, _ = VARIANTS.get(variant, VARIANTS["graph"])
        instances = []
        for name, one in zip(self.names, self.table.instances, strict=True):
            graph = read_graphs(self.paths[name])[source]
            instances.append(replace(one, graph=graph if extra else without_extra(graph)))
        return replace(self.table, instances=instances)

    def predict(self, table: TrainingTable, make: Callable[[], Estimator], by: str, seed: int) -> CostDistribution:
        """Return what is predicted of each instance by an estimator that has not seen its fold."""
        fold_of = group_folds(self.groups[by], FOLDS, seed)
        cdf = np.zeros((len(self.names), len(JUDGED), table.grid.bins + 1))
        for fold in range(FOLDS):
            out = np.flatnonzero(fold_of == fold)
            fitted = make().fit(table.subset(np.flatnonzero(fold_of != fold)))
            cdf[out] = fitted.predict([table.instances[k] for k in out]).cdf
        return CostDistribution(table.grid, cdf)

    def scores(self, predicted: CostDistribution) -> tuple[Floats, float]:
        """Return the CRPS of each instance's long runs, NaN where it has none, and the mean C-index over solvers."""
        limit = np.broadcast_to(self.caps, self.table.cost.shape)
        crps = np.where(
            self.long, predicted.crps(np.minimum(self.table.cost, limit), self.table.censored, limit), np.nan
        )
        order = []
        for k in range(len(JUDGED)):
            rows = np.flatnonzero(self.long[:, k])
            mean = predicted[rows, k].restricted_mean(limit[rows, k])
            order.append(c_index(mean, self.table.cost[rows, k], self.table.censored[rows, k]))
        rows = np.flatnonzero(self.long.any(axis=1))
        found = np.full(len(crps), np.nan)
        found[rows] = np.nanmean(crps[rows], axis=1)
        return found, float(np.mean(order))


def settings_of(network: NetworkConfig, variant: str, seed: int) -> NetworkConfig:
    """Return the network's settings for a variant."""
    if variant == "none":
        model = network.model.model_copy(update={"modalities": ("static", "online")})
        return network.model_copy(update={"model": model, "seed": seed})
    batches = network.batches.model_copy(update={"max_graph_edges": VARIANTS[variant][2]})
    return network.model_copy(update={"batches": batches, "seed": seed})


class Scores:
    """What was measured of each variant, seed by seed."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._crps: dict[str, list[Floats]] = {}
        self._order: dict[str, list[float]] = {}

    def keep(self, name: str, predicted: Sequence[CostDistribution]) -> None:
        """Judge what was predicted, one distribution a seed."""
        each = [self._experiment.scores(one) for one in predicted]
        self._crps[name] = [crps for crps, _ in each]
        self._order[name] = [order for _, order in each]

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the measures of each variant, and how its CRPS differs from that without a graph."""
        means = {name: np.mean(values, axis=0) for name, values in self._crps.items()}
        rows = np.flatnonzero(~np.isnan(means["none"]))
        base = means["none"][rows]
        found = {}
        for name, values in means.items():
            difference = paired_bootstrap(partial(_mean, values[rows]), partial(_mean, base), len(rows))
            found[name] = {
                "crps": round(float(values[rows].mean()), 4),
                "less_none": [round(float(x), 4) for x in (difference.value, difference.low, difference.high)],
                "crps_by_seed": [round(float(np.nanmean(one)), 4) for one in self._crps[name]],
                "c_index": round(float(np.mean(self._order[name])), 4),
            }
        return found


def _mean(values: Floats, part: NDArray[np.int64]) -> float:
    return float(values[part].mean())


def _forest(seed: int) -> Estimator:
    return make_estimator("forest", seed=seed, **THIRD)


def _network(settings: NetworkConfig) -> Estimator:
    return make_estimator("gnn", settings=settings, device="cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--long", type=Path, default=Path("datasets/long"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--with-test", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--by", default="instance,family")
    parser.add_argument("--variants", default=",".join(("none", *VARIANTS)))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    setup = EvaluationSetup(config, options.with_test)
    widen()
    experiment = Experiment(options.graphs, setup, options.long)
    found: dict[str, Any] = {
        "instances": len(experiment.names),
        "judged": int(experiment.long.any(axis=1).sum()),
        "unit": UNIT,
        "seeds": options.seeds,
    }
    for by in options.by.split(","):
        forests = [
            experiment.predict(experiment.table, partial(_forest, seed), by, seed) for seed in range(options.seeds)
        ]
        scores = Scores(experiment)
        scores.keep("forest", forests)
        for variant in options.variants.split(","):
            start, table = time.monotonic(), experiment.table_of(variant)
            each = []
            for seed in range(options.seeds):
                settings = settings_of(config.network, variant, seed)
                each.append(experiment.predict(table, partial(_network, settings), by, seed))
            scores.keep(variant, each)
            halves = [(one.cdf + forest.cdf) / 2 for one, forest in zip(each, forests, strict=True)]
            scores.keep(f"half_{variant}", [CostDistribution(table.grid, one) for one in halves])
            found[by] = scores.summary()
            options.output.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{by} {variant} {time.monotonic() - start:.0f} s", file=sys.stderr)
            for name in (variant, f"half_{variant}", "forest"):
                print(by, name, found[by][name], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
