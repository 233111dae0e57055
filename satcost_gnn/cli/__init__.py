"""The command line: options here, the work in one module a command, imported when it is called.

``satcost --help`` must stay fast: nothing at the top of this module loads numpy, torch or a solver.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
import typer.core

from satcost_gnn.cli.dataset import dataset_app

app = typer.Typer(
    name="satcost",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="How long will this SAT instance take, and which solver should I run?",
)


def _version(wanted: bool) -> None:
    if wanted:
        from satcost_gnn import __version__

        typer.echo(f"satcost {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="DIMACS files (plain, .gz, .bz2, .xz, .zst), directories, globs, @LIST (a file with one path a line), "
            "or - for a formula on standard input.",
        ),
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Write rows to FILE.jsonl, .csv or .parquet instead of standard output."),
    ] = None,
    checkpoint: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Directory or name of a checkpoint [default: the one shipped with the package]."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the cost: conflicts or cpu_seconds.")] = "conflicts",
    cutoff: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Budget for p_solved, in the cost unit [default: the checkpoint's]."),
    ] = None,
    solvers: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Comma-separated solvers to report [default: all of the checkpoint]."),
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Files read and probed at a time.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    estimator: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Start the chain of fallbacks at this estimator (gnn, forest, linear, tree_size, constant)."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the output of an interrupted call.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    output_format: Annotated[
        str, typer.Option("--format", help="On standard output: table, jsonl or csv [auto: table on a terminal].")
    ] = "auto",
    machine_factor: Annotated[
        bool,
        typer.Option(
            "--machine-factor/--no-machine-factor",
            help="Convert seconds to this machine's, if `satcost calibrate-machine` has been run.",
        ),
    ] = True,
    phases: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="Also write a value for each variable, for a solver to try first: lines of signed numbers, or with "
            "probabilities if FILE ends in .csv; for one formula. See docs/phases.md for what it is worth.",
        ),
    ] = None,
) -> None:
    """Predict what CNFs cost each solver: one row an instance and solver.

    Exit code 0: all predicted; 1: some files could not be read (their rows say why); 2: wrong usage.
    """
    from satcost_gnn.cli.predict import PredictOptions, run_predict

    options = PredictOptions(
        paths=paths,
        output=output,
        checkpoint=checkpoint,
        unit=unit,
        cutoff=cutoff,
        solvers=solvers.split(",") if solvers else None,
        jobs=jobs,
        device=device,
        estimator=estimator,
        resume=resume,
        overwrite=overwrite,
        output_format=output_format,
        machine_factor=machine_factor,
        phases=phases,
    )
    raise typer.Exit(run_predict(options))


_OBJECTIVE = typer.Option(help="What is minimised: expected-cost, par2, par10 or p-solved.")
_CHECKPOINT = typer.Option(help="Directory or name of a checkpoint [default: the one shipped with the package].")


@app.command()
def select(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="DIMACS files, directories, globs, @LIST, or - for standard input."),
    ],
    objective: Annotated[str, _OBJECTIVE] = "par2",
    cutoff: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="CPU seconds for everything, overhead included [default: the checkpoint's]."),
    ] = None,
    solvers: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Comma-separated solvers to choose from [default: all of the checkpoint]."),
    ] = None,
    risk: Annotated[
        float, typer.Option(help="Standard deviations added to the objective: more prefers the more certain solver.")
    ] = 0.0,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Files read and probed at a time.")] = 1,
    checkpoint: Annotated[Optional[str], _CHECKPOINT] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    estimator: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Start the chain of fallbacks at this estimator."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line; see docs/portfolio.md.")] = False,
) -> None:
    """Choose the solver to run on each CNF, with the ranking and the reason.

    Exit code 0: all decided; 1: some files could not be read; 2: wrong usage.
    """
    from satcost_gnn.cli.select import SelectOptions, run_select

    options = SelectOptions(
        paths=paths,
        checkpoint=checkpoint,
        objective=objective,
        cutoff=cutoff,
        solvers=solvers.split(",") if solvers else None,
        risk=risk,
        jobs=jobs,
        device=device,
        estimator=estimator,
        as_json=json,
    )
    raise typer.Exit(run_select(options))


@app.command()
def explain(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="DIMACS files, directories, globs, @LIST, or - for standard input."),
    ],
    unit: Annotated[str, typer.Option(help="Unit of the cost: conflicts or cpu_seconds.")] = "conflicts",
    solver: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Solver whose cost is explained [default: the one that the probe runs]."),
    ] = None,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.png", help="Also draw the bars into a PNG, PDF or SVG; for one file."),
    ] = None,
    checkpoint: Annotated[Optional[str], _CHECKPOINT] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    estimator: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Start the chain of fallbacks at this estimator."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line; see docs/explain.md.")] = False,
) -> None:
    """Say which groups of features moved a prediction, and by how many decades.

    Exit code 0: all explained; 1: some files could not be read; 2: wrong usage.
    """
    from satcost_gnn.cli.explain import ExplainOptions, run_explain

    options = ExplainOptions(
        paths=paths,
        checkpoint=checkpoint,
        unit=unit,
        solver=solver,
        device=device,
        estimator=estimator,
        plot=plot,
        as_json=json,
    )
    raise typer.Exit(run_explain(options))


@app.command()
def cubes(
    formula: Annotated[str, typer.Argument(metavar="FILE", help="DIMACS file, or iCNF with formula and cubes.")],
    cubes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[CUBES]", help="Cubes: iCNF (`a 1 -2 0`) or one a line [default: those in FILE]."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Write one row a cube to FILE.csv, .jsonl or .parquet."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    solver: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Solver that is to run the cubes [default: the one that is probed]."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the cost: conflicts or cpu_seconds.")] = "conflicts",
    features: Annotated[
        str,
        typer.Option(
            help="probe: a short search on each cube; shared-graph: that, but the formula's graph is encoded once for "
            "all; shared: one search and graph, the formula's; static: no search. Each is cheaper and knows less."
        ),
    ] = "probe",
    sample: Annotated[
        int, typer.Option(min=0, help="Run so many cubes, chosen by their predictions, to refine the total.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    cpu: Annotated[float, typer.Option(min=0.1, help="CPU seconds of each sampled run.")] = 60.0,
    memory: Annotated[int, typer.Option(help="Mebibytes of each sampled run.")] = 4096,
    split_above: Annotated[
        float, typer.Option(help="Propose to split cubes above so many times the average of the others.")
    ] = 10.0,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Cubes probed or run at a time.")] = 1,
    checkpoint: Annotated[Optional[str], _CHECKPOINT] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    output_format: Annotated[str, typer.Option("--format", help="On standard output: text or json.")] = "text",
) -> None:
    """Predict the cost of each cube of a cube-and-conquer split, and of all of them together.

    Exit code 0: all predicted; 1: some cubes don't fit the formula (their rows say why); 2: wrong usage.
    """
    from satcost_gnn.cli.cubes import CubesOptions, run_cubes

    options = CubesOptions(
        formula=formula,
        cubes=cubes,
        output=output,
        overwrite=overwrite,
        checkpoint=checkpoint,
        solver=solver,
        unit=unit,
        features=features,
        jobs=jobs,
        device=device,
        sample=sample,
        seed=seed,
        cpu_s=cpu,
        memory_mb=memory,
        split_factor=split_above,
        output_format=output_format,
    )
    raise typer.Exit(run_cubes(options))


@app.command()
def schedule(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="A DIMACS file; several, or a directory, for one schedule for all."),
    ],
    time_limit: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Seconds that each core has, overhead included [default: the checkpoint's]."),
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Solvers that run at a time.")] = 1,
    objective: Annotated[str, _OBJECTIVE] = "par2",
    solvers: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Comma-separated solvers to put together [default: all of the checkpoint]."),
    ] = None,
    dependence: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Share of the uncertainty that the solvers have in common, 0 to 1 [default: checkpoint's]."),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="A schedule for each file rather than one for all.")] = False,
    aslib: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write the schedules to FILE as instanceID,runID,solver,timeLimit."),
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Files read and probed at a time.")] = 1,
    checkpoint: Annotated[Optional[str], _CHECKPOINT] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="JSON, one object a line; see docs/portfolio.md.")] = False,
) -> None:
    """Say which solvers to run for how long, in turn or on several cores.

    Exit code 0: done; 1: some files could not be read; 2: wrong usage.
    """
    from satcost_gnn.cli.schedule import ScheduleOptions, run_schedule

    options = ScheduleOptions(
        paths=paths,
        checkpoint=checkpoint,
        objective=objective,
        time_limit=time_limit,
        cores=cores,
        solvers=solvers.split(",") if solvers else None,
        dependence=dependence,
        each=each,
        aslib=aslib,
        jobs=jobs,
        device=device,
        as_json=json,
    )
    raise typer.Exit(run_schedule(options))


@app.command()
def solve(
    path: Annotated[str, typer.Argument(metavar="FILE", help="A DIMACS file, compressed or not, or - for stdin.")],
    time_limit: Annotated[float, typer.Option(help="Wall-clock seconds for everything.")] = 5000.0,
    memory_limit: Annotated[int, typer.Option(help="Mebibytes of each solver.")] = 4096,
    cores: Annotated[int, typer.Option(min=1, help="Solvers that run at a time.")] = 1,
    solvers: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Comma-separated solvers that may be run [default: all of the checkpoint]."),
    ] = None,
    program: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="SOLVER=COMMAND",
            help="Run a program in place of a solver of the checkpoint, such as 'cadical195=cadical {cnf}'; may be "
            "given several times.",
        ),
    ] = None,
    proof: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a proof of unsatisfiability (DRAT or DRUP); only solvers that give one are run."),
    ] = None,
    objective: Annotated[str, _OBJECTIVE] = "par2",
    live: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--live/--no-live",
            help="Watch the running solvers and show a line with what they have done and what is left [default: on a "
            "terminal]. Watching changes CaDiCaL's search a little.",
        ),
    ] = None,
    model: Annotated[bool, typer.Option("--model/--no-model", help="Print the model.")] = True,
    json: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Also write what was run and what came of it to FILE."),
    ] = None,
    checkpoint: Annotated[Optional[str], _CHECKPOINT] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Solve a CNF with the portfolio: probe, schedule, limited child processes, a checked answer.

    Prints `s SATISFIABLE`, `s UNSATISFIABLE` or `s UNKNOWN`, and `v` lines. Exit code 10: satisfiable; 20:
    unsatisfiable; 0: unknown; 1: the file could not be read; 2: wrong usage.
    """
    from satcost_gnn.cli.solve import SolveOptions, run_solve

    options = SolveOptions(
        path=path,
        checkpoint=checkpoint,
        objective=objective,
        time_limit=time_limit,
        memory_limit=memory_limit,
        cores=cores,
        solvers=solvers.split(",") if solvers else None,
        programs=program or [],
        proof=proof,
        live=live,
        model=model,
        json=json,
        device=device,
    )
    raise typer.Exit(run_solve(options))


