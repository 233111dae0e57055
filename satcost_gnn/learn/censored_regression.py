"""Ridge regression with normal noise where some targets are only lower bounds (a Tobit model, fitted by EM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.learn.stored_estimator import Stored

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: The noise is never estimated below this nor above, in decades: few points fit anything, or nothing.
SD_RANGE = (0.05, 3.0)
_ROUNDS = 200
_CONVERGED = 1e-4


@dataclass(frozen=True, eq=False)
class CensoredRidge(Stored):
    """A linear model with normal noise.

    Parameters
    ----------
    intercept
        Prediction at features of 0.
    coefficients
        ``float64[d]``.
    sd
        Standard deviation of the noise.
    log_likelihood
        Of the training data, censored targets counting by their survival probability.
    degrees
        Effective degrees of freedom, the intercept included: trace of the hat matrix.
    """

    intercept: float
    coefficients: Floats
    sd: float
    log_likelihood: float
    degrees: float

    @classmethod
    def fit(
        cls, features: Floats, target: Floats, censored: Bools, penalty: float = 1.0, weights: Floats | None = None
    ) -> Self:
        """Fit by expectation maximisation.

        The expectation step puts E[Y | Y > c] = mu + sd lambda(a), a = (c - mu) / sd, in the place of a bound c, with
        lambda the normal hazard; the variance counts E[(Y - mu)^2 | Y > c] = sd^2 (1 + a lambda(a)). The maximisation
        step is ridge regression on the completed targets. Without an uncensored target the noise cannot be told: the
        mean is then half a decade above the bounds' mean and the noise one decade.

        Parameters
        ----------
        features
            ``float64[n, d]``, standardised; they are centred here.
        target, censored
            ``float64[n]``: the value, or the lower bound where ``bool[n]`` says that it is censored.
        penalty
            Ridge penalty on the squared coefficients, the intercept excepted; at least 0.
        weights
            ``float64[n]``, not negative; default: all 1.
        """
        w = np.ones(len(target)) if weights is None else np.asarray(weights, dtype=np.float64)
        n = float(w.sum())
        events = ~censored & (w > 1e-9 * n)
        if not events.any():
            middle = float(np.average(target, weights=w)) + 0.5
            return cls(
                middle, np.zeros(features.shape[1]), 1.0, _log_likelihood(target - middle, 1.0, censored, w), 1.0
            )
        centre = np.average(features, axis=0, weights=w)
        x = features - centre
        gram = (x * w[:, None]).T @ x
        eigenvalues, vectors = np.linalg.eigh(gram)
        eigenvalues = np.maximum(eigenvalues, 0.0)
        inverse = 1.0 / np.maximum(eigenvalues + penalty, 1e-10 * float(eigenvalues.max(initial=1.0)))
        degrees = 1.0 + float((eigenvalues * inverse).sum())
        complete = target.astype(np.float64).copy()
        sd = float(np.clip(np.sqrt(np.average((target - np.average(target, weights=w)) ** 2, weights=w)), *SD_RANGE))
        mean, coefficients = float(np.average(complete, weights=w)), np.zeros(features.shape[1])
        fitted = np.full(len(target), mean)
        extra = np.zeros(len(target))
        for _ in range(_ROUNDS):
            mean = float(np.average(complete, weights=w))
            coefficients = vectors @ (inverse * (vectors.T @ (x.T @ (w * (complete - mean)))))
            new = mean + x @ coefficients
            squares = np.where(censored, (complete - new) ** 2 + extra, (complete - new) ** 2)
            # Effective sample size after the coefficients are paid for, but at least a few points' worth.
            new_sd = float(np.clip(np.sqrt((w * squares).sum() / max(n - degrees, 0.25 * n)), *SD_RANGE))
            moved = max(float(np.abs(new - fitted).max()), abs(new_sd - sd))
            fitted, sd = new, new_sd
            if not censored.any() or moved < _CONVERGED:
                break
            a = (target - fitted) / sd
            hazard = normal_hazard(a)
            complete = np.where(censored, fitted + sd * hazard, target)
            # Variance of the truncated normal, so that imputation does not shrink the noise.
            extra = sd**2 * np.clip(1.0 + a * hazard - hazard**2, 0.0, 1.0)
        likelihood = _log_likelihood(target - fitted, sd, censored, w)
        return cls(mean - float(centre @ coefficients), coefficients, sd, likelihood, degrees)

    def predict(self, features: Floats) -> Floats:
        """Return the mean, ``float64[n]``."""
        return np.asarray(self.intercept + features @ self.coefficients)

    def complete(self, features: Floats, target: Floats, censored: Bools) -> Floats:
        """Return the targets with the expected value in the place of each bound."""
        mean = self.predict(features)
        expected = mean + self.sd * normal_hazard((target - mean) / self.sd)
        return np.where(censored, np.maximum(expected, target), target)

    @property
    def aic(self) -> float:
        """Akaike's information criterion: 2 (degrees + 1 for the noise) - 2 log likelihood."""
        return 2.0 * (self.degrees + 1.0) - 2.0 * self.log_likelihood

    def bic(self, n: float) -> float:
        """Return the Bayesian information criterion for ``n`` observations."""
        return float(np.log(max(n, 2.0))) * (self.degrees + 1.0) - 2.0 * self.log_likelihood


def normal_hazard(a: Floats) -> Floats:
    """Return phi(a) / (1 - Phi(a)), the mean of a standard normal variable beyond a, without underflow."""
    from scipy.special import log_ndtr

    return np.asarray(np.exp(-0.5 * a * a - 0.5 * np.log(2.0 * np.pi) - log_ndtr(-a)))


def _log_likelihood(residual: Floats, sd: float, censored: Bools, weights: Floats) -> float:
    from scipy.special import log_ndtr

    z = residual / sd
    density = -0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - np.log(sd)
    return float((weights * np.where(censored, log_ndtr(-z), density)).sum())
