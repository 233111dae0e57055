"""Fits that are kept: networks of several seeds on one training set share the classical estimators beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.estimators import load_estimator, make_estimator
from satcost_gnn.estimators.base import Estimator, TrainingTable

_FORMAT = "2"


def kept_fit(name: str, settings: Mapping[str, Any], table: TrainingTable, store: Path | None = None) -> Estimator:
    """Return an estimator fitted to a table.

    Parameters
    ----------
    name, settings
        Of the estimator.
    table
        Labels in one unit.
    store
        Directory that keeps what was fitted; an estimator found there for these labels and features is not fitted
        again.
    """
    estimator = make_estimator(name, **settings)
    place = None if store is None else store / _key(estimator, table)
    if place is not None and place.is_dir():
        return load_estimator(name, place)
    estimator.fit(table)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=place.parent))
        estimator.save(staging)
        try:
            staging.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(staging)
    return estimator


def _key(estimator: Estimator, table: TrainingTable) -> str:
    """Return what tells apart the estimators and tables on which fits differ."""
    about = json.dumps([_FORMAT, estimator.name, estimator.parameters(), table.unit, table.solvers], sort_keys=True)
    found = hashlib.sha256(about.encode())
    for values in (table.cost, table.censored, table.known):
        found.update(np.ascontiguousarray(values).tobytes())
    for instance in table.instances:
        for vector in (instance.static, instance.online):
            if vector is not None:
                found.update(" ".join(vector.names).encode())
                found.update(np.ascontiguousarray(vector.values).tobytes())
    return found.hexdigest()[:16]


__all__ = ["kept_fit"]
