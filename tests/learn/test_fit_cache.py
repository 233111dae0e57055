import shutil
from dataclasses import replace

import numpy as np
import pytest
from damaging import DAMAGES
from synthetic_table import make_table

from satcost_gnn.learn.fit_cache import cached_fit
from satcost_gnn.learn.forest import Forest

SETTINGS = {"n_trees": 5}


@pytest.fixture
def table():
    return make_table(60, seed=3)


def test_what_is_kept_is_not_fitted_again(table, tmp_path, monkeypatch):
    forest = cached_fit("forest", SETTINGS, table, tmp_path)

    def refuse(*_, **__):
        raise AssertionError("fitted again")

    monkeypatch.setattr(Forest, "fit", refuse)
    again = cached_fit("forest", SETTINGS, table, tmp_path)
    np.testing.assert_allclose(
        again.predict(table.instances).cdf, forest.predict(table.instances).cdf, rtol=0, atol=1e-6
    )
    with pytest.raises(AssertionError, match="fitted again"):
        cached_fit("forest", SETTINGS, table)


def test_other_labels_or_settings_are_fitted_anew(table, tmp_path):
    cached_fit("forest", SETTINGS, table, tmp_path)
    cached_fit("forest", SETTINGS, table.subset(np.arange(50)), tmp_path)
    changed = table.subset(np.arange(len(table)))
    changed.cost[0, 0] += 0.5
    cached_fit("forest", SETTINGS, changed, tmp_path)
    cached_fit("forest", {"n_trees": 6}, table, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_other_limits_are_fitted_anew(table, tmp_path):
    for limit_s in (10.0, 10.0, 5000.0):
        cached_fit("forest", SETTINGS, replace(table, limit_s=np.full(len(table), limit_s)), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["estimator.json", "arrays.npz", "hashes.json", ""])
@pytest.mark.parametrize("kind", ["cut", "emptied", "flipped", "gone", "directory", "pipe"])
def test_what_is_damaged_is_fitted_and_kept_again(table, tmp_path, name, kind):
    whole = cached_fit("forest", SETTINGS, table, tmp_path)
    (place,) = tmp_path.iterdir()
    if name:
        DAMAGES[kind](place / name)
    else:
        # The whole directory.
        shutil.rmtree(place)
        place.touch()
        if kind != "gone":
            DAMAGES["pipe" if kind == "pipe" else "emptied"](place)
    again = cached_fit("forest", SETTINGS, table, tmp_path)
    np.testing.assert_allclose(again.predict(table.instances).cdf, whole.predict(table.instances).cdf, atol=1e-5)
    # One entry, which is whole again, and nothing beside it.
    assert list(tmp_path.iterdir()) == [place]
    assert cached_fit("forest", SETTINGS, table, tmp_path).is_fitted
    assert {path.name for path in place.iterdir()} == {"estimator.json", "arrays.npz", "hashes.json"}