@app.command("batch-solve")
def batch_solve(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="DIMACS files, directories, globs or @LIST.")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Write rows to FILE.jsonl, .csv or .parquet instead of standard output."),
    ] = None,
    minimise: Annotated[
        str,
        typer.Option(
            help="mean: time until an instance is solved; total: until all are; given: first come, first served."
        ),
    ] = "mean",
    time_limit: Annotated[float, typer.Option(help="CPU seconds of the longest run of an instance.")] = 60.0,
    memory_limit: Annotated[int, typer.Option(help="Mebibytes of each run.")] = 4096,
    cores: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    solvers: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Comma-separated solvers that may be run [default: all of the checkpoint]."),
    ] = None,
    program: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="SOLVER=COMMAND", help="Run a program in place of a solver; see `satcost solve --help`."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the output of an interrupted call.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    checkpoint: Annotated[Optional[str], _CHECKPOINT] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Solve many CNFs in an order and with limits made from the predictions: one row a file.

    Exit code 0: every file has been read and run; 1: some could not be read (their rows say why); 2: wrong usage.
    """
    from satcost_gnn.cli.batch_solve import BatchSolveOptions, run_batch_solve

    options = BatchSolveOptions(
        paths=paths,
        output=output,
        checkpoint=checkpoint,
        minimise=minimise,
        time_limit=time_limit,
        memory_limit=memory_limit,
        cores=cores,
        solvers=solvers.split(",") if solvers else None,
        programs=program or [],
        resume=resume,
        overwrite=overwrite,
        device=device,
    )
    raise typer.Exit(run_batch_solve(options))


@app.command()
def collect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="DIMACS files, directories, globs or @LIST; or one INDEX.csv; or one data set directory, for more "
            "runs on its instances.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Data set directory; made or continued.")],
    solvers: Annotated[
        str,
        typer.Option(
            help="Comma-separated solvers; see `satcost solvers`. A program of yours that reads DIMACS and prints `s` "
            "and `v` lines: NAME=COMMAND, where {cnf} stands for the file, {seed} for the seed, and {out} for a file "
            "that it writes its answer to as MiniSat does."
        ),
    ] = "cadical195",
    solver: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="NAME=COMMAND",
            help="One more solver, such as 'kissat=kissat -q {cnf}'; may be given several times, commas may be in it.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated seeds; 0 is the formula as it is.")] = "0",
    cpu: Annotated[Optional[float], typer.Option(help="CPU seconds a run [default: 10].")] = None,  # noqa: UP045
    race: Annotated[
        bool,
        typer.Option(
            "--race",
            help="On each instance the solvers in turn under rising CPU limits; who has answered is done, and the "
            "others get four times the best time at most. Name the likely best solver first.",
        ),
    ] = False,
    limits: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SECONDS,...", help="With --race: the CPU limits [default: 10,30,100,300]."),
    ] = None,
    wall: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Wall seconds a run [default: 20 x its CPU limit + 300]."),
    ] = None,
    memory: Annotated[int, typer.Option(help="Mebibytes a run.")] = 4096,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("-j", "--jobs", min=1, help="Runs at a time [default: 1; with ray, what the cluster can take]."),
    ] = None,
    root: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What the manifest's paths are relative to [default: deepest directory with all inputs]."),
    ] = None,
    instances: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="For a data set: file with one identity (gbdhash) a line; only these, in this order."),
    ] = None,
    store: Annotated[
        Path, typer.Option(help="For a data set: where instances made from their recipes are kept.")
    ] = Path("cache/instances"),
    executor: Annotated[
        str, typer.Option(help="Where runs are made: local, or ray for a Ray cluster (needs the extra `ray`).")
    ] = "local",
    address: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="HOST:PORT",
            help="With ray: of the cluster [default: RAY_ADDRESS; without it, a Ray on this machine only].",
        ),
    ] = None,
) -> None:
    """Measure what instances cost: instances x solvers x seeds, resumable at any point.

    With --race, time goes to the solvers that are any good on an instance. What the directory holds counts, whatever
    its limits; more solvers and higher limits can be added later.

    Start the same command again to continue. Exit code 1 if some files were left out.
    """
    from satcost_gnn.cli.collect import CollectOptions, race_limits, run_collect

    options = CollectOptions(
        paths=paths,
        output=output,
        solvers=[name for name in solvers.split(",") if name] + (solver or []),
        seeds=[int(seed) for seed in seeds.split(",")],
        cpu_s=10.0 if cpu is None else cpu,
        race_s=race_limits(race, limits, cpu),
        wall_s=wall,
        memory_mb=memory,
        jobs=jobs,
        root=root,
        instances=instances,
        store=store,
        executor=executor,
        address=address,
    )
    raise typer.Exit(run_collect(options))


class _FamilyGroup(typer.core.TyperGroup):
    """Reads ``generate FAMILY`` as ``generate family FAMILY``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["family", *args]
        return super().resolve_command(ctx, args)


