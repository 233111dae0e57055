"""What an earlier checkpoint predicts with is taken only if it was trained on the same sides."""

from pathlib import Path

import pytest

from satcost_gnn.config import TrainingConfig
from satcost_gnn.errors import CheckpointError
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.train.experiment import earlier_estimators


def test_one_that_was_trained_on_other_splits_is_refused(tmp_path: Path) -> None:
    for name in ("manifest.parquet", "runs.parquet", "splits.json"):
        (tmp_path / name).write_text("something else")
    config = TrainingConfig.checked({"data": {"dataset": tmp_path}})
    with pytest.raises(CheckpointError, match="other splits"):
        earlier_estimators(Checkpoint.open(), config)


def test_what_a_checkpoint_keeps_of_a_still_earlier_one_is_passed_on() -> None:
    root = Path(__file__).parents[2]
    config = TrainingConfig.checked({"data": {"dataset": root / "datasets" / "corpus"}})
    found = earlier_estimators(Checkpoint.open(), config)
    assert {unit: one.reach for unit, one in found.items()} == {"conflicts": 464_000.0, "cpu_seconds": 10.0}
    assert all(one.estimator.name == "ood_gated" and one.calibration is not None for one in found.values())
