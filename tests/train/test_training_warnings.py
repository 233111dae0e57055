import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.train.training_warnings import FEW_INSTANCES, card_section, training_warnings

GRID = GRIDS["conflicts"]


def table(n: int) -> TrainingTable:
    cost = np.linspace(3.0, 6.0, n)[:, None]
    nothing = np.zeros((n, 1), dtype=bool)
    instances = [Instance(f"{k}", f"{k}", FeatureVector((), np.zeros(0, np.float32))) for k in range(n)]
    return TrainingTable(
        instances, ("minisat22",), "conflicts", cost, nothing, ~nothing, ["f"] * n, np.zeros(n, dtype=np.int8)
    )


def predicted(means: np.ndarray) -> CostDistribution:
    return CostDistribution.normal(GRID, means[:, None], 0.5)


def test_nothing_to_warn_of() -> None:
    learnt = table(FEW_INSTANCES)
    found = training_warnings(
        {"conflicts": learnt}, {"conflicts": predicted(learnt.cost[:, 0])}, {"conflicts": table(30)}
    )
    assert found == [] and card_section(found) == ""


@pytest.mark.parametrize("sd", [0.0, 0.01])
def test_a_small_training_set_and_a_constant_are_told_with_their_numbers(sd: float) -> None:
    learnt = table(16)
    means = 4.5 + sd * np.linspace(-1, 1, 16)
    few, constant, uncalibrated = training_warnings(
        {"conflicts": learnt}, {"conflicts": predicted(means)}, {"conflicts": table(5)}
    )
    assert "trained on 16 instances" in few and str(FEW_INSTANCES) in few
    assert constant.startswith("minisat22, conflicts: the network's medians vary by 0.0")
    assert f"their costs by {learnt.cost.std():.2f}" in constant
    assert "5 runs to calibrate on, at least 30" in uncalibrated
    assert card_section([few, constant]).count("\n- ") == 2
