import numpy as np

from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.evaluate.accuracy import COLUMNS, accuracy, compare, markdown
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable


def table(n: int = 60) -> TrainingTable:
    rng = np.random.default_rng(0)
    cost = rng.uniform(3.5, 6, size=(n, 2))
    return TrainingTable(
        [Instance(f"i{k}", f"h{k}", FeatureVector((), np.zeros(0, np.float32))) for k in range(n)],
        ("first", "second"),
        "conflicts",
        cost,
        np.zeros((n, 2), dtype=bool),
        np.ones((n, 2), dtype=bool),
        [f"family{k % 3}" for k in range(n)],
        np.full(n, -1, dtype=np.int8),
    )


def normal(centre: np.ndarray, sd: float) -> CostDistribution:
    return CostDistribution.normal(grid_for("conflicts"), centre, np.full(centre.shape, sd))


def test_better_predictions_score_better_and_differ_significantly() -> None:
    data = table()
    rng = np.random.default_rng(1)
    good = normal(data.cost + rng.normal(0, 0.1, data.cost.shape), 0.1)
    bad = normal(data.cost + rng.normal(0, 0.8, data.cost.shape), 0.8)
    rows = {"good": accuracy(good, data, "second", 8.0), "bad": accuracy(bad, data, "second", 8.0)}
    assert rows["good"]["rmse"] < 0.2 < rows["bad"]["rmse"]
    assert rows["good"]["crps"] < rows["bad"]["crps"]
    assert rows["good"]["within_2"] > 0.95
    assert 0.6 < rows["good"]["coverage_80"] <= 1
    found = compare({"good": good, "bad": bad}, data, "second", reference="bad", cutoff=8.0)["good"]["rmse"]
    assert found["high"] < 0
    assert found["p_value"] < 0.05
    assert markdown(rows).count("\n") == 4
    assert all(name in markdown(rows) for name in COLUMNS)


def test_unknown_runs_are_left_out_and_stopped_ones_counted_apart() -> None:
    data = table()
    known, censored = data.known.copy(), data.censored.copy()
    known[:10, 0] = False
    censored[10:15, 0] = True
    data = TrainingTable(
        data.instances, data.solvers, data.unit, data.cost, censored, known, data.groups, data.satisfiable
    )
    row = accuracy(normal(data.cost, 0.1), data, "first", 8.0)
    assert (row["n"], row["n_solved"]) == (50, 45)
