import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.checkpoint import Checkpoint
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.portfolio.training_side import (
    LEAST_SEPARATIONS,
    PORTFOLIO_FILE,
    TrainingPortfolio,
    fit_dependence,
    fit_least_separation,
    fit_portfolio,
    fit_presolver,
)

CORPUS = Path(__file__).parents[2] / "datasets" / "corpus"
GRID = GRIDS["cpu_seconds"]


def test_json_round_trip_and_keys_of_a_newer_version() -> None:
    found = TrainingPortfolio({"a": 1.0, "b": 2.0}, {"a": 0.9, "b": 0.8}, 10.0, 7, 0.2, presolver=("b", 0.1))
    text = json.dumps({**found.to_json(), "added_later": 1})
    assert TrainingPortfolio.from_json(json.loads(text), "x") == found
    with pytest.raises(CheckpointError, match=r"x: .*cutoff_s"):
        TrainingPortfolio.from_json({"par2": {}, "solved": {}}, "x")


def test_order_and_single_best_among_some() -> None:
    found = TrainingPortfolio({"a": 3.0, "b": 1.0, "c": 2.0}, {}, 10.0, 7)
    assert (found.single_best(), found.single_best(["a", "c"])) == ("b", "c")
    assert found.order(["a", "b", "c"]) == ["b", "c", "a"]


def test_of_a_checkpoint_with_and_without_the_file(tmp_path: Path) -> None:
    shipped = Checkpoint.open()
    shutil.copytree(shipped.directory, tmp_path / "c-v1")
    (tmp_path / "c-v1" / PORTFOLIO_FILE).unlink(missing_ok=True)
    derived = TrainingPortfolio.of_checkpoint(Checkpoint.open(tmp_path / "c-v1"))
    assert derived.origin == "constants" and tuple(derived.par2) == shipped.config.solvers
    assert all(0 < value < 2 * derived.cutoff_s for value in derived.par2.values())
    made = TrainingPortfolio(dict.fromkeys(shipped.config.solvers, 1.0), {}, 60.0, 9, 0.3)
    (tmp_path / "c-v1" / PORTFOLIO_FILE).write_text(json.dumps(made.to_json()))
    assert TrainingPortfolio.of_checkpoint(Checkpoint.open(tmp_path / "c-v1")) == made


def test_a_checkpoint_without_cpu_seconds_is_refused(tmp_path: Path) -> None:
    shutil.copytree(Checkpoint.open().directory, tmp_path / "c-v1")
    path = tmp_path / "c-v1" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "units": ["conflicts"]}))
    with pytest.raises(CheckpointError, match="a portfolio needs one for cpu_seconds"):
        TrainingPortfolio.of_checkpoint(Checkpoint.open(tmp_path / "c-v1"))


def test_of_a_data_set_counts_only_the_side_that_it_is_given() -> None:
    dataset = Dataset.open(CORPUS)
    assert dataset.splits is not None
    solvers = ("cadical195", "minisat22")
    train = [name for name, side in dataset.splits.side.items() if side == "train"]
    whole = TrainingPortfolio.of_dataset(dataset, solvers, list(dataset.splits.side), 10.0)
    part = TrainingPortfolio.of_dataset(dataset, solvers, train, 10.0)
    assert whole is not None and part is not None
    assert 0 < part.instances < whole.instances
    assert part.par2["cadical195"] != whole.par2["cadical195"]
    assert TrainingPortfolio.of_dataset(dataset, solvers, [], 10.0) is None


def test_separation_is_as_large_as_held_out_gains_ask_for() -> None:
    rng = np.random.default_rng(0)
    medians = rng.uniform(0.3, 3.0, (400, 2))
    predicted = CostDistribution.normal(GRID, np.log10(medians), 0.3)
    # What is predicted comes true: every difference pays.
    assert fit_least_separation(predicted, medians, 0, 10.0) <= 0.02
    # The single best is always the best in fact: nothing pays.
    worse = np.stack([np.full(400, 1.0), np.full(400, 2.0)], axis=1)
    assert fit_least_separation(predicted, worse, 0, 10.0) == max(LEAST_SEPARATIONS)


def test_dependence_is_what_the_errors_have_in_common() -> None:
    rng = np.random.default_rng(0)
    predicted = CostDistribution.normal(GRID, np.zeros((2000, 2)), 0.6)
    everything = np.ones((2000, 2), dtype=bool)
    for share in (0.0, 0.5, 0.9):
        own, common = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 1))
        cost = 0.6 * (np.sqrt(1 - share) * own + np.sqrt(share) * common)
        assert fit_dependence(predicted, cost, everything) == pytest.approx(share, abs=0.06)
    assert 0 < fit_dependence(predicted[:5], np.zeros((5, 2)), everything[:5]) < 1


def test_a_presolver_is_worth_its_while_where_much_is_easy() -> None:
    easy = np.tile([[0.01, 0.005]], (90, 1))
    hard = np.tile([[5.0, 9.0]], (10, 1))
    solvers = ["a", "b"]
    found = fit_presolver(np.concatenate([easy, hard]), solvers, 0, 0.2, 10.0)
    assert found == ("b", 0.02)
    assert fit_presolver(hard, solvers, 0, 0.2, 10.0) is None
    # Without overhead there is nothing to be spared.
    assert fit_presolver(np.concatenate([easy, hard])[:, :1], ["a"], 0, 0.0, 10.0) is None


def test_fit_does_not_look_at_the_test_side() -> None:
    dataset = Dataset.open(CORPUS)
    assert dataset.splits is not None
    solvers = ("cadical195", "minisat22")
    held_out = [name for name, side in dataset.splits.side.items() if side == "calibration"]
    predicted = CostDistribution.normal(GRID, np.zeros((len(held_out), 2)), 0.5)
    found = fit_portfolio(dataset, solvers, dataset.splits.side, 10.0, held_out, predicted, 0.2)
    learnt = [name for name, side in dataset.splits.side.items() if side in ("train", "validation")]
    assert found is not None
    assert found.par2 == TrainingPortfolio.of_dataset(dataset, solvers, learnt, 10.0).par2  # type: ignore[union-attr]
    assert fit_portfolio(dataset, solvers, {}, 10.0, [], predicted, 0.2) is None
