import pytest

from satcost_gnn.config import EnsembleConfig, TrainingConfig
from satcost_gnn.errors import EstimatorError
from satcost_gnn.evaluate.methods import ABLATIONS, DEFAULT, chosen_methods, headline, method, seeded, table_order
from satcost_gnn.evaluate.protocol import network_config
from satcost_gnn.learn.registry import NAMES


def test_default_is_every_estimator_with_the_network_last(heard: list[str]) -> None:
    found = chosen_methods(None)
    assert {one.kind for one in found} == set(NAMES)
    assert [one.name for one in found[-2:]] == ["gnn", "ensemble"]
    assert len({one.name for one in found}) == len(found)
    assert not heard


def test_parts_of_the_network_are_named_by_their_modalities() -> None:
    assert method("gnn:static+graph").name == "gnn:graph+static"
    assert method("gnn:static+graph").settings == {"modalities": ["graph", "static"], "probe_node_features": True}
    assert method("gnn:online+structure").name == "gnn:structure+online"
    assert method("gnn:structure+online").settings == {"modalities": ["graph", "online"], "probe_node_features": False}
    assert method("gnn:online+static+graph") == method("gnn")
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
    settings, random = seeded("ood_gated", {"known": ["mixture", {"members": [["forest", {}]]}]}, 3)
    assert random and settings["novel"][1]["seed"] == 3 and settings["novel"][1]["features"] == "online"
    assert settings["known"][1]["members"][0][1]["seed"] == 3


def test_table_is_in_the_order_of_the_default() -> None:
    assert table_order(["gnn:graph", "ensemble", "gnn", "forest"]) == ["forest", "gnn", "ensemble", "gnn:graph"]
    assert [one.name for one in DEFAULT] == table_order([one.name for one in DEFAULT][::-1])


def test_the_network_and_its_parts_are_mixed_with_nothing_that_sees_the_rest() -> None:
    ensemble = {"member": "forest", "ood_weight": 0.7, "ood_constant": 0.3}
    config = TrainingConfig(data={"dataset": "x", "solvers": ["cadical195"]}, ensemble=ensemble)  # type: ignore[arg-type]
    whole = network_config(config, method("ensemble"), 3)
    assert (whole.model, whole.ensemble, whole.seed) == (config.model, config.ensemble, 3)
    for name, modalities in (("gnn:graph", ("graph",)), ("gnn", ("graph", "static", "online"))):
        alone = network_config(config, method(name), 3)
        assert (set(alone.model.modalities), alone.ensemble) == (set(modalities), EnsembleConfig())


def test_reports_are_about_the_ensemble_or_the_network_alone_where_that_is_not_compared() -> None:
    assert headline(["gnn", "forest"]) == "gnn"
    assert headline(["gnn", "ensemble"]) == headline([]) == "ensemble"
