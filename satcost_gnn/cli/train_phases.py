"""``satcost train-phases``: a data set to a checkpoint of phases."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.numbers import SECONDS
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_directory
from satcost_gnn.runtime.output_lock import locked
from satcost_gnn.train.phases import TRAINING_SPLITS, label_instances, train_phase_checkpoint, whole_graphs


@dataclass(frozen=True)
class TrainPhasesOptions:
    """Options of the command."""

    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Directory of a data set with splits.")]
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the new checkpoint.")]
    work: Annotated[Path, typer.Option(help="Directory in which labels are kept.")] = Path("runs/phases")
    root: Annotated[Path | None, typer.Option(help="Directory with the real instances.")] = None
    cache: Annotated[Path | None, typer.Option(help="Directory of preprocessed instances with whole graphs.")] = None
    cpu_s: Annotated[
        float,
        typer.Option("--limit", parser=SECONDS, help="CPU seconds of labelling; what is labelled then is learnt from."),
    ] = 3600.0


def run_train_phases(options: TrainPhasesOptions) -> int:
    """Train the network of `predict --phases`: label satisfiable instances, learn from them.

    Start the same command again after an interruption: labels that are there are not made again.
    """
    if options.output.exists():
        raise OutputError(f"-o: {options.output} exists; checkpoints are never overwritten, choose the next version")
    check_directory("-o", options.output)
    check_directory("--work", options.work)
    dataset = Dataset.open(options.dataset)
    command = shlex.join(["satcost", *sys.argv[1:]])
    try:
        with locked(options.work):
            label_instances(
                dataset,
                TRAINING_SPLITS,
                options.work,
                root=options.root,
                store=options.work / "instances",
                cache=whole_graphs(options.cache),
                cpu_s=options.cpu_s,
            )
            train_phase_checkpoint(options.work, options.output, dataset=dataset.directory.name, command=command)
    except KeyboardInterrupt:
        log.warning(f"interrupted; to continue: {command}")
        return 130
    print(options.output)
    return 0


app = command_app("train-phases", TrainPhasesOptions, run_train_phases)
