"""A selector with `fit` and `predict` as scikit-learn has them: `python examples/selector.py FILE...`."""

import sys

from sklearn.base import BaseEstimator

from satcost_gnn.decide.select import Selector


class PortfolioSelector(BaseEstimator):
    """Chooses a solver for each formula."""

    def __init__(self, checkpoint=None, objective="par2", cutoff_s=None):
        self.checkpoint, self.objective, self.cutoff_s = checkpoint, objective, cutoff_s

    def fit(self, X=None, y=None):
        """Open the checkpoint, which is trained already."""
        self.selector_ = Selector.from_checkpoint(self.checkpoint, objective=self.objective, cutoff_s=self.cutoff_s)
        self.classes_ = list(self.selector_.predictor.solvers)
        return self

    def predict(self, X):
        """Return the name of a solver for each path, clause list or PySAT formula."""
        return [self.selector_.select(x).chosen for x in X]


if __name__ == "__main__":
    for path, solver in zip(sys.argv[1:], PortfolioSelector().fit().predict(sys.argv[1:]), strict=True):
        print(solver or "unreadable", path)
