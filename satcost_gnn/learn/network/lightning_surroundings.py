"""What stands around Lightning's trainer: one process, and silence about what was chosen on purpose."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only


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
def one_process() -> Iterator[OneProcess]:
    """Give the plugin for a trainer, and let this process be the first, as which it writes files and draws numbers."""
    # Read from a batch system's variables when Lightning is imported.
    before = rank_zero_only.rank
    rank_zero_only.rank = 0
    try:
        yield OneProcess()
    finally:
        rank_zero_only.rank = before


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what Lightning says about choices that are made on purpose, and nothing else."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*`training_step` returned `None`.*")
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        log.setLevel(level)
