"""The C++ or C object behind a Python capsule, for what an extension module does not offer."""

from __future__ import annotations

import ctypes


def capsule_pointer(capsule: object) -> int:
    """Return the address that a ``PyCapsule`` holds."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, name(capsule)))
