"""How well the out-of-distribution detector tells an unseen family from the known ones, in the split by family.

Each fold's detector knows the training side of the other folds' families. What it should call known are their
validation and calibration instances, which nothing was fitted on; what it should call new are those of the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.evaluate.metrics import auc
from satcost_gnn.evaluate.protocol import EvaluationSetup
from satcost_gnn.evaluate.scores import Scores
from satcost_gnn.learn.out_of_distribution import OODDetector

#: Features of the detector; the first is what checkpoints flag by.
FEATURES = ("static", "online", "both")


@dataclass(frozen=True)
class DetectionRow:
    """How well the detector tells families that were never seen.

    Parameters
    ----------
    auc
        Probability that an instance of a new family has a higher score than one of a known family.
    flagged_new, flagged_known
        Share that is called outside of the training data.
    """

    auc: float
    flagged_new: float
    flagged_known: float


@dataclass(frozen=True, eq=False)
class NewFamilies:
    """Out-of-distribution detection in a split by family.

    Parameters
    ----------
    by_features
        Features of the detector -> how well it tells.
    outside
        Whether each test instance is called outside, by the first of :data:`FEATURES`.
    """

    by_features: Mapping[str, DetectionRow]
    outside: NDArray[np.bool_]

    def apart(self, scores: Scores) -> tuple[dict[str, float], dict[str, float]]:
        """Return the measures that are means over runs: of the test runs called inside, of those called outside."""
        outside = self.outside[scores.runs.rows]
        return scores.subset(~outside), scores.subset(outside)


def new_families(setup: EvaluationSetup) -> NewFamilies | None:
    """Return how well the detector tells new families, without what the probe solves; None for a split by instance."""
    if setup.split != "family":
        return None
    rows: dict[str, DetectionRow] = {}
    outside = np.zeros(len(setup.data.instances), dtype=bool)
    for features in FEATURES:
        new: list[float] = []
        known: list[float] = []
        for fold in setup.folds:
            data = setup.at(fold)
            train, test = data.side("train"), data.side("test")
            held_out = data.side("validation", "calibration")
            detector = OODDetector(features).fit([data.instances[k] for k in train])
            known += detector.in_distribution([data.instances[k] for k in held_out])[1].tolist()
            score = detector.in_distribution([data.instances[k] for k in test])[1]
            new += score.tolist()
            if features == FEATURES[0]:
                outside[test] = score > 1
        outcome = np.repeat([1.0, 0.0], [len(new), len(known)])
        rows[features] = DetectionRow(
            auc([*new, *known], outcome), float(np.mean(np.array(new) > 1)), float(np.mean(np.array(known) > 1))
        )
    return NewFamilies(rows, outside[setup.test])
