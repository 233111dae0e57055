"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.numbers import COUNT, MEBIBYTES, Commas

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="DIMACS files (plain, .gz, .bz2, .xz, .zst), directories, globs, @LIST (a file with one path a line), "
        "or - for a formula on standard input.",
    ),
]
Checkpoint = Annotated[
    str | None, typer.Option(help="Directory or name of a checkpoint [default: the one shipped with the package].")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
Estimator = Annotated[
    str | None,
    typer.Option(help="Start the chain of fallbacks at this estimator (gnn, forest, linear, tree_size, constant)."),
]
Objective = Annotated[str, typer.Option(help="What is minimised: expected-cost, par2, par10 or p-solved.")]
Unit = Annotated[str, typer.Option(help="Unit of the cost: conflicts or cpu_seconds.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", parser=COUNT, help="Files read and probed at a time.")]
Solvers = Annotated[
    list[str] | None, typer.Option(help="Comma-separated solvers [default: all of the checkpoint]."), Commas()
]
Cores = Annotated[int, typer.Option(parser=COUNT, help="Runs at a time.")]
Programs = Annotated[
    list[str] | None,
    typer.Option(
        "--program",
        metavar="SOLVER=COMMAND",
        help="Run a program in place of a solver of the checkpoint, such as 'cadical195=cadical {cnf}'; may be given "
        "several times.",
    ),
]
MemoryLimit = Annotated[int, typer.Option(parser=MEBIBYTES, help="Mebibytes of each run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the output of an interrupted call.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
TableFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Write rows to FILE.jsonl, .csv or .parquet instead of standard output."),
]
