"""Ridge regression on selected columns, of costs that may be censored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.learn.censored_regression import SD_RANGE, CensoredRidge

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_PENALTIES = 10.0 ** np.arange(-1.0, 5.01, 0.5)

# Penalty of the fit that completes the costs of censored runs before cross-validation.
_FIRST_PENALTY = 100.0


@dataclass(frozen=True, eq=False)
class SelectedRidge:
    """A ridge model on a selection of the columns.

    Parameters
    ----------
    columns
        ``int64[d]``: columns of the standardised features that it reads.
    model
        The model on them; its noise is that of cross-validation.
    """

    columns: Integers
    model: CensoredRidge

    @classmethod
    def fit(
        cls,
        x: Floats,
        y: Floats,
        censored: Bools,
        weights: Floats,
        folds: Sequence[Integers],
        penalty: float | None,
        criterion: str,
    ) -> tuple[Self, Floats]:
        """Choose the penalty and the columns, fit, and measure the noise.

        Columns are ranked by the size of their standardised coefficients in the model on all of them; of the models on
        the best 1, 2, 3, ... columns the one with the least criterion is kept.

        Parameters
        ----------
        x, y, censored, weights
            As for :meth:`CensoredRidge.fit`.
        folds
            Ways of cross-validation: ``int64[n]`` each, the fold of every row. The penalty has the least mean squared
            error, averaged over them, and the noise is the root of that of the chosen columns.
        penalty
            Penalty, None to choose it.
        criterion
            ``aic``, ``bic`` or ``none``.

        Returns
        -------
        model
            The fitted model.
        held_out
            ``float64[n]``: predictions from the models fitted without a row's fold, by the first of ``folds``.
        """
        first = CensoredRidge.fit(x, y, censored, _FIRST_PENALTY, weights)
        complete = first.complete(x, y, censored)
        if penalty is None:
            penalty = _best_penalty(x, complete, weights, folds)
        best = CensoredRidge.fit(x, y, censored, penalty, weights)
        chosen = np.arange(x.shape[1])
        if criterion != "none":
            n = float(weights.sum())
            rank = np.argsort(-np.abs(best.coefficients), kind="stable")
            best_score = best.aic if criterion == "aic" else best.bic(n)
            for size in _prefix_sizes(x.shape[1]):
                part = np.sort(rank[:size])
                model = CensoredRidge.fit(x[:, part], y, censored, penalty, weights)
                score = model.aic if criterion == "aic" else model.bic(n)
                if score < best_score:
                    best, best_score, chosen = model, score, part
        complete = best.complete(x[:, chosen], y, censored)
        held_out = [_held_out(x, complete, weights, fold_of, penalty, len(chosen)) for fold_of in folds]
        error = float(np.mean([np.average((complete - found) ** 2, weights=weights) for found in held_out]))
        # Completed costs hide the noise of censored runs, which the fit has accounted for: never below that.
        sd = float(np.clip(max(np.sqrt(error), best.sd), *SD_RANGE))
        return cls(chosen, replace(best, sd=sd)), held_out[0]

    @property
    def sd(self) -> float:
        """Standard deviation of the noise."""
        return self.model.sd

    def predict(self, x: Floats) -> Floats:
        """Return the mean log10 cost."""
        return self.model.predict(x[:, self.columns])

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {"columns": self.columns.tolist(), "model": self.model.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        return cls(np.array(values["columns"], dtype=np.int64), CensoredRidge.from_json(values["model"]))


def _prefix_sizes(features: int) -> list[int]:
    """Return 1, 2, 3, ... growing by about a quarter, below the number of features."""
    sizes, size = [], 1
    while size < features:
        sizes.append(size)
        size = max(size + 1, int(size * 1.25))
    return sizes


def _ridge_path(x: Floats, y: Floats, weights: Floats, penalties: Floats) -> tuple[Floats, Floats]:
    """Return the intercepts ``[p]`` and coefficients ``[p, d]`` of weighted ridge regressions."""
    total = weights.sum()
    if total <= 0:
        return np.full(len(penalties), float(y.mean())), np.zeros((len(penalties), x.shape[1]))
    centre, middle = (weights @ x) / total, float(weights @ y) / total
    shifted = x - centre
    eigenvalues, vectors = np.linalg.eigh((shifted * weights[:, None]).T @ shifted)
    projected = vectors.T @ (shifted.T @ (weights * (y - middle)))
    floor = 1e-10 * max(1.0, float(eigenvalues.max(initial=0.0)))
    shrunk = projected / np.maximum(np.maximum(eigenvalues, 0.0) + penalties[:, None], floor)
    coefficients = shrunk @ vectors.T
    return middle - coefficients @ centre, coefficients


def _best_penalty(x: Floats, y: Floats, weights: Floats, folds: Sequence[Integers]) -> float:
    """Return the penalty with the least squared error, averaged over the ways of cross-validation."""
    error = np.zeros(len(_PENALTIES))
    for fold_of in folds:
        for fold in np.unique(fold_of):
            held_out = fold_of == fold
            intercepts, coefficients = _ridge_path(x[~held_out], y[~held_out], weights[~held_out], _PENALTIES)
            residual = y[held_out] - (intercepts[:, None] + coefficients @ x[held_out].T)
            error += (residual**2) @ weights[held_out]
    return float(_PENALTIES[int(np.argmin(error))])


def _held_out(x: Floats, y: Floats, weights: Floats, fold_of: Integers, penalty: float, size: int) -> Floats:
    """Return predictions for each fold by models fitted without it, the best ``size`` columns chosen anew each time."""
    found = np.empty(len(y))
    one = np.array([penalty])
    for fold in np.unique(fold_of):
        out = fold_of == fold
        intercepts, coefficients = _ridge_path(x[~out], y[~out], weights[~out], one)
        part = np.arange(x.shape[1])
        if size < x.shape[1]:
            part = np.argsort(-np.abs(coefficients[0]), kind="stable")[:size]
            intercepts, coefficients = _ridge_path(x[np.ix_(~out, part)], y[~out], weights[~out], one)
        found[out] = intercepts[0] + x[np.ix_(out, part)] @ coefficients[0]
    return found
