"""From labels of phases to a checkpoint of phases."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from satcost_gnn.errors import DatasetError
from satcost_gnn.train.phase_labels import MODELS, read_samples

#: Settings of the training that the checkpoint in the package was made with.
SETTINGS: dict[str, Any] = {
    "model": {"width": 24, "rounds": 4, "mean_channels": 12, "extreme_channels": 4},
    "epochs": 16,
    "patience": 6,
    "learning_rate": 5e-3,
    "edges": 24_000,
}
#: Larger graphs are left out of training: a few of them would take most of its time.
MOST_EDGES_IN_TRAINING = 12_000


def train_phase_checkpoint(work: Path, target: Path, *, dataset: str, command: str) -> None:
    """Train the network of the phases on the labels in a directory, and write its checkpoint.

    Parameters
    ----------
    work
        Directory with ``labels/train`` and ``labels/validation``.
    target
        Directory of the new checkpoint.
    dataset, command
        Kept in the checkpoint, for the record.

    Raises
    ------
    DatasetError
        If a side has no labels.
    CheckpointError
        If the target exists.
    """
    # Imported here: the command's help works without torch.
    import torch

    from satcost_gnn.learn.network.phase_training import PhaseTrainingConfig, train_phases
    from satcost_gnn.serve.phases import save_phase_checkpoint

    sides = {side: read_samples(work, side, MOST_EDGES_IN_TRAINING) for side in ("train", "validation")}
    for side, samples in sides.items():
        if not samples:
            raise DatasetError(
                f"{work}: found no labelled instance of the {side} side; expected small satisfiable instances "
                "with runs of the solver that they are chosen by"
            )
    torch.set_num_threads(1)
    config = PhaseTrainingConfig.checked(SETTINGS)
    start = time.process_time()
    model = train_phases(config, list(sides["train"].values()), list(sides["validation"].values()))
    about = {
        "command": command,
        "dataset": f"{dataset}, split by instance",
        "instances": {side: len(samples) for side, samples in sides.items()},
        "probe_unsolved": sum(not sample.probe_result for sample in sides["train"].values()),
        "models_each": MODELS,
        "config": config.model_dump(),
        "cpu_s": round(time.process_time() - start, 1),
    }
    save_phase_checkpoint(target, model, about)