generate_app = typer.Typer(
    cls=_FamilyGroup,
    no_args_is_help=True,
    help="Generate instances, the same bytes every time: `satcost generate FAMILY -o DIR`; `satcost generate list` "
    "lists the families.",
)
app.add_typer(generate_app, name="generate")

_COMPRESS = typer.Option(help="Compression of the files: none or xz.")
_OVERWRITE = typer.Option("--overwrite", help="Replace files that are there.")


@generate_app.command("family")
def generate_family(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="See `satcost generate list`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the instances and their INDEX.csv.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Instances.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first instance, or of the search for a cost.")] = 0,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the family; may be given several times."),
    ] = None,
    target_cost: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="LOW..HIGH",
            help="Tune the size so that costs spread evenly over this range of cadical195 conflicts.",
        ),
    ] = None,
    cpu: Annotated[float, typer.Option(min=0.1, help="CPU seconds of each run that measures a cost.")] = 100.0,
    compress: Annotated[str, _COMPRESS] = "none",
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Generate instances of a family; the word `family` may be left out.

    Exit code 1 if fewer came out than asked for.
    """
    from satcost_gnn.cli.generate import GenerateOptions, run_generate

    options = GenerateOptions(
        family=family,
        output=output,
        count=count,
        seed=seed,
        settings=tuple(settings or ()),
        target_cost=target_cost,
        compress=compress,
        overwrite=overwrite,
        cpu_s=cpu,
    )
    raise typer.Exit(run_generate(options))


@generate_app.command("list")
def generate_list(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[FAMILY]...", help="Families to describe [default: all]."),
    ] = None,
) -> None:
    """List the families: what they are, their parameters, defaults and bounds."""
    from satcost_gnn.cli.generate import run_list

    raise typer.Exit(run_list(names or []))


@generate_app.command("cubes")
def generate_cubes(
    source: Annotated[Path, typer.Option("--from", help="The formula to cut.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Unit clauses added to each cube.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the cubes and their INDEX.csv.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Cubes.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choices.")] = 0,
    method: Annotated[
        str, typer.Option(help="How units are chosen: random, lookahead, or activity (most active in a probe).")
    ] = "random",
    compress: Annotated[str, _COMPRESS] = "none",
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Make cubes: a formula with unit clauses added, so that one out of reach becomes several of middling cost."""
    from satcost_gnn.cli.generate import CubeOptions, run_cubes

    options = CubeOptions(
        source=source,
        k=k,
        output=output,
        count=count,
        seed=seed,
        method=method,
        compress=compress,
        overwrite=overwrite,
    )
    raise typer.Exit(run_cubes(options))


