"""A predictor that is imported and opened when it is first needed, so that what needs none starts sooner."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from satcost_gnn.decide.training_statistics import UNIT
from satcost_gnn.errors import ConfigError
from satcost_gnn.serve.checkpoint import Checkpoint

if TYPE_CHECKING:
    from satcost_gnn.serve.predictor import Predictor


@dataclass(eq=False)
class LatePredictor:
    """What a predictor of CPU seconds is to be opened with, and the predictor once it is."""

    checkpoint: Checkpoint
    solvers: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    unit: str = UNIT
    _opened: Predictor | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, where: str | Path | None, solvers: Sequence[str] | None, **options: Any) -> Self:
        """Open a checkpoint; the parameters are those of :meth:`Predictor.from_checkpoint`.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint.
        ConfigError
            If a solver is not in the checkpoint.
        """
        checkpoint = Checkpoint.open(where)
        config = checkpoint.config
        unknown = [name for name in solvers or () if name not in config.solvers]
        if unknown:
            raise ConfigError(f"{unknown[0]!r} is not in {config.label}; expected some of {', '.join(config.solvers)}")
        return cls(checkpoint, tuple(solvers or config.solvers), options)

    def open(self) -> Predictor:
        """Return the predictor, the same one each time."""
        from satcost_gnn.serve.predictor import Predictor

        with self._lock:
            if self._opened is None:
                self._opened = Predictor(self.checkpoint, unit=self.unit, solvers=self.solvers, **self.options)
            return self._opened

    def close(self) -> None:
        """Stop the helper process of the predictor, if it has been opened."""
        if self._opened is not None:
            self._opened.close()
