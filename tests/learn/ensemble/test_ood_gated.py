from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_table import make_table

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import CheckpointError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.ensemble.ood_gate import NOVEL, OutOfDistributionGate
from satcost_gnn.learn.registry import make_estimator


def moved(instance: Instance, by: float) -> Instance:
    """Return an instance whose static features are unlike all others."""
    return replace(instance, static=FeatureVector(instance.static.names, instance.static.values + by))


@pytest.fixture(scope="module")
def fitted() -> OutOfDistributionGate:
    estimator = OutOfDistributionGate(("linear", {}))
    estimator.fit(make_table(80))
    return estimator


def test_new_formulas_are_left_to_the_early_search_and_to_doubt(fitted: OutOfDistributionGate) -> None:
    table = make_table(80)
    known, new = table.instances[:5], [moved(instance, 1e3) for instance in table.instances[:5]]
    formulas = OutOfDistributionGate(("constant", {}), early=0.0).fit(table)
    assert (formulas.degree(known) < 0.5).all() and (formulas.degree(new) > 0.99).all()
    both, online = make_estimator("linear").fit(table), make_estimator(NOVEL[0], **NOVEL[1]).fit(table)
    constant = make_estimator("constant").fit(table)
    for instances in (known, new):
        degree = formulas.degree(instances)[:, None, None]
        early = (1 - 0.7 * degree) * both.predict(instances).cdf + 0.7 * degree * online.predict(instances).cdf
        doubt = 0.3 * degree**4
        expected = (1 - doubt) * early + doubt * constant.predict(instances).cdf
        np.testing.assert_allclose(fitted.predict(instances).cdf, expected, atol=1e-9)


@pytest.mark.parametrize(("early", "constant"), [(0.0, 0.4), (0.4, 0.0)])
def test_either_share_can_be_none(early: float, constant: float, tmp_path: Path) -> None:
    table = make_table(40)
    new = [moved(instance, 1e3) for instance in table.instances[:5]]
    estimator = OutOfDistributionGate(("linear", {}), early=early, constant=constant)
    estimator.fit(table)
    name, settings = NOVEL if early else ("constant", {})
    other = make_estimator(name, **settings).fit(table)
    degree = OutOfDistributionGate(("constant", {}), early=0.0).fit(table).degree(new)[:, None]
    share = 0.4 * (degree if early else degree**4)
    expected = CostDistribution.mixture(
        [make_estimator("linear").fit(table).predict(new), other.predict(new)], np.stack([1 - share, share])
    )
    np.testing.assert_allclose(estimator.predict(new).cdf, expected.cdf, atol=1e-9)
    estimator.save(tmp_path)
    np.testing.assert_allclose(OutOfDistributionGate.load(tmp_path).predict(new).cdf, expected.cdf, atol=1e-9)


def test_only_static_features_tell_what_is_new() -> None:
    table = make_table(80)
    formulas = OutOfDistributionGate(("constant", {}), early=0.0).fit(table)
    without = [replace(instance, online=None) for instance in table.instances[:5]]
    np.testing.assert_array_equal(formulas.degree(table.instances[:5]), formulas.degree(without))


def test_a_detector_of_other_features_is_refused(fitted: OutOfDistributionGate, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    path = tmp_path / "detector" / "detector.json"
    path.write_text(
        path.read_text()
        .replace('"judged_by": "static"', '"judged_by": "both"')
        .replace('"features": "static"', '"features": "both"')
    )
    with pytest.raises(CheckpointError, match="found"):
        OutOfDistributionGate.load(tmp_path)
