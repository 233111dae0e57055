"""Weights in files: compared with the network that they are to be loaded into before memory is taken for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.learn.network.stored_arrays import check_plan
from satcost_gnn.runtime.stored_files import read_bytes

Model = TypeVar("Model", bound=nn.Module)

#: Bytes of a training state at most.
LARGEST_STATE = 4 << 30


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file in safetensors format; DamagedFileError if it can't be read."""
    try:
        found: dict[str, Tensor] = load(read_bytes(path))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DamagedFileError(f"{path}: cannot be read as tensors: {error}") from error
    return found


def planned(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """Return the weights of a network as tensors that have a shape and take no memory."""
    with torch.device("meta"):
        found: dict[str, Tensor] = make().state_dict()
    return found


def check_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Compare names, shapes and types.

    Raises
    ------
    DamagedFileError
        If one differs, is missing or is unknown.
    """
    check_plan(_plan(found), _plan(expected), path)


def load_weights(path: Path, model: Model) -> Model:
    """Give a network the weights in a file and return it for predictions; DamagedFileError if they are not its own."""
    weights = read_weights(path)
    check_weights(weights, model.state_dict(), path)
    model.load_state_dict(weights)
    return model.eval()


def check_training_state(path: Path) -> Path:
    """Return the path of a training state (``.ckpt``) that can be resumed without running code that it names.

    Raises
    ------
    DamagedFileError
        If it is no regular file, or not what torch reads without running code that the file names.
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


def _plan(weights: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (str(one.dtype).removeprefix("torch."), tuple(one.shape)) for name, one in weights.items()}


__all__ = ["check_training_state", "check_weights", "load_weights", "planned", "read_weights"]
