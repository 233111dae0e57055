"""Arrays laid out so that a general compressor makes them as small as what they say.

``numpy.savez_compressed`` deflates: it codes bytes by their frequency, so that a number of several bytes costs the mean
of what its bytes cost, unless its high bytes, which vary little, stand apart from its low ones.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: Steps that a probability is rounded to; the error of a distribution function is at most half of one.
_LEVELS: Final = 65_535


def byte_planes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return ``uint8[itemsize, n]``: the first bytes of all values, then the second ones, and so on."""
    flat = np.ascontiguousarray(values).reshape(-1)
    little = flat.astype(flat.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little.view(np.uint8).reshape(len(flat), flat.dtype.itemsize).T)


def from_byte_planes(planes: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
    """Undo :func:`byte_planes`; ValueError if the planes are not those of that type."""
    kind = np.dtype(dtype).newbyteorder("<")
    if planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) != kind.itemsize:
        raise ValueError(f"found planes {planes.dtype}{list(planes.shape)}; expected uint8[{kind.itemsize}, n]")
    return np.ascontiguousarray(planes.T).reshape(-1).view(kind).astype(np.dtype(dtype))


def rounded_probabilities(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return probabilities as :func:`from_probability_planes` gives them back, off by less than 8e-6."""
    return (_steps(values) / np.float32(_LEVELS)).astype(np.float32)


def probability_planes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return distribution functions ``[..., points]``, rounded, as byte planes of their rise from point to point."""
    steps = _steps(values)
    # Unsigned differences wrap around where a rounded function falls, and back again when they are summed up.
    return byte_planes(np.diff(steps, axis=-1, prepend=np.zeros_like(steps[..., :1])))


def from_probability_planes(planes: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Undo :func:`probability_planes`, but for the rounding; ValueError if the planes are not of that shape."""
    rises = from_byte_planes(planes, np.uint16).reshape(shape)
    steps = np.cumsum(rises, axis=-1, dtype=np.uint16)
    return (steps / np.float32(_LEVELS)).astype(np.float32)


def _steps(values: NDArray[Any]) -> NDArray[np.uint16]:
    steps: NDArray[np.uint16] = np.rint(np.clip(values, 0.0, 1.0).astype(np.float64) * _LEVELS).astype(np.uint16)
    return steps
