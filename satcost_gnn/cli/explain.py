"""``satcost explain``: what moved a prediction, in words and bars."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.inputs import expand_all
from satcost_gnn.cli.messages import tell_about
from satcost_gnn.cli.options import (
    Checkpoint,
    Device,
    Estimator,
    Format,
    Inputs,
    Json,
    Relaxed,
    Unit,
    chosen_format,
    plot_option,
)
from satcost_gnn.cli.terminal import columns, wrapped
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs
from satcost_gnn.serve.explanation import Explainer, Explanation
from satcost_gnn.serve.predictor import Predictor


@dataclass(frozen=True)
class ExplainOptions:
    """Options of the command."""

    paths: Inputs
    checkpoint: Checkpoint = None
    unit: Unit = "conflicts"
    solver: Annotated[
        str | None, typer.Option(help="Solver whose cost is explained [default: the one that the probe runs].")
    ] = None
    device: Device = "auto"
    estimator: Estimator = None
    plot: Annotated[Path | None, plot_option("the bars, for one file")] = None
    as_json: Json = False
    output_format: Format = "text"
    relaxed: Relaxed = False


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation for reading: the sentence, then a bar for each group of features."""
    found = explanation.prediction
    lines = [wrapped(f"{escaped(found.path)}: {explanation.sentence()}", "")]
    if explanation.effects:
        unit = found.unit.replace("_", " ")
        lines.append(f"  decades of {unit} by group of features ({found.estimator}, {found.checkpoint}):")
        lines += [f"  {line}" for line in explanation.bars(max(min(columns() - 62, 40), 10))]
    if found.status == "ok" and found.in_distribution is False:
        lines.append(wrapped("The instance is unlike the training data: trust the prediction, and this, less."))
    return "\n".join(lines)


def run_explain(options: ExplainOptions) -> int:
    """Say which groups of features moved a prediction, and by how many decades.

    Exit code 0: all explained; 1: some files could not be read; 2: wrong usage.
    """
    form = chosen_format(options.output_format, options.as_json)
    names = expand_all(options.paths)
    if options.plot is not None and len(names) > 1:
        raise ConfigError(f"--plot draws one instance: found {len(names)} files")
    check_outputs({}, [*options.paths, *names], pictures={"--plot": options.plot})
    failed = 0
    with Predictor.from_checkpoint(
        options.checkpoint, unit=options.unit, device=options.device, start=options.estimator, relaxed=options.relaxed
    ) as predictor:
        tell_about(predictor)
        explainer = Explainer(predictor, options.solver)
        for name in names:
            found = explainer.explain(name)
            failed += found.prediction.status == "error"
            if found.prediction.status == "ok" and found.prediction.reason:
                log.warning(f"{name}: predicted by {found.prediction.source}, since {found.prediction.reason}")
            print(json.dumps(found.to_json()) if form == "json" else explanation_text(found), flush=True)
            if options.plot is not None and found.effects:
                found.plot(options.plot)
            elif options.plot is not None:
                log.warning(f"{name}: there is nothing to draw")
    if failed:
        log.warning(f"{failed} of {len(names)} files could not be read")
    return 1 if failed else 0


app = command_app("explain", ExplainOptions, run_explain)
