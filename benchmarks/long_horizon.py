"""How well costs of up to 5,000 s are told: cross-validation on the published runs, by instance and by family.

python benchmarks/long_horizon.py --config configs/corpus.toml --cache cache -o docs/benchmarks/long_horizon.json

Five folds of the instances with published runs of the Anniversary track: groups of related instances (``instance``),
or blocks of families (``family``), drawn afresh by seed. Every method learns from the instances of all data sets of
the configuration that are in no group (or block) of the fold left out. What the probe has solved is ranked by what it
spent, and judged in the C-index alone. Seconds are those of the source: what is predicted for our machine, times the
source's speed for that generation. The test sides of the data sets take no part (``--with-test`` adds them).

Beside them own runs of 10 to 1,000 s are judged, in our seconds, by the same folds (``own_crps_10_to_1000``).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import RelativesConfig, TrainingConfig, read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.source_speed import read_speeds
from satcost_gnn.data.split_groups import family_blocks, group_instances
from satcost_gnn.evaluate.metrics import c_index
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.graph import sample_clauses
from satcost_gnn.learn.base import Estimator, TrainingTable, group_folds
from satcost_gnn.learn.labelled_instances import largest_limits, open_datasets, preprocess_settings
from satcost_gnn.learn.registry import make_estimator

SOURCE = "sc2022_anni"
LIMIT_S = 5000.0
FOLDS = 5
UNIT = "cpu_seconds"
#: Solver of ours that a relative is published of -> the generation whose speed counts.
JUDGED = {"kissat404": "CaDiCaL", "cadical195": "CaDiCaL", "glucose42": "Glucose", "maplechrono": "MapleLCM"}
MAPLE = RelativesConfig(generation="MapleLCM", solvers=("MapleLCMDistChrBt-DL-v3@*",))
#: log10 of the least and the largest seconds of a run of minutes.
MINUTES = (1.0, 3.0)
#: Seconds of the source by which a run is told to be solved or not.
CUTOFFS_S = (1, 10, 60, 300, 1000, 5000)
#: log10 of the ends of classes of the predicted median, in our seconds.
DECADES = (-1.0, 0.0, 1.0, 2.0, 3.0)

THIRD = {"max_features": 1 / 3, "n_trees": 100}
METHODS: dict[str, Callable[[int], Estimator]] = {
    "constant": lambda seed: make_estimator("constant"),
    "forest_static": lambda seed: make_estimator("forest", features="static", seed=seed, **THIRD),
    "forest_early_search": lambda seed: make_estimator("forest", features="online", seed=seed, **THIRD),
    "forest": lambda seed: make_estimator("forest", seed=seed, **THIRD),
    "gaussian_process": lambda seed: make_estimator("gaussian_process"),
    "linear": lambda seed: make_estimator("linear"),
    "average": lambda seed: make_estimator("mixture"),
    "ood_gated": lambda seed: make_estimator("ood_gated"),
    # Without a graph, which adds nothing here (research/structure_value.py) and takes most of the time.
    "network": lambda seed: make_estimator("gnn", **network(seed)),
    "ensemble": lambda seed: make_estimator("mixture", members=_members(seed)),
    # As it ships, but for the graph: gated, and with the expert on runs under long limits.
    "shipped": lambda seed: make_estimator(
        "mixture_of_experts",
        general=["ood_gated", {"known": ["mixture", {"members": _members(seed)}], "early": 0.7, "constant": 0.0}],
    ),
    "forest_experts": lambda seed: make_estimator("mixture_of_experts", general=["forest", {"seed": seed, **THIRD}]),
}

#: Method -> what its parts are called, and where they are among its parts.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "shipped": {
        "gated": ("general",),
        "ensemble": ("general", "known"),
        "network": ("general", "known", "0"),
        "forest": ("general", "known", "1"),
    },
    "forest_experts": {"forest": ("general",)},
}


def _members(seed: int) -> list[list[Any]]:
    return [["gnn", network(seed)], ["forest", {"seed": seed, **THIRD}]]


def network(seed: int) -> dict[str, Any]:
    """Return the settings of the network that ships, for static features and early search alone."""
    settings = read_config(Path("configs/corpus.toml")).network
    model = settings.model.model_copy(update={"modalities": ("static", "online")})
    return {"settings": settings.model_copy(update={"model": model, "seed": seed}).model_dump(), "device": "cpu"}


class EvaluationSetup:
    """The joint table and what is judged on it."""

    def __init__(self, config: TrainingConfig, with_test: bool) -> None:
        data = config.data.model_copy(
            update={"solvers": tuple(JUDGED), "relatives": {**config.data.relatives, "maplechrono": MAPLE}}
        )
        self.dataset = open_datasets(config.model_copy(update={"data": data}))
        published = {
            run.instance
            for path in (config.data.dataset, *config.data.also)
            for run in Dataset.open(path).runs
            if run.source == SOURCE
        }
        assert self.dataset.splits is not None
        side = self.dataset.splits.side
        cache = InstanceCache(config.data.cache, preprocess_settings(config))
        wanted = [name for name in self.dataset.instances if with_test or side[name] != "test"]
        found: dict[str, Instance] = {}
        solved: dict[str, float] = {}
        for name, one in zip(wanted, cache.load(wanted), strict=True):
            if one is None or one.probe is None or one.online is None:
                continue
            if one.probe.solved:
                solved[name] = float(np.log10(max(one.probe.cpu_s, 1e-3)))
            else:
                # The network's samples have a graph, even where it is told to ignore it.
                graph = None if one.graph is None else sample_clauses(one.graph, 100)
                found[name] = replace(one, graph=graph, probe=replace(one.probe, trace=None))
        self.names = list(found)
        matrix = self.dataset.cost_matrix(list(JUDGED), UNIT, instances=self.names)
        self.published = np.array([name in published for name in self.names])
        long = matrix.known & ~matrix.censored & (matrix.cost > MINUTES[0]) & (matrix.cost <= MINUTES[1])
        self.judged = self.published | long.any(axis=1)
        self.table = TrainingTable(
            list(found.values()),
            tuple(JUDGED),
            UNIT,
            np.nan_to_num(matrix.cost),
            matrix.censored,
            matrix.known,
            self.dataset.families(self.names),
            self.dataset.satisfiable(self.names),
            largest_limits(self.dataset, self.names),
        )
        answered = [name for name in solved if name in published]
        self.by_probe = np.array([solved[name] for name in answered])
        self.probe_costs = self.dataset.cost_matrix(list(JUDGED), UNIT, instances=answered)
        speeds = next(speeds for path in config.data.also if SOURCE in (speeds := read_speeds(path)))
        # log10 of our seconds at the limit of the source, for each solver.
        self.caps = np.log10(
            [LIMIT_S / speeds[SOURCE].generations[generation].factor for generation in JUDGED.values()]
        )
        groups, blocks = group_instances(self.dataset.manifest), family_blocks(self.dataset.manifest)
        self.groups = {
            "instance": [groups[name] for name in self.names],
            "family": [blocks[name] for name in self.names],
        }

    def predict(
        self, name: str, make: Callable[[int], Estimator], by: str, seed: int
    ) -> tuple[NDArray[np.int64], dict[str, CostDistribution]]:
        """Return the judged rows, and what an estimator that saw none of their fold and its parts predict."""
        fold_of = group_folds(self.groups[by], FOLDS, seed)
        shape = (len(self.names), len(JUDGED), self.table.grid.bins + 1)
        wanted = {name: (), **PARTS.get(name, {})}
        cdfs = {one: np.zeros(shape) for one in wanted}
        for fold in range(FOLDS):
            out = np.flatnonzero((fold_of == fold) & self.judged)
            if len(out):
                fitted = make(seed).fit(self.table.subset(np.flatnonzero(fold_of != fold)))
                for one, roles in wanted.items():
                    part = fitted
                    for role in roles:
                        part = part.parts()[role]
                    cdfs[one][out] = part.predict([self.table.instances[k] for k in out]).cdf
        rows = np.flatnonzero(self.judged)
        return rows, {one: CostDistribution(self.table.grid, cdf[rows]) for one, cdf in cdfs.items()}

    def score(self, rows: NDArray[np.int64], predicted: CostDistribution) -> dict[str, dict[str, float]]:
        """Return solver -> measures."""
        found = {}
        told_of = self.published[rows]
        for column, solver in enumerate(JUDGED):
            known = np.flatnonzero(self.table.known[rows, column] & told_of)
            minutes = {
                f"{which}_crps_10_to_1000": _crps_of_minutes(
                    predicted[:, column], self.table, rows, column, told_of if which == "published" else ~told_of
                )
                for which in ("published", "own")
            }
            one, cap = predicted[known, column], self.caps[column]
            cost, censored = self.table.cost[rows[known], column], self.table.censored[rows[known], column]
            at = np.full(one.shape, cap)
            mean, median = np.minimum(one.restricted_mean(at), cap), np.minimum(one.median(), cap)
            # What is only known to have taken longer than less than the limit tells nothing of being solved by then.
            told = ~censored | (cost >= cap - 1e-3)
            solved = (~censored & (cost <= cap)).astype(float)
            open_ = censored & (cost >= cap - 1e-3)
            error = np.minimum(cost, cap) - median
            there = self.probe_costs.known[:, column]
            shift = np.log10(LIMIT_S) - cap
            found[solver] = {
                "c_index": c_index(
                    np.concatenate([mean, self.by_probe[there]]),
                    np.concatenate([cost, self.probe_costs.cost[there, column]]),
                    np.concatenate([censored, self.probe_costs.censored[there, column]]),
                ),
                "c_index_left": c_index(mean, cost, censored),
                "rmse_mean": float(np.sqrt(((np.minimum(cost, cap) - mean)[told] ** 2).mean())),
                "rmse_median": float(np.sqrt((error[told] ** 2).mean())),
                "brier_ratio": float(((one.cdf_at(at) - solved)[told] ** 2).mean() / solved[told].var()),
                "median_of_unsolved_s": float(10 ** (np.median(one.median()[open_]) + shift)),
                **minutes,
                "crps": float(one.crps(cost, censored, np.where(censored, cost, self.table.grid.high)).mean()),
                "runs": len(known),
                "unsolved": int(open_.sum()),
                **_coverage(one, cost, censored),
                **_reliability(one, cost, censored, shift),
            }
        return found


def _crps_of_minutes(
    predicted: CostDistribution, table: TrainingTable, rows: NDArray[np.int64], column: int, wanted: NDArray[np.bool_]
) -> float:
    """Return the mean CRPS of solved runs of 10 to 1,000 s; NaN for none."""
    cost = table.cost[rows, column]
    solved = table.known[rows, column] & ~table.censored[rows, column]
    here = np.flatnonzero(wanted & solved & (cost > MINUTES[0]) & (cost <= MINUTES[1]))
    return float(predicted[here].crps(cost[here]).mean()) if len(here) else float("nan")


def _reliability(
    predicted: CostDistribution, cost: NDArray[np.float64], censored: NDArray[np.bool_], shift: float
) -> dict[str, float]:
    """Return, by cutoff, the share of runs that were solved by then and the mean probability that was predicted.

    Of the published runs that the probe left open, those that were not stopped earlier.
    """
    found: dict[str, float] = {}
    for cutoff in CUTOFFS_S:
        at = np.log10(cutoff) - shift
        told = ~censored | (cost >= at - 1e-3)
        found[f"solved_by_{cutoff}_s"] = float((~censored & (cost <= at))[told].mean())
        found[f"p_solved_by_{cutoff}_s"] = float(predicted.cdf_at(np.full(predicted.shape, at))[told].mean())
    return found


def _coverage(predicted: CostDistribution, cost: NDArray[np.float64], censored: NDArray[np.bool_]) -> dict[str, float]:
    """Return, by decade of the predicted median, the share of known runs inside the 80 % interval, and their number.

    A run that was stopped inside its interval is not counted; one that was stopped above it is outside.
    """
    low, median, high = (predicted.quantile(level) for level in (0.1, 0.5, 0.9))
    told = ~censored | (cost >= high)
    inside = ~censored & (cost >= low) & (cost <= high)
    found: dict[str, float] = {}
    for first, last in pairwise(DECADES):
        here = told & (median > first) & (median <= last)
        name = f"{10**first:g}_to_{10**last:g}_s"
        found[f"coverage_80_{name}"] = float(inside[here].mean()) if here.any() else float("nan")
        found[f"told_{name}"] = float(here.sum())
    return found


def mean_over_seeds(each: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return the measures of each solver and their mean over solvers, over seeds."""
    solvers = {
        solver: {
            key: round(float(np.nanmean(values)), 4)
            for key in each[0][solver]
            if not np.isnan(values := [one[solver][key] for one in each]).all()
        }
        for solver in JUDGED
    }
    mean = {
        key: round(float(np.mean([one[key] for one in solvers.values() if key in one])), 4)
        for key in each[0]["cadical195"]
        if not key.startswith(("coverage", "told"))
    }
    by_seed = [float(np.mean([one[solver]["c_index"] for solver in JUDGED])) for one in each]
    return {"mean": mean, "c_index_by_seed": [round(value, 4) for value in by_seed], "solvers": solvers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--by", default="instance,family")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--with-test", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    setup = EvaluationSetup(read_config(options.config, cache=options.cache), options.with_test)
    found: dict[str, Any] = {
        "rows": len(setup.names),
        "judged": int(setup.judged.sum()),
        "solved_by_probe": len(setup.by_probe),
        "seeds": options.seeds,
        "with_test": options.with_test,
        "methods": {},
    }
    for name in options.methods.split(","):
        for by in options.by.split(","):
            start, each = time.monotonic(), dict[str, list[Any]]()
            # Written after each seed: a network takes minutes a seed.
            for seed in range(options.seeds):
                rows, predicted = setup.predict(name, METHODS[name], by, seed)
                for one, distribution in predicted.items():
                    each.setdefault(one, []).append(setup.score(rows, distribution))
                    found["methods"].setdefault(one, {})[by] = mean_over_seeds(each[one])
                if options.output is not None:
                    options.output.write_text(json.dumps(found, separators=(",", ":")) + "\n")
            for one in each:
                mean = found["methods"][one][by]["mean"]
                print(f"{one:20s} {by:9s} {mean} {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
