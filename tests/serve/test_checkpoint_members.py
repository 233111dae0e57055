"""Each member of a checkpoint is stored once, with what it consists of by name."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic_table import make_table

from satcost_gnn.errors import CheckpointError
from satcost_gnn.learn.ensemble.mixture import Mixture
from satcost_gnn.learn.ensemble.ood_gate import OutOfDistributionGate
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.serve.members import Member, Members, MemberStore, with_parts


def opened(store: MemberStore) -> Any:
    """Stand for an opened checkpoint of these members."""
    config = SimpleNamespace(members=store.members)
    return SimpleNamespace(config=config, directory=store.directory, member=lambda name: store.directory / name)


def test_what_is_the_same_is_stored_once_and_is_read_as_one(tmp_path: Path) -> None:
    table = make_table(40)
    known, constant = make_estimator("knn").fit(table), make_estimator("constant").fit(table)
    mixture = Mixture.of([known, constant], [0.75, 0.25])
    # A constant of its own, fitted to the same table, is the same constant.
    gate = OutOfDistributionGate(["knn", {}], early=0.0).fit(table)
    store = MemberStore(tmp_path)
    assert store.add("conflicts/knn", known) == "conflicts/knn"
    assert store.add("conflicts/mixture", mixture) == "conflicts/mixture"
    assert store.add("conflicts/gate", gate) == "conflicts/gate"
    assert store.members["conflicts/mixture"].parts == {"0": "conflicts/knn", "1": "conflicts/mixture.1"}
    assert store.members["conflicts/gate"].parts == {
        "known": "conflicts/knn",
        "constant": "conflicts/mixture.1",
        "detector": "conflicts/gate.detector",
    }
    assert {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")} == set(store.members)
    members = Members(opened(store), "conflicts")
    for name, estimator in (("mixture", mixture), ("gate", gate)):
        found = members.get(f"conflicts/{name}")
        np.testing.assert_allclose(found.predict(table.instances).cdf, estimator.predict(table.instances).cdf)
    assert members.get("conflicts/gate").parts()["known"] is members.get("conflicts/knn")
    with pytest.raises(CheckpointError, match="no member 'conflicts/oracle'"):
        members.get("conflicts/oracle")


def test_a_graph_with_a_gap_or_a_circle_is_refused() -> None:
    one, other = Member(kind="mixture", parts={"0": "b"}), Member(kind="mixture", parts={"0": "a"})
    assert with_parts({"a": one, "b": Member(kind="knn")}, "a") == {"a", "b"}
    for members in ({"a": one}, {"a": one, "b": other}):
        with pytest.raises(ValueError, match="no member, or consists of itself"):
            with_parts(members, "a")
