"""Options that several commands share, each declared once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satcost_gnn.cli.numbers import COUNT, MEBIBYTES, Commas
from satcost_gnn.errors import ConfigError, ExecutorError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.progress import is_terminal

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster

_INPUTS = typer.Argument(
    metavar="PATH...",
    help="DIMACS files (plain, .gz, .bz2, .xz, .zst), directories, globs, @LIST (a file with one path a line), "
    "or - for a formula on standard input.",
)
Inputs = Annotated[list[str], _INPUTS]
#: Of commands that can be told their inputs otherwise, too.
OptionalInputs = Annotated[list[str], _INPUTS]
Gbd = Annotated[
    str | None,
    typer.Option(
        "--gbd",
        metavar="DB[:DB...]",
        help="Also the instances of these GBD databases (SQLite, or CSV with a column hash).",
    ),
]
Query = Annotated[
    str, typer.Option("--query", help="With --gbd: which instances, in GBD's language, such as 'family = crypto'.")
]
Relaxed = Annotated[
    bool,
    typer.Option(
        "--relaxed", help="Read files with fewer clauses than their header announces; a warning says which they are."
    ),
]
Checkpoint = Annotated[
    str | None, typer.Option(help="Directory or name of a checkpoint [default: the one shipped with the package].")
]
Device = Annotated[str, typer.Option(help="Where the network runs: auto, cpu, cuda, cuda:1 …")]
Estimator = Annotated[
    str | None,
    typer.Option(
        help="Start at this estimator: ensemble, gnn, forest, linear, tree_size or constant [default: the checkpoint's "
        "first]."
    ),
]
Objective = Annotated[str, typer.Option(help="What is minimised: expected-cost, par2, par10 or p-solved.")]
Unit = Annotated[str, typer.Option(help="Unit of the cost: conflicts or cpu_seconds.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", parser=COUNT, help="Files read and probed at a time.")]
OptionalJobs = Annotated[
    int | None,
    typer.Option(
        "-j", "--jobs", parser=COUNT, help="How many at a time [default: 1; with ray, what the cluster can take]."
    ),
]
Executor = Annotated[
    str, typer.Option(help="Where files are worked on: local, or ray for a Ray cluster (needs the extra `ray`).")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="With ray: of the cluster [default: RAY_ADDRESS; without it, a Ray on this machine only].",
    ),
]
Solvers = Annotated[
    list[str] | None, typer.Option(help="Comma-separated solvers [default: all of the checkpoint]."), Commas()
]
OptionalCores = Annotated[
    int | None,
    typer.Option("--cores", parser=COUNT, help="Runs at a time [default: 1; with ray, what the cluster can take]."),
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
Memory = Annotated[int, typer.Option(parser=MEBIBYTES, help="Mebibytes of each run.")]
Format = Annotated[str, typer.Option("--format", help="On standard output: text, or json with one object a line.")]
TableFormat = Annotated[
    str, typer.Option("--format", help="On standard output: text, json or csv [auto: text on a terminal, else json].")
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting instead of the configuration's, such as loss.crps_weight=1; may be given several times.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the output of an interrupted call.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


def plot_option(what: str) -> Any:
    """Return the option that names the file of a picture of something."""
    return typer.Option(
        "--plot", metavar="FILE", help=f"Also draw {what}, as FILE.svg, .png or .pdf; a file of that name is replaced."
    )


TableFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Write rows to FILE.jsonl, .csv or .parquet instead of standard output."),
]


def chosen_cluster(executor: str, address: str | None, jobs: int | None) -> RayCluster | None:
    """Return the Ray cluster that the options ask for, None for this machine.

    Raises
    ------
    ExecutorError
        If there is no such executor, Ray isn't installed, or an address is given without it.
    """
    if executor == "ray":
        from satcost_gnn.runtime.ray_cluster import RayCluster, import_ray

        import_ray()
        return RayCluster(address, jobs)
    if executor != "local":
        raise ExecutorError(f"found --executor {executor}, expected local or ray")
    if address is not None:
        raise ExecutorError("--address is that of a Ray cluster: expected --executor ray with it")
    return None


#: What formats were called before -> what they are called.
_OLD_FORMATS = {"table": "text", "jsonl": "json"}
FORMATS = ("text", "json")
TABLE_FORMATS = ("text", "json", "csv")


def chosen_format(output_format: str, as_json: bool, formats: tuple[str, ...] = FORMATS) -> str:
    """Return the format of standard output that the options ask for.

    Parameters
    ----------
    output_format
        As given by ``--format``; ``auto`` for text on a terminal and JSON elsewhere.
    as_json
        Whether ``--json`` was given.
    formats
        Those that the command knows.

    Raises
    ------
    ConfigError
        If it knows none of this name, or the two options contradict each other.
    """
    name = _OLD_FORMATS.get(output_format, output_format)
    if name != output_format:
        log.warning(f"--format {output_format} is now called {name}; the old name will go")
    if as_json:
        if name not in ("text", "auto", "json"):
            raise ConfigError(f"found both --json and --format {name}; expected one of them")
        return "json"
    if name == "auto":
        return "text" if is_terminal(sys.stdout) else "json"
    if name not in formats:
        raise ConfigError(f"--format: found {output_format!r}; expected {', '.join(formats[:-1])} or {formats[-1]}")
    return name
