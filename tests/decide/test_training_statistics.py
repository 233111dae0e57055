import json
import shutil
from pathlib import Path

import pytest

from satcost_gnn.core.distribution import GRIDS
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.decide.training_statistics import (
    PORTFOLIO_FILE,
    TrainingStatistics,
)
from satcost_gnn.errors import CheckpointError
from satcost_gnn.serve.checkpoint import Checkpoint

CORPUS = Path(__file__).parents[2] / "datasets" / "corpus"
GRID = GRIDS["cpu_seconds"]


def test_json_round_trip_and_unknown_keys() -> None:
    found = TrainingStatistics({"a": 1.0, "b": 2.0}, {"a": 0.9, "b": 0.8}, 10.0, 7, 0.2, presolving_s=0.1)
    assert TrainingStatistics.from_json(json.loads(json.dumps(found.to_json())), "x") == found
    with pytest.raises(CheckpointError, match=r"x: found unknown key 'other'"):
        TrainingStatistics.from_json({**found.to_json(), "other": 1}, "x")
    with pytest.raises(CheckpointError, match=r"x: .*cutoff_s"):
        TrainingStatistics.from_json({"par2": {}, "solved": {}}, "x")


def test_order_and_single_best_among_some() -> None:
    found = TrainingStatistics({"a": 3.0, "b": 1.0, "c": 2.0}, {}, 10.0, 7)
    assert (found.single_best(), found.single_best(["a", "c"])) == ("b", "c")
    assert found.order(["a", "b", "c"]) == ["b", "c", "a"]


def test_the_statistics_of_the_nearest_cutoff_are_those_of_a_limit() -> None:
    long = TrainingStatistics({"b": 900.0, "a": 1000.0}, {"b": 0.7, "a": 0.6}, 1000.0, 40, presolving_s=10.0)
    both = TrainingStatistics({"a": 1.0, "b": 2.0, "c": 1.5}, {}, 10.0, 7, longer=(long,))
    assert TrainingStatistics.from_json(json.loads(json.dumps(both.to_json())), "x") == both
    # Half way by ratio is 100 s.
    assert [both.at(limit).single_best(["a", "b", "c"]) for limit in (0.1, 10.0, 99.0, 101.0, 5000.0)] == [*"aaabb"]
    # What has no runs that long comes last.
    assert both.at(5000.0).order(["c", "a", "b"]) == ["b", "a", "c"]
    broken = both.to_json()
    broken["longer"][0]["cutoff_s"] = -1.0
    with pytest.raises(CheckpointError, match=r"x: .*longer"):
        TrainingStatistics.from_json(broken, "x")


def test_the_shipped_checkpoint_knows_another_single_best_for_an_hour() -> None:
    found = TrainingStatistics.of_checkpoint(Checkpoint.open())
    assert (found.at(10.0).single_best(), found.at(3600.0).single_best()) == ("cadical195", "kissat404")
    assert found.at(3600.0).cutoff_s == 2500.0 and found.at(3600.0).parallel[0] == "kissat404"


def test_of_a_checkpoint_with_and_without_the_file(tmp_path: Path) -> None:
    shipped = Checkpoint.open()
    shutil.copytree(shipped.directory, tmp_path / "c-v1")
    (tmp_path / "c-v1" / PORTFOLIO_FILE).unlink(missing_ok=True)
    Checkpoint.seal(tmp_path / "c-v1")
    derived = TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "c-v1"))
    assert derived.origin == "constants" and tuple(derived.par2) == shipped.config.solvers
    assert all(0 < value < 2 * derived.cutoff_s for value in derived.par2.values())
    made = TrainingStatistics(*[dict.fromkeys(shipped.config.solvers, 1.0)] * 2, 60.0, 9, 0.3)
    (tmp_path / "c-v1" / PORTFOLIO_FILE).write_text(json.dumps(made.to_json()))
    Checkpoint.seal(tmp_path / "c-v1")
    assert TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "c-v1")) == made


def test_a_checkpoint_without_cpu_seconds_is_refused(tmp_path: Path) -> None:
    shutil.copytree(Checkpoint.open().directory, tmp_path / "c-v1")
    path = tmp_path / "c-v1" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "units": ["conflicts"]}))
    Checkpoint.seal(tmp_path / "c-v1")
    with pytest.raises(CheckpointError, match="a portfolio needs one for cpu_seconds"):
        TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "c-v1"))


def test_of_a_data_set_counts_only_the_side_that_it_is_given() -> None:
    dataset = Dataset.open(CORPUS)
    assert dataset.splits is not None
    solvers = ("cadical195", "minisat22")
    train = [name for name, side in dataset.splits.side.items() if side == "train"]
    whole = TrainingStatistics.of_dataset(dataset, solvers, list(dataset.splits.side), 10.0)
    part = TrainingStatistics.of_dataset(dataset, solvers, train, 10.0)
    assert whole is not None and part is not None
    assert 0 < part.instances < whole.instances
    assert part.par2["cadical195"] != whole.par2["cadical195"]
    assert TrainingStatistics.of_dataset(dataset, solvers, [], 10.0) is None
