"""Gaussian process regression of whole distributions on the ranks of features.

A forest splits the instances into leaves; a Gaussian process weighs them by their distance. On a few hundred instances
with a hundred features of every scale, the two err differently, and their mixture is better than either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, Floats, TrainingTable, register
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Standardiser, feature_parts, features_for_unit
from satcost_gnn.learn.imputation import impute_censored
from satcost_gnn.learn.rank_transform import RankTransform

#: Length scales tried, in median distances between training instances.
LENGTHS = (0.2, 0.4, 0.8, 1.6, 3.2)
#: Variances of the noise tried, in variances of the signal.
NOISES = (0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0)
_CHUNK = 512
# Values kept of each feature: they are most of what is stored, and more of them change nothing in the third digit.
_KNOTS = 64


@register
class GaussianProcess(Estimator):
    """Gaussian process with the exponential (Matérn 1/2) kernel on normal scores of the features.

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``. For a cost in seconds, the probe's speed joins the online ones.
    max_instances
        With more training instances, this many are drawn at random: memory grows with their square and time with
        their cube.
    seed
        Seed of the drawing.

    Notes
    -----
    Length scale and noise maximise the marginal likelihood of log10 cost over all solvers together (Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.2 and 5.4.1), censored runs at their expected
    cost. The prediction of a Gaussian process is linear in the training targets. That linear map is applied not to the
    costs, but to the distribution of each training run's cost, edge by edge of the grid: the mean stays that of the
    ordinary process, but the shape (two humps where some such instances are solved at once and others never) is
    that of the instances near by. What is not between 0 and 1 or not monotone after that is made so, which moves the
    mean a little.
    """

    name = "gaussian_process"
    needs = frozenset({"static", "online"})

    def __init__(self, features: str = "both", max_instances: int = 3000, seed: int = 0) -> None:
        self.needs = frozenset(feature_parts(features))
        if max_instances < 2:
            raise EstimatorError(f"found max_instances={max_instances}; expected at least 2")
        self.features, self.max_instances, self.seed = features, max_instances, seed

    def _fit(self, table: TrainingTable) -> None:
        if len(table) > self.max_instances:
            drawn = np.random.default_rng(self.seed).choice(len(table), self.max_instances, replace=False)
            table = table.subset(np.sort(drawn))
        matrix = FeatureMatrix.from_instances(table.instances, features_for_unit(self.features, self.unit))
        self._transform = RankTransform.fit(matrix, _KNOTS)
        # As they will be read back from a file, where half precision is ample for normal scores.
        self._x = self._transform.normal_scores(matrix).astype(np.float16).astype(np.float32)
        samples, target = impute_censored(table, Standardiser.fit(matrix).transform(matrix))
        distance = _distances(self._x, self._x)
        n, m = target.shape
        self._length = np.ones(m)
        self._dual = np.zeros((n, m, self.grid.bins + 1), dtype=np.float32)
        self._mean = np.zeros((m, self.grid.bins + 1))
        # Solvers that ran on the same instances share one decomposition.
        patterns, member = np.unique(table.known, axis=1, return_inverse=True)
        for k in range(patterns.shape[1]):
            rows, columns = np.flatnonzero(patterns[:, k]), np.flatnonzero(member.ravel() == k)
            cdf = samples.cdf[np.ix_(rows, columns)]
            self._mean[columns] = cdf.mean(axis=0)
            if len(rows) < 2:
                continue
            length, dual = _most_likely(distance[np.ix_(rows, rows)], target[np.ix_(rows, columns)], cdf)
            self._length[columns] = length
            self._dual[np.ix_(rows, columns)] = dual

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        features = features_for_unit(self.features, self.unit)
        matrix = FeatureMatrix.from_instances(instances, features, self._transform.input_names)
        x = self._transform.normal_scores(matrix).astype(np.float32)
        cdf = np.empty((len(x), len(self.solvers), self.grid.bins + 1))
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            distance = _distances(x[rows], self._x)
            for length in np.unique(self._length):
                columns = np.flatnonzero(self._length == length)
                found = np.tensordot(_kernel(distance, length), self._dual[:, columns].astype(np.float64), axes=1)
                cdf[rows, columns] = self._mean[columns] + found
        return CostDistribution(self.grid, _monotone(cdf))

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        arrays: Arrays = {
            "x": self._x.astype(np.float16),
            "dual": self._dual,
            "mean": self._mean,
            "length": self._length,
        }
        return {"transform": self._transform.to_json()}, arrays

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._transform = RankTransform.from_json(state["transform"])
        self._x, self._dual = arrays["x"].astype(np.float32), arrays["dual"]
        self._mean, self._length = arrays["mean"], arrays["length"]
        m, edges = len(self.solvers), self.grid.bins + 1
        expected = ((len(self._x), m, edges), (m, edges), (m,), (len(self._x), len(self._transform.output_names)))
        found = (self._dual.shape, self._mean.shape, self._length.shape, self._x.shape)
        if found != expected:
            raise ValueError(f"found arrays of shapes {found}; expected {expected}")


def _distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(first, second), dtype=np.float64)


def _kernel(distance: Floats, length: float) -> Floats:
    return np.asarray(np.exp(-distance / length))


def _most_likely(distance: Floats, target: Floats, cdf: Floats) -> tuple[float, Floats]:
    """Return the length scale and the dual coefficients of the CDFs, ``[n, m, edges]``, at the most likely settings."""
    centred = target - target.mean(axis=0)
    unit = float(np.median(distance[np.triu_indices_from(distance, 1)])) or 1.0
    best: tuple[float, float, Floats, Floats] | None = None
    for length in LENGTHS:
        values, vectors = np.linalg.eigh(_kernel(distance, length * unit))
        turned = (vectors.T @ centred) ** 2
        for noise in NOISES:
            total = np.maximum(values, 0.0) + noise
            # The variance of the signal has a closed form: the mean of the whitened squares.
            signal = max(float((turned / total[:, None]).mean()), 1e-12)
            likelihood = -0.5 * (centred.size * np.log(signal) + centred.shape[1] * float(np.log(total).sum()))
            if best is None or likelihood > best[0]:
                best = (likelihood, length * unit, total, vectors)
    assert best is not None
    _, length, total, vectors = best
    residual = (cdf - cdf.mean(axis=0)).reshape(len(cdf), -1)
    dual = vectors @ ((vectors.T @ residual) / total[:, None])
    return length, dual.reshape(cdf.shape)


def _monotone(cdf: Floats) -> Floats:
    """Return the mean of the least rising function above and the largest rising one below, within 0 and 1."""
    cdf = np.clip(cdf, 0.0, 1.0)
    above = np.maximum.accumulate(cdf, axis=-1)
    below = np.minimum.accumulate(cdf[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(0.5 * (above + below))
