"""What everything that decides by a checkpoint's predictions has in common: a predictor of CPU seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from satcost_gnn.decide.training_statistics import UNIT
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.early_budget import DEFAULT_LIMIT_S
from satcost_gnn.serve.predictor import Predictor


class DecidesByPredictor:
    """Holds a predictor of CPU seconds, and closes it at the end of a ``with`` block.

    Raises
    ------
    ConfigError
        If it is of another unit.
    """

    def __init__(self, predictor: Predictor) -> None:
        if predictor.unit != UNIT:
            raise ConfigError(f"found a predictor of {predictor.unit}; expected one of {UNIT}")
        self.predictor = predictor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the helper process of the predictor."""
        self.predictor.close()


def open_predictor(where: str | Path | None, limit_s: float | None, **options: Any) -> Predictor:
    """Open a checkpoint (None: the newest that ships with the package) for decisions.

    Parameters
    ----------
    where
        Directory or name of the checkpoint.
    limit_s
        CPU seconds of a run: the cutoff, and what bounds the early search (see
        :func:`~satcost_gnn.features.early_budget.early_share`). None for the checkpoint's cutoff.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or it predicts no CPU seconds.
    ConfigError
        If a solver is unknown or the limit out of range.
    """
    early_s = DEFAULT_LIMIT_S if limit_s is None else limit_s
    return Predictor.from_checkpoint(where, unit=UNIT, cutoff=limit_s, limit_s=early_s, **options)
