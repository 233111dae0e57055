"""``satcost schedule``: which solvers to run for how long, as text or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.colour import styled
from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.file_progress import file_progress
from satcost_gnn.cli.inputs import expand_all
from satcost_gnn.cli.messages import tell_about
from satcost_gnn.cli.numbers import SECONDS, SHARE
from satcost_gnn.cli.options import (
    Checkpoint,
    Cores,
    Device,
    Format,
    Jobs,
    Json,
    Objective,
    Relaxed,
    Solvers,
    chosen_format,
    plot_option,
)
from satcost_gnn.cli.terminal import wrapped
from satcost_gnn.core.cost_text import number_text
from satcost_gnn.decide.planned_schedule import Schedule, write_aslib_schedules
from satcost_gnn.decide.schedule import Scheduler
from satcost_gnn.decide.schedule_picture import schedule_figure
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.runtime.pictures import check_panels, write_picture
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.serve.prediction import Prediction


@dataclass(frozen=True)
class ScheduleOptions:
    """Options of the command."""

    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="A DIMACS file; several, or a directory, for one schedule for all."),
    ]
    checkpoint: Checkpoint = None
    objective: Objective = "par2"
    limit: Annotated[
        float | None,
        typer.Option(
            parser=SECONDS,
            help="Seconds that each core has, overhead included; the early search takes about a hundredth of it "
            "[default: the checkpoint's].",
        ),
    ] = None
    cores: Cores = 1
    solvers: Solvers = None
    copula_correlation: Annotated[
        float | None,
        typer.Option(
            parser=SHARE,
            help="Correlation of the solvers' costs on an instance, 0 to 1 [default: checkpoint's].",
        ),
    ] = None
    each: Annotated[bool, typer.Option("--each", help="A schedule for each file rather than one for all.")] = False
    aslib: Annotated[
        Path | None, typer.Option(help="Also write the schedules to FILE as instanceID,runID,solver,timeLimit.")
    ] = None
    plot: Annotated[Path | None, plot_option("what runs when, a row for each core")] = None
    jobs: Jobs = 1
    device: Device = "auto"
    output_format: Format = "text"
    as_json: Json = False
    relaxed: Relaxed = False


def schedule_text(schedule: Schedule) -> str:
    """Return a schedule for reading: its slices, and what is expected of it."""
    name = escaped(schedule.paths[0]) if len(schedule.paths) == 1 else f"{schedule.instances} instances"
    name = styled(name, name, bold=True, fg="red" if schedule.status == "error" else None)
    if schedule.status == "error":
        return f"{name}\n  cannot be read: {schedule.error}"
    if schedule.status == "solved":
        return f"{name}\n  nothing to run: the early search has solved it: {schedule.result}"
    lines = [name]
    for number, core in enumerate(schedule.cores, start=1):
        place = f"core {number}: " if len(schedule.cores) > 1 else ""
        lines.append(wrapped(place + ", then ".join(f"{part.solver} {number_text(part.cpu_s)} s" for part in core)))
    if schedule.reason:
        lines.append(wrapped(f"because {schedule.reason}"))
    if math.isfinite(schedule.p_solved):
        lines.append(
            f"  expected {number_text(schedule.expected_s)} s, P(solved) {schedule.p_solved:.3f} "
            f"within {number_text(schedule.time_limit_s)} s"
        )
    else:
        lines.append(
            wrapped(
                f"P(solved) within {number_text(schedule.time_limit_s)} s is unknown: the training labels end at "
                f"{schedule.known_up_to_s:g} s"
            )
        )
    return "\n".join(lines)


def _counted(predictions: Iterable[Prediction], progress: ProgressLine) -> Iterator[Prediction]:
    for prediction in predictions:
        progress.advance(name=prediction.path)
        yield prediction


def run_schedule(options: ScheduleOptions) -> int:
    """Say which solvers to run for how long, in turn or on several cores.

    Exit code 0: done; 1: some files could not be read; 2: wrong usage.
    """
    form = chosen_format(options.output_format, options.as_json)
    names = expand_all(options.paths)
    if options.aslib is not None and options.cores > 1:
        raise ConfigError("--aslib: the format holds sequential schedules only; take --cores 1")
    if options.plot is not None and options.each:
        check_panels("--plot", len(names))
    check_outputs({"--aslib": options.aslib}, [*options.paths, *names], pictures={"--plot": options.plot})
    with Scheduler.from_checkpoint(
        options.checkpoint,
        objective=options.objective,
        time_limit_s=options.limit,
        cores=options.cores,
        solvers=options.solvers,
        copula_correlation=options.copula_correlation,
        device=options.device,
        relaxed=options.relaxed,
    ) as scheduler:
        tell_about(scheduler.predictor)
        with file_progress(names, scheduler.predictor.settings.searches_s, options.jobs) as progress:
            predictions = _counted(scheduler.predictor.predict_many(names, jobs=options.jobs), progress)
            if options.each or len(names) == 1:
                found = [scheduler.schedule_prediction(prediction) for prediction in predictions]
            else:
                found = [scheduler.schedule_predictions(predictions)]
    for schedule in found:
        print(json.dumps(schedule.to_json()) if form == "json" else schedule_text(schedule))
    if options.aslib is not None:
        planned = [schedule for schedule in found if schedule.status == "planned"]
        write_aslib_schedules(options.aslib, {path: schedule for schedule in planned for path in schedule.paths})
    if options.plot is not None:
        write_picture(schedule_figure(found, scheduler.predictor.solvers), options.plot)
    problems = [line for schedule in found for line in schedule.error.splitlines()]
    for line in problems:
        log.warning(line)
    return 1 if problems else 0


app = command_app(
    "schedule", ScheduleOptions, run_schedule, {"--time-limit": "--limit", "--dependence": "--copula-correlation"}
)
