"""The device that a network computes on, and how its running out of memory is told."""

from __future__ import annotations

import torch

from satcost_gnn.errors import EstimatorError


class NetworkOutOfMemoryError(EstimatorError):
    """There is not enough memory for the network on an instance, even alone in a batch."""


def torch_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is a GPU if there is one.

    Raises
    ------
    EstimatorError
        If there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EstimatorError(f"network: cannot use device {name!r}: {reason}; try auto or cpu") from error
    return device


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # What torch raises on a CPU is a plain RuntimeError that only its text tells apart.
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
