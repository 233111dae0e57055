"""Fit cache: networks of several seeds on one training set share the classical members of the ensemble."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.errors import CheckpointError
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.registry import load_estimator, make_estimator
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.runtime.stored_files import read_json_object, sha256

_FORMAT = "3"
_HASHES = "hashes.json"


def cached_fit(name: str, settings: Mapping[str, Any], table: TrainingTable, store: Path | None = None) -> Estimator:
    """Return an estimator fitted to a table.

    What ``store``, a directory, keeps for these settings, labels and features is not fitted again, unless it is
    damaged.
    """
    estimator = make_estimator(name, **settings)
    place = None if store is None else store / _key(estimator, table)
    if place is not None and (found := _kept(name, place)) is not None:
        return found
    estimator.fit(table)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=place.parent))
        estimator.save(staging)
        hashes = {path.relative_to(staging).as_posix(): sha256(path) for path in staging.rglob("*") if path.is_file()}
        write_json(staging / _HASHES, hashes, indent=1)
        _put(name, staging, place)
    return estimator


def _kept(name: str, place: Path) -> Estimator | None:
    """Return what is kept, None if there is nothing or it is damaged."""
    try:
        hashes = read_json_object(place / _HASHES)
        if not hashes or any(sha256(place / file) != expected for file, expected in hashes.items()):
            return None
        return load_estimator(name, place)
    except CheckpointError:
        return None


def _put(name: str, staging: Path, place: Path) -> None:
    """Give what was fitted its place, unless another process was faster; what is damaged there makes room."""
    for _ in range(2):
        try:
            staging.rename(place)
            return
        except OSError:
            if _kept(name, place) is not None:
                break
            aside = Path(tempfile.mkdtemp(dir=place.parent))
            with contextlib.suppress(OSError):
                place.rename(aside / place.name)
            shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(staging, ignore_errors=True)


def _key(estimator: Estimator, table: TrainingTable) -> str:
    """Return what tells apart the estimators and tables on which fits differ."""
    about = json.dumps([_FORMAT, estimator.name, estimator.parameters(), table.unit, table.solvers], sort_keys=True)
    found = hashlib.sha256(about.encode())
    for values in (table.cost, table.censored, table.known, table.limit_s):
        found.update(np.ascontiguousarray(values).tobytes())
    for instance in table.instances:
        for vector in (instance.static, instance.online):
            if vector is not None:
                found.update(" ".join(vector.names).encode())
                found.update(np.ascontiguousarray(vector.values).tobytes())
    return found.hexdigest()[:16]
