"""From a data set to a checkpoint of phases, and which instances are taken."""

import json
from collections import Counter
from pathlib import Path

import pytest
from plain_runs import plain_run
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.generate import FAMILIES
from satcost_gnn.data.schema import ManifestRow, Origin, RunStatus
from satcost_gnn.data.splits import Splits
from satcost_gnn.errors import DatasetError
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.serve.phases import PhasePredictor
from satcost_gnn.train import phases
from satcost_gnn.train.phases import SideChoice, choose_instances, read_samples

SIDES = ("train", "train", "validation", "test")


def make_dataset(directory: Path, count: int = 12) -> Dataset:
    """Return satisfiable formulas of two families, every fourth of them on the test side."""
    rows, sides = [], {}
    for k in range(count):
        formula = FAMILIES["random-ksat"].generate(seed=k, n=20, ratio=2.0 + k % 2)
        name = gbdhash(formula)
        size = len(formula.to_dimacs())
        family = f"family-{k % 2}"
        rows.append(
            ManifestRow(
                name, name, family, None, 20, formula.n_clauses, size, Origin.GENERATED, None, formula.source, None
            )
        )
        sides[name] = SIDES[k % len(SIDES)]
    runs = [plain_run(row.instance) for row in rows]
    splits = Splits(0, {"train": 0.5, "validation": 0.25, "test": 0.25}, 2, sides, dict.fromkeys(sides, 0))
    dataset = Dataset(directory, tuple(rows), tuple(runs), splits)
    dataset.write()
    return dataset


def test_instances_that_are_chosen(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set", 24)
    chosen = choose_instances(dataset, {"train": SideChoice(4, 5, 0.1)})["train"]
    family = Counter(dataset.by_instance[name].family for name in chosen)
    assert len(chosen) == 5 and {dataset.splits.side[name] for name in chosen} == {"train"}
    assert max(family.values()) <= 4
    hard, unsat, *rest = chosen
    # Too hard, and with an answer that gives no models.
    other = {hard: plain_run(hard, conflicts=99), unsat: plain_run(unsat, status=RunStatus.UNSAT)}
    runs = [other.get(one.instance, one) for one in dataset.runs]
    changed = Dataset(dataset.directory, dataset.manifest, tuple(runs), dataset.splits)
    again = choose_instances(changed, {"train": SideChoice(100, 100, 0.1, conflicts=(0, 50))})["train"]
    assert set(rest) < set(again) and not {hard, unsat} & set(again)
    assert choose_instances(changed, {"train": SideChoice(100, 100, 0.001)})["train"] == []
    with pytest.raises(DatasetError, match="found no splits"):
        choose_instances(Dataset(tmp_path, dataset.manifest, dataset.runs), {"train": SideChoice(1, 1, 1.0)})


def test_train_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SETTINGS", {**phases.SETTINGS, "epochs": 2})
    dataset = make_dataset(tmp_path / "set")
    work, target = tmp_path / "work", tmp_path / "phases-v9"
    call = ["train-phases", str(dataset.directory), "--work", str(work)]
    done = CliRunner().invoke(app, [*call, "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(target)
    samples = read_samples(work, "train")
    assert samples and set(samples) <= {name for name, side in dataset.splits.side.items() if side == "train"}
    assert not (work / "labels" / "test").exists()
    header = json.loads((target / "phases.json").read_text())
    assert header["training"]["instances"]["train"] == len(samples)
    assert header["training"]["dataset"] == "set, split by instance"
    with PhasePredictor.from_checkpoint(target) as predictor:
        assert predictor.label == "phases-v9"
    # Nothing is labelled again, and a checkpoint is never overwritten.
    before = {path: path.stat().st_mtime_ns for path in (work / "labels").rglob("*.npz")}
    done = CliRunner().invoke(app, [*call, "-o", str(tmp_path / "phases-v10")])
    assert done.exit_code == 0 and {path: path.stat().st_mtime_ns for path in before} == before
    done = CliRunner().invoke(app, [*call, "-o", str(target)])
    assert done.exit_code != 0 and "never overwritten" in str(done.exception)


def test_without_labels_nothing_is_trained(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    runs = [plain_run(one.instance, status=RunStatus.UNSAT) for one in dataset.runs]
    Dataset(dataset.directory, dataset.manifest, tuple(runs), dataset.splits).write()
    call = ["train-phases", str(dataset.directory), "--work", str(tmp_path / "work"), "-o", str(tmp_path / "phases-v9")]
    done = CliRunner().invoke(app, call)
    assert "found no labelled instance of the train side" in str(done.exception)
    assert not (tmp_path / "phases-v9").exists()
