"""``satcost predict``: stream predictions of many files to a table, JSON lines, CSV or Parquet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.file_progress import file_progress, skip_done
from satcost_gnn.cli.inputs import expand_all
from satcost_gnn.cli.interruption import interrupted
from satcost_gnn.cli.listing import printed_table
from satcost_gnn.cli.messages import tell_about
from satcost_gnn.cli.numbers import COST, SECONDS, Commas
from satcost_gnn.cli.options import (
    TABLE_FORMATS,
    Address,
    Checkpoint,
    Device,
    Estimator,
    Executor,
    Gbd,
    Json,
    OptionalInputs,
    OptionalJobs,
    Overwrite,
    Query,
    Relaxed,
    Resume,
    Solvers,
    TableFile,
    TableFormat,
    Unit,
    chosen_cluster,
    chosen_format,
    plot_option,
)
from satcost_gnn.cli.prediction_text import PredictionText
from satcost_gnn.errors import ConfigError, FormulaError, OutputError, PhaseError
from satcost_gnn.features.early_budget import DEFAULT_LIMIT_S
from satcost_gnn.features.user_cache import UserCache
from satcost_gnn.formula.sources import FormulaFile, FormulaSource, UnreadableName, for_children
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, ReadLimits
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.runtime.pictures import check_panels, write_picture
from satcost_gnn.runtime.tables.resumable_table import OpenedTable, open_table
from satcost_gnn.runtime.tables.table_kind import TableKind
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.prediction_picture import prediction_figure
from satcost_gnn.serve.prediction_table import columns_for
from satcost_gnn.serve.predictor import Predictor

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster


@dataclass(frozen=True)
class PredictOptions:
    """Options of the command."""

    paths: OptionalInputs = field(default_factory=list)
    output: TableFile = None
    checkpoint: Checkpoint = None
    unit: Unit = "conflicts"
    cutoffs: Annotated[
        list[float] | None,
        typer.Option(
            "--cutoff",
            help="Budget for p_solved, in the cost unit, or several with commas between them, for a column each "
            "[default: the checkpoint's].",
        ),
        Commas(COST),
    ] = None
    limit: Annotated[
        float,
        typer.Option(
            parser=SECONDS,
            help="Seconds that you would give a solver; the early search takes about a hundredth of it.",
        ),
    ] = DEFAULT_LIMIT_S
    search: Annotated[
        bool,
        typer.Option(
            "--search/--no-search",
            help="Whether the start of a search is looked at. Without it a prediction takes milliseconds and is worse: "
            "it is from the formula's structure alone.",
        ),
    ] = True
    solvers: Solvers = None
    jobs: OptionalJobs = None
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
    plot: Annotated[
        Path | None, plot_option("how likely an answer is within each cost, with the limit, a panel for each file")
    ] = None
    relaxed: Relaxed = False
    gbd: Gbd = None
    query: Query = ""
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Keep what files have taken on this machine for the next time; `satcost cache info` says where.",
        ),
    ] = True
    executor: Executor = "local"
    address: Address = None


def _opened(options: PredictOptions, predictor: Predictor, cutoffs: Sequence[float]) -> OpenedTable:
    table_columns = columns_for(cutoffs)
    if options.output is not None:
        kind = TableKind(
            command="predict",
            columns=table_columns,
            unit=predictor.unit,
            cutoff=predictor.cutoff,
            checkpoint=predictor.checkpoint.identity,
            solvers=predictor.solvers,
            settings={
                "estimator": options.estimator,
                "machine_factor": predictor.machine_factor,
                "limit": options.limit,
                "search": options.search,
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
    form = chosen_format(options.output_format, options.as_json, TABLE_FORMATS)
    return printed_table(form, table_columns, PredictionText(cutoffs))


def run_predict(options: PredictOptions) -> int:
    """Predict what CNFs cost each solver: one row an instance and solver.

    Exit code 0: all predicted; 1: some files could not be read (their rows say why); 2: wrong usage.
    """
    known = _from_gbd(options.gbd, options.query) if options.gbd is not None else {}
    if options.query and options.gbd is None:
        raise ConfigError("--query: found no database to ask; name one with --gbd")
    if not options.paths and options.gbd is None:
        raise ConfigError("found no input; name files, directories, globs, @LIST or -, or a GBD database with --gbd")
    names = expand_all(options.paths) if options.paths else []
    names += [name for name in known if name not in set(names)]
    check_outputs(
        {"-o": options.output, "--phases": options.phases},
        [*options.paths, *names],
        pictures={"--plot": options.plot},
    )
    if options.plot is not None:
        check_panels("--plot", len(names))
        if options.resume:
            raise ConfigError("--plot draws what this call predicts: found --resume with it, expected one of them")
    if options.phases is not None:
        _check_phases(names, options.phases, options.overwrite)
    cluster = chosen_cluster(options.executor, options.address, options.jobs)
    predictor = Predictor.from_checkpoint(
        options.checkpoint,
        unit=options.unit,
        solvers=options.solvers,
        cutoff=options.cutoffs[0] if options.cutoffs else None,
        device=options.device,
        start=options.estimator,
        machine_factor=None if options.machine_factor else 1.0,
        relaxed=options.relaxed,
        limit_s=options.limit,
        search=options.search,
    )
    if options.cache:
        predictor.cache = UserCache.of_user(predictor.settings)
    tell_about(predictor)
    # The column of a single cutoff is p_solved.
    cutoffs = list(dict.fromkeys(options.cutoffs)) if options.cutoffs and len(options.cutoffs) > 1 else []
    if note := predictor.cutoff_note(max(options.cutoffs, default=None) if options.cutoffs else None):
        log.warning(note)
    table = _opened(options, predictor, cutoffs)
    writer, failed = table.writer, table.failed(names)
    left: list[FormulaSource] = [*table.left(names)]
    drawn: list[Prediction] = []
    with ExitStack() as stack:
        source: FormulaSource = names[0]
        try:
            with predictor, writer, file_progress(names, predictor.settings.searches_s, options.jobs or 1) as progress:
                skip_done(progress, names, left)
                if options.phases is not None:
                    # A pipe can be read once only, and is wanted for the phases, too.
                    source = _read_twice(names[0], options.relaxed, stack)
                    left = [source for _ in left]
                for prediction in _predictions(predictor, left, options.jobs, cluster):
                    writer.write(prediction.rows(cutoffs))
                    _tell(prediction)
                    _compare(prediction, known)
                    failed += prediction.status == "error"
                    if options.plot is not None:
                        drawn.append(prediction)
                    progress.advance(name=prediction.path)
        except KeyboardInterrupt:
            return interrupted(options.output)
        if options.plot is not None:
            _draw(drawn, names, options, predictor.cutoff)
        if failed:
            log.warning(f"{failed} of {len(names)} files could not be predicted; see the column error")
        if options.phases is not None and not _write_phases(source, options.phases):
            failed += 1
        return 1 if failed else 0


def _draw(predictions: list[Prediction], names: Sequence[str], options: PredictOptions, cutoff: float) -> None:
    """Draw predictions in the order of their names, with the budgets that were asked for marked."""
    assert options.plot is not None
    limits = [*(options.cutoffs or [cutoff])]
    if options.unit == "cpu_seconds":
        limits.append(options.limit)
    place = {name: k for k, name in enumerate(names)}
    predictions.sort(key=lambda one: place.get(one.path, len(place)))
    write_picture(prediction_figure(predictions, sorted(set(limits))), options.plot)


def _predictions(
    predictor: Predictor, sources: Sequence[FormulaSource], jobs: int | None, cluster: RayCluster | None
) -> Iterator[Prediction]:
    if cluster is None:
        return predictor.predict_many(sources, jobs=jobs or 1)
    from satcost_gnn.features.ray_preprocessing import preprocess_on_cluster

    # Other machines' seconds are not kept with this one's.
    return predictor.predict_ready(preprocess_on_cluster(enumerate(sources), predictor.settings, cluster))


def _tell(prediction: Prediction) -> None:
    times = ", ".join(f"{stage} {seconds:.3g} s" for stage, seconds in prediction.timings.items())
    log.debug(f"{prediction.path}: {prediction.status} by {prediction.source or 'nothing'}; {times}")
    if prediction.status == "error":
        log.warning(prediction.reason)
    elif prediction.reason:
        log.warning(f"{prediction.path}: predicted by {prediction.source}, since {prediction.reason}")


def _compare(prediction: Prediction, known: Mapping[str, str]) -> None:
    """Say if a file is another formula than the GBD database says."""
    expected = known.get(prediction.path, prediction.gbdhash)
    if prediction.gbdhash and prediction.gbdhash != expected:
        log.warning(f"{prediction.path}: found the formula {prediction.gbdhash}, the GBD database says {expected}")


def _from_gbd(databases: str, query: str) -> dict[str, str]:
    """Return the files that a query selects in GBD databases (paths with colons between them), and the hash of each.

    An instance without a path on this machine gets a name that says so, and with it a row of its own.
    """
    from satcost_gnn.data.gbd import LOCAL, database_paths, find_instances

    paths = database_paths(databases)
    if not paths:
        raise ConfigError(f"--gbd: found {databases!r}; expected a GBD database, or several with colons between them")
    found = find_instances(paths, query)
    if not found:
        raise ConfigError(f"--query: found no instance for {query!r} in {databases}; ask for others")
    names: dict[str, str] = {}
    absent = 0
    for instance in found:
        path = instance.path
        if path is None:
            absent += 1
            reason = f"the database has no path of this instance; `gbd init local DIRECTORY` writes the feature {LOCAL}"
            names[UnreadableName(instance.gbdhash, f"{instance.gbdhash}: {reason}")] = instance.gbdhash
        else:
            names[path] = instance.gbdhash
    if absent:
        log.warning(f"{absent} of {len(found)} instances have no path (feature {LOCAL})")
    return names


def _check_phases(names: Sequence[str], out: Path, overwrite: bool) -> None:
    """Refuse what phases can't be written for, before anything is computed."""
    if len(names) != 1 or names[0] == "-":
        found = "standard input" if list(names) == ["-"] else f"{len(names)} files"
        raise ConfigError(f"--phases: found {found}; expected one file, whose phases go to {out}")
    if out.is_file() and not overwrite:
        raise OutputError(f"--phases: {out} exists; name another file, or replace it with --overwrite")


def _read_twice(name: str, relaxed: bool, stack: ExitStack) -> FormulaFile | UnreadableName:
    """Return a file that can be read more than once, as long as the stack lasts, also of a pipe."""
    try:
        file = stack.enter_context(for_children(name, ReadLimits(relaxed=relaxed), time.monotonic() + LONGEST_WAIT_S))
    except FormulaError as error:
        return UnreadableName(name, str(error))
    assert isinstance(file, FormulaFile)
    return file


def _write_phases(source: FormulaSource, out: Path) -> bool:
    """Predict the phases of a formula and write them; return whether that went well, else say on stderr what didn't."""
    from satcost_gnn.serve.phases import PhasePredictor

    try:
        with PhasePredictor.from_checkpoint() as predictor:
            phases = predictor.predict(source)
        phases.write(out)
    except (PhaseError, OutputError) as error:
        log.warning(f"--phases: {error}")
        return False
    log.info(f"phases of {len(phases.variables)} variables by {phases.label} in {out}")
    return True


app = command_app("predict", PredictOptions, run_predict)
