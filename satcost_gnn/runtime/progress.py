"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

How much longer a job takes is reckoned from what is done of it: a range, since the steps to come may be unlike those
done.

The lower end takes the time so far to be in proportion to the steps and to the bytes that they are about, half and
half. Files come sorted by directory, so the first ones are often of one kind. If a share :math:`p` of those to come
were of another kind, none of them would have been among :math:`n` that were seen with probability :math:`(1 - p)^n`.
The upper end adds the largest share for which that is at least a twentieth, each as dear as a step may be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

# Steps that must have ended before the time left is told, where no limit of a step is known.
_ENOUGH = 10
# Seconds between plain lines where standard error is not a terminal.
_EVERY_S = 15.0
# Characters of the bar, so that all of the line fits 80.
_BAR = 10
# Ends that are no farther apart are one number.
_SAME, _SAME_S = 1.25, 1.0
# Chance of having seen none of a kind that is left.
_UNSEEN = 0.05
# Whether progress is shown at all, and the bar on the terminal.
_wanted = True
_bar_shown: Any = None
# The line that is shown, if any.
_line: ProgressLine | None = None


def is_terminal(stream: object) -> bool:
    """Whether a stream is a terminal; one that a caller has put in place of a standard stream may not know."""
    asked = getattr(stream, "isatty", None)
    try:
        return bool(asked is not None and asked())
    except ValueError:
        # Closed.
        return False


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


class TimeLeft:
    """Reckons the rest of a job; ``steps`` and ``sizes`` are those of :class:`ProgressLine`.

    ``longest_s`` is the limit of a step over the number of workers. Without a limit the longest step so far stands for
    it. Steps without a size are of the mean size.
    """

    def __init__(self, steps: int, longest_s: float | None = None, sizes: Mapping[str, int] | None = None) -> None:
        self.longest_s, self._sizes = longest_s, sizes or {}
        known = sum(self._sizes.values())
        self._mean = known / len(self._sizes) if known else 1.0
        self._weight_left = 2.0 * steps * self._mean
        self._weight_done = 0.0
        self._left, self._done = steps, 0
        self._longest_step_s = self._last_s = 0.0

    def skip(self, steps: int, names: Sequence[str] = ()) -> None:
        """Take steps away that need not be done."""
        self._left -= steps
        weights = [self._weight(name) for name in names]
        self._weight_left -= sum(weights) + 2.0 * self._mean * (steps - len(weights))

    def advance(self, now_s: float, name: str | None = None) -> None:
        """Count a step that has ended, ``now_s`` after the beginning."""
        weight = self._weight(name)
        self._weight_done += weight
        self._weight_left -= weight
        self._done += 1
        self._left -= 1
        self._longest_step_s = max(self._longest_step_s, now_s - self._last_s)
        self._last_s = now_s

    def _weight(self, name: str | None) -> float:
        return self._mean + (self._sizes.get(name, self._mean) if name is not None else self._mean)

    def range_s(self, now_s: float) -> tuple[float, float] | None:
        """Return the least and the most seconds that are reckoned with; None before the first step has ended."""
        if not self._done:
            return None
        if self._left <= 0:
            return 0.0, 0.0
        low = now_s * max(self._weight_left, 0.0) / self._weight_done
        share = 1.0 - _UNSEEN ** (1.0 / self._done)
        longest_s = max(self.longest_s or 0.0, self._longest_step_s)
        return low, max(low, (1.0 - share) * low + share * self._left * longest_s)


class ProgressLine:
    """Reports how far a long job is. Use as a context manager.

    Parameters
    ----------
    total
        Number of steps.
    what
        What is counted, in the plural ("files", "runs").
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
        first: str = "",
        *,
        longest_s: float | None = None,
        jobs: int = 1,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._first = first
        self._enough = _ENOUGH if longest_s is None else 1
        self._left = TimeLeft(total, None if longest_s is None else longest_s / jobs, sizes)
        self._total, self._what = total, what
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
        if self._bar is None and time.monotonic() - self._said >= _EVERY_S:
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
        elif time.monotonic() - self._said >= _EVERY_S:
            self._say()

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
        rate = _rate_text(made / max(1e-9, time.monotonic() - self._start))
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
