"""``satcost dataset``: look at, check and split data sets of measured costs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import add_command, new_app
from satcost_gnn.cli.export_aslib import ExportAslibOptions, run_export_aslib
from satcost_gnn.cli.listing import print_rows
from satcost_gnn.cli.numbers import NATURAL, SECONDS
from satcost_gnn.cli.options import Format, Json, chosen_format, plot_option
from satcost_gnn.cli.terminal import columns
from satcost_gnn.data.card import write_card
from satcost_gnn.data.dataset import MANIFEST_FILE, Dataset
from satcost_gnn.data.import_runtimes import import_runtimes
from satcost_gnn.data.joining import follow_splits
from satcost_gnn.data.source_speed import source_speeds, speed_rows, write_speeds
from satcost_gnn.data.splits import EXCLUDED, SIDES, make_splits
from satcost_gnn.data.summary import check, summarise
from satcost_gnn.data.summary_picture import summary_figure
from satcost_gnn.data.summary_text import summary_text
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.runtime.pictures import write_picture

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Data set directory.")]


@dataclass(frozen=True)
class InfoOptions:
    """Options of ``satcost dataset info``."""

    directory: Directory
    output_format: Format = "text"
    as_json: Json = False
    plot: Annotated[Path | None, plot_option("how costs are spread, and what each solver answers within a time")] = None


@dataclass(frozen=True)
class CheckOptions:
    """Options of ``satcost dataset check``."""

    directory: Directory
    root: Annotated[Path | None, typer.Option(help="Also check the files under this directory.")] = None
    output_format: Format = "text"
    as_json: Json = False


@dataclass(frozen=True)
class SplitOptions:
    """Options of ``satcost dataset split``."""

    directory: Directory
    seed: Annotated[int, typer.Option(parser=NATURAL, help="Seed of the split; an existing split keeps its own.")] = 0
    like: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Data set whose sides and folds hold for its instances and their relatives."),
    ] = None


@dataclass(frozen=True)
class CardOptions:
    """Options of ``satcost dataset card``."""

    directory: Directory


@dataclass(frozen=True)
class ImportOptions:
    """Options of ``satcost dataset import-runtimes``."""

    tables: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE...", help="CSV, perhaps compressed: hash and one column a solver, or long."),
    ]
    output: Annotated[Path, typer.Option("-o", "--output", help="Data set directory; extended if it is there.")]
    index: Annotated[
        Path | None,
        typer.Option(help="Instances to join by hash: INDEX.csv or a data set [default: those of the data set]."),
    ] = None
    copies: Annotated[
        Path | None,
        typer.Option(help="Renamed copies (hash, copy_gbdhash) [default: isomorphic.csv beside the table]."),
    ] = None
    splits: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Data set whose sides and folds hold for its instances and their relatives."),
    ] = None
    track: Annotated[
        str | None, typer.Option(help="Track of tables without a column for it [default: told from the file name].")
    ] = None
    limit: Annotated[
        float, typer.Option(parser=SECONDS, help="Seconds that a run was given; twice as much is no answer.")
    ] = 5000.0


@dataclass(frozen=True)
class SpeedOptions:
    """Options of ``satcost dataset source-speed``."""

    directory: Directory
    own: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Data set with further runs of our own; may be given several times."),
    ] = None
    output_format: Format = "text"
    as_json: Json = False


def run_info(options: InfoOptions) -> int:
    """Say what is in a data set: families, statuses, costs, duplicates, contradictions, single and virtual best."""
    if options.plot is not None:
        files = [path for path in options.directory.glob("*") if path.is_file()]
        check_outputs({}, files, pictures={"--plot": options.plot})
    dataset = Dataset.open(options.directory)
    summary = summarise(dataset)
    if options.plot is not None:
        if summary.histogram is None:
            raise DatasetError(f"{options.directory}: found no runs, expected some to draw; collect them first")
        write_picture(summary_figure(dataset, summary.histogram), options.plot)
    if chosen_format(options.output_format, options.as_json) == "json":
        print(json.dumps(asdict(summary), indent=2))
    else:
        print("\n".join(summary_text(summary, columns())))
    return 0


def run_check(options: CheckOptions) -> int:
    """Check a data set: sound tables, related instances on one side of a split. Exit code 1 if anything is wrong."""
    if not (options.directory / MANIFEST_FILE).exists():
        # Nothing to check: wrong usage, not a data set with something wrong.
        Dataset.open(options.directory)
    problems = check(options.directory, options.root)
    if chosen_format(options.output_format, options.as_json) == "json":
        print(json.dumps({"problems": problems}))
    else:
        for problem in problems:
            log.warning(problem)
        if not problems:
            log.info(f"{options.directory}: no problem found")
    return 1 if problems else 0


def run_split(options: SplitOptions) -> int:
    """Split a data set by instance and by family, or extend its splits: what is on a test side stays there."""
    dataset = Dataset.open(options.directory)
    if options.like is not None:
        splits = follow_splits(dataset.manifest, Dataset.open(options.like), dataset.splits)
    else:
        splits = make_splits(dataset.manifest, options.seed, previous=dataset.splits)
    replace(dataset, splits=splits).write()
    sides = Counter(splits.side[row.instance] for row in dataset.manifest)
    told = ", ".join(f"{side} {sides[side]}" for side in (*SIDES, EXCLUDED) if sides[side] or side != EXCLUDED)
    log.info(f"instances: {told}; blocks of families: {len(splits.blocks)}, in {splits.n_folds} folds")
    return 0


def run_card(options: CardOptions) -> int:
    """Write CARD.md of a data set from its tables."""
    write_card(Dataset.open(options.directory), options.directory / "CARD.md")
    return 0


def run_import(options: ImportOptions) -> int:
    """Turn published run times into labels: solvers with their edition, times censored as what they are.

    Rows that don't fit are named, counted and left out. Exit code 0: all imported; 1: a table has rows that are wrong;
    2: nothing could be imported.
    """
    report = import_runtimes(
        options.tables,
        options.output,
        index=options.index,
        copies=options.copies,
        splits=options.splits,
        track=options.track,
        limit_s=options.limit,
    )
    for line in report.lines():
        log.warning(line)
    return 1 if report.bad else 0


def run_speed(options: SpeedOptions) -> int:
    """Estimate how fast the machines of published runs were, from solvers of one generation that ran on both.

    Writes sources.json into the data set; `satcost dataset card` shows it.
    """
    speeds = source_speeds(Dataset.open(options.directory), [Dataset.open(path) for path in options.own or ()])
    write_speeds(options.directory, speeds)
    head, rows = speed_rows(speeds)
    form = chosen_format(options.output_format, options.as_json)
    print_rows((dict(zip(head, row, strict=True)) for row in rows), form)
    return 0


app = new_app(no_args_is_help=True, help="Look at, check and split data sets of measured costs.")
add_command(app, "info", InfoOptions, run_info, {"--histogram": "--plot"})
add_command(app, "check", CheckOptions, run_check)
add_command(app, "split", SplitOptions, run_split)
add_command(app, "card", CardOptions, run_card)
add_command(app, "import-runtimes", ImportOptions, run_import)
add_command(app, "source-speed", SpeedOptions, run_speed)
add_command(app, "export-aslib", ExportAslibOptions, run_export_aslib)
