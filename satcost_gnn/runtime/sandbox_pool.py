"""Several sandboxes at work at a time: calls are taken in their order, results come as they get ready."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from satcost_gnn.runtime.sandbox import Sandbox, cancel_all

Result = TypeVar("Result")


class SandboxPool(Generic[Result]):
    """A number of sandboxes, each with a thread of its own.

    The threads are daemons, and leaving the pool cancels what runs: an interrupted caller need not wait until a child
    has reached its limit.

    Parameters
    ----------
    size
        Calls at a time. A helper process is started by the first call that its sandbox gets, if it can't be forked
        before (:func:`~satcost_gnn.runtime.helper_process.can_be_forked`).

    Examples
    --------
    >>> from satcost_gnn.runtime.sandbox import Limits
    >>> with SandboxPool(2) as pool:
    ...     pool.submit(lambda sandbox: sandbox.run("math:sqrt", {"args": (4.0,)}, Limits()).value)
    ...     pool.next()
    2.0
    """

    def __init__(self, size: int) -> None:
        self._calls: queue.SimpleQueue[Callable[[Sandbox], Result] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()
        self._sandboxes = [Sandbox() for _ in range(max(1, size))]
        self._threads = [
            threading.Thread(target=self._work, args=(one,), daemon=True, name="satcost-sandbox")
            for one in self._sandboxes
        ]
        self.size = len(self._sandboxes)
        #: Calls whose results have not been taken.
        self.pending = 0

    def __enter__(self) -> Self:
        for one in self._sandboxes:
            one.start_by_fork()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()
        for _ in self._threads:
            self._calls.put(None)
        cancel_all(self._sandboxes, self._threads)

    def _work(self, own: Sandbox) -> None:
        with contextlib.closing(own):
            while (call := self._calls.get()) is not None:
                try:
                    self._ended.put((call(own), None))
                except BaseException as error:
                    self._ended.put((None, error))

    def submit(self, call: Callable[[Sandbox], Result]) -> None:
        """Have a function called in one of the threads, with the sandbox that it may use."""
        self.pending += 1
        self._calls.put(call)

    def next(self, timeout_s: float | None = None) -> Result:
        """Wait for the next call that ends, and return its result or raise its error.

        Raises
        ------
        queue.Empty
            If none has ended within ``timeout_s`` seconds.
        """
        result, error = self._ended.get(timeout=timeout_s)
        self.pending -= 1
        if error is not None:
            raise error
        return result  # type: ignore[return-value]


__all__ = ["SandboxPool"]
