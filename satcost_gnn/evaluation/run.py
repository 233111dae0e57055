"""One evaluation from beginning to end: fits, measures, tables, pictures, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satcost_gnn.checkpoint import Checkpoint
from satcost_gnn.config import TrainingConfig
from satcost_gnn.errors import EvaluationError
from satcost_gnn.evaluation.accuracy import accuracy
from satcost_gnn.evaluation.contenders import Contender
from satcost_gnn.evaluation.protocol import Progress, Say, gather, open_bench, plan, run_fits


@dataclass(frozen=True)
class EvaluationSettings:
    """What is compared, and how."""

    config: TrainingConfig
    contenders: Sequence[Contender]
    split: str
    seeds: Sequence[int]
    unit: str
    solver: str
    checkpoints: Sequence[Checkpoint]
    cutoff: float | None
    resamples: int
    jobs: int
    resume: bool
    command: str


def run_evaluation(
    settings: EvaluationSettings, output: Path, say: Say, progress: Progress
) -> tuple[Path, dict[str, str]]:
    """Compare the contenders; return the report and contender -> why it has no row, or not for all seeds."""
    if (output / "predictions").exists() and not settings.resume:
        raise EvaluationError(
            f"{output}: found the predictions of an earlier evaluation; add --resume to keep those that fit, or choose "
            "another directory"
        )
    bench = open_bench(
        settings.config, settings.split, settings.unit, settings.solver, settings.contenders, say, progress
    )
    fits, failed = plan(bench, settings.contenders, settings.seeds, settings.checkpoints, say)
    problems = run_fits(bench, fits, output, settings.jobs, say, progress)
    results = gather(bench, fits, failed, problems, output)
    found: dict[str, Any] = {}
    for name, one in results.predictions():
        table = results.tables[settings.unit]
        cutoff = float(results.cutoffs[settings.unit][:, 0].max())
        row = accuracy(one.calibrated[settings.unit], table, settings.solver, cutoff)
        found.setdefault(name, {})[str(one.seed)] = row
    (output / "metrics.json").write_text(json.dumps({"accuracy": found, "failed": results.failed}, indent=1) + "\n")
    return output / "metrics.json", dict(results.failed)
