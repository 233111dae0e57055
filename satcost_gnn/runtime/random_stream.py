"""Random numbers of a fixed definition: the same on any machine, with any version of Python and numpy.

The stream is numpy's Philox4x64-10 read as raw 64-bit words (a published counter-based generator, Salmon et al., SC
2011, whose stream numpy guarantees), and every draw is derived from those words here rather than by a library routine
that may change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import ConfigError

Ints: TypeAlias = NDArray[np.int64]


class Draws:
    """A random stream of fixed definition: Philox4x64-10 keyed by the seed and by a name.

    Parameters
    ----------
    seed
        Any integer in ``0 .. 2**64 - 1``.
    stream
        Name that keeps the streams of different families apart (its SHA-256 is half of the key).

    Raises
    ------
    ConfigError
        If the seed is out of range.
    """

    def __init__(self, seed: int, stream: str) -> None:
        if not 0 <= seed < 2**64:
            raise ConfigError(f"seed: found {seed}, expected an integer in 0..2^64-1; choose another seed")
        name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
        self._philox = np.random.Philox(key=np.array([seed, name], dtype=np.uint64))

    def words(self, size: int) -> NDArray[np.uint64]:
        """Return the next ``size`` raw 64-bit words of the stream."""
        return np.asarray(self._philox.random_raw(size), dtype=np.uint64)

    def below(self, bound: int, size: int) -> Ints:
        """Return ``int64[size]`` in ``0 .. bound - 1`` (multiply-shift on 32 bits: bias under ``bound / 2**32``)."""
        if not 0 < bound < 2**31:
            raise ValueError(f"bound must be in 1..2^31-1, got {bound}")
        return (((self.words(size) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def one_below(self, bound: int) -> int:
        """Return one integer in ``0 .. bound - 1``."""
        return int(self.below(bound, 1)[0])

    def uniform(self, size: int) -> NDArray[np.float64]:
        """Return ``float64[size]`` in ``[0, 1)``: the upper 53 bits of each word."""
        return np.asarray((self.words(size) >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def flags(self, size: int) -> NDArray[np.bool_]:
        """Return ``size`` fair coin flips."""
        return np.asarray(self.words(size) >> np.uint64(63), dtype=np.bool_)

    def signs(self, size: int) -> Ints:
        """Return ``size`` numbers that are 1 or -1 with equal probability."""
        return 1 - 2 * self.flags(size).astype(np.int64)

    def integer(self, bits: int) -> int:
        """Return an integer of at most ``bits`` bits (of any size)."""
        n_words = (bits + 63) // 64
        value = int.from_bytes(self.words(n_words).astype("<u8").tobytes(), "little")
        return value & ((1 << bits) - 1)

    def permutation(self, n: int) -> Ints:
        """Return a random order of ``0 .. n - 1``."""
        return np.asarray(np.argsort(self.words(n), kind="stable"), dtype=np.int64)

    def sample(self, n: int, k: int) -> Ints:
        """Return ``k`` distinct numbers of ``0 .. n - 1`` in random order."""
        return self.permutation(n)[:k]

    def distinct_rows(self, rows: int, width: int, bound: int) -> Ints:
        """Return ``int64[rows, width]``: each row holds ``width`` distinct numbers below ``bound``."""
        if 2 * width > bound:
            # Drawing again would take too long: the front of a random order of all numbers, row by row.
            order = np.argsort(self.words(rows * bound).reshape(rows, bound), axis=1, kind="stable")
            return np.asarray(order[:, :width], dtype=np.int64)
        return self.distinct(lambda count: self.below(bound, count * width).reshape(count, width), rows)

    def distinct(self, draw: Callable[[int], Ints], rows: int) -> Ints:
        """Return ``rows`` rows made by ``draw(count)``, drawing again each row that repeats a number."""
        table = draw(rows)
        pending = np.arange(rows)
        while len(pending):
            ordered = np.sort(table[pending], axis=1)
            pending = pending[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
            if len(pending):
                table[pending] = draw(len(pending))
        return table

    def weighted(self, cumulative: NDArray[np.float64], size: int) -> Ints:
        """Return ``size`` indices drawn in proportion to the steps of ``cumulative`` (not normalised)."""
        return np.asarray(
            np.searchsorted(cumulative, self.uniform(size) * cumulative[-1], side="right"), dtype=np.int64
        ).clip(max=len(cumulative) - 1)
