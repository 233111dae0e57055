"""``satcost calibrate-machine``: time this machine against the one that the labels come from, and keep the factor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.numbers import COUNT
from satcost_gnn.cli.options import Format, Json, chosen_format
from satcost_gnn.cli.terminal import beside, wrapped
from satcost_gnn.data.execution import machine_description
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs, write_json
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.serve.machine_speed import (
    VARIABLE,
    WORKLOADS,
    MachineSpeed,
    compare,
    machine_file,
    time_workloads,
)


@dataclass(frozen=True)
class CalibrateOptions:
    """Options of the command."""

    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File of the factor [default: ~/.config/satcost/machine.json]."),
    ] = None
    repeats: Annotated[
        int, typer.Option(parser=COUNT, help="Rounds of timed runs; the least time of each run counts.")
    ] = 4
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and print, keep nothing.")] = False
    as_json: Json = False
    output_format: Format = "text"


def run_calibrate(options: CalibrateOptions) -> int:
    """Time a fixed set of small solver runs, so that seconds are predicted for this machine; about 20 s."""
    place = options.output or machine_file()
    if place is None and not options.dry_run:
        raise ConfigError(f"{VARIABLE}=none says that no factor is wanted; unset it or name a file with -o")
    if not options.dry_run:
        check_outputs({"-o" if options.output else VARIABLE: place})
    with Sandbox() as sandbox, ProgressLine(len(WORKLOADS) * options.repeats, "timed runs") as progress:
        seconds = time_workloads(sandbox, options.repeats, progress.advance)
    speed = compare(seconds, machine_description())
    if chosen_format(options.output_format, options.as_json) == "json":
        print(json.dumps(speed.to_json()))
    else:
        _print(speed)
    if options.dry_run or place is None:
        return 0
    write_json(place, speed.to_json(), indent=1)
    used = machine_file()
    if used is not None and used.absolute() == place.absolute():
        log.info(f"kept in {place}; predictions in cpu_seconds use it from now on")
    else:
        log.info(f"kept in {place}; predictions use it where {VARIABLE} names it: {VARIABLE}={place}")
    return 0


def _print(speed: MachineSpeed) -> None:
    print(beside("this machine: ", speed.machine))
    print(beside("labels from:  ", speed.reference))
    told = f"a second there takes {speed.factor:.3f} s here (single runs differ by a factor of {10**speed.sd:.2f})"
    print(wrapped(told, ""))


app = command_app("calibrate-machine", CalibrateOptions, run_calibrate)
