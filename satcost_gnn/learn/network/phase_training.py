"""Training of the network that predicts phases, with Lightning: reproducible from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from satcost_gnn.learn.network.batching import plan_batches, planned_batches
from satcost_gnn.learn.network.lightning_surroundings import reproducible
from satcost_gnn.learn.network.phase_model import PhaseModel, PhaseModelConfig
from satcost_gnn.learn.network.phase_samples import PhaseBatch, PhaseSample, collate_graphs, collate_phases
from satcost_gnn.learn.network.training_callbacks import BestWeights
from satcost_gnn.runtime.logs import log
from satcost_gnn.section import Section


class PhaseTrainingConfig(Section):
    """All settings of a training."""

    model: PhaseModelConfig = PhaseModelConfig()
    epochs: int = Field(default=40, ge=1, description="Epochs at most.")
    patience: int = Field(default=8, ge=1, description="Epochs without a better validation loss before it stops.")
    learning_rate: float = Field(default=3e-3, gt=0, description="First learning rate; it falls as half a cosine.")
    weight_decay: float = Field(default=0.01, ge=0, description="Decoupled weight decay (AdamW).")
    gradient_clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient.")
    edges: int = Field(default=60_000, ge=1, description="Edges in a batch.")
    graphs: int = Field(default=8, ge=1, description="Graphs in a batch.")
    probe_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of the times that a formula is shown with an early search."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the weights and of the order.")


def _variants(samples: Sequence[PhaseSample]) -> list[PhaseSample]:
    """Return every sample without its early search, and those with it that the search had not solved.

    A search that ended with a model has that model in its counts, which no search has that is worth guiding.
    """
    return [s.without_probe() for s in samples] + [s for s in samples if not s.probe_result]


class _PhaseData(lightning.LightningDataModule):  # type: ignore[misc]
    """Training samples, with or without their early search by chance, and all variants of the validation samples."""

    def __init__(
        self, train: Sequence[PhaseSample], validation: Sequence[PhaseSample], config: PhaseTrainingConfig
    ) -> None:
        super().__init__()
        self.train, self.validation, self.config = list(train), _variants(validation), config

    def train_dataloader(self) -> DataLoader[PhaseSample]:
        """Return this epoch's batches."""
        config, epoch = self.config, self.trainer.current_epoch
        probed = np.random.default_rng([config.seed, epoch, 1]).random(len(self.train)) < config.probe_share
        chosen = [
            sample if use and not sample.probe_result else sample.without_probe()
            for sample, use in zip(self.train, probed, strict=True)
        ]
        plan = planned_batches(
            [sample.graph.n_edges for sample in chosen],
            max_edges=config.edges,
            max_graphs=config.graphs,
            seed=config.seed,
            epoch=epoch,
        )
        return DataLoader(chosen, batch_sampler=plan, collate_fn=collate_phases)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[PhaseSample]:
        """Return the validation batches, always the same."""
        plan = plan_batches(
            [sample.graph.n_edges for sample in self.validation],
            max_edges=self.config.edges,
            max_graphs=self.config.graphs,
        )
        batches = [part.tolist() for part in plan]
        return DataLoader(self.validation, batch_sampler=batches, collate_fn=collate_phases)  # type: ignore[arg-type]


class _PhaseModule(lightning.LightningModule):  # type: ignore[misc]
    """The network in training: cross-entropy against the shares of models, every formula counting the same."""

    def __init__(self, model: PhaseModel, config: PhaseTrainingConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self._sums: dict[str, list[float]] = {}

    def configure_optimizers(self) -> Any:
        """Return AdamW and the fall of its learning rate over the epochs."""
        config = self.config
        optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        return [optimiser], [torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=config.epochs)]

    def _total(self, batch: PhaseBatch, what: str) -> Tensor:
        """Return the loss summed over formulas, and remember it."""
        total = functional.binary_cross_entropy_with_logits(
            self.model(batch.graphs), batch.true_share, weight=batch.weight, reduction="sum"
        )
        sums = self._sums.setdefault(what, [0.0, 0.0])
        sums[0] += float(total.detach())
        sums[1] += len(batch.graphs)
        return total

    def on_train_epoch_start(self) -> None:
        """Start counting."""
        self._sums = {}

    def training_step(self, batch: PhaseBatch, batch_idx: int) -> Tensor:
        """Return the mean loss of the batch's formulas."""
        return self._total(batch, "train") / len(batch.graphs)

    def validation_step(self, batch: PhaseBatch, batch_idx: int) -> None:
        """Add up the loss."""
        self._total(batch, "validation")

    def on_validation_epoch_end(self) -> None:
        """Publish the mean, for early stopping."""
        self.log("loss", self.mean("validation"))

    def mean(self, what: str) -> float:
        """Return the mean loss of a formula in this epoch, in nats a variable."""
        total, count = self._sums.get(what, (float("nan"), 1.0))
        return total / count

    @property
    def best_candidate(self) -> dict[str, Tensor]:
        """The weights, as a state of :class:`PhaseModel`."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}


class _EpochLine(Callback):  # type: ignore[misc]
    def on_train_epoch_end(self, trainer: Any, pl_module: _PhaseModule) -> None:
        log.info(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: loss {pl_module.mean('train'):.4f}, "
            f"validation {pl_module.mean('validation'):.4f}"
        )


def train_phases(
    config: PhaseTrainingConfig,
    train: Sequence[PhaseSample],
    validation: Sequence[PhaseSample],
) -> PhaseModel:
    """Train a network on labelled formulas; those of ``validation`` only stop the training.

    It has the weights of the best epoch and is in evaluation mode.
    """
    best = BestWeights("loss")
    with reproducible(config.seed) as surroundings:
        model = PhaseModel(config.model)
        model.set_statistics(collate_graphs([sample.graph]) for sample in _variants(train))
        trainer = lightning.Trainer(
            **surroundings,
            accelerator="cpu",
            max_epochs=config.epochs,
            gradient_clip_val=config.gradient_clip,
            callbacks=[best, EarlyStopping("loss", patience=config.patience, verbose=False), _EpochLine()],
            enable_checkpointing=False,
        )
        trainer.fit(_PhaseModule(model, config), datamodule=_PhaseData(train, validation, config))
        model.load_state_dict(best.weights)
    return model.eval()
