"""A short, deterministic early search of a real solver, watched through its interface for external propagators.

A propagator that never propagates sees the whole search: IPASIR-UP (Fazekas et al., SAT 2023), which PySAT offers for
CaDiCaL and for one MiniSat, calls it at each new decision level, backtrack and assignment of an observed variable. The
listener here writes one 32-bit number a call into a log and does no more; everything else is worked out from the log
afterwards, with numpy.

The budget is counted in conflicts and in logged calls, never in seconds, so that the same formula, solver and settings
give the same trace on any machine. Limits on time and memory stand behind it; who runs into them gets a status.
"""

from __future__ import annotations

import array
import functools
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.mixing import mixed
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.loading import append_clauses
from satcost_gnn.search.solvers import satisfies
from satcost_gnn.search.trace import UNKNOWN, Trace, expand_events
from satcost_gnn.search.tree_size import FINISHED, PROGRESS_LEVELS, RESTART, progress_estimate

PROBE_VERSION = "1"
"""Changes whenever the same settings would give another trace."""

PROBE_CHILD = "satcost_gnn.search.probe:probe_child"

ProbeStatus = Literal["SAT", "UNSAT", "UNKNOWN", "TIMEOUT", "MEMOUT", "CRASHED", "ERROR", "CANCELLED"]

# Codes in the log next to literals, whose variables stay below 2^30.
_FIXPOINT = 2**31 - 1
_NEW_LEVEL = 2**31 - 2
_BACKTRACK = 2**30

# Chronological backtracking leaves literals of lower levels out of order on the trail, and conflicts can then be told
# from the solver's calls only nearly always. Without reusing the trail it happens only on jumps over more than a
# hundred levels, where it is needed: without it each conflict would cost up to hundreds of thousands of decisions.
_CADICAL_OPTIONS = (("chronoreusetrail", 0),)
_PROBED: dict[str, tuple[tuple[str, int | str], ...]] = {
    "cadical195": _CADICAL_OPTIONS,
    "cadical300": _CADICAL_OPTIONS,
    "minisatep": (),
    # MiniSat 2.0's tuning: the one way to geometric restarts (100, 150, 225, ... conflicts) that PySAT offers.
    "ergo": (("emulate", "m2.0"),),
}
# They merge several backtracks with no decision between them, and tell their number of conflicts at any time; a
# CaDiCaL asked while it searches ends the process.
_MINISATS = ("minisatep", "ergo")


