"""``satcost predict``: stream predictions of many files to a table, JSON lines, CSV or Parquet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.inputs import expand_all
from satcost_gnn.cli.interruption import interrupted
from satcost_gnn.cli.numbers import COST, SECONDS
from satcost_gnn.cli.options import (
    TABLE_FORMATS,
    Checkpoint,
    Device,
    Estimator,
    Inputs,
    Jobs,
    Json,
    Overwrite,
    Relaxed,
    Resume,
    Solvers,
    TableFile,
    TableFormat,
    Unit,
    chosen_format,
)
from satcost_gnn.cli.phases import check_phases, read_twice, write_phases
from satcost_gnn.cli.terminal import columns, end_of, shortened, wrapped
from satcost_gnn.core.cost_text import cost_text, interval_text, number_text, probability_text
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.early_budget import DEFAULT_LIMIT_S
from satcost_gnn.formula.sources import FormulaSource
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.tables.resumable_table import OpenedTable, open_table
from satcost_gnn.runtime.tables.row_writers import CsvWriter, JsonLinesWriter, Row, RowWriter, StreamSink
from satcost_gnn.runtime.tables.table_kind import TableKind
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.prediction_table import COLUMNS
from satcost_gnn.serve.predictor import Predictor


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
    limit: Annotated[
        float,
        typer.Option(
            parser=SECONDS,
            help="Seconds that you would give a solver; the early search takes about a hundredth of it.",
        ),
    ] = DEFAULT_LIMIT_S
    solvers: Solvers = None
    jobs: Jobs = 1
    device: Device = "auto"
    estimator: Estimator = None
    resume: Resume = False
    overwrite: Overwrite = False
    output_format: TableFormat = "auto"
    as_json: Json = False
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
    relaxed: Relaxed = False


class TableWriter(RowWriter):
    """Aligned columns for reading on a terminal; widths are fixed so that rows can be shown as they come."""

    #: Columns without that of the file, and which of them only a wide terminal shows.
    _COLUMNS = (("solver", 12), ("median", 9), ("50 % interval", 20), ("90 % interval", 20), ("P(solved)", 9))
    _WIDE = "50 % interval"
    _SOURCE = 9

    def __init__(self) -> None:
        self._started = False
        self._width = columns()
        least = 12 + sum(width + 1 for _, width in self._COLUMNS) + self._SOURCE + 1
        self._shown = [one for one in self._COLUMNS if self._width >= least or one[0] != self._WIDE]
        taken = sum(width + 1 for _, width in self._shown) + self._SOURCE + 1
        self._file = min(max(self._width - taken, 8), 32)

    def _line(self, name: str, cells: dict[str, str], source: str) -> str:
        line = f"{end_of(name, self._file):{self._file}}"
        for column, width in self._shown:
            text = shortened(cells[column], width)
            line += " " + (text.ljust(width) if column == "solver" else text.rjust(width))
        return f"{line} {source}".rstrip()

    def write(self, rows: Iterable[Row]) -> None:
        """Print the rows of one instance."""
        for position, row in enumerate(rows):
            if not self._started:
                within = f"; P(solved) within {number_text(row['cutoff'])} of them" if row["cutoff"] else ""
                print(f"costs in {row['cost_unit']}{within}")
                print(self._line("file", {name: name for name, _ in self._COLUMNS}, "source"))
                self._started = True
            name = escaped(Path(row["path"]).name) if position == 0 else ""
            if row["status"] == "error":
                print(wrapped(f"{end_of(name, self._file)} {row['error']}", ""))
                continue
            bound = row["known_up_to"]
            least = None if row["p_above"] is None else 1.0 - row["p_above"]
            cells = {
                "solver": row["solver"],
                "median": cost_text(row["q50"], bound),
                "50 % interval": interval_text(row["q25"], row["q75"], bound),
                "90 % interval": interval_text(row["q05"], row["q95"], bound),
                "P(solved)": probability_text(row["p_solved"], least),
            }
            print(self._line(name, cells, row["source"]))
            if position == 0 and row["result"]:
                print(f"  {row['result']}")
            if position == 0 and row["in_distribution"] is False:
                print("  unlike the training data: trust the numbers less")
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
            settings={
                "estimator": options.estimator,
                "machine_factor": predictor.machine_factor,
                "limit": options.limit,
            },
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
        "text": TableWriter,
        "csv": lambda: CsvWriter(StreamSink(sys.stdout), COLUMNS),
        "json": lambda: JsonLinesWriter(StreamSink(sys.stdout), COLUMNS),
    }
    return OpenedTable(kinds[chosen_format(options.output_format, options.as_json, TABLE_FORMATS)](), {})


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
        relaxed=options.relaxed,
        limit_s=options.limit,
    )
    for note in predictor.notes:
        print(f"satcost: {predictor.checkpoint.config.label}: {note}", file=sys.stderr)
    if note := predictor.cutoff_note():
        print(f"satcost: {note}", file=sys.stderr)
    table = _opened(options, predictor)
    writer, failed = table.writer, table.failed(names)
    left: list[FormulaSource] = [*table.left(names)]
    with ExitStack() as stack:
        source: FormulaSource = names[0]
        try:
            with predictor, writer, ProgressLine(len(names), "files", first="loading and probing") as progress:
                progress.skip(len(names) - len(left))
                if options.phases is not None:
                    # A pipe can be read once only, and is wanted for the phases, too.
                    source = read_twice(names[0], options.relaxed, stack)
                    left = [source for _ in left]
                predictor.on_warning = lambda path, warning: progress.message(f"satcost: {path}: {warning}")
                for prediction in predictor.predict_many(left, jobs=options.jobs):
                    writer.write(prediction.rows())
                    _tell(prediction, progress)
                    failed += prediction.status == "error"
                    progress.advance()
        except KeyboardInterrupt:
            return interrupted(options.output)
        if failed:
            print(f"{failed} of {len(names)} files could not be predicted; see the column error", file=sys.stderr)
        if options.phases is not None and not write_phases(source, options.phases):
            failed += 1
        return 1 if failed else 0


def _tell(prediction: Prediction, progress: ProgressLine) -> None:
    if prediction.status == "error":
        progress.message(f"satcost: {prediction.reason}")
    elif prediction.reason:
        progress.message(f"satcost: {prediction.path}: predicted by {prediction.source}, since {prediction.reason}")


app = command_app("predict", PredictOptions, run_predict)
