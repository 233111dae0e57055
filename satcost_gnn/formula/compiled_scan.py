"""The compiled part of the DIMACS reader, where the package was built with a C compiler.

``_dimacs_scan.c`` is compiled when the package is built (``hatch_build.py``), never at run time. The reader is complete
without it: what it is not there for, or refuses, is parsed in Python, with the same result.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from satcost_gnn.formula.growing_array import GrowingArray

__all__ = ["VARIABLE", "Scan", "Scanned", "compiled_scan"]

#: The environment variable that, set to 0, has everything parsed in Python.
VARIABLE: Final = "SATCOST_COMPILED"
_LIBRARY: Final = Path(__file__).with_name("_dimacs_scan.so")
# Of the interface, as in `_dimacs_scan.c`.
_ABI: Final = 1
# Places beyond what the numbers of a text can take: the loop in C leaves a block's worth unused.
_MARGIN: Final = 64


class Scanned(NamedTuple):
    """What was found in a piece of text; of arrays, how many elements there are more to take."""

    n_literals: int
    n_ends: int
    largest: int
    n_line_ends: int
    #: Whether its last number is a literal, and how many line ends come before that.
    is_open: bool
    open_line_ends: int


class Scan:
    """The function of a loaded library.

    Parameters
    ----------
    library
        File of the library.

    Raises
    ------
    OSError
        If it can't be loaded.
    AttributeError
        If it is another library, or has another interface.
    """

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        found = loaded.satcost_scan_abi()
        if found != _ABI:
            raise AttributeError(f"{library} has the interface {found}; expected {_ABI}")
        self._function = loaded.satcost_scan
        array, number = ctypes.c_void_p, ctypes.c_int64
        self._function.argtypes = [
            ctypes.c_char_p,
            number,
            number,
            ctypes.c_int,
            *(array, number),
            *(array, number),
            number,
            array,
        ]
        self._function.restype = ctypes.c_int

    def __call__(
        self,
        text: bytes,
        start: int,
        end: int,
        at_line_start: bool,
        literals: GrowingArray[np.int32],
        ends: GrowingArray[np.int64],
    ) -> Scanned | None:
        """Read a part of a text that begins and ends between two words.

        Parameters
        ----------
        text
            Clauses, of which the first and the last may be incomplete, and comments.
        start, end
            Where the part begins and ends.
        at_line_start
            Whether its first byte is its line's first.
        literals, ends
            Where what is found is written, behind what is there; for the caller to take.

        Returns
        -------
        Scanned or None
            None if there is anything in it that is left to the parser in Python.
        """
        if not 0 <= start <= end <= len(text):
            raise ValueError(f"expected a part of {len(text)} bytes; found {start} to {end}")
        room = (end - start) // 2 + _MARGIN
        found = (ctypes.c_int64 * len(Scanned._fields))()
        status = self._function(
            text,
            start,
            end,
            at_line_start,
            literals.room_for(room).ctypes.data,
            room,
            ends.room_for(room).ctypes.data,
            room,
            len(literals),
            found,
        )
        if status:
            return None
        n_literals, n_ends, largest, n_line_ends, is_open, open_line_ends = found
        return Scanned(n_literals, n_ends, largest, n_line_ends, bool(is_open), open_line_ends)


@cache
def compiled_scan() -> Scan | None:
    """Return the compiled function; None where there is none, or the environment says not to use it."""
    if os.environ.get(VARIABLE) == "0" or not _LIBRARY.exists():
        return None
    try:
        return Scan(_LIBRARY)
    except (OSError, AttributeError):
        # Built for another machine, or left over from another version.
        return None
