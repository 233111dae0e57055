"""The device that a network computes on, computing there, and how its running out of memory is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from satcost_gnn.errors import EstimatorError

if TYPE_CHECKING:
    import torch

# Where the drivers of GPUs are (NVIDIA's, AMD's, and those of Linux within Windows).
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


class NetworkOutOfMemoryError(EstimatorError):
    """There is not enough memory for the network on an instance, even alone in a batch."""


def is_processor(name: str) -> bool:
    """Whether a device's name means the processor on this machine; without a driver torch isn't asked, nor loaded."""
    if name != "auto":
        return name == "cpu"
    return not any(Path(driver).exists() for driver in _DRIVERS) or torch_device(name).type == "cpu"


def torch_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is a GPU if there is one. EstimatorError if it isn't there."""
    import torch

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
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    # What torch raises on a CPU is a plain RuntimeError that only its text tells apart.
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


# Whether a network has run in this process, and whether one had run in the process that this one was forked from.
_state = {"used": False, "inherited": False}


def _after_fork() -> None:
    _state["inherited"] = _state["inherited"] or _state["used"]


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def inference() -> Iterator[None]:
    """Compute without gradients, in forked processes, too.

    The threads that torch computes with are not forked along: the first that is shared out among them would wait for
    ever. A process that is forked after a network has run therefore computes with one thread.
    """
    import torch

    if _state["inherited"]:
        torch.set_num_threads(1)
    _state["used"] = True
    with torch.inference_mode():
        yield
