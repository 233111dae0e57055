"""``satcost select``: which solver to run, as text or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import typer

from satcost_gnn.cli.colour import styled
from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.file_progress import file_progress
from satcost_gnn.cli.inputs import expand_all
from satcost_gnn.cli.messages import tell_about
from satcost_gnn.cli.numbers import NOT_NEGATIVE, SECONDS
from satcost_gnn.cli.options import (
    Checkpoint,
    Device,
    Estimator,
    Format,
    Inputs,
    Jobs,
    Json,
    Objective,
    Relaxed,
    Solvers,
    chosen_format,
)
from satcost_gnn.cli.terminal import wrapped
from satcost_gnn.core.cost_text import cost_text, probability_text
from satcost_gnn.decide.select import Decision, Selector
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.logs import log


@dataclass(frozen=True)
class SelectOptions:
    """Options of the command."""

    paths: Inputs
    checkpoint: Checkpoint = None
    objective: Objective = "par2"
    limit: Annotated[
        float | None,
        typer.Option(
            parser=SECONDS,
            help="CPU seconds for everything, overhead included; the early search takes about a hundredth of it "
            "[default: the checkpoint's].",
        ),
    ] = None
    solvers: Solvers = None
    risk: Annotated[
        float,
        typer.Option(
            parser=NOT_NEGATIVE,
            help="Standard deviations added to the objective: more prefers the more certain solver.",
        ),
    ] = 0.0
    jobs: Jobs = 1
    device: Device = "auto"
    estimator: Estimator = None
    output_format: Format = "text"
    as_json: Json = False
    relaxed: Relaxed = False


def decision_text(decision: Decision) -> str:
    """Return a decision for reading: the choice, the reason, the ranking."""
    path = escaped(decision.path)
    if decision.status == "error":
        name = styled(path, path, bold=True, fg="red")
        return f"{name}\n{wrapped(f'cannot be read: {decision.reason}')}"
    lines = [styled(path, path, bold=True)]
    if decision.status == "solved":
        lines.append(wrapped(f"nothing to run: {decision.reason}"))
    else:
        choice = f"run {decision.chosen}"
        lines += [styled(f"  {choice}", choice, bold=True, fg="green"), wrapped(f"because {decision.reason}")]
    bound = decision.known_up_to_s
    if decision.judged_s < decision.cutoff_s:
        lines.append(
            wrapped(
                f"nothing is known of costs above {bound:g} CPU seconds, the limit of the training labels: solvers are "
                f"compared within {decision.judged_s:.3g}, not {decision.cutoff_s:g}"
            )
        )
    lines.append(f"  within {decision.cutoff_s:g} CPU seconds:")
    head = f"  {'solver':16} {'PAR2 s':>10} {'cost s':>10} {'median s':>10} {'P(solved)':>9}"
    lines.append(styled(head, head, bold=True))
    lines += [
        f"  {row.solver:16} {cost_text(row.par2_s):>10} {cost_text(row.expected_cost_s):>10} "
        f"{cost_text(row.median_s, row.known_up_to_s):>10} {probability_text(row.p_solved):>9}"
        for row in decision.ranking
    ]
    unlike = "; the instance is unlike the training data" if decision.in_distribution is False else ""
    why = f" ({decision.source_reason})" if decision.source_reason else ""
    spent = f"{decision.overhead_s:.3g} CPU seconds spent on it, charged"
    lines.append(wrapped(f"predicted by {decision.source}{why}; {spent}{unlike}"))
    return "\n".join(lines)


def run_select(options: SelectOptions) -> int:
    """Choose the solver to run on each CNF, with the ranking and the reason.

    Exit code 0: all decided; 1: some files could not be read; 2: wrong usage.
    """
    form = chosen_format(options.output_format, options.as_json)
    names = expand_all(options.paths)
    failed = 0
    with Selector.from_checkpoint(
        options.checkpoint,
        objective=options.objective,
        cutoff_s=options.limit,
        solvers=options.solvers,
        risk=options.risk,
        device=options.device,
        relaxed=options.relaxed,
        start=options.estimator,
    ) as selector:
        tell_about(selector.predictor)
        with file_progress(names, selector.predictor.settings.searches_s, options.jobs) as progress:
            for decision in selector.select_many(names, jobs=options.jobs):
                failed += decision.status == "error"
                progress.advance(name=decision.path)
                with progress.hidden():
                    print(json.dumps(decision.to_json()) if form == "json" else decision_text(decision), flush=True)
    if failed:
        log.warning(f"{failed} of {len(names)} files could not be read")
    return 1 if failed else 0


app = command_app("select", SelectOptions, run_select, {"--cutoff": "--limit"})
