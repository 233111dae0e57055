"""Predictions, features and distributions of small formulas as they are meant to be: what golden tests compare with.

``python tests/golden_values.py`` writes ``predictions.json`` and ``features.npz`` in ``tests/golden`` again. Do so
after a change that is meant to change what is predicted or computed, and look at the difference before it is committed.
With ``--distributions`` it also writes ``distributions.npz``: what the estimators of the checkpoint say of features
that are kept in that file. Only another checkpoint should change that.

Times differ from run to run. What depends on them (the probe's speed, its own cost in seconds) is computed from times
that are put in their place, so that predictions in CPU seconds can be compared, too.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # As in the tests: sums over several threads round differently.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.preprocessing import Preprocessed
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.search.plain_run import PlainRun
from satcost_gnn.search.probe_settings import ProbeResult
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

DIRECTORY = Path(__file__).parent / "golden"
PREDICTIONS = DIRECTORY / "predictions.json"
FEATURES = DIRECTORY / "features.npz"
DISTRIBUTIONS = DIRECTORY / "distributions.npz"

RECIPES = (
    # Answered by the plain run.
    "sudoku:height=3,width=3,holes=0.6,seed=1",
    "random-ksat:k=3,n=120,ratio=4.26,seed=2",
    "pigeonhole:holes=5,seed=0",
    "ordering:n=14,seed=0",
    # Solved by the probe replicate, were it not for the plain run.
    "random-ksat:k=3,n=180,ratio=5.5,seed=9",
    # Left open by both, some of them answered by the plain run.
    "multiplier-miter:bits=6,identity=commuted,second=tree,seed=0",
    "subset-cardinality:n=12,ones=2,seed=1",
    "van-der-waerden:n=77,first=3,second=9,fixed=0,seed=0",
    "graph-colouring:n=120,colours=4,density=4.4,seed=1",
    "tseitin:n=22,degree=4,charge=odd,seed=3",
    "tseitin:n=16,degree=4,charge=odd,seed=1",
    "clique-colouring:n=9,clique=4,colours=3,seed=0",
    "clique-colouring:n=7,clique=4,colours=3,seed=0",
    "random-ksat:k=3,n=240,ratio=4.4,seed=3",
    "random-ksat:k=3,n=400,ratio=4.26,seed=5",
    "random-ksat:k=5,n=60,ratio=21.0,seed=1",
    "modular-ksat:n=600,communities=10,modularity=0.5,ratio=4.1,seed=3",
    "social-golfer:groups=4,size=3,weeks=5,fixed=0,seed=0",
    "bmc-queue:slots=4,width=2,depth=20,bug=0,seed=0",
    "pigeonhole:holes=7,seed=0",
    "pigeonhole:holes=9,seed=0",
    "factoring:bits=16,kind=prime,multiplier=array,seed=1",
)
#: Those whose features the distributions are of, besides the formulas unlike the training data.
GIVEN = (5, 9, 13, 16, 18)

_SECONDS_PER_CONFLICT = 1e-5
_TIMES = ("parse_s", "probe_s", "features_s", "inference_s")


def formulas() -> Iterator[tuple[str, Formula]]:
    """Yield the 24 formulas with their names; the last two are unlike the training data."""
    for recipe in RECIPES:
        yield recipe, from_recipe(recipe)
    base = from_recipe("random-ksat:k=4,n=60,ratio=16.7,seed=2").clauses()
    one_sign = [[abs(literal) * (1 if row % 2 else -1) for literal in clause] for row, clause in enumerate(base)]
    yield "clauses of one sign", Formula.from_clauses(one_sign)
    hard = from_recipe("random-ksat:k=3,n=300,ratio=4.3,seed=5").clauses()
    yield "with a chain", Formula.from_clauses([*hard, *([k, -(k + 1)] for k in range(301, 6000))])


def _timed(probe: ProbeResult | None) -> ProbeResult | None:
    """Return a probe with times that follow from its conflicts."""
    if probe is None:
        return None
    seconds = _SECONDS_PER_CONFLICT * (100 + (probe.conflicts or 0))
    return replace(probe, cpu_s=seconds, timings={"load": seconds / 10, "search": seconds, "trace": seconds})


def _timed_plain(run: PlainRun | None) -> PlainRun | None:
    """Return a plain run with times that follow from its conflicts."""
    if run is None:
        return None
    stages = tuple(replace(stage, cpu_s=_SECONDS_PER_CONFLICT * (100 + stage.conflicts)) for stage in run.stages)
    return replace(run, stages=stages)


def with_fixed_times(item: Preprocessed) -> Preprocessed:
    """Return what preprocessing found, with times in it that are the same in every run."""
    found = item.instance
    if found is None:
        return item
    searches = {"probe": _timed(found.probe), "replicate": _timed(found.replicate), "plain": _timed_plain(found.plain)}
    return replace(item, instance=replace(found, **searches, timings={}))


def rows_of(prediction: Prediction, name: str) -> list[dict[str, Any]]:
    """Return a prediction's rows without what differs from run to run."""
    kept = []
    for row in prediction.rows():
        values = {key: value for key, value in row.items() if key not in _TIMES}
        kept.append({**values, "path": name})
    return kept


