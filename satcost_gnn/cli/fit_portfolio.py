"""``satcost fit-portfolio``: who a checkpoint runs on several cores, from the runs of data sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.numbers import SECONDS
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.joining import declared_relatives, join_datasets
from satcost_gnn.data.splits import LEARNT_SIDES
from satcost_gnn.decide.parallel_portfolio import LEAST_INSTANCES, fit_parallel_portfolio
from satcost_gnn.decide.training_fit import fit_longer
from satcost_gnn.decide.training_statistics import PORTFOLIO_FILE, TrainingStatistics
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.search.solvers import SOLVERS
from satcost_gnn.serve.checkpoint import Checkpoint


@dataclass(frozen=True)
class FitPortfolioOptions:
    """Options of the command."""

    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Directory of a checkpoint; it is changed.")]
    datasets: Annotated[
        list[Path], typer.Argument(metavar="DATASET…", help="Directories of data sets with splits, taken together.")
    ]
    cutoff: Annotated[
        float | None,
        typer.Option(
            parser=SECONDS,
            help="CPU seconds of a run. Beyond what the checkpoint was trained for, the single best solver at limits "
            "like that is chosen as well [default: what the checkpoint was trained for].",
        ),
    ] = None


def run_fit_portfolio(options: FitPortfolioOptions) -> int:
    """Choose from a data set's runs who is run on several cores, and write it into a checkpoint.

    No model is trained again. Members are chosen jointly on the training and validation sides and printed, the first
    one first: those that `solve --cores` runs.
    """
    checkpoint = Checkpoint.open(options.checkpoint)
    training = TrainingStatistics.of_checkpoint(checkpoint)
    cutoff_s = options.cutoff or training.cutoff_s
    is_longer = cutoff_s > training.cutoff_s
    # Published runs stand for solvers of ours where the checkpoint was trained so.
    relatives = (
        declared_relatives((checkpoint.config.training.get("config") or {}).get("data", {})) if is_longer else None
    )
    dataset = join_datasets([Dataset.open(path) for path in options.datasets], relatives)
    if dataset.splits is None:
        raise DatasetError(f"{dataset.directory}: found no splits.json; make it with `satcost dataset split`")
    learnt = [name for name, side in dataset.splits.side.items() if side in LEARNT_SIDES]
    # A program of the user's own has runs under its name; published runs are of programs that are not here.
    solvers = {*SOLVERS, *training.par2, *(run.solver for run in dataset.runs if not run.source)}
    if is_longer:
        fitted = fit_longer(training, dataset, checkpoint.config.solvers, learnt, cutoff_s, solvers)
        chosen = fitted.at(cutoff_s).parallel
    else:
        chosen = fit_parallel_portfolio(dataset, solvers, learnt, cutoff_s, training.single_best())
        fitted = replace(training, parallel=chosen)
    if not chosen:
        single = fitted.at(cutoff_s).single_best()
        raise DatasetError(f"{dataset.directory}: found no run of {single}, the single best solver")
    write_json(checkpoint.directory / PORTFOLIO_FILE, fitted.to_json(), indent=1)
    Checkpoint.seal(checkpoint.directory)
    for number, name in enumerate(chosen, start=1):
        print(f"{number} {name}")
    if len(chosen) == 1:
        print(f"no other member takes PAR2 away on at least {LEAST_INSTANCES} instances; further cores run seeds")
    return 0


app = command_app("fit-portfolio", FitPortfolioOptions, run_fit_portfolio)
