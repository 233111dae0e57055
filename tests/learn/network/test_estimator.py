from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from synthetic_graphs import SMALL_MODEL, SOLVERS, make_graph_table

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import CheckpointError, ConfigError, EstimatorError
from satcost_gnn.formula.static_feature_list import ORDER_FEATURE_NAMES
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.network.array_model import ArrayModel
from satcost_gnn.learn.network.batching import collate
from satcost_gnn.learn.network.device import NetworkOutOfMemoryError, torch_device
from satcost_gnn.learn.network.estimator import GnnEstimator
from satcost_gnn.learn.network.joined_tables import JoinedTables, marginal_logits
from satcost_gnn.learn.registry import load_estimator, make_estimator
from satcost_gnn.serve.checkpoint import find_checkpoint

TINY = {
    "model": {**SMALL_MODEL, "rounds": 1},
    "optimiser": {"epochs": 2, "learning_rate": 0.01},
    "accelerator": "cpu",
    "members": 2,
}


def tiny(**changes):
    return {**TINY, **{k: {**TINY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in changes.items()}}


@pytest.fixture(scope="module")
def fitted():
    table, seconds = make_graph_table(10, 0), make_graph_table(10, 0, "cpu_seconds")
    return GnnEstimator(TINY, device="cpu").fit(table, extra=[seconds]), table


def test_predicts_in_every_unit_of_its_tables(fitted):
    estimator, table = fitted
    predicted = estimator.predict(table.instances)
    assert predicted.shape == (10, 2) and predicted.grid.unit == "conflicts" == estimator.unit
    assert estimator.units == ("conflicts", "cpu_seconds") and estimator.solvers == SOLVERS
    seconds = estimator.for_unit("cpu_seconds")
    assert seconds.predict(table.instances).grid.unit == "cpu_seconds"
    assert estimator.unit == "conflicts"
    with pytest.raises(EstimatorError, match="trained for conflicts, cpu_seconds"):
        estimator.for_unit("propagations")
    assert estimator.predict([]).shape == (0, 2)


def test_order_and_batching_do_not_matter(fitted):
    estimator, table = fitted
    together = estimator.predict(table.instances).cdf
    single = np.concatenate([estimator.predict([one]).cdf for one in table.instances])
    np.testing.assert_allclose(single, together, atol=1e-5)
    np.testing.assert_allclose(estimator.predict(table.instances[::-1]).cdf, together[::-1], atol=1e-5)


def test_members_are_averaged(fitted):
    estimator, table = fitted
    predicted = estimator.predict(table.instances)
    each = []
    for number in range(2):
        one = estimator.for_unit("conflicts")
        one._members = [estimator._members[number]]
        each.append(one.predict(table.instances).cdf)
    np.testing.assert_allclose(predicted.cdf, np.mean(each, axis=0), atol=1e-9)
    assert np.abs(each[0] - each[1]).max() > 1e-5


def test_saved_and_loaded_predicts_the_same(fitted, tmp_path):
    estimator, table = fitted
    estimator.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    loaded = load_estimator("gnn", tmp_path, device="cpu")
    for unit in estimator.units:
        # What has been learnt here is computed with torch, what is read with numpy.
        expected = estimator.for_unit(unit).predict(table.instances).cdf
        np.testing.assert_allclose(loaded.for_unit(unit).predict(table.instances).cdf, expected, atol=1e-5)
        np.testing.assert_array_equal(
            load_estimator("gnn", tmp_path, unit=unit, device="cpu").predict(table.instances).cdf,
            loaded.for_unit(unit).predict(table.instances).cdf,
        )
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    assert loaded.parameters() == estimator.parameters()
    assert loaded.clone().parameters() == estimator.parameters()


@pytest.mark.slow
def test_another_process_predicts_the_same(fitted, tmp_path):
    estimator, table = fitted
    estimator.save(tmp_path / "model")
    tests = str(Path(__file__).parents[2])
    code = (
        f"import sys; sys.path.insert(0, {tests!r})\n"
        "import numpy as np\n"
        "from synthetic_graphs import SMALL_MODEL, make_graph_table\n"
        "from satcost_gnn.learn.registry import load_estimator\n"
        f"estimator = load_estimator('gnn', {str(tmp_path / 'model')!r}, device='cpu')\n"
        f"np.save({str(tmp_path / 'cdf.npy')!r}, estimator.predict(make_graph_table(10, 0).instances).cdf)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
    np.testing.assert_allclose(np.load(tmp_path / "cdf.npy"), estimator.predict(table.instances).cdf, atol=1e-6)


def test_torch_on_a_device_says_what_numpy_says(fitted, tmp_path, monkeypatch):
    """A GPU takes this way, of which there is none here."""
    estimator, table = fitted
    estimator.save(tmp_path)
    with_numpy, with_torch = (load_estimator("gnn", tmp_path, device="cpu") for _ in range(2))
    variants = [
        replace(table.instances[0], graph=None),
        *[replace(table.instances[0], static=one.static) for one in table.instances],
    ]
    expected = with_numpy.predict(table.instances).cdf, with_numpy.predict_variants(variants).cdf
    assert not with_numpy._members
    monkeypatch.setattr("satcost_gnn.learn.network.estimator.is_processor", lambda name: False)
    np.testing.assert_allclose(with_torch.predict(table.instances).cdf, expected[0], atol=1e-5)
    np.testing.assert_allclose(with_torch.predict_variants(variants).cdf, expected[1], atol=1e-5)
    assert with_torch._members


def test_out_of_memory_in_numpy_says_which(fitted, tmp_path, monkeypatch):
    estimator, table = fitted
    estimator.save(tmp_path)
    loaded = load_estimator("gnn", tmp_path, device="cpu")
    culprit = max(table.instances, key=lambda one: one.graph.n_edges)
    plain = ArrayModel.graph_vector

    def limited(self, graph):
        if graph.n_edges == culprit.graph.n_edges:
            raise MemoryError("Unable to allocate 2 GiB")
        return plain(self, graph)

    monkeypatch.setattr(ArrayModel, "graph_vector", limited)
    with pytest.raises(NetworkOutOfMemoryError, match=f"^{culprit.path}: out of memory"):
        loaded.predict(table.instances)


def test_a_prediction_loads_neither_torch_nor_what_trains(fitted, tmp_path):
    estimator, _ = fitted
    estimator.save(tmp_path / "model")
    tests = str(Path(__file__).parents[2])
    code = (
        "import sys\n"
        "from satcost_gnn.learn.registry import load_estimator\n"
        f"estimator = load_estimator('gnn', {str(tmp_path / 'model')!r}, device='cpu')\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'torch', 'lightning', 'torchmetrics', 'sklearn', 'scipy'}, loaded\n"
        f"sys.path.insert(0, {tests!r})\n"
        "from synthetic_graphs import make_graph_table\n"
        "estimator.predict(make_graph_table(3, 0).instances)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'torch', 'lightning', 'torchmetrics', 'sklearn', 'scipy'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_instances_are_joined_over_units(heard):
    table, seconds = make_graph_table(8, 0), make_graph_table(8, 0, "cpu_seconds")
    # Another order, and one instance that only this table has.
    partial = seconds.subset([6, 2, 7, 0])
    first = table.subset(np.arange(7))
    estimator = GnnEstimator(tiny(members=1), device="cpu").fit(first, extra=[partial], validation=[table, seconds])
    assert len(heard) == 2
    assert estimator.units == ("conflicts", "cpu_seconds")
    joined = JoinedTables.of({"conflicts": first, "cpu_seconds": partial})
    assert [one.path for one in joined.instances] == [one.path for one in table.instances]
    known = joined.tables["cpu_seconds"].known
    assert known.any(axis=1).tolist() == [True, False, True, False, False, False, True, True]
    np.testing.assert_array_equal(joined.tables["cpu_seconds"].cost[6], seconds.cost[6])
    assert not joined.tables["conflicts"].known[7].any()


def test_bad_tables():
    table = make_graph_table(6, 0)
    estimator = GnnEstimator(TINY, device="cpu")
    with pytest.raises(EstimatorError, match="each unit once"):
        estimator.fit(table, extra=[table])
    with pytest.raises(EstimatorError, match="validation tables in cpu_seconds"):
        estimator.fit(table, validation=[make_graph_table(6, 0, "cpu_seconds")])
    with pytest.raises(EstimatorError, match="has an instance twice"):
        estimator.fit(table.subset([0, 1, 1, 2]))
    bare = TrainingTable(
        [replace(one, graph=None) for one in table.instances],
        table.solvers,
        table.unit,
        table.cost,
        table.censored,
        table.known,
        table.groups,
        table.satisfiable,
    )
    with pytest.raises(EstimatorError, match=r"0\.cnf: found no graph"):
        estimator.fit(bare)
    with pytest.raises(EstimatorError, match="not fitted"):
        estimator.predict(table.instances)
    with pytest.raises(EstimatorError, match="not fitted"):
        estimator.save("nowhere")
    other = replace(table, solvers=SOLVERS[::-1])
    with pytest.raises(EstimatorError, match="solvers of the training tables, in order"):
        estimator.fit(table, validation=[other])
    assert not estimator.is_fitted


def test_needs_and_missing_parts(fitted):
    estimator, table = fitted
    assert estimator.needs == {"graph", "static", "online"}
    assert GnnEstimator({"model": {"modalities": ["online"]}}).needs == {"graph", "online"}
    with pytest.raises(EstimatorError, match="found no graph"):
        estimator.predict([replace(table.instances[0], graph=None)])
    # Without an early search it still answers: modalities were missing at times in training.
    assert np.isfinite(estimator.predict([replace(table.instances[0], online=None)]).cdf).all()


def test_settings_are_checked():
    with pytest.raises(ConfigError, match=r"unknown key 'model\.depth'"):
        GnnEstimator({"model": {"depth": 3}})
    with pytest.raises(EstimatorError, match="gnn"):
        make_estimator("gnn", width=3)


def test_validation_by_family_holds_whole_families_out(monkeypatch):
    estimator = GnnEstimator(tiny(optimiser={"validation_by": "family", "validation_share": 0.3}))
    groups = [f"f{k % 5}" for k in range(50)]
    inside = estimator._held_out(groups)
    held = {g for g, chosen in zip(groups, inside, strict=True) if chosen}
    assert 0 < len(held) < 5
    assert not held & {g for g, chosen in zip(groups, inside, strict=True) if not chosen}
    by_instance = GnnEstimator(TINY)._held_out(groups)
    assert 4 <= by_instance.sum() <= 9


def test_marginal_hazards_by_hand():
    table = make_graph_table(4, 0)
    cost = np.array([[0.1], [0.2], [0.3], [9.5]])
    censored = np.array([[False], [True], [False], [False]])
    one = TrainingTable(
        table.instances, ("a",), "conflicts", cost, censored, np.ones((4, 1), bool), table.groups, table.satisfiable
    )
    hazard = 1 / (1 + np.exp(-marginal_logits(one)[0].astype(float)))
    # Bins of a quarter: three runs at risk in the first (the censored one is not), then two, then only the one that
    # lies beyond the grid.
    overall = (2 + 0.5) / (3 + 2 + 34 + 1)
    np.testing.assert_allclose(hazard[:3], [(1 + 2 * overall) / 5, (1 + 2 * overall) / 4, 2 * overall / 3], rtol=1e-4)


def test_what_it_reads_off_the_early_search_is_what_it_learnt_without_all_else(tmp_path):
    table = make_graph_table(24, 2, noise=0.1)
    estimator = GnnEstimator(tiny(model={"online_only_dropout": 0.3}, members=1), device="cpu").fit(table)
    assert not estimator.for_new
    instances = table.instances[:4]
    batch = collate([estimator._sample(one) for one in instances])
    with torch.inference_mode():
        model = estimator._members[0]
        gone = torch.ones(4, dtype=torch.bool)
        fused = model.fuse(model.graph_vectors(batch), gone, torch.full_like(batch.static, torch.nan), batch.online)
        hazard = torch.sigmoid(model.heads["conflicts"](fused).double())
    expected = 1 - np.concatenate([np.ones((4, 2, 1)), (1 - hazard).cumprod(dim=-1).mean(dim=1).numpy()], axis=-1)
    np.testing.assert_allclose(estimator.online_reading(instances).cdf, expected, atol=1e-6)
    estimator.save(tmp_path)
    loaded = load_estimator("gnn", tmp_path, device="cpu")
    bare = [replace(one, graph=None) for one in instances]
    np.testing.assert_allclose(loaded.online_reading(bare).cdf, expected, atol=1e-5)
    # One that has not learnt it, or sees a part only, says nothing.
    assert GnnEstimator(tiny(members=1)).online_reading(instances) is None
    part = GnnEstimator(tiny(model={"online_only_dropout": 0.3, "modalities": ["graph", "online"]}, members=1))
    assert part.online_reading(instances) is None


def test_without_stopping_nothing_is_held_out(tmp_path, heard):
    table = make_graph_table(12, 2)
    config = tiny(optimiser={"stopping": "none", "epochs": 3, "encoder_epochs": 1}, members=1)
    estimator = GnnEstimator(config, device="cpu").fit(table, run_directory=tmp_path / "run")
    split = json.loads((tmp_path / "run/split.json").read_text())
    assert len(split["train"]) == 12 and not split["validation"]
    assert len(heard) == 3 and not any("validation" in line for line in heard)
    assert np.isfinite(estimator.predict(table.instances).cdf).all()


def test_out_of_memory_splits_the_batch_and_then_says_which(fitted, monkeypatch):
    estimator, table = fitted
    expected = estimator.predict(table.instances).cdf
    largest = max(one.graph.n_edges for one in table.instances)
    plain = type(estimator._members[0]).graph_vectors

    def limited(limit):
        def graph_vectors(self, batch):
            if batch.n_edges > limit:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return plain(self, batch)

        return graph_vectors

    monkeypatch.setattr(type(estimator._members[0]), "graph_vectors", limited(largest))
    np.testing.assert_allclose(estimator.predict(table.instances).cdf, expected, atol=1e-5)
    monkeypatch.setattr(type(estimator._members[0]), "graph_vectors", limited(largest - 1))
    culprit = max(table.instances, key=lambda one: one.graph.n_edges).path
    with pytest.raises(NetworkOutOfMemoryError, match=f"^{culprit}: out of memory"):
        estimator.predict(table.instances)
    assert issubclass(NetworkOutOfMemoryError, EstimatorError)

    def broken(self, batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(type(estimator._members[0]), "graph_vectors", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        estimator.predict(table.instances)


def test_a_real_allocation_failure_is_out_of_memory(fitted, monkeypatch):
    estimator, table = fitted

    def hungry(self, batch):
        return torch.empty(2**58, dtype=torch.float64)

    monkeypatch.setattr(type(estimator._members[0]), "graph_vectors", hungry)
    with pytest.raises(NetworkOutOfMemoryError):
        estimator.predict(table.instances[:1])


@pytest.mark.parametrize("damage", ["header", "weights", "no weights", "cut", "members", "inputs", "grid", "other"])
def test_damaged_files_are_told(fitted, tmp_path, damage):
    estimator, _ = fitted
    estimator.save(tmp_path)
    header, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    values = json.loads(header.read_text())
    if damage == "header":
        header.write_text("{}")
    elif damage == "weights":
        weights.write_bytes(b"not weights")
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "members":
        values["parameters"]["settings"]["members"] = 3
    elif damage == "inputs":
        values["inputs"]["graph_version"] = "0"
    elif damage == "grid":
        values["grids"]["conflicts"]["bins"] = 7
    else:
        values["estimator"] = "forest"
    if damage in ("members", "inputs", "grid", "other"):
        header.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        GnnEstimator.load(tmp_path)


def test_weights_are_finite_and_few(fitted, tmp_path):
    estimator, _ = fitted
    estimator.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert all(np.isfinite(array).all() for array in weights.values())


def test_load_options(fitted, tmp_path):
    estimator, _ = fitted
    estimator.save(tmp_path)
    with pytest.raises(EstimatorError, match="found options speed"):
        GnnEstimator.load(tmp_path, speed=3)
    with pytest.raises(EstimatorError, match="trained for"):
        GnnEstimator.load(tmp_path, unit="propagations")
    assert torch_device("cpu").type == "cpu"
    with pytest.raises(EstimatorError, match="cannot use device 'nonsense'"):
        torch_device("nonsense")


def test_features_of_the_order_are_read_by_no_network_that_is_fitted_now_and_by_those_that_were(tmp_path, monkeypatch):
    table = make_graph_table(8, 0)
    names = (*table.instances[0].static.names, "gbdc_balancevars_mean", "gap_mean")

    def with_order(value):
        return [
            replace(one, static=FeatureVector(names, np.append(one.static.values, [value, value]).astype(np.float32)))
            for one in table.instances
        ]

    known = replace(table, instances=with_order(0.5))
    now = GnnEstimator({**TINY, "members": 1}, device="cpu").fit(known)
    np.testing.assert_array_equal(now.predict(with_order(9.0)).cdf, now.predict(known.instances).cdf)
    with monkeypatch.context() as patch:
        patch.setattr("satcost_gnn.learn.network.estimator.ORDER_FEATURE_NAMES", frozenset({"gap_mean"}))
        before = GnnEstimator({**TINY, "members": 1}, device="cpu").fit(known)
    before.save(tmp_path)
    header = json.loads((tmp_path / "config.json").read_text())
    assert header["inputs"]["static"] == list(names[:-1])
    loaded = load_estimator("gnn", tmp_path)
    np.testing.assert_allclose(loaded.predict(known.instances).cdf, before.predict(known.instances).cdf, atol=1e-5)


def test_the_network_that_ships_reads_nothing_of_how_a_file_is_written():
    shipped = json.loads((find_checkpoint() / "gnn" / "config.json").read_text())
    assert ORDER_FEATURE_NAMES
    assert not ORDER_FEATURE_NAMES & {*shipped["inputs"]["static"]}
