import errno
import mmap
import pickle

import numpy as np
import pytest

from satcost_gnn.formula import growing_array
from satcost_gnn.formula.growing_array import GrowingArray


@pytest.mark.parametrize("count", [0, 1, 1000, 200_000])
def test_what_was_appended_is_there(count):
    rng = np.random.default_rng(count)
    parts = [rng.integers(-9, 9, rng.integers(0, count + 1)).astype(np.int32) for _ in range(8)]
    array = GrowingArray(np.int32)
    for part in parts:
        array.extend(part)
        # More room than is taken.
        array.room_for(2 * len(part) + 5)[: len(part)] = part
        array.take(len(part))
    assert len(array) == 2 * sum(map(len, parts))
    found = array.finished()
    assert found.dtype == np.int32
    assert found.tolist() == [value for part in parts for value in (*part, *part)]
    found[:1] = 7
    assert np.array_equal(pickle.loads(pickle.dumps(found)), found)


def test_a_large_array_moves_and_shrinks():
    array, values = GrowingArray(np.int64), np.arange(1 << 20)
    for _ in range(9):
        array.extend(values)
    array.room_for(1 << 26)
    array.extend(values)
    assert np.array_equal(array.finished(), np.tile(values, 10))


def test_where_address_space_is_short_only_what_is_needed_is_asked_for(monkeypatch):
    made = mmap.mmap

    def short(fileno, size, flags):
        if size > 10 * mmap.PAGESIZE:
            raise OSError(errno.ENOMEM, "refused")
        return made(fileno, size, flags)

    monkeypatch.setattr(growing_array.mmap, "mmap", short)
    array = GrowingArray(np.int32)
    array.extend(np.arange(100, dtype=np.int32))
    assert array.finished().tolist() == list(range(100))


def test_room_that_is_not_taken_holds_no_memory():
    array = GrowingArray(np.int64)
    array.extend(np.arange(300_000))
    array.room_for(1 << 30)
    assert array.finished().nbytes == 8 * 300_000


def test_a_refusal_of_memory_is_a_memory_error(monkeypatch):
    def refuse(*arguments):
        raise OSError(code, "refused")

    monkeypatch.setattr(growing_array.mmap, "mmap", refuse)
    code = errno.ENOMEM
    with pytest.raises(MemoryError, match="no memory for an array of 40 bytes"):
        GrowingArray(np.int32).room_for(10)
    code = errno.EPERM
    with pytest.raises(PermissionError):
        GrowingArray(np.int32).room_for(10)
    assert mmap.mmap is refuse
