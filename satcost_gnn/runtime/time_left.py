"""How much longer a job takes, from what is done of it: a range, since the steps to come may be unlike those done.

The lower end takes the time so far to be in proportion to the steps and to the bytes that they are about, half and
half. Files come sorted by directory, so the first ones are often of one kind. If a share :math:`p` of those to come
were of another kind, none of them would have been among :math:`n` that were seen with probability :math:`(1 - p)^n`.
The upper end adds the largest share for which that is at least a twentieth, each as dear as a step may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Chance of having seen none of a kind that is left.
_UNSEEN = 0.05


class TimeLeft:
    """Reckons the rest of a job.

    Parameters
    ----------
    steps
        Number of steps.
    longest_s
        Wall-clock seconds that a step may take, of all workers together: the limit of a step divided by their number.
        None if there is no limit; then the longest step so far stands for it.
    sizes
        Step -> its bytes; steps that are not in it are of the mean size.
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
