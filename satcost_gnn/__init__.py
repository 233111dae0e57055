"""Search cost estimation for SAT solvers.

The data flow is the package layout: ``formula`` (what the instance is), ``search`` (what a real solver does at the
start), ``features`` (what estimators read of both), ``data`` (labels and splits), ``learn`` (from both to a cost
distribution), ``serve`` (predictions from a checkpoint), ``decide`` (what one does with a prediction), ``evaluate``
(how good both are), ``train`` (from labels to a checkpoint) and ``cli``; ``core`` and ``runtime`` lie below the others.
Imports go downward only. Importing the package is cheap: nothing here loads numpy or torch; the names below are
imported when they are first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

#: Main classes and functions -> where they are.
_EXPORTS = {
    "Checkpoint": "serve.checkpoint",
    "CnfFeatures": "learn.sklearn_interface",
    "CostDistribution": "core.distribution",
    "CostMonitor": "decide.monitor",
    "Dataset": "data.dataset",
    "Formula": "formula.cnf",
    "PortfolioSolver": "decide.run",
    "Prediction": "serve.prediction",
    "Predictor": "serve.predictor",
    "SatCostRegressor": "learn.sklearn_interface",
    "Scheduler": "decide.schedule",
    "Selector": "decide.select",
    "SolverSelector": "learn.sklearn_interface",
    "read_dimacs": "formula.dimacs",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
