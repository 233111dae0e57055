"""``satcost batch-solve``: solve a set of files in an order made from the predictions, into a table."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.interruption import interrupted
from satcost_gnn.cli.numbers import SECONDS
from satcost_gnn.cli.options import (
    Checkpoint,
    Cores,
    Device,
    MemoryLimit,
    Overwrite,
    Programs,
    Resume,
    Solvers,
    TableFile,
)
from satcost_gnn.errors import ConfigError
from satcost_gnn.inputs import expand_all
from satcost_gnn.output_files import check_outputs
from satcost_gnn.portfolio.batch import BATCH_COLUMNS, Aim, BatchSettings, solve_batch
from satcost_gnn.portfolio.run import programs_of
from satcost_gnn.prediction_table import JsonLinesWriter, RowWriter, open_output
from satcost_gnn.predictor import Predictor
from satcost_gnn.progress import ProgressLine


@dataclass(frozen=True)
class BatchSolveOptions:
    """Options of the command."""

    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="DIMACS files, directories, globs or @LIST.")]
    output: TableFile = None
    checkpoint: Checkpoint = None
    minimise: Annotated[
        str,
        typer.Option(
            help="mean: time until an instance is solved; total: until all are; given: first come, first served."
        ),
    ] = "mean"
    time_limit: Annotated[
        float, typer.Option(parser=SECONDS, help="CPU seconds of the longest run of an instance.")
    ] = 60.0
    memory_limit: MemoryLimit = 4096
    cores: Cores = 1
    solvers: Solvers = None
    programs: Programs = None
    resume: Resume = False
    overwrite: Overwrite = False
    device: Device = "auto"


def run_batch_solve(options: BatchSolveOptions) -> int:
    """Solve many CNFs in an order and with limits made from the predictions: one row a file.

    Exit code 0: every file has been read and run; 1: some could not be read (their rows say why); 2: wrong usage.
    """
    names = expand_all(options.paths)
    if "-" in names:
        raise ConfigError("found - among the inputs; a batch reads files only")
    if options.resume and options.output is None:
        raise ConfigError("--resume continues a file: name it with -o")
    check_outputs({"-o": options.output}, [*options.paths, *names])
    settings = BatchSettings(
        limit_s=options.time_limit,
        memory_limit_mb=options.memory_limit,
        cores=options.cores,
        aim=Aim.of(options.minimise),
        programs=programs_of(options.programs or []),
    )
    predictor = Predictor.from_checkpoint(
        options.checkpoint, unit="cpu_seconds", solvers=options.solvers, device=options.device
    )
    unknown = [name for name in settings.programs if name not in predictor.solvers]
    if unknown:
        raise ConfigError(f"--program: found {unknown[0]!r}; expected one of {', '.join(predictor.solvers)}")
    writer: RowWriter
    if options.output is None:
        writer, done = JsonLinesWriter(sys.stdout, BATCH_COLUMNS), set[str]()
    else:
        writer, done = open_output(
            options.output,
            resume=options.resume,
            overwrite=options.overwrite,
            rows_per_instance=1,
            columns=BATCH_COLUMNS,
        )
    counts: Counter[str] = Counter()
    try:
        with predictor, writer, ProgressLine(len(names), "files") as progress:
            progress.skip(len(done))

            def take(row: dict[str, Any]) -> None:
                writer.write([row])
                counts[row["status"]] += 1
                if row["status"] == "error":
                    progress.message(f"satcost: {row['error']}")
                progress.advance()

            solve_batch(predictor, (name for name in names if name not in done), settings, take)
    except KeyboardInterrupt:
        return interrupted(options.output)
    print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())), file=sys.stderr)
    return 1 if counts["error"] else 0


app = command_app("batch-solve", BatchSolveOptions, run_batch_solve)
