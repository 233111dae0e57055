"""Regression of penalised run times, and of how they differ from the single best solver's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.decide.pickers.bagged_trees import BaggedTrees
from satcost_gnn.decide.pickers.base import Picker

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TREES = 80
_MIN_LEAF = 2


class ParRegression(Picker):
    """Trees on PAR2, all solvers in one forest; the score is the predicted PAR2 in seconds."""

    def _target(self, penalised: Floats) -> Floats:
        return penalised

    def _fit(self, x: Floats, penalised: Floats, groups: Integers) -> Floats:
        self._forest = BaggedTrees(x, self._target(penalised), groups, self.seed, _TREES, _MIN_LEAF)
        return self._forest.out_of_bag

    def scores(self, x: Floats) -> Floats:
        """Return ``float64[n, m]`` for features ``float64[n, d]``, in the unit of the target."""
        return self._forest.predict(x)


class ParDifferenceRegression(ParRegression):
    """Trees on PAR2 less that of the training instances' single best solver.

    How hard an instance is for all solvers alike says nothing about which to run; without it, the trees split where
    solvers part.
    """

    def _target(self, penalised: Floats) -> Floats:
        single = int(penalised.mean(axis=0).argmin())
        return np.asarray(penalised - penalised[:, [single]])


class RootParRegression(ParRegression):
    """Trees on the root of PAR2, which a few runs near the limit don't rule as they do PAR2 itself."""

    def _target(self, penalised: Floats) -> Floats:
        return np.sqrt(penalised)
