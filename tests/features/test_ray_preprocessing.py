"""Preprocessing on a cluster of two nodes on this machine, one of which dies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_nodes import NODE, dies_after_writes

from satcost_gnn.cli.predict import PredictOptions, run_predict
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.ray_preprocessing import preprocess_on_cluster, preprocess_on_node
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.ray_cluster import RayCluster, call_on_node

# They depend on the moment; all else must not.
SECONDS = ("parse_s", "probe_s", "features_s", "inference_s")


def hard(n: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    rows = [(rng.choice(n, 3, replace=False) + 1) * rng.choice([-1, 1], size=3) for _ in range(round(4.26 * n))]
    return f"p cnf {n} {len(rows)}\n" + "".join(" ".join(map(str, row)) + " 0\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory of formulas that take a moment each, one of a few clauses and one that can't be read."""
    folder = tmp_path / "cnf"
    folder.mkdir()
    for k in range(10):
        (folder / f"i{k:02d}.cnf").write_text(hard(200, k))
    (folder / "easy.cnf").write_text("p cnf 3 3\n1 -2 0\n2 3 0\n-1 -3 0\n")
    (folder / "broken.cnf").write_text("p cnf 2 2\n1 2 0\n1 x 0\n")
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(
        ({name: value for name, value in row.items() if name not in SECONDS} for row in rows),
        key=lambda row: (row["path"], row["solver"]),
    )


def start_worker(node: Any) -> None:
    """Wait until a node has a worker that takes tasks, so that it takes part from the beginning."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
    options = {"num_cpus": 1, "memory": 2**30, "scheduling_strategy": here}
    formula, settings = Formula.from_clauses([[1], [-1]]), PreprocessSettings()
    task = ray.remote(call_on_node).options(**options)
    ray.get(task.remote(preprocess_on_node, None, None, None, (formula, settings, "")))


@pytest.mark.slow
def test_no_row_is_lost_or_written_twice_when_a_node_dies(
    cluster: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(map(str, folder.iterdir()))
    assert run_predict(PredictOptions(names, tmp_path / "local.jsonl")) == 1
    doomed = cluster.add_node(**NODE)
    start_worker(doomed)
    calls = dies_after_writes(doomed, cluster, monkeypatch)
    assert run_predict(PredictOptions(names, tmp_path / "ray.jsonl", executor="ray")) == 1
    assert calls() == len(names)
    assert rows_of(tmp_path / "ray.jsonl") == rows_of(tmp_path / "local.jsonl")

    # What is missing is made by the next call, here from a list in which all of it stands.
    lines = (tmp_path / "ray.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "ray.jsonl").write_text("".join(lines[: len(lines) // 2]))
    before = calls()
    assert run_predict(PredictOptions(names, tmp_path / "ray.jsonl", resume=True, executor="ray")) == 1
    assert before < calls() < before + len(names)
    assert rows_of(tmp_path / "ray.jsonl") == rows_of(tmp_path / "local.jsonl")


@pytest.mark.slow
def test_what_nodes_cannot_see_is_sent(cluster: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.cnf"
    path.write_text("p cnf 3 3\n1 -2 0\n2 3 0\n-1 -3 0\n")
    # A name that means something else, or nothing, to other processes.
    with path.open() as stream:
        sources = {
            "unseen": f"/proc/self/fd/{stream.fileno()}",
            "formula": Formula.from_clauses([[1, -2], [2, 3], [-1, -3]]),
            "missing": str(tmp_path / "b.cnf"),
            "directory": str(tmp_path),
        }
        items = preprocess_on_cluster(sources.items(), PreprocessSettings(), RayCluster())
        found = dict(item for item in items if item is not None)
    assert set(found) == set(sources)
    assert found["unseen"].path == sources["unseen"]
    assert found["unseen"].instance.gbdhash == found["formula"].instance.gbdhash != ""
    assert "b.cnf" in found["missing"].error and found["missing"].instance is None
    assert found["directory"].instance is None and str(tmp_path) in found["directory"].error


@pytest.mark.slow
def test_a_cache_is_filled_on_a_cluster_as_it_is_here(cluster: Any, folder: Path, tmp_path: Path) -> None:
    files = {path.stem: path for path in sorted(folder.iterdir())[:4]}
    assert "broken" in files
    settings = PreprocessSettings()
    here, there = (InstanceCache(tmp_path / name, settings) for name in ("here", "there"))
    failed = {
        name: [one.path for one in cache.fill(files, **way)]
        for name, cache, way in (("here", here, {}), ("there", there, {"cluster": RayCluster()}))
    }
    assert failed["here"] == failed["there"] == [str(files["broken"])]
    for name in files:
        assert here.has(name) == there.has(name) == (name != "broken")
        if name != "broken":
            one, other = here.get(name), there.get(name)
            assert one is not None and other is not None
            assert one.gbdhash == other.gbdhash
            np.testing.assert_array_equal(one.static.values, other.static.values)
