"""``satcost fit-monitor``: what `CostMonitor` is fitted on, and its model."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.options import Checkpoint, Overwrite
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_directory, check_outputs, write_json
from satcost_gnn.runtime.output_lock import locked
from satcost_gnn.train.monitor import fit_monitor


@dataclass(frozen=True)
class FitMonitorOptions:
    """Options of the command."""

    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Directory of a data set with splits.")]
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.json", help="Where the model is written.")]
    checkpoint: Checkpoint = None
    work: Annotated[Path, typer.Option(help="Directory in which runs and predictions are kept.")] = Path("runs/monitor")
    root: Annotated[Path | None, typer.Option(help="Directory with the real instances.")] = None
    overwrite: Overwrite = False


def run_fit_monitor(options: FitMonitorOptions) -> int:
    """Fit the model of `CostMonitor`: record runs of the calibration side, learn from them.

    Start the same command again after an interruption: runs that are there are not made again.
    """
    if options.output.exists() and not options.overwrite:
        raise OutputError(f"-o: {options.output} exists; name another file, or give --overwrite")
    check_outputs({"-o": options.output}, [])
    check_directory("--work", options.work)
    dataset = Dataset.open(options.dataset)
    try:
        with locked(options.work):
            options.work.mkdir(parents=True, exist_ok=True)
            model = fit_monitor(dataset, options.work, checkpoint=options.checkpoint, root=options.root)
    except KeyboardInterrupt:
        log.warning(f"interrupted; to continue: {shlex.join(['satcost', *sys.argv[1:]])}")
        return 130
    write_json(options.output, model.to_json(), indent=1)
    print(options.output)
    return 0


app = command_app("fit-monitor", FitMonitorOptions, run_fit_monitor)
