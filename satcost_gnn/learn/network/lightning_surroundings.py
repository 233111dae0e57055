"""What stands around Lightning's trainer: one process, a seed, and silence about what was chosen on purpose."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng


class OneProcess(LightningEnvironment):  # type: ignore[misc]
    """The surroundings of a single process, whatever the variables of a batch system say.

    Lightning guesses them from ``SLURM_*``, ``LOCAL_RANK``, ``WORLD_SIZE`` and their like. Inside an allocation of
    several tasks, or below ``torchrun`` or ``mpirun``, it would then expect to be one of several, or refuse.
    """

    @property
    def creates_processes_externally(self) -> bool:
        """Nobody else has started processes for this training."""
        return False

    @property
    def main_address(self) -> str:
        """The address of this machine, for itself."""
        return "127.0.0.1"

    def local_rank(self) -> int:
        """Return 0: there is only one process."""
        return 0

    def node_rank(self) -> int:
        """Return 0: there is only one machine."""
        return 0

    def teardown(self) -> None:
        """Leave the environment variables as they are."""


@contextmanager
def reproducible(seed: int) -> Iterator[dict[str, Any]]:
    """Give what every trainer is told; be seeded, quiet about what was chosen on purpose, and the first process.

    What is set in Lightning and torch for that is undone.
    """
    log, level = logging.getLogger("lightning.pytorch"), logging.getLogger("lightning.pytorch").level
    # Read from a batch system's variables when Lightning is imported; the first one writes files and draws numbers.
    rank = rank_zero_only.rank
    # A module whose one attribute is a property, which its type doesn't show.
    filling: Any = torch.utils.deterministic
    before, only_warn, filled = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        filling.fill_uninitialized_memory,
    )
    log.setLevel(logging.WARNING)
    rank_zero_only.rank = 0
    # Nothing is read here that was not written; to fill all memory first costs a GPU as many calls again.
    filling.fill_uninitialized_memory = False
    try:
        with isolate_rng(), warnings.catch_warnings():
            for message in (
                ".*does not have many workers.*",
                ".*Checkpoint directory .* exists and is not empty.*",
                ".*`training_step` returned `None`.*",
                ".*GPU available but not used.*",
                ".*does not have a deterministic implementation.*",
            ):
                warnings.filterwarnings("ignore", message=message)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            lightning.seed_everything(seed, workers=True, verbose=False)
            yield {
                "devices": 1,
                "plugins": [OneProcess()],
                # On a GPU some kernels have no deterministic form; a run must not fail over that.
                "deterministic": "warn" if torch.cuda.is_available() else True,
                "logger": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "use_distributed_sampler": False,
                "reload_dataloaders_every_n_epochs": 1,
            }
    finally:
        log.setLevel(level)
        rank_zero_only.rank = rank
        torch.use_deterministic_algorithms(before, warn_only=only_warn)
        filling.fill_uninitialized_memory = filled
