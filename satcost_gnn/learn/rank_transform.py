"""Features by their rank among the training instances: the same whatever monotone scale they come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.learn.feature_matrix import FeatureMatrix, Imputer
from satcost_gnn.learn.stored_estimator import Stored

Floats = NDArray[np.float64]

#: Ranks between so many are interpolated.
KNOTS = 256


@dataclass(frozen=True, eq=False)
class RankTransform(Stored):
    """Replaces each value by the share of training values below it, ties counting half.

    Features of formulas span many decades. Extremely randomised trees draw their thresholds evenly between the least
    and the largest value, and distances add up differences: both see little but the tail of a raw feature.

    Parameters
    ----------
    imputer
        What is done first; its indicator columns are left as they are.
    values
        For each feature the training values, rising, thinned.
    levels
        For each of them the share of training values below it, ties counting half.
    n_train
        Number of training instances: no share is nearer to 0 or 1 than half of one of them.
    """

    imputer: Imputer
    values: tuple[Floats, ...]
    levels: tuple[Floats, ...]
    n_train: int

    @classmethod
    def fit(cls, matrix: FeatureMatrix, knots: int = KNOTS) -> Self:
        """Learn from training features, keeping at most so many values of each.

        EstimatorError if every feature is constant or missing.
        """
        imputer = Imputer.fit(matrix)
        position = {name: i for i, name in enumerate(matrix.names)}
        values, levels = [], []
        for name in imputer.names:
            column = matrix.values[:, position[name]]
            value, count = np.unique(column[~np.isnan(column)], return_counts=True)
            level = (np.cumsum(count) - count / 2) / count.sum()
            if len(value) > knots:
                # Thinned evenly in rank, not in value.
                kept = np.unique(np.searchsorted(level, np.linspace(level[0], level[-1], knots)))
                value, level = value[kept], level[kept]
            values.append(value)
            levels.append(level)
        return cls(imputer, tuple(values), tuple(levels), len(matrix))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the features that are read."""
        return self.imputer.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the columns of :meth:`transform` and :meth:`normal_scores`."""
        return self.imputer.output_names

    def transform(self, matrix: FeatureMatrix) -> Floats:
        """Return ``float64[n, len(output_names)]``: shares between 0 and 1, without missing values."""
        found = self.imputer.transform(matrix)
        for column, (value, level) in enumerate(zip(self.values, self.levels, strict=True)):
            found[:, column] = np.interp(found[:, column], value, level)
        return found

    def normal_scores(self, matrix: FeatureMatrix) -> Floats:
        """Return ``float64[n, len(output_names)]``: the normal quantiles of the shares; indicators stay 0 or 1."""
        from scipy.special import ndtri  # here: predicting with a forest must not load scipy

        found = self.transform(matrix)
        d = len(self.imputer.names)
        least = 0.5 / self.n_train
        found[:, :d] = ndtri(np.clip(found[:, :d], least, 1.0 - least))
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; ValueError if there isn't one rising list for each feature."""
        found = super().from_json(values)
        if not len(found.values) == len(found.levels) == len(found.imputer.names):
            raise ValueError(f"found {len(found.values)} lists of values for {len(found.imputer.names)} features")
        for value, level in zip(found.values, found.levels, strict=True):
            rises = value.shape == level.shape and (np.diff(value) > 0).all() and (np.diff(level) >= 0).all()
            if not len(value) or not rises:
                raise ValueError("the values of a rank transform must rise with their levels")
        return found
