"""``satcost dataset export-aslib``: a data set as a scenario of algorithm selection, with features of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from satcost_gnn.cli.numbers import COUNT, SECONDS, Commas
from satcost_gnn.cli.options import Checkpoint as CheckpointOption
from satcost_gnn.data.aslib_export import export_scenario
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import fill_cache
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_directory
from satcost_gnn.serve.checkpoint import Checkpoint


@dataclass(frozen=True)
class ExportAslibOptions:
    """Options of ``satcost dataset export-aslib``."""

    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Data set directory.")]
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the scenario.")]
    root: Annotated[
        Path | None, typer.Option(help="Directory of the instances [default: sizes are the only features].")
    ] = None
    cache: Annotated[Path, typer.Option(help="Directory of preprocessed instances; filled with what is missing.")] = (
        Path("cache")
    )
    solvers: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME,...", help="Solvers [default: those that ran on the most instances]."),
        Commas(),
    ] = None
    cutoff: Annotated[
        float | None, typer.Option(parser=SECONDS, help="CPU seconds [default: the limit that most runs had].")
    ] = None
    folds: Annotated[
        Literal["instance", "family"], typer.Option(help="Ten folds by instance, or the data set's folds by family.")
    ] = "instance"
    jobs: Annotated[int, typer.Option("-j", "--jobs", parser=COUNT, help="Files preprocessed at a time.")] = 1
    checkpoint: CheckpointOption = None


def run_export_aslib(options: ExportAslibOptions) -> int:
    """Write a data set as a scenario in ASlib format, with features of the formula and of the early search as steps.

    Exit code 0: written; 1: written without the instances that could not be found or read, each named.
    """
    check_directory("-o", options.output)
    dataset = Dataset.open(options.directory)
    solvers = options.solvers if options.solvers is not None else most_run(dataset)
    unknown = sorted(set(solvers) - set(dataset.solvers))
    if unknown:
        raise DatasetError(f"--solvers: found {', '.join(unknown)}; expected some of {', '.join(dataset.solvers)}")
    found = None
    left_out = 0
    if options.root is not None:
        ran = {name: {run.solver for run in dataset.runs_of.get(name, ())} for name in dataset.instances}
        wanted = [name for name in dataset.instances if ran[name] >= set(solvers)]
        settings = Checkpoint.open(options.checkpoint).config.preprocessing
        cache, failed = fill_cache(dataset, wanted, options.cache, settings, root=options.root, jobs=options.jobs)
        for item in failed:
            log.warning(f"left out: {item.error}")
        loaded = zip(wanted, cache.load(wanted), strict=True)
        found = {name: one for name, one in loaded if one is not None}
        if not found:
            raise DatasetError("features: found no preprocessed instance, expected at least one")
        left_out = len(wanted) - len(found)
    scenario = export_scenario(
        dataset, options.output, solvers=solvers, cutoff_s=options.cutoff, instances=found, folds=options.folds
    )
    log.info(
        f"{options.output}: {len(scenario.instances)} instances, {len(scenario.algorithms)} solvers, "
        f"{len(scenario.feature_names)} features in {len(scenario.steps)} steps, cutoff {scenario.cutoff_s:g} s"
    )
    return 1 if left_out else 0


def most_run(dataset: Dataset) -> list[str]:
    """Return the solvers that have runs on as many instances as any solver has."""
    instances = {
        solver: len({run.instance for run in dataset.runs if run.solver == solver}) for solver in dataset.solvers
    }
    return [solver for solver, n in instances.items() if n == max(instances.values())]
