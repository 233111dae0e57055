"""The trace of a bounded early search: what happened at each conflict, in each tree and to each variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.search.tree_size import DECISION, FINISHED, RESTART, decision_runs

TRACE_VERSION = 2
"""Version of the array layout of :meth:`Trace.to_arrays`."""

UNKNOWN = -1
"""Marks a count that could not be observed."""

_PER_CONFLICT: dict[str, type[np.generic]] = {
    "level": np.int32,
    "backjump": np.int32,
    "trail": np.int32,
    "undone": np.int32,
    "decisions": np.int32,
    "restart": np.bool_,
    "assigned_since": np.int64,
    "fixed": np.int32,
    "progress": np.float32,
}
_PER_VARIABLE = ("assigned", "decided", "flips", "positive", "learnt", "learnt_positive")
_SCALARS = ("n_vars", "n_active", "propagations", "restarts")


@dataclass(frozen=True, eq=False)
class Trace:
    """What a solver did in its first conflicts.

    All counts of assignments refer to the trail as the solver reports it, that is after unit propagation has ended
    without a conflict: literals assigned on the way into a conflict are not seen. When only a sample of the variables
    was observed, counts of assignments per conflict are scaled up to all of them.

    Parameters
    ----------
    n_active
        Variables that occur in some clause; the trail holds at most so many literals.
    level
        ``int32[C]``: decision level at each conflict, at least 1.
    backjump
        ``int32[C]``: decision level after it, below ``level``.
    trail
        ``int32[C]``: literals on the trail when it happened.
    undone
        ``int32[C]``: literals that the backjump took off the trail.
    decisions
        ``int32[C]``: decisions since the start of the search.
    restart
        ``bool[C]``: whether the solver gave up its decisions (restart, rephasing, inprocessing) between the conflict
        before and this one.
    assigned_since
        ``int64[C]``: literals assigned since the conflict before.
    fixed
        ``int32[C]``: literals known to be true for good.
    progress
        ``float32[C]``: share of the search space that MiniSat's progress bar would show as done, in [0, 1]
        (see :func:`satcost_gnn.search.tree_size.progress_estimate`).
    learnt_length
        ``int32[C]``, or empty if the solver writes no proof: literals of the clause learnt from the conflict, 0 where
        it learnt none.
    events
        ``int32[E]``: the sequence for :mod:`satcost_gnn.search.tree_size`: decision ``-1``, conflict with a backjump to
        level ``b``: ``b``, restart that keeps ``k`` decisions ``-2 - k``, conflict at level 0 ``-2**31``.
    assigned, decided, flips, positive
        ``int32[n_vars]``: times assigned, assigned by decision, assigned unlike the time before, assigned true; ``-1``
        where not observed. Decisions are not observed when a sample of the variables is, and a decision that runs into
        a conflict at once is not seen.
    learnt, learnt_positive
        ``int32[n_vars]``: occurrences in learnt clauses, and positive ones; ``-1`` if the solver writes no proof.
    observed
        ``bool[n_vars]``: variables whose assignments were observed.
    propagations, restarts
        The solver's own totals over the search; ``-1`` if unknown.

    Raises
    ------
    ValueError
        If the arrays disagree with each other.
    """

    n_vars: int
    n_active: int
    level: NDArray[np.int32]
    backjump: NDArray[np.int32]
    trail: NDArray[np.int32]
    undone: NDArray[np.int32]
    decisions: NDArray[np.int32]
    restart: NDArray[np.bool_]
    assigned_since: NDArray[np.int64]
    fixed: NDArray[np.int32]
    progress: NDArray[np.float32]
    learnt_length: NDArray[np.int32]
    events: NDArray[np.int32]
    assigned: NDArray[np.int32]
    decided: NDArray[np.int32]
    flips: NDArray[np.int32]
    positive: NDArray[np.int32]
    learnt: NDArray[np.int32]
    learnt_positive: NDArray[np.int32]
    observed: NDArray[np.bool_]
    propagations: int = UNKNOWN
    restarts: int = UNKNOWN

    def __post_init__(self) -> None:
        for name, dtype in self._dtypes().items():
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            if array.ndim != 1:
                raise ValueError(f"{name}: found {array.ndim} dimensions; expected 1")
            object.__setattr__(self, name, array)
        conflicts = len(self.level)
        for name in (*_PER_CONFLICT, "learnt_length"):
            found = len(getattr(self, name))
            if found != conflicts and not (name == "learnt_length" and found == 0):
                raise ValueError(f"{name}: found {found} entries; expected one for each of {conflicts} conflicts")
        for name in (*_PER_VARIABLE, "observed"):
            found = len(getattr(self, name))
            if found != self.n_vars:
                raise ValueError(f"{name}: found {found} entries; expected one for each of {self.n_vars} variables")
        if not 0 <= self.n_active <= self.n_vars:
            raise ValueError(f"n_active: found {self.n_active}; expected 0 to {self.n_vars}")
        if ((self.backjump < 0) | (self.backjump >= self.level)).any():
            raise ValueError("backjump: expected 0 <= backjump < level at every conflict")
        if (np.diff(self.decisions, prepend=0) < 0).any():
            raise ValueError("decisions: expected a cumulative count")
        for name in ("trail", "undone", "assigned_since", "fixed", "learnt_length"):
            if (getattr(self, name) < 0).any():
                raise ValueError(f"{name}: found a negative count")
        if not ((self.progress >= 0) & (self.progress <= 1)).all():
            raise ValueError("progress: expected shares between 0 and 1")
        for name in _PER_VARIABLE:
            if (getattr(self, name) < UNKNOWN).any():
                raise ValueError(f"{name}: found a count below {UNKNOWN}")
        backjumps = self.events[self.events >= 0]
        if not np.array_equal(backjumps, self.backjump):
            raise ValueError("events: expected exactly the trace's conflicts, in order")

    @staticmethod
    def _dtypes() -> dict[str, type[np.generic]]:
        return {
            **_PER_CONFLICT,
            "learnt_length": np.int32,
            "events": np.int32,
            **dict.fromkeys(_PER_VARIABLE, np.int32),
            "observed": np.bool_,
        }

    @property
    def conflicts(self) -> int:
        """Conflicts above level 0 that were seen."""
        return len(self.level)

    @property
    def observed_share(self) -> float:
        """Share of the active variables that was observed (1 if there are none)."""
        return float(self.observed.sum()) / self.n_active if self.n_active else 1.0

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the trace as named arrays (for ``numpy.savez``), with runs of decisions packed."""
        arrays: dict[str, NDArray[Any]] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*_SCALARS, "events")
        }
        codes, runs, trailing = decision_runs(self.events)
        arrays["event_codes"] = codes.astype(np.int32)
        arrays["event_decisions"] = np.append(runs, trailing).astype(np.int32)
        arrays["scalars"] = np.array([TRACE_VERSION, *(getattr(self, name) for name in _SCALARS)], dtype=np.int64)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild a trace from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If an array is missing, the layout is of another version, or the arrays disagree with each other.
        """
        names = [f.name for f in fields(cls) if f.name not in (*_SCALARS, "events")]
        missing = [name for name in (*names, "event_codes", "event_decisions", "scalars") if name not in arrays]
        if missing:
            raise ValueError(f"found no arrays {missing}; expected what Trace.to_arrays returns")
        version, *scalars = (int(value) for value in arrays["scalars"])
        if version != TRACE_VERSION:
            raise ValueError(f"found a trace of layout {version}; expected {TRACE_VERSION}: run the probe again")
        parts: dict[str, Any] = dict(zip(_SCALARS, scalars, strict=True))
        parts.update({name: arrays[name] for name in names})
        codes = np.asarray(arrays["event_codes"], dtype=np.int32)
        return cls(events=expand_events(codes, np.asarray(arrays["event_decisions"], dtype=np.int64)), **parts)


# Events of one search: far beyond any that is recorded, and not more than memory holds.
_MOST_EVENTS = 1 << 28


def expand_events(codes: NDArray[np.int32], decisions: NDArray[np.int64]) -> NDArray[np.int32]:
    """Build the event sequence from its codes and the decisions before each and after the last.

    Parameters
    ----------
    codes
        ``int32[K]``: conflicts, restarts and ends.
    decisions
        ``int64[K + 1]``: decisions before each code, and after the last.
    """
    values = np.full(2 * len(codes) + 1, DECISION, dtype=np.int32)
    values[1::2] = codes
    counts = np.ones(len(values), dtype=np.int64)
    counts[::2] = decisions
    if counts.min() < 0 or int(counts.astype(object).sum()) > _MOST_EVENTS:
        raise ValueError(f"found {len(codes)} codes with impossible numbers of decisions between them")
    return np.repeat(values, counts)


__all__ = ["DECISION", "FINISHED", "RESTART", "TRACE_VERSION", "UNKNOWN", "Trace", "expand_events"]
