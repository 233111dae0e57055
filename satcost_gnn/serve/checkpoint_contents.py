"""What an opened checkpoint holds for predictions in one unit, each part checked against the others.

Numbers must not appear under wrong names: whatever lists solvers lists those of the checkpoint, in their order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import CheckpointError, DamagedFileError
from satcost_gnn.features.spec import FeatureVersions, PreprocessSettings
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.early_answers import RELATIVE_COST_FILE, RelativeCosts
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.runtime.process_limits import inherited_address_space_mb
from satcost_gnn.runtime.progress import doing
from satcost_gnn.runtime.stored_files import json_kind
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.members import NETWORK, Members, with_parts

if TYPE_CHECKING:
    from satcost_gnn.learn.base import Estimator

CALIBRATION_FILE = "calibration.json"
OFFSET_FILE = "probe_offset.json"


def read_calibrations(checkpoint: Checkpoint, unit: str) -> dict[str, Calibration]:
    """Return the calibrations of the estimators in a unit.

    Raises
    ------
    CheckpointError
        If they can't be read, or are not for the checkpoint's units and solvers.
    """
    path = checkpoint.directory / CALIBRATION_FILE
    found = checkpoint.read_json(CALIBRATION_FILE)
    by_estimator = found.get(unit, {}) if isinstance(found, dict) else None
    if not isinstance(by_estimator, dict):
        raise DamagedFileError(f"{path}: found {json_kind(found)}; expected calibrations by unit and estimator")
    calibrations = {}
    for name, values in by_estimator.items():
        try:
            calibration = Calibration.from_json(values)
        except CheckpointError as error:
            raise DamagedFileError(f"{path}: {name}, {unit}: {error}") from error
        solvers = checkpoint.config.solvers
        if calibration.unit != unit or len(calibration.maps) != len(solvers):
            raise DamagedFileError(
                f"{path}: found a calibration of {name} for {len(calibration.maps)} solvers in {calibration.unit}; "
                f"expected {len(solvers)} in {unit}"
            )
        calibrations[name] = calibration
    return calibrations


def read_probe_offsets(checkpoint: Checkpoint, unit: str) -> dict[str, list[float]]:
    """Return for each solver quantiles of log10 of its cost over the probe's.

    Raises
    ------
    CheckpointError
        If they can't be read, or a solver's are missing or no numbers.
    """
    name = f"{unit}/{OFFSET_FILE}"
    found = checkpoint.read_json(name)
    solvers = checkpoint.config.solvers
    for solver in solvers:
        values = found.get(solver) if isinstance(found, dict) else None
        if not isinstance(values, list) or not values or not all(_is_number(value) for value in values):
            raise DamagedFileError(
                f"{checkpoint.directory / name}: found no list of numbers for {solver}; expected one for each of "
                f"{', '.join(solvers)}"
            )
    return {solver: [float(value) for value in found[solver]] for solver in solvers}


def read_relative_costs(checkpoint: Checkpoint, unit: str) -> RelativeCosts | None:
    """Return what solvers cost relative to the one that is run first; None if the training data had no runs of it.

    Raises
    ------
    CheckpointError
        If it can't be read, or a solver is missing.
    """
    name = f"{unit}/{RELATIVE_COST_FILE}"
    if name not in checkpoint.config.files:
        return None
    found = RelativeCosts.from_json(checkpoint.read_json(name), str(checkpoint.directory / name))
    if missing := [solver for solver in checkpoint.config.solvers if solver not in found.offsets]:
        raise DamagedFileError(f"{checkpoint.directory / name}: found nothing for {', '.join(missing)}")
    return found


def write_probe_offsets(path: Path, offsets: Mapping[str, NDArray[np.float64]]) -> None:
    """Write the distribution of log10(cost / probe's cost) of each solver as evenly spaced quantiles."""
    levels = (np.arange(101) + 0.5) / 101
    table = {name: np.quantile(values, levels).round(4).tolist() for name, values in offsets.items()}
    write_json(path, table)


# Mebibytes of address space of a process with torch and a network in it.
_TORCH_MB = 1200


def read_preprocess_settings(checkpoint: Checkpoint, relaxed: bool) -> tuple[PreprocessSettings, tuple[str, ...]]:
    """Return how instances are preprocessed for a checkpoint, and what a user should know of that, one line each.

    Raises
    ------
    CheckpointError
        If this version of the package computes other features than in training.
    """
    config = checkpoint.config
    if found := config.stale_features():
        raise CheckpointError(
            f"{checkpoint.directory}: it was made with other features than those of this package ({'; '.join(found)}); "
            f"use the package version {config.package_version} or a newer checkpoint"
        )
    settings = config.preprocessing
    settings = settings.with_limits(read=replace(settings.limits.read, relaxed=relaxed))
    mine, trained = FeatureVersions.today().release, config.feature_versions["release"]
    if mine != trained:
        return settings, (f"the probe's solver is of another release than in training (PySAT {mine}, was {trained})",)
    return settings, ()


def open_estimator(members: Members, name: str) -> Estimator | str:
    """Return an estimator of the checkpoint's chain, or another of it, for predictions; or why it can't be had."""
    config, unit = members.checkpoint.config, members.unit
    inherited = inherited_address_space_mb()
    doing(f"loading {name}")
    try:
        member = config.member_for(name, unit)
        networks = [one for one in with_parts(config.members, member) if config.members[one].kind == NETWORK]
        if networks and inherited < _TORCH_MB and _takes_torch(members.device):
            # Loading it would fail half-way, and what it has mapped by then would be missing for the others.
            return (
                f"the address space is limited to {inherited:.0f} MiB (inherited: `ulimit -v`), of which torch would "
                f"take about {_TORCH_MB}"
            )
        found: Estimator = members.get(member)
        place = members.checkpoint.directory / member
        if found.unit != unit:
            raise DamagedFileError(f"{place}: found an estimator for {found.unit}; expected one for {unit}")
        if found.solvers != config.solvers:
            raise DamagedFileError(_other_solvers(str(place), found.solvers, config.solvers))
    except ModuleNotFoundError as error:
        return f"{error.name or error} is not installed"
    except Exception as error:
        # Without enough address space imports fail in ways that no list holds; another of the chain may need less.
        return f"cannot be loaded ({error or type(error).__name__})"
    return found


def _takes_torch(device: str) -> bool:
    from satcost_gnn.learn.network.device import is_processor

    return not is_processor(device)


def _other_solvers(place: str, found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    return f"{place}: found solvers {', '.join(found)}; the checkpoint's are {', '.join(expected)}, in this order"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
