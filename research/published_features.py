"""What published times of formulas that aren't here are worth, where their base features were published too.

PYTHONPATH=research:benchmarks python research/published_features.py TIMES FEATURES --cache cache --with-test -o OUT

``TIMES`` has a row an instance and a column a solver (the Anniversary track's table), ``FEATURES`` base features of
gbdc, each scaled by a Box-Cox transformation that is not told, some under another feature's name (versions of gbdc
before 0.3 had two of them swapped: ``findings/gbdc-horn-swapped-before-0.3.sh``). Columns are recognised, and our own
features brought to their scale, by the instances that are here: those in the same order as a feature of ours. Forests
on these features alone are then fitted to the published runs that are here, and to those and the further ones (whose
scaled features equal none that is here), in the five folds by instance of ``benchmarks/long_horizon.py``, and beside
each half of a forest on everything.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from long_horizon import FOLDS, JUDGED, LIMIT_S, MAPLE, THIRD, EvaluationSetup, mean_over_seeds
from numpy.typing import NDArray
from scipy.stats import spearmanr

from satcost_gnn.config import read_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable, group_folds
from satcost_gnn.learn.labelled_instances import preprocess_settings
from satcost_gnn.learn.registry import make_estimator

Floats = NDArray[np.float64]
_SAME_ORDER, _LARGEST_ERROR, _NEAR = 0.9999, 0.1, 1e-3


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Return hash -> row of a compressed table."""
    with lzma.open(path, "rt") as stream:
        return {row["hash"]: row for row in csv.DictReader(stream)}


def raw_features(instance: Instance) -> dict[str, float]:
    """Return gbdc's features as it gives them, or as good as that: what a scale does to their order is undone."""
    static = dict(zip(instance.static.names, np.asarray(instance.static.values, dtype=float), strict=True))
    clauses = np.round(np.expm1(static["gbdc_clauses_log"]))
    found = {}
    for name, value in static.items():
        if name.startswith("gbdc_"):
            grown = np.expm1(value) if name.endswith("_log") else value
            found[name] = float(np.round(grown * clauses) if name.endswith("_share") else grown)
            if name.endswith("_sd_log"):
                found[name] **= 2
    return found


def box_cox(x: Floats, shift: float, power: float) -> Floats:
    """Return the transformation of Box and Cox (1964), up to a linear one."""
    grown = np.maximum(x + shift, 1e-300)
    return np.log(grown) if abs(power) < 1e-9 else (grown**power - 1.0) / power


def fitted_scale(x: Floats, y: Floats) -> tuple[float, float, float, float] | None:
    """Return shift, power, slope and intercept that bring x to y, None if none does well."""
    best: tuple[float, tuple[float, float, float, float]] | None = None
    for shift in (0.0, 1.0, 1e-3, 1e-6):
        if (x + shift <= 0).any():
            continue
        for power in np.linspace(-2, 2, 801):
            z = box_cox(x, shift, power)
            if not np.isfinite(z).all() or z.std() < 1e-12:
                continue
            slope, intercept = np.polyfit(z / np.abs(z).max(), y, 1)
            error = float(np.abs(slope * z / np.abs(z).max() + intercept - y).max())
            if best is None or error < best[0]:
                best = error, (shift, float(power), float(slope / np.abs(z).max()), float(intercept))
    return best[1] if best is not None and best[0] < _LARGEST_ERROR else None


