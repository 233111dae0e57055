"""The files of a saved network: a header, checked against what this version computes, and weights of known shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load

from satcost_gnn.config import NetworkConfig
from satcost_gnn.core.distribution import GRIDS
from satcost_gnn.errors import CheckpointError, DamagedFileError
from satcost_gnn.formula.compact_graph import CLAUSE_INPUTS, GRAPH_INPUTS, GRAPH_VERSION, VARIABLE_INPUTS
from satcost_gnn.learn.network.definition import ModelShape, planned_weights
from satcost_gnn.learn.stored_estimator import StoredHeader
from satcost_gnn.runtime.stored_files import read_bytes
from satcost_gnn.section import Section

#: Name of a weight -> name of its type and its shape.
WeightPlan = Mapping[str, tuple[str, tuple[int, ...]]]


class StoredShape(Section):
    """Sizes of inputs and outputs."""

    static: int = Field(ge=0, le=1_000_000)
    online: int = Field(ge=0, le=1_000_000)
    solvers: dict[str, tuple[str, ...]] = Field(min_length=1)


class StoredInputs(Section):
    """Names of all inputs, in order."""

    static: tuple[str, ...]
    online: tuple[str, ...]
    graph_version: str
    variable: tuple[str, ...]
    clause: tuple[str, ...]
    graph: tuple[str, ...]


class StoredParameters(Section):
    """Settings of the estimator."""

    settings: NetworkConfig


class NetworkHeader(StoredHeader):
    """The JSON part of a saved network."""

    package_version: str
    parameters: StoredParameters
    unit: str
    shape: StoredShape
    inputs: StoredInputs
    grids: dict[str, dict[str, Any]]


def graph_inputs() -> dict[str, Any]:
    """Return what the graphs of this version are made of."""
    return {
        "graph_version": GRAPH_VERSION,
        "variable": VARIABLE_INPUTS,
        "clause": CLAUSE_INPUTS,
        "graph": GRAPH_INPUTS,
    }


def check_header(header: NetworkHeader, path: Path) -> None:
    """Refuse a network that was trained on other inputs or grids than this version computes.

    CheckpointError if it was, or parts of the header disagree.
    """
    for name, value in graph_inputs().items():
        if getattr(header.inputs, name) != value:
            raise CheckpointError(
                f"{path}: the network was trained on other graph inputs ({name} differs); install satcost-gnn "
                f"{header.package_version} or train it again"
            )
    for unit, grid in header.grids.items():
        if unit not in GRIDS or GRIDS[unit].to_json() != grid:
            raise CheckpointError(f"{path}: the network was trained on another grid of {unit}; train it again")
    shape, inputs = header.shape, header.inputs
    if (shape.static, shape.online) != (len(inputs.static), len(inputs.online)):
        raise DamagedFileError(
            f"{path}: found {len(inputs.static)} and {len(inputs.online)} names of features for "
            f"{shape.static} and {shape.online} inputs; expected as many"
        )
    if header.unit not in shape.solvers or set(shape.solvers) != set(header.grids):
        raise DamagedFileError(
            f"{path}: found unit {header.unit}, solvers in {', '.join(shape.solvers)} and grids of "
            f"{', '.join(header.grids)}; expected the same units"
        )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file in safetensors format; DamagedFileError if it can't be read."""
    try:
        found: dict[str, NDArray[Any]] = load(read_bytes(path))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DamagedFileError(f"{path}: cannot be read as tensors: {error}") from error
    return found


def plan_of(weights: Mapping[str, Any]) -> WeightPlan:
    """Return types and shapes of arrays, of numpy's or of torch's."""
    return {name: (str(one.dtype).removeprefix("torch."), tuple(one.shape)) for name, one in weights.items()}


def check_weights(weights: Mapping[str, Any], expected: WeightPlan, path: Path) -> None:
    """Compare names, types and shapes; DamagedFileError if one differs, is missing or is unknown."""
    found = {name: f"{kind}{list(shape)}" for name, (kind, shape) in plan_of(weights).items()}
    wanted = {name: f"{kind}{list(shape)}" for name, (kind, shape) in expected.items()}
    for name in sorted({*wanted, *found}):
        here, there = found.get(name, "missing"), wanted.get(name, "missing")
        if here != there:
            raise DamagedFileError(f"{path}: found {name} to be {here}; expected {there}")


def read_weights(path: Path, settings: NetworkConfig, shape: ModelShape) -> list[dict[str, NDArray[Any]]]:
    """Return the weights of each network that a file in safetensors format holds.

    DamagedFileError if the file can't be read, or its weights are not those of such networks.
    """
    weights = read_arrays(path)
    plan = planned_weights(settings.model, shape)
    expected = {f"{number}.{name}": one for number in range(settings.members) for name, one in plan.items()}
    check_weights(weights, expected, path)
    return [{name: weights[f"{number}.{name}"] for name in plan} for number in range(settings.members)]
