"""One run of a solver in a helper process of its own, beside whatever else goes on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox


class OneRun(threading.Thread):
    """A run that can be paused, resumed and ended, and that says when it has ended.

    Parameters
    ----------
    ended
        The run and its outcome are put here when it has ended, or the exception that ended it.
    on_report
        Called, in its thread, with each value that the child reports.
    """

    def __init__(
        self,
        name: str,
        core: int,
        call: tuple[str, Mapping[str, Any]],
        limits: Limits,
        ended: queue.SimpleQueue[tuple[OneRun, Outcome] | BaseException],
        proof: Path | None,
        on_report: Callable[[OneRun, Any], None],
    ) -> None:
        super().__init__(name=f"satcost-run-{name}", daemon=True)
        self.member, self.core, self.proof = name, core, proof
        self.sandbox = Sandbox()
        self.sandbox.start_by_fork()
        self.began = time.monotonic()
        self.ended_at = float("nan")
        #: CPU seconds that it has been given; those after which its slice is used up, and when it is at the latest.
        self.limit_s, self.slice_ends_s, self.slice_ends_at = 0.0, float("inf"), float("inf")
        #: When it is to be looked at whether the slice is used up.
        self.look_at = 0.0
        #: Whether it was ended because its only turn was over.
        self.turn_over = False
        self._call, self._limits, self._ended, self._on_report = call, limits, ended, on_report

    def run(self) -> None:
        """Make the run."""
        function, arguments = self._call
        try:
            outcome = self.sandbox.run(function, arguments, self._limits, lambda told: self._on_report(self, told))
            self.ended_at = time.monotonic()
            self._ended.put((self, outcome))
        except BaseException as error:
            self._ended.put(error)
        finally:
            self.sandbox.close()

    def used_s(self) -> float:
        """Return the CPU seconds that its child and all below it have used so far."""
        return self.sandbox.used_by_child()[0]

    def memory_mb(self, *, shared_once: bool = False) -> float:
        """Return the mebibytes that its child and all below it hold.

        Pages that processes share count for each of them, unless they are to be divided among them, which takes longer.
        """
        return self.sandbox.used_by_child(shared_once=shared_once)[1]
