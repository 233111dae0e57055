from __future__ import annotations

import csv
import json
import os
import pickle
import random

import numpy as np
import pytest
import torch
from damaging import DAMAGES
from lightning.pytorch.callbacks import Callback
from listening import listening
from synthetic_graphs import SMALL_MODEL, make_graph_table

from satcost_gnn.config import NetworkConfig
from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.learn.network.definition import ModelShape
from satcost_gnn.learn.network.estimator import GnnEstimator
from satcost_gnn.learn.network.training import CostModule, open_run, train_member

TINY = {
    "model": SMALL_MODEL,
    "optimiser": {"epochs": 4, "patience": 10},
    "batches": {"graphs": 3},
    "accelerator": "cpu",
}


def tiny(**changes):
    values = {**TINY, **{k: {**TINY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in changes.items()}}
    return NetworkConfig.checked(values)


@pytest.fixture(scope="module")
def tables():
    return make_graph_table(8, 0), make_graph_table(4, 1)


def fit(tables, config, **options):
    train, validation = tables
    with listening() as lines:
        estimator = GnnEstimator(config, device="cpu").fit(train, validation=[validation], **options)
    return estimator, lines


def states(estimator):
    return [{name: t.clone() for name, t in member.state_dict().items()} for member in estimator._members]


def assert_equal_states(one, two):
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.equal(a[name], b[name]), name


def read_log(directory):
    with (directory / "log.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_learns_a_tiny_set_by_heart(tables):
    config = tiny(
        model={"dropout": 0.0, "modality_dropout": 0.0, "fused_width": 32},
        optimiser={"epochs": 60, "learning_rate": 0.03, "patience": 60, "weight_decay": 0.0},
        batches={"graphs": 8},
    )
    train = tables[0]
    estimator = GnnEstimator(config, device="cpu").fit(train, validation=[train])
    predicted = estimator.predict(train.instances)
    usable = train.known & ~train.censored
    error = (predicted.mean() - train.cost)[usable]
    sd = train.cost[usable].std()
    assert np.sqrt(np.mean(error**2)) < 0.12 < 0.5 * sd
    # The censored run is put beyond its bound, with the instances that it was not told apart from free to differ.
    assert predicted[0, 1].cdf_at(train.cost[0, 1]) < 0.3


def test_same_seed_same_weights_and_another_seed_others(tables):
    before = torch.random.get_rng_state(), random.getstate()
    one, two, other = (fit(tables, tiny(seed=seed))[0] for seed in (3, 3, 4))
    assert_equal_states(states(one), states(two))
    name = "fusion.layers.0.weight"
    assert not torch.equal(states(one)[0][name], states(other)[0][name])
    # Training leaves the caller's random numbers and settings alone.
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == random.getstate()
    assert not torch.are_deterministic_algorithms_enabled()


def test_processes_that_put_batches_together_change_no_weight(tables):
    config, helped = (tiny(optimiser={"epochs": 2}, batches={"workers": workers}) for workers in (0, 1))
    assert_equal_states(states(fit(tables, config)[0]), states(fit(tables, helped)[0]))


def test_the_running_mean_starts_at_the_first_weights_and_follows_them(tables, monkeypatch):
    config = tiny(optimiser={"ema_decay": 0.5})
    means, weights = [], []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            for kept, model in ((means, pl_module.averaged), (weights, pl_module.model)):
                kept.append(model.fusion.layers[0].weight.detach().clone())

    def watched(*args, **_):
        return [train_member(*args, callbacks=[Watch()])]

    monkeypatch.setattr("satcost_gnn.learn.network.training.train_network", watched)
    fit(tables, config)
    assert torch.equal(means[1], weights[1])
    # At first the window is shorter than the one asked for.
    for step, decay in ((2, 2 / 11), (3, 3 / 12), (10, 0.5)):
        expected = decay * means[step - 1] + (1 - decay) * weights[step]
        torch.testing.assert_close(means[step], expected)


class Interruption(Exception):
    pass


class InterruptAt(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise Interruption


@pytest.mark.parametrize("encoder_epochs", [30, 1])
def test_a_resumed_run_equals_an_uninterrupted_one(tables, tmp_path, monkeypatch, encoder_epochs):
    config = tiny(members=2, optimiser={"encoder_epochs": encoder_epochs})
    whole, _ = fit(tables, config, run_directory=tmp_path / "whole")

    import satcost_gnn.learn.network.training as training

    plain = training.train_member

    def interrupted(*args, member, **options):
        return plain(*args, member=member, callbacks=[InterruptAt(2)] if member == 1 else [], **options)

    monkeypatch.setattr(training, "train_member", interrupted)
    with pytest.raises(Interruption):
        fit(tables, config, run_directory=tmp_path / "broken")
    monkeypatch.setattr(training, "train_member", plain)
    assert (tmp_path / "broken/member-0/model.safetensors").exists()
    assert not (tmp_path / "broken/member-1/model.safetensors").exists()
    resumed, lines = fit(tables, config, run_directory=tmp_path / "broken", resume=True)
    assert any("member 0: finished before" in line for line in lines)
    assert next(line for line in lines if "member 1" in line).startswith("member 1 epoch   3/4")
    assert_equal_states(states(whole), states(resumed))
    drop = ("seconds",)
    logs = [
        [{k: v for k, v in row.items() if k not in drop} for row in read_log(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert logs[0] == logs[1]
    assert [(row["member"], row["epoch"]) for row in logs[0]] == [(str(m), str(e)) for m in (0, 1) for e in range(4)]


def test_the_encoder_learns_in_the_first_epochs_only(tables):
    def encoder(epochs, **optimiser):
        estimator, _ = fit(tables, tiny(optimiser={"epochs": epochs, "warmup": 0.0, **optimiser}))
        return {name: t for name, t in states(estimator)[0].items() if name.startswith("encoder.")}

    # Three batches an epoch, and a rate that depends on the number of epochs: compare within four epochs.
    kept, learning = encoder(4, encoder_epochs=1), encoder(4)
    other = encoder(4, encoder_epochs=1, patience=1)
    assert all(torch.equal(kept[name], other[name]) for name in kept)
    assert any(not torch.equal(kept[name], learning[name]) for name in kept)


def test_run_directory_is_guarded(tables, tmp_path):
    config = tiny(optimiser={"epochs": 1})
    fit(tables, config, run_directory=tmp_path / "run")
    split = json.loads((tmp_path / "run/split.json").read_text())
    assert split["train"] == [i.gbdhash for i in tables[0].instances]
    assert split["validation"] == [i.gbdhash for i in tables[1].instances]
    assert NetworkConfig.checked(json.loads((tmp_path / "run/config.json").read_text())) == config
    with pytest.raises(ConfigError, match="found a run there"):
        fit(tables, config, run_directory=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"config\.json: found another config .*\(optimiser differ\)"):
        fit(tables, tiny(optimiser={"epochs": 2}), run_directory=tmp_path / "run", resume=True)
    with pytest.raises(ConfigError, match="another split"):
        fit(tables[::-1], config, run_directory=tmp_path / "run", resume=True)
    (tmp_path / "run/split.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        open_run(tmp_path / "run", {}, {}, resume=True)


def test_stops_early_and_keeps_the_best_epoch(tables, tmp_path):
    # A rate this large makes the validation score worse after a while.
    config = tiny(
        model={"fused_members": 1},
        optimiser={"epochs": 60, "patience": 3, "learning_rate": 0.05, "ema_decay": 0.0},
    )
    estimator, lines = fit(tables, config, run_directory=tmp_path / "run")
    log = read_log(tmp_path / "run")
    scores = [float(row["validation_crps"]) for row in log]
    best = int(np.argmin(scores))
    assert len(log) < 60 and len(log) == best + 1 + 3
    assert [i for i, line in enumerate(lines) if line.endswith("(best)")][-1] == best
    table = tables[1]
    crps = estimator.predict(table.instances).crps(table.cost, table.censored)[table.known].mean()
    assert crps == pytest.approx(scores[best], abs=1e-4)


def test_learning_rate_rises_then_falls():
    model = torch.nn.Linear(1, 1)
    model.shape = ModelShape(1, 1, {"conflicts": ("a",)})
    module = CostModule(model, tiny(optimiser={"learning_rate": 1.0, "warmup": 0.1}), 0)
    rates = [module.learning_rate(p) for p in np.linspace(0, 1, 101)]
    assert np.argmax(rates) == 10 and max(rates) == pytest.approx(1.0)
    assert rates[0] == rates[-1] == pytest.approx(0.02)
    assert (np.diff(rates[:11]) > 0).all() and (np.diff(rates[10:]) < 0).all()


def test_weight_decay_is_for_matrices_only(tables):
    estimator, _ = fit(tables, tiny(optimiser={"epochs": 1}))
    model = estimator._members[0]
    groups = CostModule(model, tiny(), 0).configure_optimizers().param_groups
    decayed = {id(p) for p in groups[0]["params"]}
    for name, parameter in model.named_parameters():
        assert (id(parameter) in decayed) == (parameter.ndim > 1 and not name.endswith("bias")), name
    assert groups[1]["weight_decay"] == 0.0


def test_mixed_precision_on_the_cpu(tables):
    estimator, lines = fit(tables, tiny(precision="bf16-mixed", optimiser={"epochs": 2}))
    assert len(lines) == 2
    assert all(t.dtype != torch.bfloat16 for state in states(estimator) for t in state.values())
    assert np.isfinite(estimator.predict(tables[1].instances).cdf).all()


def test_member_without_a_directory_leaves_nothing_behind(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(tables, tiny(optimiser={"epochs": 1}))
    assert not list(tmp_path.iterdir())
    assert callable(train_member)


@pytest.mark.parametrize("kind", ["cut", "emptied", "directory", "pipe", "another pickle"])
def test_a_damaged_state_is_named_and_runs_no_code(tables, tmp_path, kind, monkeypatch):
    config = tiny(optimiser={"epochs": 2, "encoder_epochs": 1})
    fit(tables, config, run_directory=tmp_path / "run")
    (tmp_path / "run/member-0/model.safetensors").unlink()
    state = tmp_path / "run/member-0/last.ckpt"
    if kind == "another pickle":
        # Reading it as a plain pickle would make a directory.
        marker = tmp_path / "made"
        state.write_bytes(pickle.dumps(_MakesDirectory(str(marker))))
    else:
        DAMAGES[kind](state)
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        fit(tables, config, run_directory=tmp_path / "run", resume=True)
    assert not (tmp_path / "made").exists()


def test_a_damaged_member_is_trained_again(tables, tmp_path):
    config = tiny(optimiser={"epochs": 2, "encoder_epochs": 1})
    whole, _ = fit(tables, config, run_directory=tmp_path / "run")
    DAMAGES["cut"](tmp_path / "run/member-0/model.safetensors")
    again, lines = fit(tables, config, run_directory=tmp_path / "run", resume=True)
    assert any("model.safetensors: cannot be read" in line and "trained again" in line for line in lines)
    assert_equal_states(states(whole), states(again))


class _MakesDirectory:
    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return os.mkdir, (self.name,)
