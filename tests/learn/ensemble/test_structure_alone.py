"""What is predicted before any search depends on nothing of a search, and is learnt from all instances."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_graphs import SMALL_MODEL, make_graph_table
from synthetic_table import make_table

from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.ensemble.mixture import Mixture
from satcost_gnn.learn.ensemble.structure_alone import STATIC_FOREST, StructureAlone, without_search
from satcost_gnn.learn.registry import load_estimator, make_estimator


def other_search(instance: Instance, other: Instance) -> Instance:
    """Return an instance with the search of another one."""
    return replace(instance, online=other.online, probe=other.probe)


def cheaper(table: TrainingTable, decades: float) -> TrainingTable:
    """Return a table of other instances with the same formulas' features that cost less."""
    instances = [replace(one, gbdhash=f"cheap {k}") for k, one in enumerate(table.instances)]
    return replace(table, instances=instances, cost=table.cost - decades, censored=np.zeros_like(table.censored))


def test_it_is_the_static_forest_and_sees_nothing_of_a_search() -> None:
    table = make_table(60)
    fitted = StructureAlone().fit(table)
    assert fitted.needs == {"static"}
    forest = make_estimator(STATIC_FOREST[0], **STATIC_FOREST[1]).fit(table)
    expected = forest.predict(table.instances).cdf
    np.testing.assert_array_equal(fitted.predict(table.instances).cdf, expected)
    bare = [without_search(one) for one in table.instances]
    assert all(one.online is None and one.probe is None and one.plain is None for one in bare)
    np.testing.assert_array_equal(fitted.predict(bare).cdf, expected)
    swapped = [other_search(one, two) for one, two in zip(table.instances, table.instances[::-1], strict=True)]
    np.testing.assert_array_equal(fitted.predict(swapped).cdf, expected)


def test_it_is_saved_with_what_it_is_a_view_of(tmp_path: Path) -> None:
    table = make_table(40)
    fitted = StructureAlone(("forest", {"features": "static", "n_trees": 5})).fit(table)
    fitted.save(tmp_path)
    loaded = load_estimator("structure_alone", tmp_path)
    np.testing.assert_allclose(loaded.predict(table.instances).cdf, fitted.predict(table.instances).cdf, atol=1e-9)
    assert loaded.parameters() == fitted.parameters() and loaded.needs == {"static"}
    (tmp_path / "of/estimator.json").write_text("{}")
    with pytest.raises(CheckpointError):
        load_estimator("structure_alone", tmp_path)


@pytest.fixture(scope="module")
def network() -> Any:
    """Return a network that has learnt from open instances, and from solved ones that cost three decades less."""
    table = make_graph_table(32, 2, noise=0.1)
    model = {**SMALL_MODEL, "rounds": 1, "structure_only_dropout": 0.4, "probe_node_features": False}
    optimiser = {"epochs": 60, "encoder_epochs": 1, "stopping": "none", "learning_rate": 2e-2, "ema_decay": 0.8}
    estimator: Any = make_estimator(
        "gnn", settings={"model": model, "optimiser": optimiser, "accelerator": "cpu"}, device="cpu"
    )
    return estimator.fit(table, structure=[cheaper(table, 3.0)]), table


def test_the_network_learns_from_what_the_probe_solves_without_its_search(network: Any) -> None:
    estimator, table = network
    view = StructureAlone.of(estimator)
    assert view.needs == {"graph", "static"}
    alone = view.predict(table.instances)
    np.testing.assert_array_equal(alone.cdf, estimator.predict([without_search(o) for o in table.instances]).cdf)
    # With a search it is an instance that the probe has left open; without one it may be either.
    with_search = estimator.predict(table.instances)
    assert (alone.restricted_mean(7.0) < with_search.restricted_mean(7.0) - 0.3).mean() > 0.9


def test_a_mixture_with_a_forest_needs_no_search(network: Any) -> None:
    estimator, table = network
    forest = make_estimator("forest", features="static", n_trees=5).fit(table)
    mixture = Mixture.of([StructureAlone.of(estimator), forest], [0.5, 0.5])
    assert mixture.needs == {"graph", "static"}
    bare = [without_search(one) for one in table.instances]
    np.testing.assert_array_equal(mixture.predict(bare).cdf, mixture.predict(table.instances).cdf)


def test_structure_of_other_solvers_is_refused(network: Any) -> None:
    estimator, table = network
    fresh = make_estimator("gnn", settings=estimator.settings, device="cpu")
    other = replace(table, solvers=("x", "y"))
    with pytest.raises(EstimatorError, match="table of structure in conflicts for x, y"):
        fresh.fit(table, structure=[other])  # type: ignore[call-arg]