@generate_app.command("cnfgen")
def generate_cnfgen(
    arguments: Annotated[list[str], typer.Argument(metavar="-- ARGS...", help="Family of cnfgen and its arguments.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File; compressed if its name ends in .xz.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of cnfgen's random choices.")] = 0,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Write a formula of the `cnfgen` command, if it is installed, and print its recipe."""
    from satcost_gnn.cli.generate import run_cnfgen

    raise typer.Exit(run_cnfgen(arguments, output, seed, overwrite))


@generate_app.command("recipe")
def generate_recipe(
    text: Annotated[str, typer.Argument(metavar="RECIPE", help="Such as random-ksat:k=3,n=250,ratio=4.26,seed=7.")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="File, compressed if its name ends in .xz [default: standard output]."),
    ] = None,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--from", help="For a cube of a file: that file."),
    ] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Write the formula of a recipe, as found in an INDEX.csv or a manifest."""
    from satcost_gnn.cli.generate import run_recipe

    raise typer.Exit(run_recipe(text, output, source, overwrite))


@app.command()
def train(
    config: Annotated[Path, typer.Option("--config", help="Training configuration (TOML); see configs/small.toml.")],
    root: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Directory of the instances, instead of the configuration's."),
    ] = None,
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Directory of preprocessed instances, instead of the configuration's."),
    ] = None,
) -> None:
    """Train a checkpoint: preprocess a data set, fit every estimator, calibrate, measure on the test side.

    Start the same command again after an interruption: preprocessing and training go on where they were.
    """
    from satcost_gnn.cli.train import run_train

    raise typer.Exit(run_train(config, root, cache))


