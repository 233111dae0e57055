"""Pickers: which solver to run on an instance, learnt from penalised run times. One module each, and a line here.

Not to be confused with estimators, which predict a cost with its distribution: a picker is right if the solver that it
puts first is quick, whatever it says of the others.
"""

from __future__ import annotations

from importlib import import_module

from satcost_gnn.decide.pickers.base import Picker
from satcost_gnn.errors import EstimatorError

#: Name -> module and class.
PICKERS: dict[str, tuple[str, str]] = {
    "par": ("par_regression", "ParRegression"),
    "par_difference": ("par_regression", "ParDifferenceRegression"),
    "root_par": ("par_regression", "RootParRegression"),
    "pairwise": ("pairwise", "PairwiseClassification"),
}


def make_picker(name: str, seed: int = 0) -> Picker:
    """Return an unfitted picker.

    Raises
    ------
    EstimatorError
        If there is none of that name.
    """
    if name not in PICKERS:
        raise EstimatorError(f"found picker {name!r}; expected one of {', '.join(PICKERS)}")
    module, cls = PICKERS[name]
    made = getattr(import_module(f"{__name__}.{module}"), cls)(seed)
    assert isinstance(made, Picker)
    return made


__all__ = ["PICKERS", "Picker", "make_picker"]
