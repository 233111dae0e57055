"""``satcost collect``: from file names to a manifest and a table of runs."""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.inputs import expand, read_list
from satcost_gnn.cli.numbers import COUNT, FACTOR, MEBIBYTES, NATURAL, SECONDS, Commas
from satcost_gnn.cli.options import Address, OptionalJobs, Relaxed, chosen_cluster
from satcost_gnn.cli.options import Executor as ExecutorName
from satcost_gnn.data.collect import collect, plan
from satcost_gnn.data.dataset import MANIFEST_FILE, Dataset
from satcost_gnn.data.execution import CollectLimits, Executor, LocalExecutor
from satcost_gnn.data.instance_index import read_index
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.race import CAP_FACTOR, RaceRules
from satcost_gnn.data.schema import ManifestRow, Origin, Run, read_manifest, write_manifest
from satcost_gnn.errors import DatasetError, FormulaError
from satcost_gnn.formula.sources import FormulaFile, for_children, load
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, ReadLimits, is_regular
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_directory
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.external import is_definition, register_external


@dataclass(frozen=True)
class CollectOptions:
    """Options of the command."""

    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="DIMACS files, directories, globs or @LIST; or one INDEX.csv; or one data set directory, for more "
            "runs on its instances.",
        ),
    ]
    output: Annotated[Path, typer.Option("-o", "--output", help="Data set directory; made or continued.")]
    solvers: Annotated[
        list[str],
        typer.Option(
            help="Comma-separated solvers; see `satcost solvers`. A program of yours that reads DIMACS and prints `s` "
            "and `v` lines: NAME=COMMAND, where {cnf} stands for the file, {seed} for the seed, and {out} for a file "
            "that it writes its answer to as MiniSat does."
        ),
        Commas(),
    ] = field(default_factory=lambda: ["cadical195"])
    seeds: Annotated[
        list[int],
        typer.Option(help="Comma-separated seeds; 0 is the formula as it is."),
        Commas(NATURAL),
    ] = field(default_factory=lambda: [0])
    cpu_s: Annotated[float | None, typer.Option("--limit", parser=SECONDS, help="CPU seconds a run [default: 10].")] = (
        None
    )
    wall_s: Annotated[
        float | None,
        typer.Option("--wall", parser=SECONDS, help="Wall seconds a run [default: 20 x its CPU limit + 300]."),
    ] = None
    memory_mb: Annotated[int, typer.Option("--memory", parser=MEBIBYTES, help="Mebibytes a run.")] = 4096
    jobs: OptionalJobs = None
    root: Annotated[
        Path | None,
        typer.Option(help="What the manifest's paths are relative to [default: deepest directory with all inputs]."),
    ] = None
    instances: Annotated[
        Path | None,
        typer.Option(help="For a data set: file with one identity (gbdhash) a line; only these, in this order."),
    ] = None
    store: Annotated[Path, typer.Option(help="For a data set: where instances made from their recipes are kept.")] = (
        Path("cache/instances")
    )
    executor: ExecutorName = "local"
    address: Address = None
    more_solvers: Annotated[
        list[str] | None,
        typer.Option(
            "--solver",
            metavar="NAME=COMMAND",
            help="One more solver, such as 'kissat=kissat -q {cnf}'; may be given several times, commas may be in it.",
        ),
    ] = None
    race: Annotated[
        bool,
        typer.Option(
            "--race",
            help="On each instance the solvers in turn under rising CPU limits; who has answered is done, and the "
            "others get a multiple of the best time at most. Name the likely best solver first.",
        ),
    ] = False
    limits: Annotated[
        list[float] | None,
        typer.Option(metavar="SECONDS,...", help="With --race: the CPU limits [default: 10,30,100,300]."),
        Commas(SECONDS),
    ] = None
    scouts: Annotated[
        int | None,
        typer.Option(
            parser=COUNT,
            help="With --race: only so many of the solvers, the first ones, run before one has answered; the others "
            "come in under a multiple of its time [default: all].",
        ),
    ] = None
    factor: Annotated[
        float | None,
        typer.Option(
            "--times-best",
            metavar="4|16",
            parser=FACTOR,
            help="With --race: how many times the best time so far the others get. 16 costs more and biases a fit "
            "less [default: 4].",
        ),
    ] = None
    relaxed: Relaxed = False


