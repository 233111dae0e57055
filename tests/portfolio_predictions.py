"""What tests of solving share: predictions made by hand, normal in log10 CPU seconds, and a solver that fakes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.serve.prediction import Prediction

GRID = GRIDS["cpu_seconds"]
FAKE = Path(__file__).parent / "search" / "fake_solver.py"
#: Small enough for the fake solver, which tries everything.
TINY = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4], [2, 3]])


def prediction(costs: Mapping[str, tuple[float, float]], **changes: Any) -> Prediction:
    """Solver -> median in CPU seconds and standard deviation in decades."""
    medians, sds = zip(*costs.values(), strict=True)
    fields: dict[str, Any] = {
        "path": "x.cnf",
        "gbdhash": "0" * 32,
        "status": "ok",
        "unit": "cpu_seconds",
        "solvers": tuple(costs),
        "distribution": CostDistribution.normal(GRID, np.log10(medians), sds),
        "source": "forest",
        "reason": "",
        "result": "",
        "in_distribution": True,
        "checkpoint": "test-v1",
        "cutoff": 10.0,
        "timings": {"parse": 5.0, "features": 0.05, "probe": 0.1, "graph": 0.02, "inference": 0.03},
    }
    return Prediction(**{**fields, **changes})


def training(order: Sequence[str], min_effect_size: float = 0.1) -> TrainingStatistics:
    """Solvers from the best to the worst."""
    par2 = {name: 1.0 + k for k, name in enumerate(order)}
    return TrainingStatistics(par2, dict.fromkeys(order, 0.9), 10.0, 100, min_effect_size)
