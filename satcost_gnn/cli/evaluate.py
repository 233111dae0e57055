"""``satcost evaluate``: estimators side by side on a data set, or on published scenarios, with a report."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.numbers import COST, COUNT, Commas
from satcost_gnn.cli.options import Address, Executor, Format, Json, chosen_cluster, chosen_format
from satcost_gnn.config import NetworkConfig, TrainingConfig, read_config
from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_directory
from satcost_gnn.runtime.output_lock import locked
from satcost_gnn.runtime.progress import ProgressLine

if TYPE_CHECKING:
    from satcost_gnn.serve.checkpoint import Checkpoint


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of the command."""

    dataset: Annotated[Path | None, typer.Argument(metavar="DATASET", help="Data set directory with splits.")] = None
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Directory of the predictions, metrics.json and report; must be given."),
    ] = None
    split: Annotated[
        str,
        typer.Option(help="instance: families seen in training; family: each fold of whole families is left out once."),
    ] = "instance"
    estimators: Annotated[
        list[str] | None,
        typer.Option(
            help="Comma-separated names, such as forest,linear,gnn:graph [default: all but parts of the network]."
        ),
        Commas(),
    ] = None
    seeds: Annotated[
        list[str], typer.Option(help="Comma-separated seeds of the estimators that have one."), Commas()
    ] = field(default_factory=lambda: ["0", "1", "2", "3", "4"])
    network_seeds: Annotated[
        list[str] | None,
        typer.Option(help="Seeds of the networks, which take longest [default: those of --seeds]."),
        Commas(),
    ] = None
    unit: Annotated[str, typer.Option(help="Unit of the table of accuracy.")] = "conflicts"
    solver: Annotated[str, typer.Option(help="Solver of the table of accuracy.")] = "cadical195"
    root: Annotated[
        Path | None, typer.Option(help="Directory of the real instances; generated ones are made again.")
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(help="Directory of preprocessed instances [default: the configuration's]."),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            help="Training configuration (TOML) of the network and the preprocessing [default: that of the checkpoint]."
        ),
    ] = None
    checkpoints: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            help="Checkpoint whose network is taken where split, fold and seed are its own; may be given several times "
            "[default: the one shipped with the package, unless a configuration is given].",
        ),
    ] = None
    cutoff: Annotated[
        float | None,
        typer.Option(parser=COST, help="Budget, in the unit, of the measures that need one [default: 1e5 conflicts]."),
    ] = None
    resamples: Annotated[int, typer.Option(parser=COUNT, help="Bootstrap resamples.")] = 1000
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", parser=COUNT, help="Processes that fit classical estimators.")
    ] = 1
    resume: Annotated[bool, typer.Option("--resume", help="Keep the predictions that are in the output.")] = False
    aslib: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Instead of a data set: an ASlib scenario or a directory of them, on the shipped folds; may be given "
            "several times.",
        ),
    ] = None
    runtimes: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --aslib: directory of further tables of run times."),
    ] = None
    output_format: Format = "text"
    as_json: Json = False
    executor: Executor = "local"
    address: Address = None


def run_evaluate(options: EvaluateOptions) -> int:
    """Compare estimators on a data set: one table, one run, one protocol, with a report.

    Exit code 0: every estimator has its row; 1: some have an error instead; 2: wrong usage.
    """
    if options.output is None:
        raise ConfigError("found no output directory; name one with -o")
    check_directory("-o", options.output)
    seeds = _seeds(options.seeds, "--seeds")
    with locked(options.output):
        return _evaluated(options, options.output, seeds)


def _evaluated(options: EvaluateOptions, output: Path, seeds: list[int]) -> int:
    try:
        if options.aslib or options.runtimes is not None:
            if options.dataset is not None:
                raise ConfigError(f"found both a data set ({options.dataset}) and --aslib; expected one of them")
            from satcost_gnn.cli.evaluate_aslib import run_evaluate_aslib

            return run_evaluate_aslib(
                list(_scenarios(options.aslib or [])),
                output,
                options.runtimes,
                seeds[0],
                options.jobs,
                options.estimators,
                chosen_format(options.output_format, options.as_json) == "json",
            )
        if options.dataset is None:
            raise ConfigError("found no data set; expected its directory, or --aslib and a directory of scenarios")
        return _on_dataset(options, options.dataset, output, seeds)
    except KeyboardInterrupt:
        again = [*sys.argv[1:], *(["--resume"] if not options.resume and not options.aslib else [])]
        log.warning(f"interrupted; to continue: {shlex.join(['satcost', *again])}")
        return 130


