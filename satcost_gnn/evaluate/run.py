"""One evaluation from beginning to end: fits, measures, tables, pictures, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from satcost_gnn import __version__
from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.distribution import GRIDS
from satcost_gnn.core.observed import beyond_note, label_bounds
from satcost_gnn.core.selection_metrics import virtual_best
from satcost_gnn.data.splits import SIDES
from satcost_gnn.errors import EvaluationError
from satcost_gnn.evaluate.comparison import RELIABILITY_LEVELS, Comparison, compare_all
from satcost_gnn.evaluate.methods import Method
from satcost_gnn.evaluate.prediction_rows import PredictionRows
from satcost_gnn.evaluate.protocol import EvaluationSetup, Progress, open_setup, plan, run_fits
from satcost_gnn.evaluate.report import report
from satcost_gnn.evaluate.results import gather
from satcost_gnn.evaluate.scores import MEASURES
from satcost_gnn.evaluate.selection import SelectionProblem
from satcost_gnn.learn.labelled_instances import default_cutoffs
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.serve.checkpoint import Checkpoint

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster

METRICS_VERSION = 1


@dataclass(frozen=True)
class EvaluationSettings:
    """What is compared, and how.

    Parameters
    ----------
    config
        Data set, cache, solvers, network and preprocessing.
    split
        ``instance`` or ``family``.
    seeds
        Seeds of the methods that have one.
    network_seeds
        Seeds of the networks; None for the same ones.
    unit, solver
        What the table of accuracy is of.
    checkpoints
        Whose networks are taken where they fit.
    cutoff
        Budget, in the unit, of the measures that need one; None for the default of the unit.
    resamples, jobs
        Bootstrap resamples; classical estimators fitted at a time.
    resume
        Whether predictions in the output are kept.
    command
        What is written above the tables.
    cluster
        Where instances are preprocessed; None for this machine.
    """

    config: TrainingConfig
    methods: Sequence[Method]
    split: str
    seeds: Sequence[int]
    network_seeds: Sequence[int] | None
    unit: str
    solver: str
    checkpoints: Sequence[Checkpoint]
    cutoff: float | None
    resamples: int
    jobs: int
    resume: bool
    command: str
    cluster: RayCluster | None = None


def run_evaluation(settings: EvaluationSettings, output: Path, progress: Progress) -> tuple[Path, dict[str, str]]:
    """Compare the methods.

    Parameters
    ----------
    output
        Directory of ``predictions/``, ``predictions.parquet``, ``metrics.json``, ``report.md`` and ``report.html``.

    Returns
    -------
    report
        Path of the HTML report.
    failed
        Method -> why it has no row, or not for all seeds.

    Raises
    ------
    SatcostError
        If the data set is unusable, the output is of an earlier evaluation that isn't to be resumed, or no method
        has any predictions.
    """
    if settings.unit not in GRIDS:
        raise EvaluationError(f"found unit {settings.unit!r}; expected one of {', '.join(GRIDS)}")
    if (output / "predictions").exists() and not settings.resume:
        raise EvaluationError(
            f"{output}: found the predictions of an earlier evaluation; add --resume to keep those that fit, or choose "
            "another directory"
        )
    methods = settings.methods
    setup = open_setup(
        settings.config, settings.split, settings.unit, settings.solver, methods, progress, settings.cluster
    )
    log.info(f"{len(setup.test)} test instances, {len(setup.solved_in_test())} more solved by the probe")
    fits, failed = plan(setup, methods, settings.seeds, settings.checkpoints, settings.network_seeds)
    for name, why in failed.items():
        log.warning(f"{name}: {why}")
    cutoffs = default_cutoffs(setup.dataset, setup.units)
    if settings.cutoff is not None:
        cutoffs[settings.unit] = settings.cutoff
    if note := _beyond_labels(setup, settings.unit, cutoffs[settings.unit]):
        log.info(note)

    problems = run_fits(setup, fits, output, settings.jobs, progress)
    results = gather(setup, fits, failed, problems, output)
    if not results.files:
        told = "; ".join(f"{name}: {why}" for name, why in results.failed.items())
        raise EvaluationError(f"no estimator has predictions: {told or 'there are none to compare'}")
    with PredictionRows(output / "predictions.parquet", results, cutoffs) as rows:
        comparison = compare_all(results, math.log10(cutoffs[settings.unit]), settings.resamples, progress, rows.write)
    write_json(output / "metrics.json", metrics(comparison, settings), indent=1, allow_nan=False)
    _, html = report(comparison, settings.command).write(output, "report")
    return html, dict(results.failed)


def _beyond_labels(setup: EvaluationSetup, unit: str, cutoff: float) -> str:
    """Return one line about a cutoff that the labels of a training side don't reach; empty if they do."""
    sides = setup.side_names(setup.folds[0])
    training = [name for name, side in sides.items() if side == "train"]
    bounds = label_bounds(setup.dataset, training, setup.solvers, [unit])
    return beyond_note(cutoff, bounds.get(unit, math.inf), unit)


def metrics(comparison: Comparison, settings: EvaluationSettings) -> dict[str, Any]:
    """Return every number of the report, as plain values for JSON; NaN as null."""
    results = comparison.results
    setup = results.setup
    found: dict[str, Any] = {
        "version": METRICS_VERSION,
        "package_version": __version__,
        "command": settings.command,
        "dataset": str(setup.dataset.directory),
        "split": setup.split,
        "folds": [fold for fold in setup.folds if fold is not None],
        "unit": setup.units[0],
        "solver": setup.solvers[0],
        "solvers": setup.solvers,
        "seeds": list(settings.seeds),
        "resamples": settings.resamples,
        "cutoff": 10**comparison.cutoff,
        "n": len(comparison.runs),
        "n_solved": int((~comparison.runs.censored).sum()),
        "solved_by_probe": len(setup.solved_in_test()),
        "instances": {side: len(setup.data.side(side)) for side in SIDES}
        if setup.split == "instance"
        else {"test": len(setup.test)},
        "measures": {name: measure.text for name, measure in MEASURES.items()},
        "reliability_levels": RELIABILITY_LEVELS,
        "estimators": comparison.rows,
        "best_classical": comparison.reference,
        "against_best_classical": comparison.differences,
        "failed": results.failed,
    }
    if comparison.ood_detection is not None:
        found["ood_detection"] = comparison.ood_detection.by_features
    problem = comparison.problem
    if isinstance(problem, SelectionProblem):
        found["selection"] = {
            "unit": "cpu_seconds",
            "cutoff": problem.cutoff_s,
            "portfolio": problem.portfolio,
            "instances": len(problem.instances),
            "solved_by_probe": int(problem.by_probe().sum()),
            "left_out": problem.left_out,
            "single_best": problem.portfolio[problem.single],
            "solvers": {
                solver: {
                    "par2": float(problem.par2[:, k].mean()),
                    "par10": float(problem.par10[:, k].mean()),
                    "solved": float(problem.solved[:, k].mean()),
                }
                for k, solver in enumerate(problem.portfolio)
            },
            "virtual_best": {
                "par2": problem.bounds.vbs,
                "par10": float(virtual_best(problem.par10).mean()),
            },
            "selectors": comparison.selection,
        }
    else:
        found["selection"] = {"none": problem}
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(value: Any) -> Any:
    """Return values that JSON has: numbers rounded to what they are good for, NaN as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return None if not math.isfinite(value) else float(f"{float(value):.7g}")
    if isinstance(value, np.integer):
        return int(value)
    return value
