"""A logistic model of the hazard in each span ahead, as a shift of the hazard that was predicted before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p / (1.0 - p)))


@dataclass(frozen=True, eq=False)
class Stage:
    """One fitted hazard model.

    Parameters
    ----------
    intercepts
        ``float64[K]``: a(k).
    slope
        b.
    weights
        ``float64[d]``: c, for standardised features.
    mean, sd
        ``float64[d]``: of the features in training; a missing one counts as its mean.
    """

    intercepts: Floats
    slope: float
    weights: Floats
    mean: Floats
    sd: Floats

    def standardised(self, x: Floats) -> Floats:
        """Return features with mean 0 and standard deviation 1, at most 3 away from it, missing ones 0."""
        return np.nan_to_num(np.clip((x - self.mean) / self.sd, -3.0, 3.0))

    def hazards(self, prior: Floats, x: Floats) -> Floats:
        """Return ``float64[..., K]`` from the prior's hazards ``[..., K]`` and features ``[..., d]``."""
        shift = self.standardised(x) @ self.weights
        score = self.intercepts + self.slope * _logit(prior) + np.asarray(shift)[..., None]
        return np.asarray(1.0 / (1.0 + np.exp(-score)))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "intercepts": self.intercepts.round(5).tolist(),
            "slope": round(self.slope, 5),
            "weights": self.weights.round(5).tolist(),
            "mean": self.mean.round(5).tolist(),
            "sd": self.sd.round(5).tolist(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        arrays = {name: np.array(values[name], dtype=np.float64) for name in ("intercepts", "weights", "mean", "sd")}
        return cls(slope=float(values["slope"]), **arrays)

    @classmethod
    def fit(cls, prior: Floats, x: Floats, ended: Floats, at_risk: Floats, penalty: float) -> Self:
        """Fit by weighted, ridge-penalised maximum likelihood.

        Parameters
        ----------
        prior
            ``float64[n, K]``: the prior's hazards at each landmark.
        x
            ``float64[n, d]``: features.
        ended
            ``float64[n, K]``: 1 in the interval in which the run ended, else 0.
        at_risk
            ``float64[n, K]``: weight of each interval; 0 where the run didn't get or what became of it isn't known.
        penalty
            Ridge penalty; the intercepts and the slope are penalised for departing from 0 and 1.
        """
        from scipy.optimize import minimize

        weight = at_risk.max(axis=1)
        known = ~np.isnan(x)
        share = weight[:, None] * known
        total = np.maximum(share.sum(axis=0), 1e-12)
        mean = (share * np.nan_to_num(x)).sum(axis=0) / total
        sd = np.sqrt((share * (np.nan_to_num(x) - mean) ** 2).sum(axis=0) / total)
        # All features are in decades: less than a hundredth of one is noise, not to be blown up.
        sd = np.maximum(sd, 0.01)
        stage = cls(np.zeros(prior.shape[1]), 1.0, np.zeros(x.shape[1]), mean, sd)
        z, logits, n_leads = stage.standardised(x), _logit(prior), prior.shape[1]

        def loss(parameters: Floats) -> tuple[float, Floats]:
            a, b, c = parameters[:n_leads], parameters[n_leads], parameters[n_leads + 1 :]
            score = a + b * logits + (z @ c)[:, None]
            value = (at_risk * (np.logaddexp(0.0, score) - ended * score)).sum()
            value += 0.5 * penalty * ((a * a).sum() + (b - 1.0) ** 2 + (c * c).sum())
            slope = at_risk * (1.0 / (1.0 + np.exp(-score)) - ended)
            gradient = np.concatenate(
                [
                    slope.sum(axis=0) + penalty * a,
                    [(slope * logits).sum() + penalty * (b - 1.0)],
                    slope.sum(axis=1) @ z + penalty * c,
                ]
            )
            return float(value), gradient

        start = np.concatenate([np.zeros(n_leads), [1.0], np.zeros(x.shape[1])])
        found = minimize(loss, start, jac=True, method="L-BFGS-B").x
        return cls(found[:n_leads], float(found[n_leads]), found[n_leads + 1 :], mean, sd)