@dataclass(frozen=True)
class ProbeSettings:
    """What to run and for how long.

    Parameters
    ----------
    solver
        ``cadical195``, ``cadical300``, ``minisatep`` (MiniSat 2.2, Luby restarts) or ``ergo`` (tuned as MiniSat 2.0,
        geometric restarts). The MiniSats report several conflicts in a row without a decision between them as one, and
        no proof of theirs is read.
    conflicts
        Conflicts after which the search ends.
    max_events
        Logged calls after which the search ends at the next backtrack: assignments of observed variables (scaled up to
        all variables) and two a decision. Bounds the time of the probe on formulas with long trails.
    max_observed
        Variables whose assignments are listened to; of a larger formula, a fixed pseudo-random sample is.
    seed
        Seed of that sample.
    options
        Options of CaDiCaL set on top of ``chronoreusetrail=0``.
    cpu_s
        CPU seconds, reading the file included, after which the search ends at the next backtrack and hands over what it
        has seen. A child that still has not ended after another quarter of that and two seconds is killed.
    wall_s, memory_mb
        Limits on the child.
    """

    solver: str = "cadical195"
    conflicts: int = 2000
    max_events: int = 5_000_000
    max_observed: int = 50_000
    seed: int = 0
    options: tuple[tuple[str, int], ...] = ()
    cpu_s: float = 10.0
    wall_s: float = 60.0
    memory_mb: int = 4096

    def __post_init__(self) -> None:
        if self.solver not in _PROBED:
            raise SolverError(f"found solver {self.solver!r}; expected one that can be probed: {', '.join(_PROBED)}")
        if self.options and not self.solver.startswith("cadical"):
            raise SolverError(f"{self.solver} takes no options; leave them out or probe a CaDiCaL")
        for name in ("conflicts", "max_events", "max_observed"):
            if getattr(self, name) < 1:
                raise SolverError(f"ProbeSettings.{name} must be at least 1; got {getattr(self, name)!r}")
        object.__setattr__(self, "options", tuple((str(name), int(value)) for name, value in self.options))

    @property
    def solver_options(self) -> dict[str, int | str]:
        """Options that the solver is configured with."""
        return dict(_PROBED[self.solver] + self.options)

    def key(self) -> str:
        """Return a string that changes with anything that may change the result: for keys of caches."""
        import pysat

        options = "".join(f",{name}={value}" for name, value in sorted(self.solver_options.items()))
        return (
            f"probe{PROBE_VERSION}-{self.solver}@{pysat.__version__}{options}-c{self.conflicts}-e{self.max_events}"
            f"-o{self.max_observed}-s{self.seed}-{self.cpu_s:g}s-{self.wall_s:g}s-{self.memory_mb}M"
        )

    @property
    def limits(self) -> Limits:
        """Limits that the child is killed at."""
        return Limits(cpu_s=1.25 * self.cpu_s + 2.0, wall_s=self.wall_s, memory_mb=self.memory_mb)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What became of a probe.

    Parameters
    ----------
    status
        ``SAT`` or ``UNSAT``: solved on the way. ``UNKNOWN``: the budget was used up, the normal end. ``TIMEOUT``,
        ``MEMOUT``, ``CRASHED``, ``ERROR``: a limit, the solver's death, or a Python exception.
    trace
        What was seen; None if nothing came back.
    conflicts, decisions, propagations, restarts
        The solver's own counters; None if nothing came back.
    cpu_s
        CPU seconds of the child, everything included.
    detail
        What happened, in words; empty for the normal ends.
    truncated
        Whether the search ended before the conflicts asked for, though unsolved.
    events
        Calls of the solver that were logged.
    timings
        CPU seconds of ``parse`` (only if the child read the file), ``load``, ``search`` and ``trace``.
    peak_memory_mb
        Largest resident set of the child in mebibytes.
    settings
        The settings it was run with.
    numbers
        ``int32[C]``: conflicts that the solver had counted at each conflict of the trace, itself included; None if
        nothing came back. For a CaDiCaL, which can't be asked, they are 1, 2, ..., C: it reports nearly every one.
    model
        ``int32[n]``: literals of the model where it was found satisfiable by searching; not kept in caches.
    """

    status: ProbeStatus
    trace: Trace | None
    conflicts: int | None
    decisions: int | None
    propagations: int | None
    restarts: int | None
    cpu_s: float
    detail: str = ""
    truncated: bool = False
    events: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    settings: ProbeSettings = field(default_factory=ProbeSettings)
    numbers: NDArray[np.int32] | None = None
    model: NDArray[np.int32] | None = None

    @property
    def solved(self) -> bool:
        """Whether the instance was solved on the way."""
        return self.status in ("SAT", "UNSAT")


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
class _Log:
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


def _listen(
    log: _Log,
    max_events: int,
    share: float,
    deadline: float,
    proof_length: Callable[[], int] | None,
    statistics: Callable[[], dict[str, int]] | None = None,
) -> _Listener:
    """Build the listener.

    Parameters
    ----------
    log
        Where to write.
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
        markers += int(np.count_nonzero(fresh >= _BACKTRACK))
        seen = len(calls)
        return markers + (seen - markers) / share

    def on_backtrack(level: int) -> None:
        append(_BACKTRACK + level)
        if proof_length is not None:
            proof_ends(proof_length())
        if statistics is not None:
            conflicts(statistics()["conflicts"])
        if spent() > max_events:
            stop("events")
        elif clock() > deadline:
            stop("cpu")

    listener.on_assignment = on_assignment
    listener.on_new_level = functools.partial(append, _NEW_LEVEL)
    listener.on_backtrack = on_backtrack
    # Called once whenever propagation has ended without a conflict, before a decision or a restart.
    listener.has_clause = functools.partial(append, _FIXPOINT)
    return listener