@app.command()
def evaluate(
    dataset: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="DATASET", help="Data set directory with splits."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="Directory of the predictions, metrics.json and the report."),
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="instance: families seen in training; family: each fold of whole families is left out once."),
    ] = "instance",
    estimators: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Comma-separated names, such as forest,linear,gnn:graph [default: all but parts of the network]."
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated seeds of the estimators that have one.")] = "0,1,2,3,4",
    network_seeds: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Seeds of the networks, which take longest [default: those of --seeds]."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the table of accuracy.")] = "conflicts",
    solver: Annotated[str, typer.Option(help="Solver of the table of accuracy.")] = "cadical195",
    root: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Directory of the real instances; generated ones are made again."),
    ] = None,
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Directory of preprocessed instances [default: the configuration's]."),
    ] = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Training configuration (TOML) of the network and the preprocessing [default: that of the checkpoint]."
        ),
    ] = None,
    checkpoint: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Checkpoint whose network is taken where split, fold and seed are its own; may be given several times "
            "[default: the one shipped with the package, unless a configuration is given]."
        ),
    ] = None,
    cutoff: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Budget, in the unit, of the measures that need one [default: 1e5 conflicts]."),
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples.")] = 1000,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Processes that fit classical estimators.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the predictions that are in the output.")] = False,
    aslib: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            metavar="DIR",
            help="Instead of a data set: an ASlib scenario or a directory of them, on the shipped folds; may be given "
            "several times.",
        ),
    ] = None,
    runtimes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="With --aslib: directory of further tables of run times."),
    ] = None,
) -> None:
    """Compare estimators on a data set: one table, one run, one protocol, with a report.

    Exit code 0: every estimator has its row; 1: some have an error instead; 2: wrong usage.
    """
    from satcost_gnn.cli.evaluate import EvaluateOptions, run_evaluate

    options = EvaluateOptions(
        dataset=dataset,
        output=output,
        split=split,
        estimators=estimators.split(",") if estimators else None,
        seeds=seeds.split(","),
        network_seeds=network_seeds.split(",") if network_seeds else None,
        unit=unit,
        solver=solver,
        root=root,
        cache=cache,
        config=config,
        checkpoints=checkpoint or [],
        cutoff=cutoff,
        resamples=resamples,
        jobs=jobs,
        resume=resume,
        aslib=aslib or [],
        runtimes=runtimes,
    )
    raise typer.Exit(run_evaluate(options))


