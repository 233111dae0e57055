"""Weights in files: compared with the network that they are to be loaded into before memory is taken for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.learn.network.network_files import check_weights, plan_of, read_arrays
from satcost_gnn.runtime.stored_files import read_bytes

Model = TypeVar("Model", bound=nn.Module)

#: Bytes of a training state at most.
LARGEST_STATE = 4 << 30


def load_weights(path: Path, make: Callable[[], Model]) -> Model:
    """Return a network with the weights in a file, for predictions; DamagedFileError if they are not its own."""
    with torch.device("meta"):
        expected = plan_of(make().state_dict())
    weights = read_arrays(path)
    check_weights(weights, expected, path)
    model = make()
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    return model.eval()


def check_training_state(path: Path) -> Path:
    """Return the path of a training state (``.ckpt``) that can be resumed without running code that it names.

    DamagedFileError if it is no regular file, or not what torch reads without running code that the file names.
    """
    content = read_bytes(path, LARGEST_STATE)
    try:
        torch.load(io.BytesIO(content), map_location="meta", weights_only=True)
    except Exception as error:
        # A cut archive, another pickle, a class that isn't allowed: torch raises many kinds.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DamagedFileError(
            f"{path}: cannot be read as the state of a training: {reason}; delete it, and the member is trained anew"
        ) from error
    return path
