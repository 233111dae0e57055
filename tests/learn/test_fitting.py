"""What the network is mixed with and gated by is what the configuration says."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic_graphs import SMALL_MODEL, make_graph_table
from synthetic_table import make_table

from satcost_gnn.config import TrainingConfig
from satcost_gnn.errors import EstimatorError
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.ensemble.mixture_of_experts import MixtureOfExperts
from satcost_gnn.learn.ensemble.structure_alone import without_search
from satcost_gnn.learn.fitting import CLASSICAL, before_search, ensemble
from satcost_gnn.learn.labelled_instances import LabelledInstances
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


def labelled(open_: TrainingTable, solved: TrainingTable) -> LabelledInstances:
    """Return instances whose even rows are on the training side, and the others on the calibration side."""
    sides = np.array(["train", "calibration"] * len(open_))
    return LabelledInstances(
        open_.instances,
        {"conflicts": open_},
        sides[: len(open_)],
        {},
        {},
        {one.gbdhash: one for one in solved.instances},
        {"conflicts": solved},
        sides[: len(solved)],
    )


def test_before_any_search_all_instances_of_a_side_count() -> None:
    solved = replace(TABLE.subset(np.arange(10)), cost=TABLE.cost[:10] - 2.0)
    data = labelled(TABLE, solved)
    found = data.before_search("conflicts", "train")
    assert len(found) == 12 + 5 and len(data.solved_table("conflicts", "calibration")) == 5
    np.testing.assert_array_equal(found.cost, np.concatenate([TABLE.cost[::2], TABLE.cost[:10:2] - 2.0]))
    assert found.instances == [*TABLE.instances[::2], *solved.instances[::2]]
    other = replace(solved, unit="cpu_seconds")
    with pytest.raises(EstimatorError, match=r"found costs of .* in cpu_seconds; expected those of .* in conflicts"):
        TABLE.joined(other)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_structure_is_read_by_a_forest_and_by_a_network_that_has_learnt_to(share: float) -> None:
    model = {**SMALL_MODEL, "rounds": 1, "structure_only_dropout": share, "probe_node_features": False}
    optimiser = {"epochs": 1, "encoder_epochs": 1}
    config = TrainingConfig.checked({"data": {"dataset": "x"}, "model": model, "optimiser": optimiser})
    network: Any = make_estimator("gnn", settings=config.network, device="cpu").fit(TABLE)
    static = make_estimator("forest", features="static", n_trees=5).fit(TABLE)
    found = before_search(network, static, config)
    assert list(found) == (["forest_static", "structure"] if share else ["forest_static"])
    assert found["forest_static"] is static
    if share:
        bare = [without_search(one) for one in TABLE.instances]
        expected = (static.predict(bare).cdf + network.predict(bare).cdf) / 2
        np.testing.assert_allclose(found["structure"].predict(TABLE.instances).cdf, expected, atol=1e-6)
        assert found["structure"].needs == {"graph", "static"}


def test_an_expert_takes_part_in_seconds_alone() -> None:
    table = make_table(100, unit="cpu_seconds")
    conflicts = make_table(100)
    constants = {one.unit: make_estimator("constant").fit(one) for one in (table, conflicts)}
    network: Any = SimpleNamespace(units=tuple(constants), for_unit=constants.__getitem__)
    data: Any = SimpleNamespace(
        tables={"cpu_seconds": table, "conflicts": conflicts}, side=lambda *_: np.arange(len(table))
    )
    settings = {"expert_limit_s": 1000.0, "expert_after_s": 30.0}
    config = TrainingConfig.checked({"data": {"dataset": "x"}, "ensemble": settings})
    found: Any = ensemble(network, data, config)
    assert found["conflicts"] is constants["conflicts"]
    expected = MixtureOfExperts(["constant", {}], limit_s=1000.0, after=30.0).fit(table)
    assert found["cpu_seconds"].parameters() == expected.parameters()
    np.testing.assert_array_equal(
        found["cpu_seconds"].predict(table.instances).cdf, expected.predict(table.instances).cdf
    )


def test_seconds_have_a_weight_of_their_own_for_the_constant() -> None:
    tables = {unit: make_table(60, unit=unit) for unit in ("cpu_seconds", "conflicts")}
    constants = {unit: make_estimator("constant").fit(table) for unit, table in tables.items()}
    network: Any = SimpleNamespace(units=tuple(constants), for_unit=constants.__getitem__)
    data: Any = SimpleNamespace(tables=tables, side=lambda *_: np.arange(60))
    settings = {"ood_weight": 0.7, "ood_constant": 0.3, "ood_constant_s": 0.1, "expert_limit_s": 1000.0}
    found: Any = ensemble(network, data, TrainingConfig.checked({"data": {"dataset": "x"}, "ensemble": settings}))
    # The expert is outside of the gate.
    assert found["conflicts"].constant == 0.3 and found["cpu_seconds"].parts()["general"].constant == 0.1
