"""``satcost predict``: stream predictions of many files to a table, JSON lines, CSV or Parquet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.interruption import interrupted
from satcost_gnn.cli.numbers import COST
from satcost_gnn.cli.options import (
    Checkpoint,
    Device,
    Estimator,
    Inputs,
    Jobs,
    Overwrite,
    Resume,
    Solvers,
    TableFile,
    Unit,
)
from satcost_gnn.cli.phases import check_phases, write_phases
from satcost_gnn.cost_text import cost_text, number_text, probability_text
from satcost_gnn.errors import ConfigError
from satcost_gnn.file_names import escaped
from satcost_gnn.inputs import expand_all
from satcost_gnn.output_files import check_outputs
from satcost_gnn.prediction import Prediction
from satcost_gnn.prediction_table import COLUMNS
from satcost_gnn.predictor import Predictor
from satcost_gnn.progress import ProgressLine
from satcost_gnn.resumable_table import OpenedTable, open_table
from satcost_gnn.row_writers import CsvWriter, JsonLinesWriter, Row, RowWriter, StreamSink
from satcost_gnn.table_kind import TableKind


@dataclass(frozen=True)
class PredictOptions:
    """Options of the command."""

    paths: Inputs
    output: TableFile = None
    checkpoint: Checkpoint = None
    unit: Unit = "conflicts"
    cutoff: Annotated[
        float | None,
        typer.Option(parser=COST, help="Budget for p_solved, in the cost unit [default: the checkpoint's]."),
    ] = None
    solvers: Solvers = None
    jobs: Jobs = 1
    device: Device = "auto"
    estimator: Estimator = None
    resume: Resume = False
    overwrite: Overwrite = False
    output_format: Annotated[
        str, typer.Option("--format", help="On standard output: table, jsonl or csv [auto: table on a terminal].")
    ] = "auto"
    machine_factor: Annotated[
        bool,
        typer.Option(
            "--machine-factor/--no-machine-factor",
            help="Convert seconds to this machine's, if `satcost calibrate-machine` has been run.",
        ),
    ] = True
    phases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a value for each variable, for a solver to try first: lines of signed numbers, or with "
            "probabilities if FILE ends in .csv; for one formula. See docs/phases.md for what it is worth.",
        ),
    ] = None


class TableWriter(RowWriter):
    """Aligned columns for reading on a terminal; widths are fixed so that rows can be shown as they come."""

    _HEAD = (
        f"{'file':32} {'solver':12} {'median':>10} {'50 % interval':>21} {'90 % interval':>21} {'P(solved)':>9}  source"
    )

    def __init__(self) -> None:
        self._started = False

    def write(self, rows: Iterable[Row]) -> None:
        """Print the rows of one instance."""
        for position, row in enumerate(rows):
            if not self._started:
                print(
                    f"costs in {row['cost_unit']}; P(solved) within {number_text(row['cutoff'] or 0)} of them"
                    if row["cutoff"]
                    else f"costs in {row['cost_unit']}"
                )
                print(self._HEAD)
                self._started = True
            name = escaped(Path(row["path"]).name) if position == 0 else ""
            name = name if len(name) <= 32 else "…" + name[-31:]
            if row["status"] == "error":
                print(f"{name:32} {row['error']}")
                continue
            bound = row["known_up_to"]
            half = f"{cost_text(row['q25'], bound)} – {cost_text(row['q75'], bound)}"
            wide = f"{cost_text(row['q05'], bound)} – {cost_text(row['q95'], bound)}"
            marks = "" if row["in_distribution"] in (True, None) else " (unlike the training data)"
            solved = f" ({row['result']})" if row["result"] else ""
            print(
                f"{name:32} {row['solver']:12} {cost_text(row['q50'], bound):>10} {half:>21} {wide:>21} "
                f"{probability_text(row['p_solved']):>9}  {row['source']}{solved}{marks}"
            )
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is held back."""


def _opened(options: PredictOptions, predictor: Predictor) -> OpenedTable:
    if options.output is not None:
        kind = TableKind(
            command="predict",
            columns=COLUMNS,
            unit=predictor.unit,
            cutoff=predictor.cutoff,
            checkpoint=predictor.checkpoint.identity,
            solvers=predictor.solvers,
            settings={"estimator": options.estimator, "machine_factor": predictor.machine_factor},
            rows_per_instance=len(predictor.solvers),
            row_values={
                "cost_unit": predictor.unit,
                "checkpoint": predictor.checkpoint.config.label,
                "cutoff": float(predictor.cutoff),
            },
            solver_column=True,
        )
        return open_table(options.output, kind, resume=options.resume, overwrite=options.overwrite)
    if options.resume:
        raise ConfigError("--resume continues a file: name it with -o")
    kinds: dict[str, Callable[[], RowWriter]] = {
        "table": TableWriter,
        "csv": lambda: CsvWriter(StreamSink(sys.stdout), COLUMNS),
        "jsonl": lambda: JsonLinesWriter(StreamSink(sys.stdout), COLUMNS),
    }
    wanted = options.output_format
    if wanted == "auto":
        wanted = "table" if sys.stdout.isatty() else "jsonl"
    if wanted not in kinds:
        raise ConfigError(f"--format: found {wanted!r}; expected table, jsonl or csv")
    return OpenedTable(kinds[wanted](), {})


def run_predict(options: PredictOptions) -> int:
    """Predict what CNFs cost each solver: one row an instance and solver.

    Exit code 0: all predicted; 1: some files could not be read (their rows say why); 2: wrong usage.
    """
    names = expand_all(options.paths)
    check_outputs({"-o": options.output, "--phases": options.phases}, [*options.paths, *names])
    if options.phases is not None:
        check_phases(names, options.phases, options.overwrite)
    predictor = Predictor.from_checkpoint(
        options.checkpoint,
        unit=options.unit,
        solvers=options.solvers,
        cutoff=options.cutoff,
        device=options.device,
        start=options.estimator,
        machine_factor=None if options.machine_factor else 1.0,
    )
    for note in predictor.notes:
        print(f"satcost: {predictor.checkpoint.config.label}: {note}", file=sys.stderr)
    if note := predictor.cutoff_note():
        print(f"satcost: {note}", file=sys.stderr)
    table = _opened(options, predictor)
    writer, left = table.writer, table.left(names)
    failed = table.failed(names)
    try:
        with predictor, writer, ProgressLine(len(names), "files") as progress:
            progress.skip(len(names) - len(left))
            for prediction in predictor.predict_many(left, jobs=options.jobs):
                writer.write(prediction.rows())
                _tell(prediction, progress)
                failed += prediction.status == "error"
                progress.advance()
    except KeyboardInterrupt:
        return interrupted(options.output)
    if failed:
        print(f"{failed} of {len(names)} files could not be predicted; see the column error", file=sys.stderr)
    if options.phases is not None and not write_phases(names[0], options.phases):
        failed += 1
    return 1 if failed else 0


def _tell(prediction: Prediction, progress: ProgressLine) -> None:
    if prediction.status == "error":
        progress.message(f"satcost: {prediction.reason}")
    elif prediction.reason:
        progress.message(f"satcost: {prediction.path}: predicted by {prediction.source}, since {prediction.reason}")


app = command_app("predict", PredictOptions, run_predict)
