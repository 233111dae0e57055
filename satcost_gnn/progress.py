"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self


def duration(seconds: float | None) -> str:
    """Return seconds as ``h:mm:ss``, ``?`` for None."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class ProgressLine:
    """Reports how far a long job is. Use as a context manager.

    Parameters
    ----------
    total
        Number of steps.
    what
        What is counted, in the plural ("files", "runs").
    every_s
        Seconds between plain lines where standard error is not a terminal.
    """

    def __init__(self, total: int, what: str, every_s: float = 15.0) -> None:
        self._total, self._what, self._every_s = total, what, every_s
        self._start = self._said = time.monotonic()
        self._done = 0
        self._skipped = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._done:
            self._say()

    def skip(self, steps: int) -> None:
        """Count steps found done already: they don't enter the rate."""
        self._skipped += steps
        self.advance(steps)

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{self._rate():.1f}/s")
        elif time.monotonic() - self._said >= self._every_s:
            self._say()

    def _rate(self) -> float:
        return (self._done - self._skipped) / max(1e-9, time.monotonic() - self._start)

    def _say(self) -> None:
        self._said = time.monotonic()
        rate = self._rate()
        left = (self._total - self._done) / rate if rate > 0 else None
        print(f"{self._done}/{self._total} {self._what}, {rate:.1f}/s, {duration(left)} left", file=sys.stderr)

    def message(self, text: str) -> None:
        """Print a line on standard error without spoiling the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr)
