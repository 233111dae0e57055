"""A damaged entry of a cache is made again, and nothing that reads it raises."""

from pathlib import Path

import numpy as np
import pytest
from damaging import DAMAGES

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.search.probe_settings import ProbeSettings

SETTINGS = PreprocessSettings(FeatureSpec(probe=ProbeSettings(conflicts=50), probe_replicate=False, dives=None))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("cache")
    cnf = root / "a.cnf"
    cnf.write_text(from_recipe("random-ksat:k=3,n=60,ratio=4.26,seed=2").to_dimacs())
    assert InstanceCache(root / "cache", SETTINGS).fill({"a": cnf}) == []
    return root, cnf


@pytest.mark.parametrize("kind", sorted(set(DAMAGES) - {"longer"}))
def test_an_entry_is_made_again(kind: str, filled: tuple[Path, Path]) -> None:
    root, cnf = filled
    cache = InstanceCache(root / "cache", SETTINGS)
    before = cache.get("a")
    assert before is not None and before.online is not None
    (entry,) = cache.directory.glob("a.npz")
    DAMAGES[kind](entry)
    again = InstanceCache(root / "cache", SETTINGS)
    if kind == "flipped" and (same := again.get("a")) is not None:
        # A time or an attribute in the archive, which nothing depends on.
        np.testing.assert_array_equal(same.static.values, before.static.values)
        np.testing.assert_array_equal(same.online.values, before.online.values)
        return
    assert not again.has("a") and again.get("a") is None and list(again.load(["a"])) == [None]
    assert again.fill({"a": cnf}) == []
    after = again.get("a")
    assert after is not None and after.online is not None and entry.is_file()
    np.testing.assert_array_equal(after.online.values, before.online.values)
    assert not list(cache.directory.glob("*.tmp"))


def test_a_pipe_in_the_place_of_the_key_is_left_alone(filled: tuple[Path, Path]) -> None:
    root, _ = filled
    cache = InstanceCache(root / "cache", SETTINGS)
    DAMAGES["pipe"](cache.directory / "KEY.txt")
    assert InstanceCache(root / "cache", SETTINGS).has("a")
