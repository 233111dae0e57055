"""Callbacks of a training: the best weights are kept, and every epoch is logged."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Callback
from torch import Tensor

from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import replacing

if TYPE_CHECKING:
    from satcost_gnn.learn.network.training import CostModule


_LOG_COLUMNS = ("member", "epoch", "train_loss", "validation_nll", "validation_crps", "learning_rate", "seconds")


class BestWeights(Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch, or of the last one without a monitor; they travel in the ``.ckpt``."""

    def __init__(self, monitor: str | None) -> None:
        self.monitor = monitor
        self.score = float("inf")
        self.epoch = -1
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: CostModule) -> None:
        """Compare this epoch with the best."""
        score = float("inf") if self.monitor is None else float(trainer.callback_metrics[self.monitor])
        if self.monitor is None or score < self.score or not self.weights:
            self.score, self.epoch = score, trainer.current_epoch
            self.weights = pl_module.best_candidate

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.score, self.epoch, self.weights = state_dict["score"], state_dict["epoch"], state_dict["weights"]


class EpochLog(Callback):  # type: ignore[misc]
    """One row of ``log.csv`` and one line for each epoch."""

    def __init__(self, member: int, best: BestWeights, path: Path | None) -> None:
        self.member, self.best, self.path = member, best, path
        self._start = 0.0

    def on_train_start(self, trainer: Any, pl_module: CostModule) -> None:
        """Start the file, or cut it back to the epoch that the run is resumed from."""
        if self.path is None:
            return
        rows = []
        if self.path.exists():
            with self.path.open(newline="") as stream:
                rows = [
                    row
                    for row in csv.DictReader(stream)
                    if (int(row["member"]), int(row["epoch"])) < (self.member, trainer.current_epoch)
                ]
        with replacing(self.path) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, _LOG_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def on_train_epoch_start(self, trainer: Any, pl_module: CostModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: Any, pl_module: CostModule) -> None:
        """Write the epoch."""
        metrics = {name: float(trainer.callback_metrics[name]) for name in ("nll", "crps") if self.best.monitor}
        seconds = time.monotonic() - self._start
        row = (
            self.member,
            trainer.current_epoch,
            f"{pl_module.train_loss:.5f}",
            *(f"{metrics[name]:.5f}" if name in metrics else "" for name in ("nll", "crps")),
            f"{trainer.optimizers[0].param_groups[0]['lr']:.3g}",
            f"{seconds:.2f}",
        )
        if self.path is not None:
            with self.path.open("a", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerow(row)
        line = (
            f"member {self.member} epoch {trainer.current_epoch + 1:3d}/{trainer.max_epochs}: "
            f"train loss {pl_module.train_loss:.4f}, "
        )
        if metrics:
            line += f"validation nll {metrics['nll']:.4f}, crps {metrics['crps']:.4f}, "
        best = " (best)" if metrics and self.best.epoch == trainer.current_epoch else ""
        log.info(f"{line}{seconds:.1f} s{best}")
