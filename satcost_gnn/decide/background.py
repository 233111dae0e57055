"""Work that goes on beside what the caller does, and that nobody needs to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Calls a function in a thread that doesn't keep the process from ending.

    Parameters
    ----------
    work
        What is called, at once.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True, name="satcost-background").start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    @property
    def done(self) -> bool:
        """Whether it has come to its end."""
        return self._done.is_set()

    def result(self, within_s: float) -> T | None:
        """Return what the function has returned, None if that takes longer; raise what it has raised."""
        if not self._done.wait(max(within_s, 0.0)):
            return None
        if self._error is not None:
            raise self._error
        return self._value