app.add_typer(dataset_app, name="dataset")


@app.command()
def estimators() -> None:
    """List the estimators: what each needs of an instance, what fitting it costs, and what it predicts from."""
    from satcost_gnn.estimators import CATALOGUE

    typer.echo(f"{'name':18} {'needs':21} {'cost':10} predicts from")
    for name, entry in CATALOGUE.items():
        needs = ", ".join(entry.needs) or "nothing"
        typer.echo(f"{name:18} {needs:21} {entry.cost:10} {entry.summary}")


@app.command("calibrate-machine")
def calibrate_machine(
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help="File of the factor [default: ~/.config/satcost/machine.json]."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds of timed runs; the least time of each run counts.")] = 4,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and print, keep nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Time a fixed set of small solver runs, so that seconds are predicted for this machine; about 20 s."""
    from satcost_gnn.cli.calibrate_machine import CalibrateOptions, run_calibrate

    raise typer.Exit(run_calibrate(CalibrateOptions(output, repeats, dry_run, json)))


@app.command()
def solvers() -> None:
    """List the solvers that can be run."""
    from satcost_gnn.search.solvers import SOLVERS

    for name, spec in SOLVERS.items():
        typer.echo(f"{name:18} {spec.summary}")
    typer.echo("NAME=COMMAND       a program that reads DIMACS; see `satcost collect --help`")


def main() -> None:
    """Run the command line; errors of ours become a message and exit code 2."""
    from satcost_gnn.errors import SatcostError

    # Torch's threads would wait for each other by spinning, which on a busy machine costs several times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except SatcostError as error:
        print(f"satcost: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output has gone (`satcost predict … | head`).
        sys.stderr.close()
        sys.exit(1)
