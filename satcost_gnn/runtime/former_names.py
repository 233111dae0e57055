"""Modules by the names that they had in version 0.1: imported from where they are now, with a warning that says where.

Only what documentation and examples of 0.1 named is listed. The names go with version 0.3.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:
    # Importing them takes longer than all of the package; the import system asks for their methods only.
    Loader = MetaPathFinder = object

PACKAGE = "satcost_gnn"

#: Name in 0.1 -> name today, both under the package.
FORMER_NAMES = {
    "calibration": "learn.calibration",
    "checkpoint": "serve.checkpoint",
    "distribution": "core.distribution",
    "estimators": "learn.registry",
    "estimators.base": "learn.base",
    "evaluation": "evaluate",
    "evaluation.metrics": "evaluate.metrics",
    "explanation": "serve.explanation",
    "inputs": "cli.inputs",
    "machine_speed": "serve.machine_speed",
    "phases": "serve.phases",
    "portfolio": "decide",
    "portfolio.batch": "decide.batch",
    "portfolio.concurrent_runs": "decide.concurrent_runs",
    "portfolio.cube_sampling": "decide.cube_sampling",
    "portfolio.cubes": "decide.cubes",
    "portfolio.monitor": "decide.monitor",
    "portfolio.run": "decide.run",
    "portfolio.schedule": "decide.schedule",
    "portfolio.select": "decide.select",
    "predictor": "serve.predictor",
    "preprocess": "features.preprocessing",
    "search.sandbox": "runtime.sandbox",
}


class _Alias(Loader):
    """Gives the module of today's name."""

    def __init__(self, today: str) -> None:
        self._today = today
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._today)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the former name's specification on the module.
        module.__spec__ = self._spec


class _FormerNames(MetaPathFinder):
    """Finds modules by their former names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        former = fullname.removeprefix(f"{PACKAGE}.")
        if former == fullname or former not in FORMER_NAMES:
            return None
        today = f"{PACKAGE}.{FORMER_NAMES[former]}"
        warnings.warn(
            f"{fullname} is now {today}; the former name goes with version 0.3", DeprecationWarning, stacklevel=2
        )
        return ModuleSpec(fullname, _Alias(today), is_package=any(n.startswith(former + ".") for n in FORMER_NAMES))


def install() -> None:
    """Let former names be imported; called once, by the package."""
    if not any(isinstance(finder, _FormerNames) for finder in sys.meta_path):
        # First: a submodule of a former package would else be found, and made again, in the directory of today's.
        sys.meta_path.insert(0, _FormerNames())
