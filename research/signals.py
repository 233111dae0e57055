"""What is each signal of the watched search worth? The forest without it, by instance and by family.

PYTHONPATH=research python research/signals.py --cache cache -o docs/benchmarks/signals.json

Three folds of the instances in the cache that the probe leaves open, of all data sets of the configuration, test sides
left out. A signal is what has to be heard, or read, for some features of the early search, in the probe and in its
replicate:

``assignments``   each assignment: lengths of trails, which variables are set, how many in a row
``levels``        each new level and each backtrack: depth, backjumps, estimates of the tree's size
``proof``         the clauses learnt, from the proof
``counters``      the solver's own counters, which cost nothing
``dives``         random dives from the root, made apart from the search
``replicate``     all of the second search, on a renamed copy

Scores are CRPS in decades of CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from structure_alone import crps_and_c_index
from training_side import training_side

from satcost_gnn.config import read_config
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.evaluate.horizons import sources
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import group_folds
from satcost_gnn.learn.fitting import CLASSICAL
from satcost_gnn.learn.labelled_instances import load_labelled
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.search.probe_replicate import PREFIX

FOLDS = 3
UNIT = "cpu_seconds"
#: Signal -> beginnings of the names of what needs it.
SIGNALS: dict[str, tuple[str, ...]] = {
    "assignments": ("trail_share", "undone_share", "assigned", "variables."),
    "levels": ("level", "backjump", "decisions", "tree.", "progress.", "rates.to_root_share", "rates.one_level_share"),
    "proof": ("learnt", "rates.learnt", "variables.learnt"),
    "dives": ("knuth.",),
}
#: What of those needs another signal after all.
OTHERS = {"assignments": ("variables.learnt",), "levels": ()}


def hears(signal: str, name: str) -> bool:
    """Return whether a feature of the early search needs a signal."""
    own = name.removeprefix(PREFIX)
    if signal == "replicate":
        return name.startswith(PREFIX)
    if signal == "counters":
        return not any(hears(other, name) for other in SIGNALS)
    return own.startswith(SIGNALS[signal]) and not own.startswith(OTHERS.get(signal, ()) or ("\0",))


WAYS: dict[str, Callable[[str], bool]] = {
    "all": lambda name: True,
    **{
        f"without {signal}": lambda name, signal=signal: not hears(signal, name)  # type: ignore[misc]
        for signal in (*SIGNALS, "counters", "replicate")
    },
    "without assignments and levels": lambda name: not (hears("assignments", name) or hears("levels", name)),
    "counters alone": lambda name: hears("counters", name) and not hears("replicate", name),
}


def with_features(instance: Instance, wanted: Callable[[str], bool]) -> Instance:
    """Return an instance with some of the features of its early search."""
    online = instance.online
    assert online is not None
    kept = [name for name in online.names if wanted(name)]
    return replace(instance, online=FeatureVector.select(online, kept))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/corpus.toml"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--by", default="instance,family")
    parser.add_argument("--seeds", type=int, default=3, help="folds and forests drawn so many times")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = read_config(options.config, cache=options.cache)
    side = training_side(config)
    table = load_labelled(side.dataset, side.cache, config.data.solvers, [UNIT], side.sides, keep=()).tables[UNIT]
    table = table.subset(table.known.any(axis=1))
    names = [one.gbdhash for one in table.instances]
    source = sources(side.dataset, names)
    assert table.instances[0].online is not None
    found = table.instances[0].online.names
    result: dict[str, Any] = {
        "instances": len(names),
        "seeds": options.seeds,
        "features": {way: sum(map(WAYS[way], found)) for way in WAYS},
    }
    for by in options.by.split(","):
        for way, wanted in WAYS.items():
            seen = replace(table, instances=[with_features(one, wanted) for one in table.instances])
            each = []
            for seed in range(options.seeds):
                fold_of = group_folds([side.groups[by][name] for name in names], FOLDS, seed)
                kind, parameters = CLASSICAL["forest"]
                predicted = make_estimator(kind, **{**parameters, "seed": seed}).out_of_fold(seen, fold_of)
                each.append(crps_and_c_index(predicted, table, source))
            measured = {key: np.mean([one[key] for one in each], axis=0) for key in each[0]}
            row = {key: np.round(values, 4).tolist() for key, values in measured.items()}
            result.setdefault(by, {})[way] = row
            print(by, way, row, file=sys.stderr, flush=True)
            options.output.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
