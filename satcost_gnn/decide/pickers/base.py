"""What every picker offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import EstimatorError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Picker(ABC):
    """Scores solvers on instances; the solver of least score is to be run.

    Scores of one picker can be compared between solvers and their differences between instances; there is no unit that
    pickers share.

    Parameters
    ----------
    seed
        Seed.

    Notes
    -----
    Pickers are forests of trees on bootstrap samples, so that a single fit tells also how good they are: each training
    instance is scored by the trees that have not seen it (out of bag; Breiman, "Random forests", Machine Learning 45,
    2001), nor any other of its group.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._out_of_bag: Floats | None = None

    def fit(self, x: Floats, penalised: Floats, groups: Integers | None = None) -> Self:
        """Learn from training instances.

        Parameters
        ----------
        x
            ``float64[n, d]``: features without missing values.
        penalised
            ``float64[n, m]``: PAR2 in seconds.
        groups
            ``int64[n]``: what is new at a time, such as the families; by default each instance by itself.

        Raises
        ------
        EstimatorError
            If the shapes don't fit, or a value is not finite.
        """
        if x.ndim != 2 or penalised.ndim != 2 or len(x) != len(penalised) or not len(x):
            raise EstimatorError(
                f"found features of shape {x.shape} and run times of shape {penalised.shape}; "
                "expected (n, d) and (n, m)"
            )
        if not np.isfinite(x).all() or not np.isfinite(penalised).all():
            raise EstimatorError("found a feature or run time that is not finite; expected them filled in")
        self._out_of_bag = self._fit(x, penalised, np.arange(len(x)) if groups is None else groups)
        return self

    @property
    def out_of_bag(self) -> Floats:
        """``float64[n, m]``: scores of the training instances by trees that haven't seen them."""
        if self._out_of_bag is None:
            raise EstimatorError(f"{type(self).__name__} is not fitted; call fit() first")
        return self._out_of_bag

    @abstractmethod
    def _fit(self, x: Floats, penalised: Floats, groups: Integers) -> Floats:
        """Learn, and return the scores out of bag."""

    @abstractmethod
    def scores(self, x: Floats) -> Floats:
        """Return ``float64[n, m]`` for features ``float64[n, d]``, less being better."""
