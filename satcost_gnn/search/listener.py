"""The listener of a probe: one number in a log for each call of the interface for external propagators."""

from __future__ import annotations

import array
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Codes in the log next to literals, whose variables stay below 2^30.
FIXPOINT = 2**31 - 1
NEW_LEVEL = 2**31 - 2
BACKTRACK = 2**30


class _Listener:
    """The object that the solver calls; its attributes are plain callables, found and called without a method object.

    Several of them are C functions that do nothing but return what the interface wants: ``int()`` is 0 (no decision of
    ours), ``list()`` is empty (no propagation), and the logging ``has_clause`` returns None (no clause).
    """

    __slots__ = (
        "add_clause",
        "check_model",
        "decide",
        "has_clause",
        "on_assignment",
        "on_backtrack",
        "on_new_level",
        "propagate",
        "provide_reason",
    )

    def __init__(self) -> None:
        self.check_model: Callable[..., Any] = _always
        self.decide: Callable[..., Any] = int
        self.propagate: Callable[..., Any] = list
        self.provide_reason: Callable[..., Any] = list
        self.add_clause: Callable[..., Any] = list
        self.has_clause: Callable[..., Any] = bool
        self.on_assignment: Callable[..., Any] = _always
        self.on_backtrack: Callable[..., Any] = bool
        self.on_new_level: Callable[..., Any] = bool


def _always(*_: object) -> bool:
    return True


@dataclass
class Log:
    """Everything the listener writes down."""

    calls: array.array[int] = field(default_factory=lambda: array.array("i"))
    # Length of the proof at each backtrack: what was added last is the clause learnt from that conflict.
    proof_ends: array.array[int] = field(default_factory=lambda: array.array("q"))
    # Conflicts counted by the solver at each backtrack.
    conflicts: array.array[int] = field(default_factory=lambda: array.array("i"))
    # Set when the listener ends the search; calls from there on belong to the end, not to the search.
    length_at_stop: int | None = None
    stopped_by: str = ""
    stop_taken: bool = False

    def backtracks(self) -> NDArray[np.int64]:
        """Return the positions of the backtracks among the calls up to the stop."""
        calls = np.frombuffer(self.calls, dtype=np.int32)[: self.length_at_stop]
        return np.flatnonzero((calls >= BACKTRACK) & (calls < NEW_LEVEL))

    def cut_to(self, count: int) -> None:
        """Forget all that came after so many backtracks."""
        end = int(self.backtracks()[count - 1]) + 1
        self.calls, self.length_at_stop = self.calls[:end], end
        self.proof_ends, self.conflicts = self.proof_ends[:count], self.conflicts[:count]


def listen(
    log: Log,
    max_events: int,
    share: float,
    deadline: float,
    proof_length: Callable[[], int] | None,
    statistics: Callable[[], dict[str, int]] | None,
) -> _Listener:
    """Build the listener, which writes into the log.

    Parameters
    ----------
    max_events
        Budget of calls.
    share
        Share of the active variables that is observed.
    deadline
        Value of ``time.process_time()`` at which to end the search.
    proof_length
        Returns the length of the proof written so far.
    statistics
        Returns the solver's counters.
    """
    listener = _Listener()
    calls = log.calls
    append = calls.append
    proof_ends = log.proof_ends.append
    conflicts = log.conflicts.append
    clock = time.process_time
    # Markers and literals up to ``seen``, for the scaled count.
    seen = markers = 0

    def on_assignment(literal: int, _: object) -> None:
        append(literal)

    def give_empty_clause() -> list[int]:
        log.stop_taken = True
        return []

    def stop(why: str) -> None:
        log.length_at_stop = len(calls)
        log.stopped_by = why
        # The interface's own way to end a search: the empty clause from outside.
        listener.has_clause = _always
        listener.add_clause = give_empty_clause
        listener.on_assignment = listener.on_backtrack = listener.on_new_level = _always

    def spent() -> float:
        nonlocal seen, markers
        if share == 1.0:
            return len(calls)
        fresh = np.frombuffer(calls, dtype=np.int32, offset=4 * seen)
        markers += int(np.count_nonzero(fresh >= BACKTRACK))
        seen = len(calls)
        return markers + (seen - markers) / share

    def on_backtrack(level: int) -> None:
        append(BACKTRACK + level)
        if proof_length is not None:
            proof_ends(proof_length())
        if statistics is not None:
            conflicts(statistics()["conflicts"])
        if spent() > max_events:
            stop("events")
        elif clock() > deadline:
            stop("cpu")

    listener.on_assignment = on_assignment
    listener.on_new_level = functools.partial(append, NEW_LEVEL)
    listener.on_backtrack = on_backtrack
    # Called once whenever propagation has ended without a conflict, before a decision or a restart.
    listener.has_clause = functools.partial(append, FIXPOINT)
    return listener
