"""A small forest over progress measures alone, as SCIP estimates the size of its branch-and-bound trees.

After Hendel, Anderson, Le Bodic and Pfetsch, "Estimating the size of branch-and-bound trees" (INFORMS Journal on
Computing 34, 2022): a random forest over the values and the trends of tree weight, leaf frequency and what is
forecast from them predicts better than any of them. Here the measures are those of a CDCL search; nothing else of the
formula or of the search is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import register
from satcost_gnn.learn.feature_matrix import FeatureMatrix, features_for_unit
from satcost_gnn.learn.forest import Forest

#: Beginnings of the names of the online features that measure progress, and why.
MEASURES: tuple[tuple[str, str], ...] = (
    ("tree.", "tree weight, weighted backtrack and recursive estimates, Holt's forecast, leaves; and trends of them"),
    ("progress.", "MiniSat's progress bar and its trend"),
    ("rates.conflicts_log", "how far the search has come"),
    ("rates.fixed_", "variables fixed for good, and how fast more are"),
    ("rates.decisions_per_conflict_log", "inverse of the leaf frequency"),
    ("decisions.trend", "its trend"),
    ("trail_share.half.mean", "how near to an assignment of all variables the search comes"),
    ("trail_share.trend", "its trend"),
)
# What converts conflicts to other units.
_BY_UNIT = {
    "conflicts": (),
    "propagations": ("rates.propagations_per_conflict_log",),
    "cpu_seconds": ("speed.conflicts_per_second",),
}


@register
class ProgressEnsemble(Forest):
    """Random forest over progress measures; its settings are those of :class:`Forest`."""

    name = "progress_ensemble"
    needs = frozenset({"online"})

    def __init__(self, n_trees: int = 100, min_leaf: int = 5, seed: int = 0) -> None:
        super().__init__(
            features="online",
            kind="random_forest",
            n_trees=n_trees,
            max_features=1.0 / 3.0,
            min_leaf=min_leaf,
            seed=seed,
        )

    def _training_matrix(self, instances: Sequence[Instance]) -> FeatureMatrix:
        features = features_for_unit(self.features, self.unit)
        matrix = FeatureMatrix.from_instances(instances, features)
        starts = (*(start for start, _ in MEASURES), *_BY_UNIT[self.unit])
        names = [name for name in matrix.names if name.startswith(starts)]
        if not names:
            raise EstimatorError(
                f"estimator {self.name!r}: found no progress measure among {len(matrix.names)} features"
            )
        return FeatureMatrix.from_instances(instances, features, names)
