"""A selector with `fit` and `predict` as scikit-learn has them: `python examples/selector.py FILE...`."""

import sys
from collections.abc import Iterable
from typing import Self

from sklearn.base import BaseEstimator

from satcost_gnn.decide.select import Selector
from satcost_gnn.formula.sources import FormulaSource


class PortfolioSelector(BaseEstimator):  # type: ignore[misc]
    """Chooses a solver for each formula."""

    def __init__(self, checkpoint: str | None = None, objective: str = "par2", cutoff_s: float | None = None) -> None:
        self.checkpoint, self.objective, self.cutoff_s = checkpoint, objective, cutoff_s

    def fit(self, X: object = None, y: object = None) -> Self:
        """Open the checkpoint, which is trained already."""
        self.selector_ = Selector.from_checkpoint(self.checkpoint, objective=self.objective, cutoff_s=self.cutoff_s)
        self.classes_ = list(self.selector_.predictor.solvers)
        return self

    def predict(self, X: Iterable[FormulaSource]) -> list[str]:
        """Return the name of a solver for each path, clause list or PySAT formula."""
        return [self.selector_.select(x).chosen for x in X]


if __name__ == "__main__":
    for path, solver in zip(sys.argv[1:], PortfolioSelector().fit().predict(sys.argv[1:]), strict=True):
        print(solver or "unreadable", path)
