"""``satcost train``: a training configuration to a checkpoint, with a log on standard error and beside the run."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.messages import tell_times
from satcost_gnn.cli.options import Changes, Format, Json, chosen_format
from satcost_gnn.config import read_changes, read_config
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_directory
from satcost_gnn.runtime.output_lock import locked
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.train.experiment import run_experiment


@dataclass(frozen=True)
class TrainOptions:
    """Options of the command."""

    config: Annotated[
        Path, typer.Option("--config", help="Training configuration (TOML); `satcost config --example` prints one.")
    ]
    root: Annotated[Path | None, typer.Option(help="Directory of the instances, instead of the configuration's.")] = (
        None
    )
    cache: Annotated[
        Path | None, typer.Option(help="Directory of preprocessed instances, instead of the configuration's.")
    ] = None
    changes: Changes = field(default_factory=list)
    output_format: Format = "text"
    as_json: Json = False


def run_train(options: TrainOptions) -> int:
    """Train a checkpoint: preprocess a data set, fit every estimator, calibrate, measure on the test side.

    Start the same command again after an interruption: preprocessing and training go on where they were.
    """
    form = chosen_format(options.output_format, options.as_json)
    tell_times()
    changes = read_changes(options.changes)
    settings = read_config(options.config, root=options.root, cache=options.cache, changes=changes)
    for name, directory in (("directory", settings.directory), ("checkpoint.directory", settings.checkpoint.directory)):
        check_directory(f"{options.config}: {name}", directory)
    try:
        with locked(settings.directory):
            checkpoint = run_experiment(settings, ProgressLine)
    except KeyboardInterrupt:
        log.warning(f"interrupted; to continue: {shlex.join(['satcost', *sys.argv[1:]])}")
        return 130
    place = str(checkpoint.directory)
    print(json.dumps({"checkpoint": place, "metrics": f"{place}/metrics.json"}) if form == "json" else place)
    return 0


app = command_app("train", TrainOptions, run_train)
