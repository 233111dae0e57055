"""Factories of rows and of a small data set, shared by the tests of tables, splits, scenarios and summaries."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.schema import ManifestRow, Origin, Run, RunStatus

_ROW: dict[str, Any] = {"n_vars": 10, "n_clauses": 40, "bytes": 400, "origin": Origin.REAL, "licence": "MIT"}
_RUN: dict[str, Any] = {
    "seed": 0,
    "status": RunStatus.SAT,
    "conflicts": 1000,
    "decisions": 2000,
    "propagations": 30000,
    "restarts": 4,
    "cpu_s": 1.0,
    "wall_s": 1.1,
    "peak_memory_mb": 50.0,
    "cpu_limit_s": 10.0,
    "wall_limit_s": 90.0,
    "memory_limit_mb": 4096,
    "solver_version": "1",
    "machine": "a machine",
}


def digest(name: str) -> str:
    """Return 32 hexadecimal digits that stand for a name."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def make_row() -> Callable[..., ManifestRow]:
    """Return a factory of manifest rows: of a name, with an isohash and a path of its own unless told otherwise."""

    def make(name: str, **values: Any) -> ManifestRow:
        family = values.pop("family", "a-family")
        defaults = {
            **_ROW,
            "instance": digest(name),
            "isohash": digest(f"iso {name}"),
            "family": family,
            "path": f"{family}/{name}.cnf",
        }
        return ManifestRow(**{**defaults, **values})

    return make


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Return a factory of runs: of an instance's name and a solver, solved in a second unless told otherwise."""

    def make(name: str, solver: str = "cadical195", **values: Any) -> Run:
        return Run(**{**_RUN, "instance": digest(name), "solver": solver, **values})

    return make


@pytest.fixture
def small_dataset(
    tmp_path: Path, make_row: Callable[..., ManifestRow], make_run: Callable[..., Run]
) -> Callable[..., Dataset]:
    """Return a factory of a data set of twelve instances of three families, two solvers and two seeds.

    Costs of solver ``cadical195`` are 10^(k/2) conflicts on instance k, those of ``other`` fall as k rises; each
    solver times out on its two hardest.
    """

    def make(**values: Any) -> Dataset:
        rows = [make_row(f"i{k}", family=f"family-{k % 3}", n_vars=10 + k) for k in range(12)]
        runs = []
        for k in range(12):
            for solver, hardness in (("cadical195", k), ("other", 11 - k)):
                for seed in (0, 1) if k < 4 else (0,):
                    conflicts = math.ceil(10 ** (hardness / 2)) * (1 + seed)
                    runs.append(
                        make_run(
                            f"i{k}",
                            solver,
                            seed=seed,
                            status="TIMEOUT" if hardness > 9 else ("SAT", "UNSAT")[k % 2],
                            conflicts=conflicts,
                            cpu_s=10.0 if hardness > 9 else 0.1 + hardness,
                        )
                    )
        settings = {"directory": tmp_path / "small", "manifest": tuple(rows), "runs": tuple(runs), **values}
        return Dataset(**settings)

    return make