def _seeds(texts: list[str], option: str) -> list[int]:
    try:
        seeds = list(dict.fromkeys(int(text) for text in texts))
    except ValueError:
        raise ConfigError(f"{option}: found {','.join(texts)!r}; expected whole numbers such as 0,1,2,3,4") from None
    if not seeds or min(seeds) < 0:
        raise ConfigError(f"{option}: found {','.join(texts)!r}; expected numbers of at least 0")
    return seeds


def _scenarios(places: list[Path]) -> Iterator[Path]:
    """Yield the scenarios among directories: those that are one, and those in directories of them."""
    for place in places:
        if (place / "description.txt").is_file():
            yield place
            continue
        inside = sorted(path.parent for path in place.glob("*/description.txt"))
        if not inside:
            raise ConfigError(f"--aslib: found no ASlib scenario (description.txt) in {place} or its subdirectories")
        yield from inside


def _on_dataset(options: EvaluateOptions, dataset: Path, output: Path, seeds: list[int]) -> int:
    from satcost_gnn.evaluate.methods import chosen_methods
    from satcost_gnn.evaluate.run import EvaluationSettings, run_evaluation
    from satcost_gnn.serve.checkpoint import Checkpoint

    if options.checkpoints:
        checkpoints = [Checkpoint.open(name) for name in options.checkpoints]
    elif options.config is None:
        checkpoints = _shipped()
    else:
        checkpoints = []
    cluster = chosen_cluster(options.executor, options.address, None)
    settings = EvaluationSettings(
        config=_config(options, dataset, checkpoints),
        methods=chosen_methods(options.estimators),
        split=options.split,
        seeds=seeds,
        network_seeds=None if options.network_seeds is None else _seeds(options.network_seeds, "--network-seeds"),
        unit=options.unit,
        solver=options.solver,
        checkpoints=checkpoints,
        cutoff=options.cutoff,
        resamples=options.resamples,
        jobs=options.jobs,
        resume=options.resume,
        command=shlex.join(["satcost", *sys.argv[1:]]),
        cluster=cluster,
    )
    report, failed = run_evaluation(settings, output, ProgressLine)
    if chosen_format(options.output_format, options.as_json) == "json":
        print(json.dumps({"report": str(report), "metrics": str(output / "metrics.json"), "failed": failed}))
    else:
        print(report)
    return 1 if failed else 0


def _shipped() -> list[Checkpoint]:
    from satcost_gnn.serve.checkpoint import Checkpoint

    try:
        return [Checkpoint.open(None)]
    except CheckpointError:
        return []


def _config(options: EvaluateOptions, dataset: Path, checkpoints: list[Checkpoint]) -> TrainingConfig:
    """Return the configuration: of the file, or of the first checkpoint's training, or the defaults."""
    if options.config is not None:
        config = read_config(options.config, root=options.root, cache=options.cache)
        return config.model_copy(update={"data": config.data.model_copy(update={"dataset": dataset})})
    values: dict[str, object] = {}
    data: dict[str, object] = {"dataset": dataset, "root": options.root}
    if options.cache is not None:
        data["cache"] = options.cache
    if checkpoints:
        trained = checkpoints[0].config.training.get("config") or {}
        values = {name: trained[name] for name in NetworkConfig.model_fields if name in trained}
        if "preprocess" in trained:
            values["preprocess"] = trained["preprocess"]
        data |= {"solvers": checkpoints[0].config.solvers, "units": checkpoints[0].config.units}
    return TrainingConfig.checked({**values, "data": data}, "configuration of the checkpoint")


app = command_app("evaluate", EvaluateOptions, run_evaluate)
