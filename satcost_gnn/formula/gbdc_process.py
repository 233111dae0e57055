"""gbdc, kept out of the caller's process.

gbdc is C++ that may die on what it is given, and its extension module (0.4) gets along with others badly: loaded after
PySAT its isohash2 dies by a segmentation fault, loaded before torch the import of PyTorch Geometric never ends. It is
therefore only ever loaded in the helper process of a :class:`~satcost_gnn.runtime.sandbox.Sandbox`, in the order that
works there.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from typing import Any

from satcost_gnn.errors import SandboxError
from satcost_gnn.runtime import sandbox

_LIMITS = sandbox.Limits(cpu_s=600, wall_s=1200, memory_mb=16384)


def call_gbdc(function: str, *arguments: str) -> Any:
    """Call one of gbdc's functions, such as those that take the path of a DIMACS file.

    Inside a sandboxed child it is called on the spot; elsewhere in a child of a helper process, which is started at the
    first call and kept.

    Raises
    ------
    SandboxError
        If gbdc refuses a file, dies, or runs into a limit.
    """
    if sandbox.in_child():
        try:
            return on_the_spot(function, *arguments)
        except RuntimeError as error:
            raise SandboxError(f"gbdc.{function}: {error}") from error
    outcome = _helper(os.getpid()).run(f"{__name__}:on_the_spot", {"args": (function, *arguments)}, _LIMITS)
    if outcome.status != "OK":
        raise SandboxError(f"gbdc.{function}: {outcome.status} {outcome.detail}")
    return outcome.value


def on_the_spot(function: str, *arguments: str) -> Any:
    """Call gbdc in this process; for sandboxed children."""
    import gbdc

    return getattr(gbdc, function)(*arguments)


@cache
def _helper(pid: int) -> sandbox.Sandbox:
    """Return this process's helper; a forked process must not talk to its parent's."""
    helper = sandbox.Sandbox()
    atexit.register(helper.close)
    return helper
