"""From a probe's log to its trace: conflicts, levels, sizes of trees and of learnt clauses."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.search.binary_proof import proof_additions
from satcost_gnn.search.listener import BACKTRACK, FIXPOINT, NEW_LEVEL, Log
from satcost_gnn.search.trace import UNKNOWN, Trace, expand_events
from satcost_gnn.search.tree_size import FINISHED, PROGRESS_LEVELS, RESTART, progress_estimate


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
    """Follow levels and trail through the log of literals and codes.

    A backtrack comes from a conflict unless propagation had ended before it (a fixpoint since the last decision or
    backtrack), for then the solver gave its decisions up of its own accord. After chronological backtracking a conflict
    may lie below the current level: the solver then first backtracks to the conflict's level, without a learnt clause
    (``proof_ends`` has the length of the proof at each backtrack), and from there as usual; both make one conflict. If
    the solver has ``merged`` backtracks, one to level 0 after which nothing is assigned holds a restart too.

    Return the path, and the positions in the log of the literals that follow a new level at once.
    """
    position = np.flatnonzero(log >= BACKTRACK)
    marker = log[position]
    # Literals before each marker.
    assigned = position - np.arange(len(position))
    is_new = marker == NEW_LEVEL
    opened = np.cumsum(is_new)
    assigned_at_new = assigned[is_new].tolist()
    is_fixpoint = marker == FIXPOINT
    is_back = ~(is_new | is_fixpoint)
    back = np.flatnonzero(is_back)
    after_fixpoint = np.zeros(len(marker), dtype=bool)
    after_fixpoint[1:] = is_fixpoint[:-1]
    # A new level whose very next entry is a literal: that literal is the decision.
    follows = position[is_new] + 1
    follows = follows[follows < len(log)]
    decided = follows[log[follows] < BACKTRACK]
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
        (marker[back].astype(np.int64) - BACKTRACK).tolist(),
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
    Return ``int32[C]`` lengths, ``int32[n_vars]`` occurrences and positive occurrences; None if this is no binary
    proof.
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


def build_trace(
    log: Log,
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
    first = np.flatnonzero(calls >= BACKTRACK)
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
    assigned, flips, positive = _count_variables(calls[calls < BACKTRACK], n_vars)
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
