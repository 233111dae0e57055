import json
from pathlib import Path

import pytest

from satcost_gnn.errors import ConfigError
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.train.model_card import card, read_new_families

MEASURES = ("rmse", "rmse_capped", "crps", "spearman_within", "within_2", "within_10", "coverage_80", "width_80")


def metrics(path: Path, split: str = "family", network: str = "gnn") -> Path:
    row = {
        "values": {name: {"value": 0.25} for name in MEASURES},
        "families": {
            "odd": {"n": 20.0, "rmse": 0.91, "coverage_80": 0.4},
            "even": {"n": 40.0, "rmse": 0.31, "coverage_80": 0.9},
            "tiny": {"n": 3.0, "rmse": 3.0, "coverage_80": 0.0},
        },
    }
    found = {
        "split": split,
        "solver": "cadical195",
        "unit": "conflicts",
        "n": 63,
        "n_solved": 60,
        "best_classical": "ood_gated",
        "estimators": {"ood_gated": row, network: row},
        "ood_detection": {"static": {"auc": 0.97, "flagged_new": 0.8, "flagged_known": 0.1}},
    }
    path.write_text(json.dumps(found))
    return path


def test_the_card_says_where_new_families_go_wrong(tmp_path: Path) -> None:
    shipped = Checkpoint.open()
    own = shipped.read_json("metrics.json")
    text = card(shipped.config, own, 7, read_new_families(metrics(tmp_path / "metrics.json")))
    assert "## On families never seen" in text and "| ood_gated | 0.25 |" in text
    assert "largest RMSE when unseen: odd 0.91 (20), even 0.31 (40)." in text
    assert "80 % intervals: odd 40% (20), even 90% (40)." in text and "tiny" not in text
    assert "false for 80% of them, and for 10%" in text
    assert "## On families never seen" not in card(shipped.config, own, 7)


def test_other_metrics_are_refused(tmp_path: Path) -> None:
    for path in (
        tmp_path / "missing.json",
        metrics(tmp_path / "a.json", split="instance"),
        metrics(tmp_path / "b.json", network="forest"),
    ):
        with pytest.raises(ConfigError, match="--split family"):
            read_new_families(path)
