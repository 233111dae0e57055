"""``satcost batch-solve``: solve a set of files in an order made from the predictions, into a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from satcost_gnn.cli.colour import styled
from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.file_progress import file_progress, skip_done
from satcost_gnn.cli.inputs import expand_all
from satcost_gnn.cli.interruption import interrupted
from satcost_gnn.cli.listing import printed_table
from satcost_gnn.cli.messages import tell_about
from satcost_gnn.cli.numbers import SECONDS
from satcost_gnn.cli.options import (
    TABLE_FORMATS,
    Address,
    Checkpoint,
    Device,
    Executor,
    Json,
    Memory,
    OptionalCores,
    Overwrite,
    Programs,
    Relaxed,
    Resume,
    Solvers,
    TableFile,
    TableFormat,
    chosen_cluster,
    chosen_format,
)
from satcost_gnn.decide.batch import BATCH_COLUMNS, Aim, BatchSettings, solve_batch
from satcost_gnn.decide.run import programs_of
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.file_names import escaped, one_line
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.runtime.tables.resumable_table import OpenedTable, open_table
from satcost_gnn.runtime.tables.row_writers import Row, RowWriter
from satcost_gnn.runtime.tables.table_kind import TableKind
from satcost_gnn.serve.predictor import Predictor


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
    limit: Annotated[
        float,
        typer.Option(parser=SECONDS, help="CPU seconds of an instance: reading, prediction and all its runs together."),
    ] = 60.0
    memory: Memory = 4096
    cores: OptionalCores = None
    solvers: Solvers = None
    programs: Programs = None
    output_format: TableFormat = "auto"
    as_json: Json = False
    resume: Resume = False
    overwrite: Overwrite = False
    device: Device = "auto"
    relaxed: Relaxed = False
    executor: Executor = "local"
    address: Address = None


class _Text(RowWriter):
    """Prints a line for each file, as it ends."""

    def write(self, rows: Iterable[Row]) -> None:
        """Print the rows of one instance."""
        for row in rows:
            name, status = escaped(row["path"]), row["status"]
            if status == "error":
                print(styled(one_line(row["error"]), name, bold=True, fg="red"), flush=True)
                continue
            line = styled(f"{name}: {status} by {row['solver']}, {row['cpu_s']:.2f} CPU seconds", name, bold=True)
            print(styled(line, f" {status} ", fg="green") if status in ("SAT", "UNSAT") else line, flush=True)

    def close(self) -> None:
        """Nothing is held back."""


def _opened(options: BatchSolveOptions, predictor: Predictor) -> OpenedTable:
    if options.output is None:
        form = chosen_format(options.output_format, options.as_json, TABLE_FORMATS)
        return printed_table(form, BATCH_COLUMNS, _Text())
    kind = TableKind(
        command="batch-solve",
        columns=BATCH_COLUMNS,
        unit=predictor.unit,
        cutoff=options.limit,
        checkpoint=predictor.checkpoint.identity,
        solvers=predictor.solvers,
        settings={"memory_limit": options.memory, "programs": sorted(options.programs or [])},
    )
    return open_table(options.output, kind, resume=options.resume, overwrite=options.overwrite)


def run_batch_solve(options: BatchSolveOptions) -> int:
    """Solve many CNFs in an order and with limits made from the predictions: one row a file.

    Exit code 0: every file has been read and run; 1: some could not be read (their rows say why); 2: wrong usage.
    """
    names = expand_all(options.paths)
    if options.resume and options.output is None:
        raise ConfigError("--resume continues a file: name it with -o")
    check_outputs({"-o": options.output}, [*options.paths, *names])
    cluster = chosen_cluster(options.executor, options.address, options.cores)
    settings = BatchSettings(
        limit_s=options.limit,
        memory_limit_mb=options.memory,
        cores=options.cores or 1,
        aim=Aim.of(options.minimise),
        programs=programs_of(options.programs or []),
    )
    predictor = Predictor.from_checkpoint(
        options.checkpoint, unit="cpu_seconds", solvers=options.solvers, device=options.device, relaxed=options.relaxed
    )
    unknown = [name for name in settings.programs if name not in predictor.solvers]
    if unknown:
        raise ConfigError(f"--program: found {unknown[0]!r}; expected one of {', '.join(predictor.solvers)}")
    if note := predictor.cutoff_note(options.limit):
        log.warning(note)
    table = _opened(options, predictor)
    writer, left = table.writer, table.left(names)
    failed = table.failed(names)
    counts: Counter[str] = Counter()
    try:
        with predictor, writer, file_progress(names, options.limit, options.cores or 1) as progress:
            skip_done(progress, names, left)
            tell_about(predictor)

            def take(row: dict[str, Any]) -> None:
                writer.write([row])
                counts[row["status"]] += 1
                if row["status"] == "error":
                    log.warning(f"{row['error']}")
                progress.advance(name=row["path"])

            solve_batch(predictor, left, settings, take, cluster)
    except KeyboardInterrupt:
        return interrupted(options.output)
    log.info(", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "nothing was left to do")
    failed += counts["error"]
    if failed:
        log.warning(f"{failed} of {len(names)} files could not be read; see the column error")
    return 1 if failed else 0


app = command_app(
    "batch-solve", BatchSolveOptions, run_batch_solve, {"--time-limit": "--limit", "--memory-limit": "--memory"}
)
