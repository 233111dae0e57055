"""Training of the network with Lightning: reproducible from a seed, resumable, batches planned by size.

A run directory holds ``config.json`` (every setting, defaults included), ``split.json`` (who was trained on and who,
if anyone, decided when to stop), ``log.csv`` (one row an epoch, scores averaged over the fusion's members) and, for
each network, ``member-<i>/last.ckpt``, only for resuming, and ``member-<i>/model.safetensors`` once it is done.

A run that was interrupted and resumed gives the same weights as one that was not: batches and random numbers of an
epoch follow from the seed and the epoch alone, the learning rate from the progress, and all else is in the ``.ckpt``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader

from satcost_gnn.config import NetworkConfig
from satcost_gnn.errors import ConfigError, DamagedFileError
from satcost_gnn.learn.network.batching import (
    GraphBatch,
    GraphSample,
    collate,
    encoded_sample,
    plan_batches,
    planned_batches,
)
from satcost_gnn.learn.network.cost_model import CostModel
from satcost_gnn.learn.network.definition import ModelShape
from satcost_gnn.learn.network.lightning_surroundings import reproducible
from satcost_gnn.learn.network.losses import batch_losses
from satcost_gnn.learn.network.stored_weights import check_training_state, load_weights
from satcost_gnn.learn.network.training_callbacks import BestWeights, EpochLog
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import write_json

_LAST_RATE = 0.02


class CostModule(lightning.LightningModule):  # type: ignore[misc]
    """A cost model in training, and the running mean of its weights, which is what is validated and kept."""

    def __init__(self, model: CostModel, config: NetworkConfig, seed: int) -> None:
        super().__init__()
        self.model = model
        self.config, self.seed = config, seed
        self.averaged = copy.deepcopy(model).requires_grad_(False)
        self.unit = next(iter(model.shape.solvers))
        self._train_loss: list[Tensor] = []
        self._sums = dict.fromkeys(("nll", "crps", "count"), 0.0)

    @torch.no_grad()
    def _move_mean(self) -> None:
        """Move the running mean towards the weights, all of them in one call."""
        made = self.global_step - 1
        # At first the window grows with the steps made: the initial weights must not linger in a short training.
        decay = min(self.config.optimiser.ema_decay, (1.0 + made) / (10.0 + made)) if made > 0 else 0.0
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), 1.0 - decay)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW, with decay of matrices but not of biases, norms and the like."""
        matrices: list[torch.nn.Parameter] = []
        others: list[torch.nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            (matrices if parameter.ndim > 1 and not name.endswith("bias") else others).append(parameter)
        settings = self.config.optimiser
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=settings.learning_rate)

    def learning_rate(self, progress: float) -> float:
        """Return the rate at a share of the training: it rises linearly, then falls as half a cosine."""
        settings = self.config.optimiser
        if progress < settings.warmup:
            factor = progress / settings.warmup
        else:
            factor = 0.5 * (1 + np.cos(np.pi * (progress - settings.warmup) / (1 - settings.warmup)))
        return float(settings.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * factor))

    @property
    def encodes(self) -> bool:
        """Whether graphs are still encoded in this epoch, or are vectors by now."""
        learning = self.current_epoch < self.config.optimiser.encoder_epochs
        return learning or "graph" not in self.config.model.modalities

    def keep_encoder(self) -> None:
        """Fix the encoder at the running mean of its weights; the optimiser leaves alone what has no gradient."""
        self.model.encoder.load_state_dict(self.averaged.encoder.state_dict())
        self.model.encoder.requires_grad_(False)
        for parameter in self.model.encoder.parameters():
            parameter.grad = None

    def on_train_epoch_start(self) -> None:
        """Start counting."""
        self._train_loss = []

    def on_train_batch_start(self, batch: GraphBatch, batch_idx: int) -> None:
        """Seed dropout from the place in the run alone, so that resuming changes nothing, and set the learning rate."""
        state = np.random.SeedSequence([self.seed, self.current_epoch, batch_idx]).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]) >> 1)
        progress = (self.current_epoch + (batch_idx + 0.5) / self.trainer.num_training_batches) / (
            self.config.optimiser.epochs
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate(progress)

    def training_step(self, batch: GraphBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        total = batch_losses(self.model(batch), batch, self.config.loss).total
        self._train_loss.append(total.detach())
        return total

    def on_train_batch_end(self, outputs: Any, batch: GraphBatch, batch_idx: int) -> None:
        """Move the running mean of the weights."""
        self._move_mean()

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self._sums = dict.fromkeys(("nll", "crps", "count"), 0.0)

    def validation_step(self, batch: GraphBatch, batch_idx: int) -> None:
        """Add up the scores of the first unit."""
        losses = batch_losses(self.averaged(batch), batch, self.config.loss)
        for name in self._sums:
            self._sums[name] += float(getattr(losses, name)[self.unit])

    def on_validation_epoch_end(self) -> None:
        """Publish the means, for early stopping and the log."""
        for name in ("nll", "crps"):
            self.log(name, self._sums[name] / max(1.0, self._sums["count"]))

    @property
    def train_loss(self) -> float:
        """Mean loss over the batches of this epoch."""
        return float(torch.stack(self._train_loss).mean()) if self._train_loss else float("nan")

    @property
    def best_candidate(self) -> dict[str, Tensor]:
        """The averaged weights, as a state of :class:`CostModel`."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.averaged.state_dict().items()}


class GraphData(lightning.LightningDataModule):  # type: ignore[misc]
    """Training and validation samples with targets, in batches planned for each epoch, in an order by the seed."""

    def __init__(
        self, train: Sequence[GraphSample], validation: Sequence[GraphSample], config: NetworkConfig, seed: int
    ) -> None:
        super().__init__()
        self.train, self.validation = list(train), list(validation)
        self.config, self.seed = config, seed
        self._encoded = False

    def _encode(self) -> None:
        """Turn every graph into a vector, once the encoder learns no more."""
        module = self.trainer.lightning_module
        if module.encodes or self._encoded:
            return
        module.keep_encoder()
        for samples in (self.train, self.validation):
            for part in self._each_once(samples):
                with torch.inference_mode():
                    batch = collate([samples[i] for i in part]).to(module.device)
                    vectors = module.model.encoder(batch).float().cpu().numpy()
                for i, vector in zip(part, vectors, strict=True):
                    samples[i] = encoded_sample(samples[i], vector)
        self._encoded = True

    def train_dataloader(self) -> DataLoader[GraphSample]:
        """Return this epoch's batches."""
        self._encode()
        bounds = self.config.batches
        plan = planned_batches(
            [sample.graph.n_edges for sample in self.train],
            max_edges=bounds.edges,
            max_graphs=bounds.graphs,
            seed=self.seed,
            epoch=self.trainer.current_epoch,
            families=[sample.family for sample in self.train],
            family_balance=bounds.family_balance,
            shares=[sample.share for sample in self.train],
        )
        # Once the graphs are vectors, a batch is put together in no time.
        workers = bounds.workers if self.trainer.lightning_module.encodes else 0
        return DataLoader(
            self.train,  # type: ignore[arg-type]
            batch_sampler=plan,
            collate_fn=collate,
            num_workers=workers,
        )

    def val_dataloader(self) -> DataLoader[GraphSample]:
        """Return the validation batches, always the same."""
        plan = self._each_once(self.validation)
        return DataLoader(self.validation, batch_sampler=plan, collate_fn=collate)  # type: ignore[arg-type]

    def _each_once(self, samples: Sequence[GraphSample]) -> list[list[int]]:
        """Return batches of positions that hold every sample once."""
        bounds = self.config.batches
        edges = [sample.graph.n_edges for sample in samples]
        return [part.tolist() for part in plan_batches(edges, max_edges=bounds.edges, max_graphs=bounds.graphs)]


def train_member(
    config: NetworkConfig,
    shape: ModelShape,
    train: Sequence[GraphSample],
    validation: Sequence[GraphSample],
    marginal: Mapping[str, NDArray[np.float32]],
    *,
    member: int = 0,
    directory: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
) -> CostModel:
    """Train one network.

    Parameters
    ----------
    config
        Settings; the seed is ``config.seed + member``.
    train, validation
        Samples with targets for every unit of ``shape``. Without validation samples all epochs are made.
    marginal
        Unit -> logits of the training set's own hazards.
    directory
        Directory of the run; None to keep nothing on disk.
    resume
        Go on from ``last.ckpt`` if there is one.
    callbacks
        Further Lightning callbacks.

    Returns
    -------
    CostModel
        With the averaged weights of the best epoch, without validation of the last, on the CPU, in evaluation mode.
    """
    seed = config.seed + member
    place = directory / f"member-{member}" if directory is not None else None
    settings = config.optimiser
    best = BestWeights(settings.monitor if validation else None)
    with reproducible(seed) as surroundings:
        model = CostModel(config.model, shape)
        model.set_statistics(train, marginal)
        hooks: list[Callback] = [
            best,
            EpochLog(member, best, directory / "log.csv" if directory is not None else None),
            *callbacks,
        ]
        if validation:
            hooks.append(
                EarlyStopping(
                    settings.monitor, patience=settings.patience, check_on_train_epoch_end=True, verbose=False
                )
            )
        last = place / "last.ckpt" if place is not None else None
        if place is not None:
            hooks.append(
                ModelCheckpoint(
                    place, filename="last", save_top_k=1, save_on_train_epoch_end=True, enable_version_counter=False
                )
            )
        trainer = lightning.Trainer(
            **surroundings,
            accelerator=config.accelerator,
            precision=config.precision,
            max_epochs=settings.epochs,
            gradient_clip_val=settings.gradient_clip,
            callbacks=hooks,
            enable_checkpointing=place is not None,
            limit_val_batches=1.0 if validation else 0,
        )
        state = check_training_state(last) if resume and last is not None and last.exists() else None
        trainer.fit(
            CostModule(model, config, seed),
            datamodule=GraphData(train, validation, config, seed),
            ckpt_path=None if state is None else str(state),
            weights_only=True,
        )
        model = CostModel(config.model, shape)
    model.load_state_dict(best.weights)
    return model.eval()


def train_network(
    config: NetworkConfig,
    shape: ModelShape,
    train: Sequence[GraphSample],
    validation: Sequence[GraphSample],
    marginal: Mapping[str, NDArray[np.float32]],
    *,
    directory: Path | None = None,
    resume: bool = False,
) -> list[CostModel]:
    """Train all members of an ensemble one after the other; parameters as for :func:`train_member`.

    Members that an earlier, interrupted run finished are read back instead of trained again.
    """
    members = []
    for member in range(config.members):
        done = directory / f"member-{member}" / "model.safetensors" if directory is not None else None
        if resume and done is not None and done.exists():
            try:
                members.append(load_weights(done, lambda: CostModel(config.model, shape)))
                log.info(f"member {member}: finished before")
                continue
            except DamagedFileError as error:
                log.warning(f"{error}; the member is trained again")
        model = train_member(
            config, shape, train, validation, marginal, member=member, directory=directory, resume=resume
        )
        if done is not None:
            temporary = done.with_suffix(".tmp")
            save_file(model.state_dict(), temporary)
            temporary.replace(done)
        members.append(model)
    return members


def open_run(directory: Path, config: Mapping[str, Any], split: Mapping[str, Sequence[str]], *, resume: bool) -> None:
    """Start a run directory with its configuration and split, or check that a run to be resumed is the same.

    The settings are plain JSON values; ``split`` is side -> identities of its instances; ``resume``: the directory may
    exist.

    Raises
    ------
    ConfigError
        If the directory holds a run and ``resume`` is not set, or the run there had other settings or instances.
    """
    found = {}
    for name in ("config", "split"):
        path = directory / f"{name}.json"
        if path.exists():
            if not resume:
                raise ConfigError(f"{directory}: found a run there; resume it, or choose another name or directory")
            try:
                found[name] = json.loads(path.read_text())
            except (OSError, ValueError) as error:
                raise ConfigError(f"{path}: cannot be read as JSON: {error}; start the run anew") from error
    wanted = json.loads(json.dumps({"config": dict(config), "split": {k: list(v) for k, v in split.items()}}))
    for name, before in found.items():
        if before != wanted[name]:
            differing = sorted(key for key in {*before, *wanted[name]} if before.get(key) != wanted[name].get(key))
            raise ConfigError(
                f"{directory / name}.json: found another {name} than this run's ({', '.join(differing)} differ); "
                "resume with what the run was started with, or start it anew"
            )
    directory.mkdir(parents=True, exist_ok=True)
    for name, values in wanted.items():
        write_json(directory / f"{name}.json", values, indent=1)
