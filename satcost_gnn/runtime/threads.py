"""One thread a process for linear algebra: more of them wait for each other, spinning, longer than they compute."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

#: A user who has set one of them has decided.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Those that were set here, and not by the user.
set_here: list[str] = []


def one_by_default() -> None:
    """Have libraries that are yet to be loaded compute with one thread, unless the environment says otherwise."""
    if not decided():
        os.environ.update(dict.fromkeys(VARIABLES, "1"))
        set_here[:] = VARIABLES


def decided() -> bool:
    """Whether the environment says how many threads there are to be."""
    return any(os.environ.get(name) for name in VARIABLES)


@functools.cache
def _controller() -> Any:
    """Return the libraries that are loaded at the first use, and how each is told."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread within the block, unless the environment says otherwise.

    What is multiplied here is small. On a machine with other work more threads take 3 to 20 times the CPU time of one
    for the same result, and no less time.
    """
    if decided():
        yield
        return
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 1
    if torch is not None and before != 1:
        torch.set_num_threads(1)
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        if torch is not None and before != 1:
            torch.set_num_threads(before)