def compute() -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return the rows of all predictions in both units, and the features of all formulas."""
    rows: list[dict[str, Any]] = []
    static, online, names = [], [], {}
    with (
        Predictor.from_checkpoint(unit="conflicts", device="cpu") as conflicts,
        Predictor.from_checkpoint(unit="cpu_seconds", device="cpu", machine_factor=1.0) as seconds,
    ):
        for name, formula in formulas():
            # With the plain run, and what is predicted of the same formula without it.
            items = [with_fixed_times(conflicts.preprocess(formula, plain=plain)) for plain in (True, False)]
            bare = items[1].instance
            assert bare is not None and bare.online is not None, items[1].error
            for predictor in (conflicts, seconds):
                for prediction in predictor.predict_preprocessed(items):
                    rows += rows_of(prediction, name)
            static.append(bare.static.values)
            online.append(bare.online.values)
            names = {"static_names": bare.static.names, "online_names": bare.online.names}
    return rows, {
        "static": np.stack(static),
        "online": np.stack(online),
        **{key: np.array(value, dtype=np.str_) for key, value in names.items()},
    }


def given_instances(stored: dict[str, NDArray[Any]]) -> list[Instance]:
    """Return instances with kept features, and graphs that no search has touched."""
    named = list(formulas())
    found = []
    for row, position in enumerate([*GIVEN, *range(len(RECIPES), len(named))]):
        found.append(
            Instance(
                path=named[position][0],
                gbdhash="",
                static=FeatureVector(tuple(stored["static_names"].tolist()), stored["static"][row]),
                online=FeatureVector(tuple(stored["online_names"].tolist()), stored["online"][row]),
                graph=clause_variable_graph(named[position][1], None),
            )
        )
    return found


def distributions(stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what each estimator of the checkpoint says of the kept features, and how new they are."""
    instances = given_instances(stored)
    found: dict[str, NDArray[Any]] = {}
    for unit in Checkpoint.open().config.units:
        with Predictor.from_checkpoint(unit=unit, device="cpu", machine_factor=1.0) as predictor:
            for name in predictor.chain:
                estimator = predictor.estimator(name)
                if "trace" not in estimator.needs:
                    found[f"{unit}.{name}"] = estimator.predict(instances).cdf
            found["novelty"] = np.array([one.score for one in predictor.ood_detector.judge(instances)])
    return found


# The network's sums are float32 and differ with the processor in the last bits. Probabilities keep to 1e-6 (the test of
# distributions says so), but where a distribution is flat that moves a quantile further: 6e-6 between AMD and Intel.
_TOLERANCE = 2e-5


def differences(expected: Any, found: Any, place: str = "", tolerance: float = _TOLERANCE) -> list[str]:
    """Return where two values differ: numbers by more than a relative (or absolute) tolerance, all else at all."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if sorted(expected) != sorted(found):
            return [f"{place}: expected {sorted(expected)}, found {sorted(found)}"]
        return [line for key in expected for line in differences(expected[key], found[key], f"{place} {key}")]
    if isinstance(expected, float | int) and isinstance(found, float | int) and not isinstance(expected, bool):
        same = math.isclose(expected, found, rel_tol=tolerance, abs_tol=tolerance)
    else:
        same = expected == found
    return [] if same else [f"{place}: expected {expected!r}, found {found!r}"]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read a file of arrays."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def main(arguments: list[str]) -> None:
    """Write the files."""
    DIRECTORY.mkdir(exist_ok=True)
    rows, features = compute()
    lines = ",\n".join(json.dumps(row) for row in rows)
    PREDICTIONS.write_text(f"[\n{lines}\n]\n")
    np.savez_compressed(FEATURES, allow_pickle=False, **features)
    if "--distributions" in arguments:
        chosen = [*GIVEN, *range(len(RECIPES), len(features["static"]))]
        given = {name: values if name.endswith("names") else values[chosen] for name, values in features.items()}
        np.savez_compressed(DISTRIBUTIONS, allow_pickle=False, **given, **distributions(given))


if __name__ == "__main__":
    main(sys.argv[1:])
