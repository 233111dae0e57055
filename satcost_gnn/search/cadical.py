"""What PySAT does not offer of its CaDiCaL: a way to stop one from a signal handler."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from pysat.solvers import Solver


def capsule_pointer(capsule: object) -> int:
    """Return the address that a ``PyCapsule`` holds."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, name(capsule)))


class Cadical(Solver):  # type: ignore[misc]
    """PySAT's solver, one of the releases of CaDiCaL."""

    def terminator(self) -> Callable[[], None] | None:
        """Return what asks it to stop, to be called from a signal handler; None if it isn't known how."""
        import pysolvers

        # terminate() only sets a flag and is made for signal handlers. Its symbol is visible in PySAT's extension
        # module: CaDiCaL<version>::Solver::terminate(), with the object as argument.
        space = type(self.solver).__name__.replace("Cadical", "CaDiCaL")
        terminate = getattr(ctypes.CDLL(pysolvers.__file__), f"_ZN{len(space)}{space}6Solver9terminateEv", None)
        if terminate is None:
            return None
        terminate.argtypes, terminate.restype = [ctypes.c_void_p], None
        pointer = capsule_pointer(self.solver.cadical)
        return lambda: terminate(pointer)
