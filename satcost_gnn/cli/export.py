"""``satcost export``: predictions and features by hash, for GBD or as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.interruption import interrupted
from satcost_gnn.cli.numbers import Commas
from satcost_gnn.cli.options import Jobs, Overwrite
from satcost_gnn.data.gbd import feature_name, write_features
from satcost_gnn.errors import ConfigError, OutputError
from satcost_gnn.features.preprocessing import preprocess_many
from satcost_gnn.features.spec import FeatureSpec, PreprocessLimits, PreprocessSettings
from satcost_gnn.runtime.file_names import unescaped
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs, write_text
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.tables.row_reading import read_rows
from satcost_gnn.serve.prediction_table import COLUMNS

_VALUES = tuple(name for name, (kind, _) in COLUMNS.items() if kind is float)


@dataclass(frozen=True)
class ExportOptions:
    """Options of the command."""

    tables: Annotated[
        list[Path], typer.Argument(metavar="TABLE...", help="Tables of `satcost predict -o`: .csv, .jsonl or .parquet.")
    ]
    gbd: Annotated[
        Path | None,
        typer.Option("--gbd", metavar="DB", help="Write features into this GBD database (SQLite); made or added to."),
    ] = None
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.csv", help="Write a CSV with a column hash.")
    ] = None
    columns: Annotated[
        list[str],
        typer.Option(help="Comma-separated columns of the table, each of which becomes a feature for each solver."),
        Commas(),
    ] = field(default_factory=lambda: ["q05", "q50", "q95", "p_solved"])
    prefix: Annotated[str, typer.Option(help="What the features' names begin with.")] = "satcost"
    features: Annotated[
        bool, typer.Option("--features", help="Also the static features of the files that the tables name.")
    ] = False
    jobs: Jobs = 1
    overwrite: Overwrite = False


def _value(value: Any) -> str | None:
    """Return the text of a value; None for one that is unknown."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def exported(rows: Iterator[Mapping[str, Any]], columns: list[str], prefix: str) -> dict[str, dict[str, str]]:
    """Return hash -> feature -> value of rows of predictions; rows of files that could not be read are left out."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["status"] == "error" or not row["gbdhash"]:
            continue
        known = found.setdefault(row["gbdhash"], {})
        if row["result"]:
            known[feature_name(prefix, "result")] = row["result"].lower()
        for column in columns:
            value = _value(row[column])
            if value is not None:
                known[feature_name(prefix, row["solver"], row["cost_unit"], column)] = value
    return found


def _add_features(found: dict[str, dict[str, str]], files: Mapping[str, str], jobs: int, prefix: str) -> int:
    """Add the static features of files by hash; return how many could not be read."""
    settings = PreprocessSettings(FeatureSpec.structure(), PreprocessLimits(graph_size_limit=0))
    failed = 0
    with ProgressLine(len(files), "files", first="reading") as progress:
        for item in preprocess_many(((one, path) for one, path in files.items()), settings, jobs=jobs):
            if item is None:
                continue
            one, preprocessed = item
            instance = preprocessed.instance
            progress.advance()
            if instance is None:
                failed += 1
                log.warning(f"{preprocessed.error}")
                continue
            if instance.gbdhash != one:
                failed += 1
                log.warning(f"{files[one]}: found the formula {instance.gbdhash}, expected {one}; predict it again")
                continue
            for name, number in zip(instance.static.names, instance.static.values.tolist(), strict=True):
                value = _value(number)
                if value is not None:
                    found[one][feature_name(prefix, name)] = value
    return failed


def _csv(found: Mapping[str, Mapping[str, str]]) -> str:
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["hash", *names])
    writer.writerows([one, *(row.get(name, "") for name in names)] for one, row in found.items())
    return text.getvalue()


def run_export(options: ExportOptions) -> int:
    """Write predictions as features by hash: into a GBD database, or as CSV.

    Exit code 0: all written; 1: with --features, some files could not be read; 2: wrong usage.
    """
    if options.gbd is None and options.output is None:
        raise ConfigError("found no output; name a database with --gbd or a CSV with -o")
    if wrong := [name for name in options.columns if name not in _VALUES]:
        raise ConfigError(f"--columns: found {wrong[0]!r}; expected some of {', '.join(_VALUES)}")
    check_outputs({"--gbd": options.gbd, "-o": options.output}, list(map(str, options.tables)))
    if options.output is not None and options.output.exists() and not options.overwrite:
        raise OutputError(f"{options.output} exists; add --overwrite to replace it")
    files: dict[str, str] = {}
    found: dict[str, dict[str, str]] = {}
    for table in options.tables:
        rows = list(read_rows(table, COLUMNS))
        for one, values in exported(iter(rows), options.columns, options.prefix).items():
            found.setdefault(one, {}).update(values)
        files |= {row["gbdhash"]: unescaped(row["path"]) for row in rows if row["gbdhash"]}
    failed = 0
    if options.features:
        try:
            failed = _add_features(found, files, options.jobs, options.prefix)
        except KeyboardInterrupt:
            return interrupted(None)
    if options.gbd is not None:
        write_features(options.gbd, found, overwrite=options.overwrite)
    if options.output is not None:
        write_text(options.output, _csv(found))
    names = {name for row in found.values() for name in row}
    log.info(f"{len(names)} features of {len(found)} instances")
    return 1 if failed else 0


app = command_app("export", ExportOptions, run_export)
