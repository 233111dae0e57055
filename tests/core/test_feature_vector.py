import pickle

import numpy as np
import pytest

from satcost_gnn.core.feature_vector import FeatureVector


def vector(names="ab", values=(1.0, np.nan), seconds=None):
    return FeatureVector(tuple(names), np.array(values, dtype=np.float32), seconds or {"g": 0.5})


def test_access_by_name():
    features = vector()
    assert features["a"] == 1.0
    assert np.isnan(features["b"])
    assert features.is_missing.tolist() == [False, True]
    assert list(features.as_dict()) == ["a", "b"]
    with pytest.raises(KeyError, match="zz"):
        features["zz"]


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (("a",), [1.0, 2.0], "one for each name"),
        (("a", "a"), [1.0, 2.0], "unique"),
        (("a", "b"), [1.0, np.inf], "infinite 'b'"),
    ],
)
def test_rejects(names, values, message):
    with pytest.raises(ValueError, match=message):
        FeatureVector(names, np.array(values, dtype=np.float32))


def test_values_are_a_read_only_float32_copy():
    source = np.array([1.0, 2.0])
    features = FeatureVector(("a", "b"), source)
    source[0] = 9.0
    assert features.values.dtype == np.float32
    assert features["a"] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        features.values[0] = 3.0


def test_pickle_keeps_everything():
    copy = pickle.loads(pickle.dumps(vector()))
    assert copy.names == ("a", "b")
    assert copy["a"] == 1.0
    assert copy.seconds == {"g": 0.5}
    assert not copy.values.flags.writeable


def test_concatenate_joins_names_and_adds_seconds():
    joined = FeatureVector.concatenate(vector(), vector("cd", (3.0, 4.0), {"g": 1.0, "h": 2.0}))
    assert joined.names == ("a", "b", "c", "d")
    assert joined["d"] == 4.0
    assert joined.seconds == {"g": 1.5, "h": 2.0}
    assert joined.total_seconds == 3.5
    assert len(FeatureVector.concatenate()) == 0
    with pytest.raises(ValueError, match="unique"):
        FeatureVector.concatenate(vector(), vector())


def test_missing_and_from_mapping():
    assert FeatureVector.missing(["x", "y"]).is_missing.all()
    features = FeatureVector.from_mapping(("x", "y", "z"), {"z": 2.0, "x": np.inf})
    assert features.is_missing.tolist() == [True, True, False]
    with pytest.raises(ValueError, match="unknown features"):
        FeatureVector.from_mapping(("x",), {"q": 1.0})


def test_select_reorders():
    chosen = vector("abc", (1.0, 2.0, 3.0)).select(["c", "a"])
    assert chosen.names == ("c", "a")
    assert chosen.values.tolist() == [3.0, 1.0]
    with pytest.raises(KeyError):
        vector().select(["nope"])
