"""How predictions of seconds are best gated out of distribution, and where the expert on long runs belongs.

PYTHONPATH=research:benchmarks python research/seconds_gate.py --cache cache -o docs/benchmarks/seconds_gate.json

Forests stand for the ensemble. Five folds of the instances that the probe leaves open, by instance and by family, test
sides left out; scores are those of ``benchmarks/long_horizon.py`` on published runs, and the CRPS of own ones (most of
them of 10 s). ``known`` is a forest on everything, ``gated a, b`` has what takes its place out of distribution: weights
of a forest on the early search and of the training set's own distribution. The expert is mixed in outside of the gate
(``, expert``), or within (``(expert)``). ``balanced`` gates have, half each, a forest and a distribution of published
instances alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from long_horizon import FOLDS, JUDGED, THIRD, EvaluationSetup, mean_over_seeds
from numpy.typing import NDArray
from structure_alone import crps_and_c_index

from satcost_gnn.config import read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.learn.base import TrainingTable, group_folds
from satcost_gnn.learn.ensemble.mixture_of_experts import MixtureOfExperts
from satcost_gnn.learn.ensemble.ood_gate import NOVEL, OutOfDistributionGate, fit_fallback
from satcost_gnn.learn.registry import make_estimator

LIMIT_S, AFTER_S = 1000.0, 10.0
GATES = ((0.7, 0.3), (0.7, 0.0), (0.35, 0.15), (0.0, 0.3))
KEPT = (
    *("c_index", "rmse_mean", "rmse_median", "brier_ratio", "crps", "median_of_unsolved_s"),
    *("p_solved_by_60_s", "solved_by_60_s", "p_solved_by_5000_s", "solved_by_5000_s"),
)

Floats = NDArray[np.float64]


def ways_of(table: TrainingTable, asked: TrainingTable, seed: int) -> dict[str, Floats]:
    """Return way -> ``float64[n, n_solvers, bins + 1]``: what is predicted of some instances after fitting others."""
    instances, grid = asked.instances, table.grid
    known = make_estimator("forest", seed=seed, **THIRD).fit(table)
    experts = MixtureOfExperts.of(known, table, LIMIT_S, AFTER_S)
    parts, detector = fit_fallback(table, 1.0, 1.0)
    gate = OutOfDistributionGate.of({"known": known, **parts, "detector": detector}, 1.0, 1.0)
    degree, gate_probability = gate.degree(instances)[:, None, None], experts.gate_probability(instances)[:, None]
    labelled = table.subset(table.known.any(axis=1))
    long = labelled.subset(labelled.limit_s >= LIMIT_S)
    expert = experts.parts()["expert"].predict(instances).cdf
    usual = {role: parts[role].predict(instances).cdf for role in ("novel", "constant")}
    published = {
        "novel": make_estimator(NOVEL[0], **NOVEL[1]).fit(long).predict(instances).cdf,
        "constant": make_estimator("constant").fit(long).predict(instances).cdf,
    }
    balanced = {role: (usual[role] + published[role]) / 2 for role in usual}

    def gated(first: Floats, others: dict[str, Floats], early: float, constant: float) -> Floats:
        read = (1 - early * degree) * first + early * degree * others["novel"]
        return np.asarray((1 - constant * degree**4) * read + constant * degree**4 * others["constant"])

    def with_expert(first: Floats) -> Floats:
        outlives = 1.0 - CostDistribution(grid, first).cdf_at(np.full(first.shape[:2], np.log10(AFTER_S)))
        weight = (gate_probability * outlives)[..., None]
        return np.asarray((1 - weight) * first + weight * expert)

    plain = known.predict(instances).cdf
    found = {
        "known": plain,
        "known, expert": with_expert(plain),
        "gated .7, .3 (expert)": gated(experts.predict(instances).cdf, usual, 0.7, 0.3),
    }
    for early, constant in GATES:
        name = f"{early:g}, {constant:g}".replace("0.", ".")
        one = gated(plain, usual, early, constant)
        found |= {f"gated {name}": one, f"gated {name}, expert": with_expert(one)}
        found[f"balanced {name}, expert"] = with_expert(gated(plain, balanced, early, constant))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    setup = EvaluationSetup(read_config(options.config, cache=options.cache), with_test=False)
    table = replace(setup.table, instances=[replace(one, graph=None) for one in setup.table.instances])
    published, own = np.flatnonzero(setup.judged & setup.published), np.flatnonzero(~setup.published)
    result: dict[str, Any] = {"published": len(published), "own": len(own), "seeds": options.seeds}
    for by in ("instance", "family"):
        each: dict[str, list[tuple[Any, dict[str, float]]]] = {}
        for seed in range(options.seeds):
            fold_of = group_folds(setup.groups[by], FOLDS, seed)
            cdfs: dict[str, Floats] = {}
            for fold in range(FOLDS):
                out = np.flatnonzero(fold_of == fold)
                for way, cdf in ways_of(table.subset(fold_of != fold), table.subset(out), seed).items():
                    cdfs.setdefault(way, np.zeros((len(table), *cdf.shape[1:])))[out] = cdf
            for way, cdf in cdfs.items():
                told = CostDistribution(table.grid, cdf)
                scores = setup.score(published, told[published])
                crps = crps_and_c_index(told[own], table.subset(own), np.full(len(own), "own"))["crps, own"]
                each.setdefault(way, []).append((scores, dict(zip(JUDGED, crps, strict=True))))
        for way, pairs in each.items():
            mean = mean_over_seeds([scores for scores, _ in pairs])["mean"]
            own_crps = {solver: round(float(np.mean([one[solver] for _, one in pairs])), 4) for solver in JUDGED}
            row = {**{key: mean[key] for key in KEPT}, "own_crps": own_crps}
            result.setdefault(by, {})[way] = row
            print(by, way, row, file=sys.stderr, flush=True)
    options.output.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