def recovered(
    ours: dict[str, dict[str, float]], theirs: dict[str, dict[str, str]]
) -> dict[str, tuple[str, tuple[float, float, float, float]]]:
    """Return feature of ours -> column of theirs that tells the same, and the scale."""
    common = sorted(set(ours) & set(theirs))
    found = {}
    for column in next(iter(theirs.values())):
        y = np.array([_number(theirs[name][column]) for name in common])
        for feature in next(iter(ours.values())):
            x = np.array([ours[name][feature] for name in common])
            if feature in found or not np.isfinite(x + y).all() or x.std() == 0 or y.std() == 0:
                continue
            if abs(spearmanr(x, y)[0]) > _SAME_ORDER:
                if (scale := fitted_scale(x, y)) is not None:
                    found[feature] = column, scale
                break
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def instance_of(name: str, features: tuple[str, ...], values: Floats) -> Instance:
    """Return an instance of which nothing is known but some static features."""
    return Instance("", name, FeatureVector(features, values.astype(np.float32)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--with-test", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    setup = EvaluationSetup(config, options.with_test)
    times, features = read_table(options.times), read_table(options.features)
    cache = InstanceCache(config.data.cache, preprocess_settings(config))
    here = {name: one for name in features if (one := cache.get(name)) is not None}
    scales = recovered({name: raw_features(one) for name, one in here.items()}, features)
    names = tuple(scales)

    table = setup.table.subset(setup.published)
    rows = [raw_features(one) for one in table.instances]
    scaled = np.array(
        [
            [slope * box_cox(np.array(row[name]), shift, power) + intercept for row in rows]
            for name, (_, (shift, power, slope, intercept)) in scales.items()
        ]
    ).T
    further = [
        name for name in features if name in times and name not in {row.instance for row in setup.dataset.manifest}
    ]
    values = np.array([[_number(features[name][column]) for column, _ in scales.values()] for name in further])
    new = np.isfinite(values).all(axis=1)
    new &= np.array([np.abs(scaled - one).max(axis=1).min() >= _NEAR for one in values])
    further, values = [name for name, good in zip(further, new, strict=True) if good], values[new]

    patterns = {**{name: its.solvers for name, its in config.data.relatives.items()}, "maplechrono": MAPLE.solvers}
    cost = np.zeros((len(further), len(JUDGED)))
    for k, name in enumerate(further):
        for j, solver in enumerate(JUDGED):
            its = sorted(
                float(value)
                for one, value in times[name].items()
                if any(fnmatchcase(f"{one}@sc2022", pattern) for pattern in patterns[solver])
            )
            cost[k, j] = np.log10(np.clip(its[(len(its) - 1) // 2], 0.01, LIMIT_S)) + setup.caps[j] - np.log10(LIMIT_S)
    others = TrainingTable(
        [instance_of(name, names, one) for name, one in zip(further, values, strict=True)],
        table.solvers,
        table.unit,
        cost,
        cost >= setup.caps - 1e-9,
        np.ones_like(cost, dtype=bool),
        ["elsewhere"] * len(further),
        np.full(len(further), -1),
    )
    bare = replace(table, instances=[instance_of("", names, one) for one in scaled])

    found: dict[str, Any] = {"here": len(table), "further": len(further), "features": list(names)}
    groups = [group for group, published in zip(setup.groups["instance"], setup.published, strict=True) if published]
    at = np.flatnonzero(setup.published)
    each: dict[str, list[Any]] = {}
    for seed in range(options.seeds):
        fold_of = group_folds(groups, FOLDS, seed)
        cdf = {way: np.zeros((*table.cost.shape, table.grid.bins + 1)) for way in ("base", "base and further", "all")}
        for fold in range(FOLDS):
            seen, out = fold_of != fold, np.flatnonzero(fold_of == fold)
            forest = {"features": "static", "seed": seed, **THIRD}
            for way, learnt, asked in (
                ("base", bare.subset(seen), bare),
                ("base and further", bare.subset(seen).joined(others), bare),
                ("all", table.subset(seen), table),
            ):
                settings = {**forest, "features": "both"} if way == "all" else forest
                fitted = make_estimator("forest", **settings).fit(learnt)
                cdf[way][out] = fitted.predict([asked.instances[k] for k in out]).cdf
        cdf["all, half base"] = (cdf["all"] + cdf["base"]) / 2
        cdf["all, half base and further"] = (cdf["all"] + cdf["base and further"]) / 2
        for way, told in cdf.items():
            each.setdefault(way, []).append(setup.score(at, CostDistribution(table.grid, told)))
    for way, scores in each.items():
        found[way] = mean_over_seeds(scores)["mean"]
        print(way, found[way], file=sys.stderr, flush=True)
    options.output.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
