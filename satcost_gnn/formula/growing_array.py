"""Arrays that grow to whatever length they take without being held twice."""

from __future__ import annotations

import errno
import mmap
from contextlib import suppress
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["GrowingArray"]

_Scalar = TypeVar("_Scalar", bound=np.generic)

# Bytes below which an array is copied at the end: pages of its own would be the larger part of it.
_SMALL: Final = 1 << 20
# Address space that is asked for at first, so that most arrays never move.
_FIRST: Final = 1 << 25
# Bytes from which further pages are huge ones, of 2 MiB: it is a quarter of the work to get them.
_HUGE_FROM: Final = 1 << 20


class GrowingArray(Generic[_Scalar]):
    """A one-dimensional array that is appended to.

    It has pages of its own, which the kernel moves without copying when there have to be more of them, and which take
    no memory before they are written to. A list of parts, joined at the end, would be held twice; so would what an
    allocator has to move.
    """

    def __init__(self, dtype: type[_Scalar]) -> None:
        self._dtype = np.dtype(dtype)
        self._size = 0
        self._pages: mmap.mmap | None = None
        self._is_huge = False

    def __len__(self) -> int:
        return self._size

    @property
    def _capacity(self) -> int:
        return 0 if self._pages is None else len(self._pages) // self._dtype.itemsize

    def room_for(self, count: int) -> NDArray[_Scalar]:
        """Return so many elements behind the last, to write to and then :meth:`take`; to be dropped before the next."""
        wanted = self._size + count
        if wanted > self._capacity:
            self._grow(wanted)
        return self._elements(self._size, count)

    def take(self, count: int) -> None:
        """Count the first so many of the elements that :meth:`room_for` returned as written."""
        self._size += count
        if not self._is_huge and self._pages is not None and self._size * self._dtype.itemsize >= _HUGE_FROM:
            self._is_huge = True
            # Of all pages: what has pages of two kinds can't be moved. A kernel without such pages refuses.
            with suppress(OSError):
                self._pages.madvise(mmap.MADV_HUGEPAGE)

    def extend(self, values: NDArray[_Scalar]) -> None:
        """Append values."""
        self.room_for(len(values))[:] = values
        self.take(len(values))

    def finished(self) -> NDArray[_Scalar]:
        """Return the array, which is not to grow any more."""
        if self._size * self._dtype.itemsize < _SMALL:
            return self._elements(0, self._size).copy()
        self._resize(self._size * self._dtype.itemsize)
        return self._elements(0, self._size)

    def _elements(self, start: int, count: int) -> NDArray[_Scalar]:
        if self._pages is None:
            return np.zeros(0, self._dtype)
        return np.frombuffer(self._pages, self._dtype, count, start * self._dtype.itemsize)

    def _grow(self, capacity: int) -> None:
        needed = max(capacity, 1) * self._dtype.itemsize
        try:
            self._resize(max(needed, 2 * self._capacity * self._dtype.itemsize, _FIRST))
        except MemoryError:
            # Address space may be limited.
            self._resize(needed)

    def _resize(self, size: int) -> None:
        try:
            if self._pages is None:
                self._pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            else:
                self._pages.resize(size)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            raise MemoryError(f"no memory for an array of {size} bytes") from None
