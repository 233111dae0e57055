import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from satcost_gnn.learn.compact_arrays import (
    byte_planes,
    from_byte_planes,
    from_probability_planes,
    probability_planes,
    rounded_probabilities,
)

dtypes = st.sampled_from([np.uint8, np.uint16, np.int32, np.uint32, np.float32, np.float64])


@given(dtypes.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(max_dims=2, min_side=0))))
def test_planes_hold_every_bit(values):
    planes = byte_planes(values)
    assert planes.shape == (values.dtype.itemsize, values.size)
    again = from_byte_planes(planes, values.dtype)
    assert again.dtype == values.dtype and again.tobytes() == values.tobytes()


def test_low_bytes_come_first():
    np.testing.assert_array_equal(byte_planes(np.array([1, 256 + 2], dtype=np.uint16)), [[1, 2], [0, 1]])


@given(arrays_of.arrays(np.float32, (3, 2, 7), elements=st.floats(0, 1, width=32)))
def test_probabilities_are_rounded_once(values):
    planes = probability_planes(values)
    again = from_probability_planes(planes, values.shape)
    np.testing.assert_allclose(again, values, atol=8e-6)
    np.testing.assert_array_equal(again, rounded_probabilities(values))
    np.testing.assert_array_equal(probability_planes(again), planes)


def test_a_distribution_function_stays_one():
    rising = np.sort(np.random.default_rng(0).random((50, 33)), axis=1)
    rising[:, 0], rising[:, -1] = 0.0, 1.0
    rounded = rounded_probabilities(rising)
    assert (np.diff(rounded, axis=1) >= 0).all()
    assert (rounded[:, 0] == 0).all() and (rounded[:, -1] == 1).all()


def test_planes_of_another_type_are_refused():
    planes = byte_planes(np.zeros(4, dtype=np.uint16))
    with pytest.raises(ValueError, match="expected uint8"):
        from_byte_planes(planes, np.float32)
    with pytest.raises(ValueError, match="expected uint8"):
        from_byte_planes(planes.astype(np.int16), np.uint16)
    with pytest.raises(ValueError, match="reshape"):
        from_probability_planes(planes, (3, 5))
