"""Presolving of a batch: what the single best solver answers in about the time of a prediction needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from satcost_gnn.features.early_budget import presolving
from satcost_gnn.features.preprocessing import Preprocessed, preprocess_many
from satcost_gnn.formula.sources import FormulaFile, UnreadableName
from satcost_gnn.serve.predictor import Predictor


def left_open(
    predictor: Predictor,
    sources: Iterable[FormulaFile | UnreadableName],
    limit_s: float,
    jobs: int,
    finish: Callable[[dict[str, Any]], None],
) -> Iterator[tuple[int, Preprocessed] | None]:
    """Preprocess the files of a batch, and yield those that presolving has not answered.

    No estimator is asked, and none is loaded, for those that it has.

    Parameters
    ----------
    predictor
        Whose checkpoint says how to preprocess.
    sources
        The files.
    limit_s
        CPU seconds of an instance.
    jobs
        Files at a time, each in a child of a helper process of its own.
    finish
        Called with the row of each instance that has been answered.

    Yields
    ------
    (int, Preprocessed) or None
        As :func:`~satcost_gnn.features.preprocessing.preprocess_many` does.
    """
    settings = presolving(predictor.settings, limit_s, predictor.checkpoint.config.probe_solver)
    for item in preprocess_many(enumerate(sources), settings, jobs=jobs):
        instance = item[1].instance if item is not None else None
        if item is None or instance is None or instance.plain is None or not instance.plain.solved:
            yield item
            continue
        for warning in item[1].warnings:
            if predictor.on_warning is not None:
                predictor.on_warning(instance.path, warning)
        finish(
            {
                "path": instance.path,
                "gbdhash": instance.gbdhash,
                "status": instance.plain.status,
                "solver": instance.plain.solver,
                "cpu_s": instance.plain.spent_s,
                "runs": 0,
                "source": "search",
                "in_distribution": None,
                "error": "",
                "warnings": "; ".join(item[1].warnings),
            }
        )
