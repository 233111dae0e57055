"""``satcost dataset``: look at, check, split and extend data sets; the work is imported when a command is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

dataset_app = typer.Typer(no_args_is_help=True, help="Look at, check and split data sets of measured costs.")

_DATASET = typer.Argument(metavar="DIR", help="Data set directory.")


@dataset_app.command("info")
def dataset_info(
    directory: Annotated[Path, _DATASET],
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
    histogram: Annotated[Optional[Path], typer.Option(help="Write the histogram of costs as a PNG.")] = None,  # noqa: UP045
) -> None:
    """Say what is in a data set: families, statuses, costs, duplicates, contradictions, single and virtual best."""
    from satcost_gnn.data.summary import info

    typer.echo(info(directory, as_json=json, histogram=histogram))


@dataset_app.command("check")
def dataset_check(
    directory: Annotated[Path, _DATASET],
    root: Annotated[Optional[Path], typer.Option(help="Also check the files under this directory.")] = None,  # noqa: UP045
) -> None:
    """Check a data set: sound tables, related instances on one side of a split. Exit code 1 if anything is wrong."""
    from satcost_gnn.data.summary import check

    problems = check(directory, root)
    for problem in problems:
        print(problem, file=sys.stderr)
    raise typer.Exit(1 if problems else 0)


@dataset_app.command("split")
def dataset_split(
    directory: Annotated[Path, _DATASET],
    seed: Annotated[int, typer.Option(help="Seed of the split; an existing split keeps its own.")] = 0,
) -> None:
    """Split a data set by instance and by family, or extend its splits: what is on a test side stays there."""
    from satcost_gnn.data.dataset import Dataset
    from satcost_gnn.data.splits import make_splits

    dataset = Dataset.open(directory)
    dataset.with_splits(make_splits(dataset.manifest, seed, previous=dataset.splits)).write()


@dataset_app.command("card")
def dataset_card(directory: Annotated[Path, _DATASET]) -> None:
    """Write CARD.md of a data set from its tables."""
    from satcost_gnn.data.card import write_card
    from satcost_gnn.data.dataset import Dataset

    write_card(Dataset.open(directory), directory / "CARD.md")


@dataset_app.command("import-runtimes")
def dataset_import_runtimes(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE...", help="CSV, perhaps compressed: hash and one column a solver, or long."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Data set directory; extended if it is there.")],
    index: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Instances to join by hash: INDEX.csv or a data set. By default those of the data set."),
    ] = None,
    copies: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Renamed copies (hash, copy_gbdhash). By default isomorphic.csv beside the table."),
    ] = None,
    splits: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Data set whose sides and folds hold for its instances and their relatives."),
    ] = None,
    track: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Track of tables without a column for it. By default told from the file name."),
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds that a run was given; twice as much is no answer.")] = 5000.0,
) -> None:
    """Turn published run times into labels: solvers with their edition, times censored as what they are.

    Rows that don't fit are named, counted and left out. Exit code 0: all imported; 1: a table has rows that are wrong;
    2: nothing could be imported.
    """
    from satcost_gnn.data.import_runtimes import import_runtimes

    report = import_runtimes(tables, output, index=index, copies=copies, splits=splits, track=track, limit_s=limit)
    for line in report.lines():
        print(line, file=sys.stderr)
    raise typer.Exit(1 if report.bad else 0)