def sample_variables(active: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Choose ``count`` of the variables in ascending order: pseudo-random, and the same for a seed on any machine."""
    if len(active) <= count:
        return active
    # A hash rather than a generator, whose stream may change with numpy's version.
    with np.errstate(over="ignore"):
        keys = mixed(active.astype(np.uint64) + np.uint64(seed) * np.uint64(0xD1B54A32D192ED03))
    chosen: NDArray[np.int64] = np.sort(active[np.argsort(keys, kind="stable")[:count]])
    return chosen


def proof_additions(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Decode the clauses added in a binary DRUP proof.

    Each step is ``a`` (addition) or ``d`` (deletion), the literals as 7-bit groups, the least significant first, of
    ``2 |literal| + (literal < 0)``, and a zero byte. A last step without its zero byte is left out.

    Returns
    -------
    literals
        ``int64[...]``: literals of all added clauses.
    offsets
        ``int64[A + 1]``: clause ``i`` is ``literals[offsets[i]:offsets[i + 1]]``.
    ends
        ``int64[A]``: position in the proof just behind each added clause.

    None if this is no binary proof.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    zeros = np.flatnonzero(raw == 0)
    if not len(zeros):
        empty = np.zeros(0, dtype=np.int64)
        return empty, np.zeros(1, dtype=np.int64), empty
    raw = raw[: zeros[-1] + 1]
    starts = np.concatenate(([0], zeros[:-1] + 1))
    kinds = raw[starts]
    added = kinds == ord("a")
    if not (added | (kinds == ord("d"))).all():
        return None
    # Only the bytes of added clauses' literals.
    wanted = np.repeat(added, zeros + 1 - starts)
    wanted[starts] = False
    wanted[zeros] = False
    body = raw[wanted].astype(np.int64)
    last = body < 128
    group_ends = np.flatnonzero(last)
    group_starts = np.concatenate(([0], group_ends[:-1] + 1)) if len(group_ends) else group_ends
    within = np.arange(len(body)) - np.repeat(group_starts, group_ends + 1 - group_starts)
    codes = np.add.reduceat((body & 127) << (7 * within), group_starts) if len(body) else body
    literals = np.where(codes & 1, -(codes >> 1), codes >> 1)
    # Literals up to each byte of the whole proof, read off at the clauses' ends.
    closes = np.zeros(len(raw), dtype=np.int64)
    closes[np.flatnonzero(wanted)[group_ends]] = 1
    counts = np.cumsum(closes)[zeros[added]]
    return literals, np.concatenate(([0], counts)), zeros[added] + 1


@dataclass
class _Path:
    """Conflicts and events read off the log (lists of one entry a conflict, or an event that is no decision)."""

    level: list[int] = field(default_factory=list)
    backjump: list[int] = field(default_factory=list)
    trail: list[int] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)
    decisions: list[int] = field(default_factory=list)
    restart: list[bool] = field(default_factory=list)
    assigned_since: list[int] = field(default_factory=list)
    fixed: list[int] = field(default_factory=list)
    shallow: list[list[int]] = field(default_factory=list)  # literals at each of the lowest levels
    backtrack: list[int] = field(default_factory=list)  # which of the log's backtracks it was
    codes: list[int] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)  # decisions before each event, and after the last
    end_level: int = 0


def _walk(
    log: NDArray[np.int32], proof_ends: NDArray[np.int64] | None, merged: bool
) -> tuple[_Path, NDArray[np.int64]]:
    """Follow levels and trail through the log.

    A backtrack comes from a conflict unless propagation had ended before it (a fixpoint since the last decision or
    backtrack), for then the solver gave its decisions up of its own accord. After chronological backtracking a
    conflict may lie below the current level: the solver then first backtracks to the conflict's level, without a learnt
    clause, and from there as usual; both make one conflict.

    Parameters
    ----------
    log
        Literals and codes.
    proof_ends
        Length of the proof at each backtrack.
    merged
        Whether the solver merges backtracks: then one to level 0 after which nothing is assigned holds a restart too.

    Returns
    -------
    path
        Conflicts and events.
    decided
        Positions in the log of the literals that follow a new level at once.
    """
    position = np.flatnonzero(log >= _BACKTRACK)
    marker = log[position]
    # Literals before each marker.
    assigned = position - np.arange(len(position))
    is_new = marker == _NEW_LEVEL
    opened = np.cumsum(is_new)
    assigned_at_new = assigned[is_new].tolist()
    is_fixpoint = marker == _FIXPOINT
    is_back = ~(is_new | is_fixpoint)
    back = np.flatnonzero(is_back)
    after_fixpoint = np.zeros(len(marker), dtype=bool)
    after_fixpoint[1:] = is_fixpoint[:-1]
    # A new level whose very next entry is a literal: that literal is the decision.
    follows = position[is_new] + 1
    follows = follows[follows < len(log)]
    decided = follows[log[follows] < _BACKTRACK]
    nothing_after = np.zeros(len(marker), dtype=bool)
    nothing_after[:-1] = is_fixpoint[1:] & (np.diff(position) == 1)
    first_of_two = np.zeros(len(marker), dtype=bool)
    if proof_ends is not None:
        first_of_two[:-1] = is_back[1:]
        first_of_two[back] &= np.diff(proof_ends[: len(back)], prepend=0) == 0

    path = _Path()
    # For each stretch between backtracks that still holds open levels: level and trail at its start, literals and new
    # levels logged before it.
    stack: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)]
    level, trail, since, new = stack[0]
    opened_before = 0  # new levels before the last event
    assigned_before = 0  # literals before the last conflict
    restarted = False
    # Level, trail, literals undone and those at the lowest levels, from the first of two backtracks.
    above: tuple[int, int, int, list[int]] | None = None

    def shallow(here: int, trail_here: int) -> list[int]:
        """Return how many literals stand at each of the lowest levels."""
        opened_at: list[int] = []  # trail at which levels 1, 2, ... were opened
        for k, (low, low_trail, low_since, low_new) in enumerate(stack):
            high = stack[k + 1][0] if k + 1 < len(stack) else here
            for above_low in range(min(high, PROGRESS_LEVELS) - low):
                opened_at.append(low_trail + assigned_at_new[low_new + above_low] - low_since)
            if len(opened_at) >= PROGRESS_LEVELS:
                break
        bounds = [0, *opened_at, *([trail_here] * (PROGRESS_LEVELS - len(opened_at)))]
        return [b - a for a, b in itertools.pairwise(bounds)]

    rows = zip(
        (marker[back].astype(np.int64) - _BACKTRACK).tolist(),
        assigned[back].tolist(),
        opened[back].tolist(),
        after_fixpoint[back].tolist(),
        nothing_after[back].tolist(),
        first_of_two[back].tolist(),
        strict=True,
    )
    for number, (target, assigned_now, opened_now, voluntary, idle, first) in enumerate(rows):
        here = level + opened_now - new
        if target >= here:
            # Inprocessing at level 0 tidies up after trial decisions that were not reported.
            continue
        trail_here = trail + assigned_now - since
        bottom = stack[0]
        fixed = bottom[1] + assigned_at_new[bottom[3]] - bottom[2]
        lowest = [] if voluntary or above is not None else shallow(here, trail_here)
        while stack[-1][0] > target:
            stack.pop()
        start_level, start_trail, start_assigned, start_new = stack[-1]
        trail_after = start_trail + assigned_at_new[start_new + target - start_level] - start_assigned
        if not voluntary and first and target:
            above = (here, trail_here, trail_here - trail_after, lowest) if above is None else above
        elif voluntary:
            path.runs.append(opened_now - opened_before)
            opened_before = opened_now
            path.codes.append(RESTART - target)
            restarted = True
        else:
            top_level, top_trail, undone, lowest = above or (here, trail_here, 0, lowest)
            above = None
            path.runs.append(opened_now - opened_before)
            opened_before = opened_now
            path.level.append(top_level)
            path.backjump.append(target)
            path.trail.append(top_trail)
            path.undone.append(undone + trail_here - trail_after)
            path.decisions.append(opened_now)
            path.restart.append(restarted)
            path.assigned_since.append(assigned_now - assigned_before)
            path.fixed.append(fixed)
            path.shallow.append(lowest)
            path.backtrack.append(number)
            path.codes.append(target)
            assigned_before = assigned_now
            restarted = False
            if merged and idle and target == 0:
                path.runs.append(0)
                path.codes.append(RESTART)
                restarted = True
        if start_level == target:
            stack.pop()
        level, trail, since, new = target, trail_after, assigned_now, opened_now
        stack.append((level, trail, since, new))
    path.runs.append((int(opened[-1]) if len(opened) else 0) - opened_before)
    path.end_level = level + (int(opened[-1]) if len(opened) else 0) - new
    return path, decided


def _count_variables(literals: NDArray[np.int32], n_vars: int) -> tuple[NDArray[np.int32], ...]:
    """Return how often each variable was assigned, assigned unlike the time before, and assigned true."""
    variables = np.abs(literals)
    assigned = np.bincount(variables, minlength=n_vars + 1)[1:]
    positive = np.bincount(literals[literals > 0], minlength=n_vars + 1)[1:]
    # Sorted by variable, then time: neighbours of the same variable and another sign are flips.
    order = (variables.astype(np.int64) << 32) | (np.arange(len(literals)) << 1) | (literals > 0)
    order.sort()
    owner = order >> 32
    flipped = (owner[1:] == owner[:-1]) & ((order[1:] ^ order[:-1]) & 1 == 1)
    flips = np.bincount(owner[1:][flipped], minlength=n_vars + 1)[1:]
    return assigned.astype(np.int32), flips.astype(np.int32), positive.astype(np.int32)


def _learnt(
    proof: bytes, ends: NDArray[np.int64], path: _Path, n_vars: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]] | None:
    """Find the clause learnt from each conflict in the proof.

    It is the last one added before the conflict's backtrack, but for a unit, which is the first one added after it.

    Returns
    -------
    ``int32[C]`` lengths, ``int32[n_vars]`` occurrences and positive occurrences; None if this is no binary proof.
    """
    decoded = proof_additions(proof)
    if decoded is None:
        return None
    literals, offsets, added = decoded
    # One more of each behind the last, so that there is always a next one.
    lengths = np.append(np.diff(offsets), 0)
    added = np.append(added, np.iinfo(np.int64).max)
    limits = np.append(ends, np.iinfo(np.int64).max - 1)
    backtrack = np.array(path.backtrack, dtype=np.int64)
    to_root = np.array(path.backjump, dtype=np.int64) == 0
    after = np.searchsorted(added, ends[backtrack], side="right")
    previous = np.maximum(after - 1, 0)
    start = np.where(backtrack > 0, ends[backtrack - 1], 0)
    fresh = (after > 0) & (added[previous] > start) & (lengths[previous] > 1) & ~to_root
    unit = ~fresh & (added[after] <= limits[backtrack + 1]) & (lengths[after] == 1)
    clause = np.where(fresh, previous, after)
    found = fresh | unit
    # Backtracking to level 0 is for a unit, even if its line in the proof cannot be told.
    learnt_length = np.where(found, lengths[clause], to_root).astype(np.int32)
    clause, sizes = clause[found], lengths[clause[found]]
    ranks = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members = literals[np.repeat(offsets[clause], sizes) + ranks]
    inside_formula = members[np.abs(members) <= n_vars]
    occurrences = np.bincount(np.abs(inside_formula), minlength=n_vars + 1)[1:]
    positive = np.bincount(inside_formula[inside_formula > 0], minlength=n_vars + 1)[1:]
    return learnt_length, occurrences.astype(np.int32), positive.astype(np.int32)


def _build_trace(
    log: _Log,
    head: int,
    proof: bytes | None,
    observed: NDArray[np.int64],
    n_active: int,
    n_vars: int,
    merged: bool,
    finished: bool,
    statistics: dict[str, int],
) -> tuple[Trace, NDArray[np.int32]]:
    """Return the trace and :attr:`ProbeResult.numbers`.

    ``head`` is the number of calls before the search began (literals that were fixed already).
    """
    calls = np.frombuffer(log.calls, dtype=np.int32)[: log.length_at_stop]
    first = np.flatnonzero(calls >= _BACKTRACK)
    lead = calls[: int(first[0]) if len(first) else len(calls)]
    if head and len(lead) > head:
        # Some solvers report once more, when they start, what was fixed before.
        _, keep = np.unique(lead, return_index=True)
        calls = np.concatenate((lead[np.sort(keep)], calls[len(lead) :]))
    proof_ends = np.array(log.proof_ends, dtype=np.int64) if proof is not None else None
    path, decided_at = _walk(calls, proof_ends, merged)
    complete = len(observed) == n_active
    scale = n_active / len(observed) if len(observed) else 1.0

    def scaled(values: list[int], dtype: type[np.generic]) -> NDArray[Any]:
        return np.rint(np.array(values, dtype=np.float64) * scale).astype(dtype)

    seen = np.zeros(n_vars, dtype=bool)
    seen[observed - 1] = True
    hidden = np.full(n_vars, UNKNOWN, dtype=np.int32)
    assigned, flips, positive = _count_variables(calls[calls < _BACKTRACK], n_vars)
    decided = hidden
    if complete:
        decided = np.bincount(np.abs(calls[decided_at]), minlength=n_vars + 1)[1:].astype(np.int32)
    learnt = None
    if proof is not None and proof_ends is not None:
        learnt = _learnt(proof, proof_ends, path, n_vars)
    learnt_length, occurrences, occurrences_positive = learnt or (np.zeros(0, dtype=np.int32), hidden, hidden)
    codes, runs = path.codes, path.runs
    if finished and path.end_level == 0:
        codes, runs = [*codes, FINISHED], [*runs, 0]
    numbers = np.arange(1, len(path.level) + 1, dtype=np.int32)
    if log.conflicts:
        numbers = np.array(log.conflicts, dtype=np.int32)[np.array(path.backtrack, dtype=np.int64)]
    trace = Trace(
        n_vars=n_vars,
        n_active=n_active,
        level=np.array(path.level, dtype=np.int32),
        backjump=np.array(path.backjump, dtype=np.int32),
        trail=scaled(path.trail, np.int32),
        undone=scaled(path.undone, np.int32),
        decisions=np.array(path.decisions, dtype=np.int32),
        restart=np.array(path.restart, dtype=bool),
        assigned_since=scaled(path.assigned_since, np.int64),
        fixed=scaled(path.fixed, np.int32),
        progress=progress_estimate(
            np.array(path.shallow, dtype=np.float64).reshape(-1, PROGRESS_LEVELS) * scale, n_active
        ).astype(np.float32),
        learnt_length=learnt_length,
        events=expand_events(np.array(codes, dtype=np.int32), np.array(runs, dtype=np.int64)),
        assigned=np.where(seen, assigned, UNKNOWN),
        decided=np.where(seen, decided, UNKNOWN),
        flips=np.where(seen, flips, UNKNOWN),
        positive=np.where(seen, positive, UNKNOWN),
        learnt=occurrences,
        learnt_positive=occurrences_positive,
        observed=seen,
        propagations=statistics.get("propagations", UNKNOWN),
        restarts=statistics.get("restarts", UNKNOWN),
    )
    return trace, numbers


def _trivial(formula: Formula, settings: ProbeSettings) -> ProbeResult | None:
    """Answer what no solver need be asked: a formula without clauses or with an empty one."""
    if formula.n_clauses and not formula.has_empty_clause:
        return None
    statistics = dict.fromkeys(("conflicts", "decisions", "propagations", "restarts"), 0)
    none = np.zeros(0, dtype=np.int64)
    active = len(np.unique(np.abs(formula.literals)))
    trace, numbers = _build_trace(
        _Log(), 0, b"", none, active, formula.n_vars, False, bool(formula.n_clauses), statistics
    )
    status: ProbeStatus = "UNSAT" if formula.n_clauses else "SAT"
    detail = "it has an empty clause" if formula.n_clauses else "it has no clauses"
    return ProbeResult(status, trace, 0, 0, 0, 0, cpu_s=0.0, detail=detail, settings=settings, numbers=numbers)


def run_probe(
    formula: Formula,
    settings: ProbeSettings | None = None,
    *,
    deadline: float | None = None,
    search: Callable[[Any], bool | None] | None = None,
) -> ProbeResult:
    """Probe a formula in this process.

    The solver is C++ in this process: call :func:`probe` instead unless its death would do no harm.

    Parameters
    ----------
    formula
        The formula.
    settings
        Budget; its limits on time and memory are not enforced here.
    deadline
        Value of ``time.process_time()`` at which the search ends early, with status ``TIMEOUT``.
    search
        Runs PySAT's solver object and returns its answer, in the place of one call with the budget of conflicts. It may
        call the solver several times; where one call ends and the next begins counts as a restart.

    Returns
    -------
    ProbeResult
        Status, trace and counters.

    Raises
    ------
    SolverError
        If the solver's model does not satisfy the formula, or the formula has 2^30 variables or more.
    """
    from pysat.solvers import Solver

    settings = settings or ProbeSettings()
    begin = time.process_time()
    if formula.n_vars >= _BACKTRACK:
        raise SolverError(f"found {formula.n_vars} variables; a formula of {_BACKTRACK} or more cannot be probed")
    trivial = _trivial(formula, settings)
    if trivial is not None:
        return replace(trivial, cpu_s=time.process_time() - begin)
    has_proof = settings.solver.startswith("cadical")
    with Solver(name=settings.solver, **({"with_proof": True} if has_proof else {})) as solver:
        if settings.solver_options:
            solver.configure(settings.solver_options)
        append_clauses(solver, formula)
        active = np.flatnonzero(np.bincount(np.abs(formula.literals), minlength=formula.n_vars + 1))
        observed = sample_variables(active, settings.max_observed, settings.seed)
        log = _Log()
        proof_length = _proof_length(solver) if has_proof else None
        proof_start = proof_length() if proof_length is not None else 0
        listener = _listen(
            log,
            settings.max_events,
            len(observed) / len(active),
            deadline if deadline is not None else float("inf"),
            proof_length,
            solver.accum_stats if settings.solver in _MINISATS else None,
        )
        solver.connect_propagator(listener)
        for variable in observed.tolist():
            solver.observe(variable)
        head = len(log.calls)
        solver.conf_budget(settings.conflicts)
        loaded = time.process_time()
        answer = solver.solve_limited() if search is None else search(solver)
        searched = time.process_time()
        statistics = {name: int(value) for name, value in solver.accum_stats().items()}
        status: ProbeStatus = "UNKNOWN" if answer is None or log.stop_taken else "SAT" if answer else "UNSAT"
        model = np.array(solver.get_model() or [], dtype=np.int32) if status == "SAT" else None
        if model is not None and not satisfies(formula, model):
            raise SolverError(f"{settings.solver} gave a wrong answer: its model does not satisfy {formula.source}")
        proof = None
        if proof_length is not None:
            proof_length()
            with open(os.dup(solver.solver.prfile.fileno()), "rb") as file:
                file.seek(proof_start)
                proof = file.read()
                log.proof_ends = array.array("q", [end - proof_start for end in log.proof_ends])
        trace, numbers = _build_trace(
            log,
            head,
            proof,
            observed,
            len(active),
            formula.n_vars,
            merged=settings.solver in _MINISATS,
            finished=status == "UNSAT",
            statistics=statistics,
        )
    detail = ""
    if status == "UNKNOWN" and log.stopped_by == "cpu":
        status, detail = "TIMEOUT", f"the search was ended at {deadline:.1f} s of CPU time"
    elif status == "UNKNOWN" and log.stopped_by:
        detail = f"the search was ended after {settings.max_events} events"
    done = time.process_time()
    return ProbeResult(
        status,
        trace,
        conflicts=statistics["conflicts"],
        decisions=statistics["decisions"],
        propagations=statistics["propagations"],
        restarts=statistics["restarts"],
        cpu_s=done - begin,
        detail=detail,
        truncated=bool(detail),
        events=len(log.calls) if log.length_at_stop is None else log.length_at_stop,
        timings={"load": loaded - begin, "search": searched - loaded, "trace": done - searched},
        settings=settings,
        numbers=numbers,
        model=model,
    )


def _proof_length(solver: Any) -> Callable[[], int]:
    """Return a function that writes the proof out and returns its length in bytes."""
    import pysolvers

    flush, stream, descriptor = pysolvers.flushpr, solver.solver.prfp, solver.solver.prfile.fileno()
    seek, end = os.lseek, os.SEEK_CUR

    def length() -> int:
        flush(stream)
        return seek(descriptor, 0, end)

    return length


def probe_child(formula: Formula | str, settings: ProbeSettings) -> ProbeResult:
    """Probe a formula, or the file at a path; executed in a sandboxed child."""
    from satcost_gnn.formula.renumbering import renumbered
    from satcost_gnn.formula.sources import load

    begin = time.process_time()
    parse = {}
    if not isinstance(formula, Formula):
        formula = load(formula)
        parse = {"parse": time.process_time() - begin}
    dense, numbering = renumbered(formula)
    # A child's CPU clock starts at nought.
    result = run_probe(dense, settings, deadline=settings.cpu_s)
    model = None if result.model is None else numbering.original(result.model)
    return replace(result, model=model, timings={**parse, **result.timings})


def probe(
    formula: Formula | str | Path, settings: ProbeSettings | None = None, sandbox: Sandbox | None = None
) -> ProbeResult:
    """Probe a formula in a limited child process.

    Parameters
    ----------
    formula
        The formula, or the path of its DIMACS file, which the child then reads. Sending a formula that has been read
        already is faster than reading its file again.
    settings
        What to run and for how long.
    sandbox
        Where the child is forked; one is started for this call if None.

    Returns
    -------
    ProbeResult
        Never raises for what the solver does: its abort, a crash, and limits are statuses.

    Raises
    ------
    SandboxError
        If no child can be started.
    """
    settings = settings or ProbeSettings()
    if sandbox is None:
        with Sandbox() as own:
            return probe(formula, settings, own)
    sent = str(formula) if isinstance(formula, Path) else formula
    outcome = sandbox.run(PROBE_CHILD, {"formula": sent, "settings": settings}, settings.limits)
    if outcome.status == "OK":
        result = outcome.value
        if not isinstance(result, ProbeResult):
            raise TypeError(f"{PROBE_CHILD} returned {type(result).__name__}; expected ProbeResult")
        return replace(result, cpu_s=outcome.cpu_s, peak_memory_mb=outcome.peak_memory_mb)
    detail = f"{outcome.error_type}: {outcome.detail}" if outcome.error_type else outcome.detail
    return ProbeResult(
        outcome.status,
        None,
        conflicts=None,
        decisions=None,
        propagations=None,
        restarts=None,
        cpu_s=outcome.cpu_s,
        detail=detail,
        truncated=True,
        peak_memory_mb=outcome.peak_memory_mb,
        settings=settings,
    )
