"""What a user should know of a network that was trained on too little to be worth much, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.calibration import LEAST_RUNS

#: With fewer instances to learn from there is a warning.
FEW_INSTANCES = 200
#: Share of the costs' standard deviation below which predictions vary so little that they are nearly a constant.
LITTLE_VARIATION = 0.1


def training_warnings(
    learnt: Mapping[str, TrainingTable],
    predictions: Mapping[str, CostDistribution],
    calibration: Mapping[str, TrainingTable],
) -> list[str]:
    """Return warnings about a trained network, one line each.

    By unit: the table that it was trained on, what it predicts for those instances (of shape ``(n, n_solvers)``), and
    the table that its predictions are calibrated on.
    """
    found = []
    count = max((len(table) for table in learnt.values()), default=0)
    if count < FEW_INSTANCES:
        found.append(
            f"the network was trained on {count} instances; with fewer than {FEW_INSTANCES} it is seldom better than "
            "a constant: label more instances, or harder ones, that the probe does not solve"
        )
    for unit, table in learnt.items():
        medians = np.asarray(predictions[unit].median())
        for column, solver in enumerate(table.solvers):
            known = table.known[:, column]
            sd, costs = float(medians[known, column].std()), float(table.cost[known, column].std())
            if sd < LITTLE_VARIATION * costs:
                found.append(
                    f"{solver}, {unit}: the network's medians vary by {sd:.2f} decades over the instances that it "
                    f"was trained on, their costs by {costs:.2f}: it predicts nearly a constant"
                )
    for unit, table in calibration.items():
        for column, solver in enumerate(table.solvers):
            runs = int(table.known[:, column].sum())
            if runs < LEAST_RUNS:
                found.append(
                    f"{solver}, {unit}: {runs} runs to calibrate on, at least {LEAST_RUNS} are needed: intervals and "
                    "probabilities are as the network says them"
                )
    return found


def card_section(warnings: Sequence[str]) -> str:
    """Return a section of the model card; empty if there is nothing to warn of."""
    if not warnings:
        return ""
    return "\n## Warnings\n\n" + "".join(f"- {line}\n" for line in warnings)
