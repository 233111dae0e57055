"""Weights in files as arrays, compared with what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.runtime.stored_files import read_bytes

#: Name of a weight -> name of its type and its shape.
WeightPlan = Mapping[str, tuple[str, tuple[int, ...]]]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file in safetensors format; DamagedFileError if it can't be read."""
    try:
        found: dict[str, NDArray[Any]] = load(read_bytes(path))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DamagedFileError(f"{path}: cannot be read as tensors: {error}") from error
    return found


def check_arrays(found: Mapping[str, NDArray[Any]], expected: WeightPlan, path: Path) -> None:
    """Compare arrays with what is expected; see :func:`check_plan`."""
    check_plan({name: (str(one.dtype), one.shape) for name, one in found.items()}, expected, path)


def check_plan(found: WeightPlan, expected: WeightPlan, path: Path) -> None:
    """Compare names, types and shapes.

    Raises
    ------
    DamagedFileError
        If one differs, is missing or is unknown.
    """
    for name in sorted({*expected, *found}):
        here, there = _described(found.get(name)), _described(expected.get(name))
        if here != there:
            raise DamagedFileError(f"{path}: found {name} to be {here}; expected {there}")


def _described(one: tuple[str, tuple[int, ...]] | None) -> str:
    return "missing" if one is None else f"{one[0]}{list(one[1])}"
