from dataclasses import replace

import numpy as np
import pytest
from synthetic_table import make_table

from satcost_gnn.errors import CheckpointError
from satcost_gnn.estimators import make_estimator
from satcost_gnn.estimators.by_novelty import ByNovelty
from satcost_gnn.feature_vector import FeatureVector
from satcost_gnn.instance import Instance

MEMBERS = [("linear", {}, 1.0, 0.0), ("linear", {"features": "online"}, 0.0, 1.0)]


def moved(instance: Instance, by: float) -> Instance:
    """Return an instance whose static features are unlike all others."""
    return replace(instance, static=FeatureVector(instance.static.names, instance.static.values + by))


@pytest.fixture(scope="module")
def fitted() -> ByNovelty:
    estimator = ByNovelty(MEMBERS)
    estimator.fit(make_table(80))
    return estimator


def test_known_and_new_instances_are_predicted_by_different_members(fitted: ByNovelty) -> None:
    table = make_table(80)
    known, new = table.instances[:5], [moved(instance, 1e3) for instance in table.instances[:5]]
    assert (fitted.share_new(known) < 0.5).all() and (fitted.share_new(new) > 0.9).all()
    both, online = (make_estimator("linear", **settings).fit(table) for _, settings, _, _ in MEMBERS)
    share = fitted.share_new(known)
    expected = both.predict(known).mix(np.stack([1 - share, share])[:, :, None], [online.predict(known)])
    np.testing.assert_allclose(fitted.predict(known).cdf, expected.cdf, atol=1e-9)
    # Whatever the static features have become, new ones are left to the early search.
    np.testing.assert_allclose(fitted.predict(new).cdf, online.predict(new).cdf, atol=0.1)


def test_weights_follow_the_novelty_of_static_features_alone(fitted: ByNovelty) -> None:
    instances = make_table(80).instances[:5]
    without = [replace(instance, online=None) for instance in instances]
    np.testing.assert_array_equal(fitted.share_new(instances), fitted.share_new(without))


def test_a_detector_of_other_features_is_refused(fitted: ByNovelty, tmp_path) -> None:
    fitted.save(tmp_path)
    path = tmp_path / "novelty" / "novelty.json"
    path.write_text(path.read_text().replace('"features": "static"', '"features": "both"'))
    with pytest.raises(CheckpointError, match="not static"):
        ByNovelty.load(tmp_path)