def race_rules(options: CollectOptions) -> RaceRules | None:
    """Return the rules of a race from the options of the command, None for no race.

    Raises
    ------
    DatasetError
        If the options don't fit together, or the limits are no rising numbers.
    """
    if not options.race:
        for name, value in (
            ("--limits", options.limits),
            ("--scouts", options.scouts),
            ("--times-best", options.factor),
        ):
            if value is not None:
                raise DatasetError(f"{name} belongs to a race: expected --race with it, or --limit for one")
        return None
    if options.cpu_s is not None:
        raise DatasetError("--limit: a race has several limits: expected --limits SECONDS,... in its place")
    limits = tuple(options.limits) if options.limits is not None else RaceRules().limits_s
    return RaceRules(limits, options.scouts, options.factor if options.factor is not None else CAP_FACTOR)


def describe_child(file: FormulaFile) -> dict[str, Any]:
    """Read a file and return its identity and size; executed in a sandboxed child."""
    from satcost_gnn.formula.identity import identity

    try:
        formula = load(file)
    except FormulaError as error:
        return {"error": str(error)}
    found = identity(formula)
    return {
        "instance": found.gbdhash,
        "isohash": found.isohash,
        "n_vars": formula.n_vars,
        "n_clauses": formula.n_clauses,
        "bytes": len(formula.to_dimacs()),
        "warnings": formula.warnings,
    }


def _without_links(name: str) -> Path:
    """Return a file by the real path of the directory in which it was found; a link to a file keeps its own name."""
    # Not Path.resolve, which fails where links lead in a circle.
    return Path(os.path.realpath(Path(name).parent), Path(name).name)


def common_root(names: list[str]) -> Path:
    """Return the deepest directory in which all the files were found."""
    parents = [str(_without_links(name).parent) for name in names]
    return Path(os.path.commonpath(parents)) if parents else Path()


def _from_files(
    options: CollectOptions, known: dict[str, ManifestRow], stack: ExitStack
) -> tuple[list[tuple[ManifestRow, Path]], int]:
    """Identify the files that the arguments name; those that the manifest knows by path are not read again.

    What comes through a pipe is kept in a file without a name as long as the stack lasts; the manifest has no path.
    """
    by_path = {row.path: row for row in known.values() if row.path is not None}
    found: list[tuple[ManifestRow, Path]] = []
    bad = 0
    names = list(expand(options.paths))
    limits = ReadLimits(relaxed=options.relaxed)
    root = options.root or common_root([name for name in names if name != "-" and is_regular(name)])
    with Sandbox() as sandbox, ProgressLine(len(names), "files identified") as progress:
        for name in names:
            relative = (
                escaped(os.path.relpath(_without_links(name), os.path.realpath(root)))
                if name != "-" and is_regular(name)
                else None
            )
            row = by_path.get(relative) if relative is not None else None
            place = Path(name)
            if row is None:
                try:
                    file = stack.enter_context(for_children(name, limits, time.monotonic() + LONGEST_WAIT_S))
                except FormulaError as error:
                    log.warning(f"left out: {error}")
                    bad += 1
                    continue
                assert isinstance(file, FormulaFile)
                place = Path(file.path)
                outcome = sandbox.run(
                    "satcost_gnn.cli.collect:describe_child", {"file": file}, Limits(300, 600, 8 * options.memory_mb)
                )
                value: dict[str, Any] = outcome.value or {"error": f"{name}: {outcome.status} {outcome.detail}"}
                if "error" in value:
                    log.warning(f"left out: {value['error']}")
                    bad += 1
                    continue
                for warning in value.pop("warnings"):
                    log.warning(f"{file.name}: {warning}")
                family = escaped(Path(os.path.realpath(name)).parent.name) if relative is not None else "standard input"
                row = ManifestRow(family=family, path=relative, origin=Origin.REAL, **value)
            found.append((row, place))
            progress.advance()
    return found, bad


