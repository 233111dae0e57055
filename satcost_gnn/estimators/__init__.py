"""Estimators: one contract for everything that predicts a cost, from a constant to the network.

The modules are imported on demand, so that listing the estimators loads neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from satcost_gnn.errors import EstimatorError
from satcost_gnn.estimators.base import ESTIMATORS, Estimator, TrainingTable, register

#: Name -> module that registers it.
MODULES: dict[str, str] = {
    "constant": "satcost_gnn.estimators.constant",
    "size": "satcost_gnn.estimators.size",
    "tree_size": "satcost_gnn.estimators.tree_size",
    "linear": "satcost_gnn.estimators.linear",
    "forest": "satcost_gnn.estimators.forest",
    "stacked": "satcost_gnn.estimators.stacked",
    "gnn": "satcost_gnn.estimators.gnn",
}

#: Names of all estimators.
NAMES: tuple[str, ...] = tuple(MODULES)


def estimator_class(name: str) -> type[Estimator]:
    """Return the class of an estimator, importing its module.

    Raises
    ------
    EstimatorError
        If there is none of that name.
    ImportError
        If something that it needs isn't installed.
    """
    if name not in ESTIMATORS:
        if name not in MODULES:
            raise EstimatorError(f"found estimator {name!r}; expected one of {', '.join(NAMES)}")
        import_module(MODULES[name])
    return ESTIMATORS[name]


def make_estimator(name: str, **parameters: Any) -> Estimator:
    """Return an unfitted estimator with the given settings; EstimatorError for an unknown name or setting."""
    cls = estimator_class(name)
    try:
        return cls(**parameters)
    except TypeError as error:
        raise EstimatorError(f"estimator {name!r}: {error}") from None


def load_estimator(name: str, directory: Path | str, **options: Any) -> Estimator:
    """Read a saved estimator (see :meth:`Estimator.load`)."""
    return estimator_class(name).load(Path(directory), **options)


__all__ = [
    "ESTIMATORS",
    "MODULES",
    "NAMES",
    "Estimator",
    "TrainingTable",
    "estimator_class",
    "load_estimator",
    "make_estimator",
    "register",
]
