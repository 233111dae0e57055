"""``satcost explain``: what moved a prediction, in words and bars."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from satcost_gnn.errors import ConfigError
from satcost_gnn.explanation import Explainer, Explanation
from satcost_gnn.inputs import expand_all
from satcost_gnn.predictor import Predictor


@dataclass(frozen=True)
class ExplainOptions:
    """Options of the command, as on the command line."""

    paths: list[str]
    checkpoint: str | None
    unit: str
    solver: str | None
    device: str
    estimator: str | None
    plot: Path | None
    as_json: bool


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation for reading: the sentence, then a bar for each group of features."""
    found = explanation.prediction
    lines = [f"{found.path}: {explanation.sentence()}"]
    if explanation.effects:
        unit = found.unit.replace("_", " ")
        lines.append(f"  decades of {unit} by group of features ({found.estimator}, {found.checkpoint}):")
        lines += [f"  {line}" for line in explanation.bars()]
    if found.status == "ok" and found.in_distribution is False:
        lines.append("  The instance is unlike the training data: trust the prediction, and this, less.")
    return "\n".join(lines)


def run_explain(options: ExplainOptions) -> int:
    """Explain the predictions for everything that the options name; return the exit code."""
    names = expand_all(options.paths)
    if options.plot is not None and len(names) > 1:
        raise ConfigError(f"--plot draws one instance: found {len(names)} files")
    failed = 0
    with Predictor.from_checkpoint(
        options.checkpoint, unit=options.unit, device=options.device, start=options.estimator
    ) as predictor:
        for note in predictor.notes:
            print(f"satcost: {predictor.checkpoint.config.label}: {note}", file=sys.stderr)
        explainer = Explainer(predictor, options.solver)
        for name in names:
            found = explainer.explain(name)
            failed += found.prediction.status == "error"
            if found.prediction.status == "ok" and found.prediction.reason:
                print(
                    f"satcost: {name}: predicted by {found.prediction.source}, since {found.prediction.reason}",
                    file=sys.stderr,
                )
            print(json.dumps(found.to_json()) if options.as_json else explanation_text(found), flush=True)
            if options.plot is not None and found.effects:
                found.plot(options.plot)
            elif options.plot is not None:
                print(f"satcost: {name}: there is nothing to draw", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(names)} files could not be read", file=sys.stderr)
    return 1 if failed else 0
