"""``satcost calibrate-machine``: time this machine against the one that the labels come from, and keep the factor."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from satcost_gnn.data.execution import machine_description
from satcost_gnn.errors import ConfigError
from satcost_gnn.machine_speed import (
    VARIABLE,
    WORKLOADS,
    MachineSpeed,
    compare,
    machine_file,
    time_workloads,
    write_speed,
)
from satcost_gnn.progress import ProgressLine
from satcost_gnn.search.sandbox import Sandbox


@dataclass(frozen=True)
class CalibrateOptions:
    """Options of the command, as on the command line."""

    output: Path | None
    repeats: int
    dry_run: bool
    as_json: bool


def run_calibrate(options: CalibrateOptions) -> int:
    """Time, compare and keep; return the exit code."""
    place = options.output or machine_file()
    if place is None and not options.dry_run:
        raise ConfigError(f"{VARIABLE}=none says that no factor is wanted; unset it or name a file with -o")
    with Sandbox() as sandbox, ProgressLine(len(WORKLOADS) * options.repeats, "timed runs") as progress:
        seconds = time_workloads(sandbox, options.repeats, progress.advance)
    speed = compare(seconds, machine_description())
    if options.as_json:
        print(json.dumps(speed.to_json()))
    else:
        _print(speed)
    if options.dry_run or place is None:
        return 0
    write_speed(speed, place)
    print(f"kept in {place}; predictions in cpu_seconds use it from now on", file=sys.stderr)
    return 0


def _print(speed: MachineSpeed) -> None:
    print(f"this machine: {speed.machine}")
    print(f"labels from:  {speed.reference}")
    print(f"a second there takes {speed.factor:.3f} s here (single runs differ by a factor of {10**speed.spread:.2f})")
