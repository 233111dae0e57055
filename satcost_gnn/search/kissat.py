"""What PySAT does not say of its Kissat: the counters of a run, and how to stop one.

PySAT exposes no statistics of Kissat, and its build leaves out their printing. But the setters of Kissat's limits are
visible in PySAT's extension module, and they store the count so far plus the limit. So the place of the limit is found
once, on an idle solver where all counts are zero; later the limit set to zero is the count.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from pysat.solvers import Solver

from satcost_gnn.search.cadical import capsule_pointer

# Two limits that no other word of an idle solver is likely to hold, both.
_MARKS = (0x5A5A5A5, 0x3C3C3C3C)
_SETTERS = {"conflicts": "kissat_set_conflict_limit", "decisions": "kissat_set_decision_limit"}
# PySAT's capsule holds a pointer to Kissat, the number of variables, and what is told of the answer.
_WRAPPER_BYTES = 24


@functools.cache
def _library() -> ctypes.CDLL:
    import pysolvers

    return ctypes.CDLL(pysolvers.__file__)


@functools.cache
def _usable_size() -> Callable[[int], int]:
    function = ctypes.CDLL(None).malloc_usable_size
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_size_t
    return function


def kissat_pointer(engine: Any) -> int | None:
    """Return the address of Kissat's own object behind a :class:`pysat.solvers.Solver`, None if it isn't known."""
    wrapper = capsule_pointer(engine.solver.kissat)
    # The allocator may hand out a place that is a little larger, if what remained of it were none.
    if not 0 <= _usable_size()(wrapper) - _WRAPPER_BYTES <= 16:
        return None
    pointer = ctypes.c_uint64.from_address(wrapper).value
    return pointer if pointer and pointer % 16 == 0 else None


def _setter(name: str) -> Callable[[int, int], None] | None:
    function = getattr(_library(), name, None)
    if function is not None:
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_uint], None
    return function


@functools.cache
def _places() -> dict[str, tuple[Callable[[int, int], None], int]]:
    """Return for each counter its setter and the offset in bytes of the limit in Kissat's object."""
    found = {}
    for counter, name in _SETTERS.items():
        setter = _setter(name)
        with Kissat(name="kissat404") as engine:
            pointer = kissat_pointer(engine)
            if setter is None or pointer is None:
                continue
            words = _usable_size()(pointer) // 8
            hits = set(range(words))
            for mark in _MARKS:
                setter(pointer, mark)
                content = (ctypes.c_uint64 * words).from_address(pointer)
                hits &= {k for k in hits if content[k] == mark}
        if len(hits) == 1:
            found[counter] = setter, 8 * hits.pop()
    return found


class Kissat(Solver):  # type: ignore[misc]
    """PySAT's solver with Kissat's counters and a way to stop it."""

    def accum_stats(self) -> dict[str, int]:
        """Return the conflicts and decisions of a run that has ended, those that can be told.

        The limits of the solver are spent afterwards: it must not be asked to go on.
        """
        pointer = kissat_pointer(self)
        counts: dict[str, int] = {}
        if pointer is not None:
            for counter, (setter, offset) in _places().items():
                setter(pointer, 0)
                counts[counter] = ctypes.c_uint64.from_address(pointer + offset).value
        return counts

    def terminator(self) -> Callable[[], None] | None:
        """Return what asks it to stop, to be called from a signal handler; None if it isn't known how."""
        terminate = getattr(_library(), "kissat_terminate", None)
        pointer = kissat_pointer(self)
        if terminate is None or pointer is None:
            return None
        terminate.argtypes, terminate.restype = [ctypes.c_void_p], None
        return lambda: terminate(pointer)
