import pytest

from satcost_gnn.config import TrainingConfig
from satcost_gnn.errors import EstimatorError
from satcost_gnn.evaluate.methods import ABLATIONS, DEFAULT, chosen_methods, method, seeded, table_order
from satcost_gnn.evaluate.protocol import network_config
from satcost_gnn.learn.registry import NAMES


def test_default_is_every_estimator_with_the_network_last(heard: list[str]) -> None:
    found = chosen_methods(None)
    assert {one.kind for one in found} == set(NAMES)
    assert found[-1].name == "gnn"
    assert len({one.name for one in found}) == len(found)
    assert not heard


def test_parts_of_the_network_are_named_by_their_modalities() -> None:
    assert method("gnn:static+graph").name == "gnn:graph+static"
    assert method("gnn:static+graph").settings == {"modalities": ["graph", "static"], "probe_node_features": True}
    assert method("gnn:online+structure").name == "gnn:structure+online"
    assert method("gnn:structure+online").settings == {"modalities": ["graph", "online"], "probe_node_features": False}
    assert method("gnn:online+static+graph").name == "gnn:graph+static+online"
    for wrong in ("gnn:", "gnn:graph+graph", "gnn:picture", "gnn:graph+structure"):
        with pytest.raises(EstimatorError, match="joined by"):
            method(wrong)


def test_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(EstimatorError, match=r"oracle.*forest_static"):
        chosen_methods(["forest", "oracle"])


def test_names_are_taken_once() -> None:
    assert [one.name for one in chosen_methods(["gnn", "size", " size"])] == ["size", "gnn"]


def test_ablations_are_contenders() -> None:
    for part in ABLATIONS:
        assert all(method(name).name == name for name in part.methods)
        assert set(part.stages) <= {"parse", "features", "probe", "probe replicate", "graph"}


def test_seed_reaches_estimators_that_have_one_and_members_of_mixtures() -> None:
    assert seeded("constant", {}, 3)[1] is False
    settings, random = seeded("forest", {"features": "static"}, 3)
    assert random and settings["seed"] == 3 and settings["features"] == "static"
    settings, random = seeded("stacked", {"members": [["forest", {"n_trees": 5}], ["constant", {}]]}, 3)
    assert random and settings["members"][0][1]["seed"] == 3 and "seed" not in settings["members"][1][1]
    assert settings["members"][0][1]["n_trees"] == 5


def test_table_is_in_the_order_of_the_default() -> None:
    assert table_order(["gnn:graph", "gnn", "forest", "constant"]) == ["constant", "forest", "gnn", "gnn:graph"]
    assert [one.name for one in DEFAULT] == table_order([one.name for one in DEFAULT][::-1])


def test_parts_of_the_network_are_mixed_with_nothing_that_sees_the_rest() -> None:
    model = {"ensemble_member": "forest", "ood_fallback_weight": 0.7, "ood_fallback_constant": 0.3}
    config = TrainingConfig(data={"dataset": "x", "solvers": ["cadical195"]}, model=model)  # type: ignore[arg-type]
    whole = network_config(config, method("gnn"), 3)
    assert (whole.model, whole.seed) == (config.model, 3)
    for name, modalities in (("gnn:graph", ("graph",)), ("gnn:graph+static+online", ("graph", "static", "online"))):
        alone = network_config(config, method(name), 0).model
        assert (set(alone.modalities), alone.ensemble_member) == (set(modalities), "none")
        assert alone.ood_fallback_weight == alone.ood_fallback_constant == 0.0
