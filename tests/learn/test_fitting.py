"""What the network is mixed with and gated by is what the configuration says."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic_graphs import SMALL_MODEL, make_graph_table

from satcost_gnn.config import TrainingConfig
from satcost_gnn.learn.base import Estimator
from satcost_gnn.learn.fitting import CLASSICAL, ensemble
from satcost_gnn.learn.registry import make_estimator

TABLE = make_graph_table(24, 2, noise=0.1)


@pytest.fixture(scope="module")
def network() -> Estimator:
    model = {**SMALL_MODEL, "rounds": 1, "online_only_dropout": 0.2}
    settings = {"model": model, "optimiser": {"epochs": 1, "encoder_epochs": 1}, "accelerator": "cpu"}
    return make_estimator("gnn", settings=settings, device="cpu").fit(TABLE)


def mixed(network: Any, **settings: Any) -> Estimator:
    config = TrainingConfig.checked({"data": {"dataset": "x"}, "ensemble": settings})
    data: Any = SimpleNamespace(tables={"conflicts": TABLE}, side=lambda *_: np.arange(len(TABLE)))
    return ensemble(network, data, config)["conflicts"]


def test_nothing_leaves_the_network_alone(network: Any) -> None:
    found = mixed(network)
    assert found.name == "gnn"
    np.testing.assert_array_equal(found.predict(TABLE.instances).cdf, network.predict(TABLE.instances).cdf)


def test_a_forest_has_its_weight(network: Any) -> None:
    found = mixed(network, member="forest", member_weight=0.25)
    forest = make_estimator("forest", **CLASSICAL["forest"][1]).fit(TABLE).predict(TABLE.instances).cdf
    expected = 0.75 * network.predict(TABLE.instances).cdf + 0.25 * forest
    np.testing.assert_allclose(found.predict(TABLE.instances).cdf, expected, atol=1e-6)
    assert not found.for_new and found.needs == network.needs


def test_out_of_distribution_the_early_search_is_read_by_a_forest_and_the_network(network: Any) -> None:
    found: Any = mixed(network, ood_weight=0.8)
    instances = TABLE.instances
    degree = found.degree(instances)[:, None, None]
    novel = found.parts()["novel"].predict(instances).cdf
    early = network.online_reading(instances).cdf
    expected = (1 - 0.8 * degree) * network.predict(instances).cdf + 0.4 * degree * (novel + early)
    np.testing.assert_allclose(found.predict(instances).cdf, expected, atol=1e-6)
    assert found.for_new and "constant" not in found.parts()
    np.testing.assert_allclose(found.predict_variants(instances[:1]).cdf, expected[:1], atol=1e-5)
