"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from satcost_gnn.runtime.terminals import is_terminal
from satcost_gnn.runtime.time_left import TimeLeft

# Steps that must have ended before the time left is told, where no limit of a step is known.
_ENOUGH = 10
# Characters of the bar, so that all of the line fits 80.
_BAR = 10
# Ends that are no farther apart are one number.
_SAME, _SAME_S = 1.25, 1.0
# Whether progress is shown at all, and the bar on the terminal.
_wanted = True
_bar_shown: Any = None
# The line that is shown, if any.
_line: ProgressLine | None = None


def doing(what: str) -> None:
    """Say what is being done, for whoever waits for the first step to end; nothing where no progress line is."""
    if _line is not None:
        _line.doing(what)


def show_progress(wanted: bool) -> None:
    """Say whether progress is shown at all."""
    global _wanted
    _wanted = wanted


def print_above(text: str) -> None:
    """Print a line on standard error without spoiling a bar that is there."""
    if _bar_shown is not None:
        _bar_shown.console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


def duration(seconds: float | None) -> str:
    """Return seconds as ``h:mm:ss``, ``?`` for None."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def waiting() -> None:
    """Say that nothing has ended, from a loop that waits: a thread of its own would be in the way of forks."""
    if _line is not None:
        _line.waiting()


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
    first
        What is being done before the first step ends.
    longest_s
        Seconds that a step may take; None if there is no limit.
    jobs
        Steps at a time.
    sizes
        Step -> bytes that it is about: what is left is reckoned by them.
    """

    def __init__(
        self,
        total: int,
        what: str,
        every_s: float = 15.0,
        first: str = "",
        *,
        longest_s: float | None = None,
        jobs: int = 1,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._first = first
        self._enough = _ENOUGH if longest_s is None else 1
        self._left = TimeLeft(total, None if longest_s is None else longest_s / jobs, sizes)
        self._total, self._what, self._every_s = total, what, every_s
        self._start = self._said = time.monotonic()
        self._done = 0
        self._skipped = 0
        # Steps that the latest line has told of.
        self._told = 0
        self._before: ProgressLine | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        global _bar_shown, _line
        self._before, _line = _line, self
        if _wanted and is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
            from rich.text import Text

            line = self

            class Speed(ProgressColumn):
                """What is told again at each refresh: time goes on though no step ends."""

                def render(self, task: Task) -> Text:
                    return Text(line._speed() or line._first)

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(_BAR),
                MofNCompleteColumn(),
                Speed(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            _bar_shown = self._bar
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def waiting(self) -> None:
        """Say now and then that something is being done though no step ends."""
        if self._bar is None and time.monotonic() - self._said >= self._every_s:
            self._say()

    def doing(self, what: str) -> None:
        """Say what is being done, as long as no step has ended."""
        self._first = what

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _bar_shown, _line
        _line = self._before
        if self._bar is not None:
            self._bar.stop()
            _bar_shown = None
        elif self._done != self._told:
            self._say()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away meanwhile, so that results may be printed on the same terminal."""
        if self._bar is not None:
            self._bar.stop()
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.start()

    def expect(self, longest_s: float, jobs: int) -> None:
        """Say what a step may take, which wasn't known from the first."""
        self._enough = 1
        self._left.longest_s = longest_s / jobs

    def skip(self, steps: int, names: Sequence[str] = ()) -> None:
        """Count steps found done already, by name where they have sizes: they don't enter the rate."""
        self._skipped += steps
        self._left.skip(steps, names)
        self._count(steps)

    def advance(self, steps: int = 1, name: str | None = None) -> None:
        """Count finished steps; ``name`` is that of the one whose size is known."""
        for _ in range(steps):
            self._left.advance(time.monotonic() - self._start, name)
        self._count(steps)

    def _count(self, steps: int) -> None:
        self._done += steps
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
        elif time.monotonic() - self._said >= self._every_s:
            self._say()

    def _rate(self) -> float:
        return (self._done - self._skipped) / max(1e-9, time.monotonic() - self._start)

    def _say(self) -> None:
        self._said, self._told = time.monotonic(), self._done
        if _wanted:
            words = [f"{self._done}/{self._total} {self._what}", self._speed()]
            if self._done < self._total and not words[-1]:
                words.append(self._first)
            print(", ".join(word for word in words if word), file=sys.stderr)

    def _speed(self) -> str:
        """Return the rate and, once enough is done to tell, the time left; empty before the first step."""
        made = self._done - self._skipped
        if not made:
            return ""
        rate = _rate_text(self._rate())
        reckoned = self._left.range_s(time.monotonic() - self._start)
        # The first steps of a long job are seldom like the rest.
        if reckoned is None or made < min(self._enough, max(self._total - self._skipped, 1)):
            return rate
        low, high = reckoned
        ends = duration(low) if high <= _SAME * low + _SAME_S else f"{duration(low)} to {duration(high)}"
        return f"{rate}, {ends} left"


def _rate_text(rate: float) -> str:
    """Return steps a second, or a minute or an hour where they are few: a rate is never told as 0.0."""
    if rate >= 0.1:
        return f"{rate:.1f}/s"
    return f"{60 * rate:.1f}/min" if 60 * rate >= 0.1 else f"{3600 * rate:.1f}/h"
