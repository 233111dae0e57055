"""What everything that decides by a checkpoint's predictions has in common: a predictor of CPU seconds."""

from __future__ import annotations

from typing import Self

from satcost_gnn.decide.training_statistics import UNIT
from satcost_gnn.errors import ConfigError
from satcost_gnn.serve.predictor import Predictor


class DecidesByPredictor:
    """Holds a predictor, and closes it at the end of a ``with`` block.

    Parameters
    ----------
    predictor
        In CPU seconds.

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
