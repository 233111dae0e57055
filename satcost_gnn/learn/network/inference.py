"""Running a network for what it computes alone, in forked processes, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Whether a network has run in this process, and whether one had run in the process that this one was forked from.
_state = {"used": False, "inherited": False}


def _after_fork() -> None:
    _state["inherited"] = _state["inherited"] or _state["used"]


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def inference() -> Iterator[None]:
    """Compute without gradients.

    The threads that torch computes with are not forked along: the first that is shared out among them would wait for
    ever. A process that is forked after a network has run therefore computes with one thread.
    """
    if _state["inherited"]:
        torch.set_num_threads(1)
    _state["used"] = True
    with torch.inference_mode():
        yield
