"""Regression of penalised run times, and of how they differ from the single best solver's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.decide.pickers.base import Picker

Floats = NDArray[np.float64]

_TREES = 80
_MIN_LEAF = 2


class ParRegression(Picker):
    """ExtraTrees on PAR2, all solvers in one forest; the score is the predicted PAR2 in seconds."""

    def _target(self, penalised: Floats) -> Floats:
        return penalised

    def _fit(self, x: Floats, penalised: Floats) -> Floats:
        from sklearn.ensemble import ExtraTreesRegressor

        target = self._target(penalised)
        self._forest = ExtraTreesRegressor(
            n_estimators=_TREES,
            max_features=1 / 3,
            min_samples_leaf=_MIN_LEAF,
            bootstrap=True,
            oob_score=True,
            random_state=self.seed,
            n_jobs=1,
        )
        self._forest.fit(x, target[:, 0] if target.shape[1] == 1 else target)
        return np.asarray(self._forest.oob_prediction_, dtype=np.float64).reshape(target.shape)

    def scores(self, x: Floats) -> Floats:
        """Return ``float64[n, m]`` for features ``float64[n, d]``, in seconds."""
        return np.asarray(self._forest.predict(x), dtype=np.float64).reshape(len(x), -1)


class ParDifferenceRegression(ParRegression):
    """ExtraTrees on PAR2 less that of the training instances' single best solver.

    How hard an instance is for all solvers alike says nothing about which to run; without it, the trees split where
    solvers part.
    """

    def _target(self, penalised: Floats) -> Floats:
        single = int(penalised.mean(axis=0).argmin())
        return np.asarray(penalised - penalised[:, [single]])