def _from_dataset(dataset: Dataset, options: CollectOptions) -> tuple[list[tuple[ManifestRow, Path]], int]:
    """Find the files of a data set's instances under the root, or make them again from their recipes."""
    names = [row.instance for row in dataset.manifest]
    if options.instances is not None:
        listed = read_list(options.instances, "a list of instances, one identity a line")
        names = [entry.split()[0] for _, entry in listed]
        unknown = next(((line, entry) for line, entry in listed if entry.split()[0] not in dataset.by_instance), None)
        if unknown:
            raise DatasetError(
                f"{options.instances}:{unknown[0]}: found {unknown[1].split()[0]!r}, which is no instance of "
                f"{dataset.directory}; expected one identity (gbdhash) a line"
            )
    missing: list[str] = []
    with ProgressLine(len(names), "instances found or made") as progress:

        def problem(text: str) -> None:
            missing.append(text)
            log.warning(f"left out: {text}")

        files = materialise(
            dataset, options.root, options.store, instances=names, on_step=progress.advance, on_problem=problem
        )
    return [(dataset.by_instance[name], files[name]) for name in names if name in files], len(missing)


def _executor(options: CollectOptions) -> Executor:
    cluster = chosen_cluster(options.executor, options.address, options.jobs)
    if cluster is None:
        return LocalExecutor(options.jobs or 1)
    from satcost_gnn.data.ray_executor import RayExecutor

    return RayExecutor(cluster)


def run_collect(options: CollectOptions) -> int:
    """Measure what instances cost: instances x solvers x seeds, resumable at any point.

    With --race, time goes to the solvers that are any good on an instance. What the directory holds counts, whatever
    its limits; more solvers and higher limits can be added later.

    Start the same command again to continue. Exit code 1 if some files were left out.
    """
    with ExitStack() as stack:
        return _collect(options, stack)


def _collect(options: CollectOptions, stack: ExitStack) -> int:
    check_directory("-o", options.output)
    executor = _executor(options)
    rules = race_rules(options)
    named = [*options.solvers, *(options.more_solvers or [])]
    # Before anything is read: a program that isn't there is told at once.
    solvers = [register_external(name) if is_definition(name) else name for name in named]
    manifest = options.output / "manifest.parquet"
    known = {row.instance: row for row in read_manifest(manifest)} if manifest.exists() else {}
    bad = 0
    first = Path(options.paths[0])
    from_dataset = len(options.paths) == 1 and (first / MANIFEST_FILE).exists()
    if options.instances is not None and not from_dataset:
        raise DatasetError("--instances: expected a data set directory as the only PATH")
    if from_dataset:
        instances, bad = _from_dataset(Dataset.open(first), options)
    elif len(options.paths) == 1 and options.paths[0].lower().endswith(".csv"):
        index = first
        root = options.root or index.parent
        instances = [(row, root / row.path) for row in read_index(index) if row.path is not None]
    else:
        instances, bad = _from_files(options, known, stack)
    for row, _ in instances:
        known.setdefault(row.instance, row)
    write_manifest(manifest, known.values())
    requests = list(plan(((row.instance, path) for row, path in instances), solvers, options.seeds))
    problems: list[str] = []
    racing = rules is not None
    steps = len(instances) * len(options.seeds) if racing else len(requests)
    limit_s = options.cpu_s or 10.0
    longest_s = limit_s if rules is None else rules.limits_s[-1] * len(solvers)
    with ProgressLine(
        steps, "instances raced" if racing else "runs", longest_s=longest_s, jobs=options.jobs or 1
    ) as bar:

        def step(run: Run | None) -> None:
            if run is None:
                bar.skip(1)
            else:
                bar.advance()

        def problem(text: str) -> None:
            problems.append(text)
            log.warning(text)

        limits = CollectLimits(limit_s, options.wall_s, options.memory_mb, options.relaxed)
        if isinstance(executor, LocalExecutor) and (here := limits.lowered()) != limits:
            log.warning(
                f"limits that were inherited (`ulimit`, a batch system) are lower and count: {here.cpu_s:g} CPU s, "
                f"{here.memory_mb} MiB"
            )
        try:
            runs = collect(
                requests,
                options.output,
                limits=limits,
                race=rules,
                executor=executor,
                on_progress=step,
                on_problem=problem,
            )
        except KeyboardInterrupt:
            log.warning(f"interrupted; to continue: {shlex.join(['satcost', *sys.argv[1:]])}")
            return 130
    log.info(f"{len(runs)} runs in {options.output / 'runs.parquet'}")
    collected = {row.instance for row, _ in instances}
    for instance, contradiction in Dataset(options.output, (), tuple(runs)).contradictions.items():
        if instance in collected:
            name = known[instance].path or "made from its recipe"
            log.warning(f"contradicting answers: {name}: {contradiction}")
    return 1 if bad or problems else 0


app = command_app("collect", CollectOptions, run_collect, {"--cpu": "--limit"})
