"""Whether an instance resembles the training data: distance to its nearest training instances in feature space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import CheckpointError, DamagedFileError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.static_feature_list import ORDER_FEATURE_NAMES
from satcost_gnn.learn.feature_matrix import FeatureMatrix, Standardiser, feature_parts
from satcost_gnn.runtime.stored_files import read_arrays, read_json_object

Floats = NDArray[np.float64]

_FORMAT = 2
_FILE, _ARRAYS = "detector.json", "detector.npz"
# Standardised values are cut here: one wild feature must not decide alone.
_CUT = 4.0
_COMPONENTS = 64
_LEAST_INSTANCES = 10
_NEIGHBOURS = 2
# Share of the training instances that count as inside, each judged by the others.
_INSIDE = 0.95
# An instance is far if it is farther than nearly every training instance is from all other families.
_FAR = 0.99
_FAR_WITHOUT_GROUPS = 3.0


@dataclass(frozen=True)
class OODVerdict:
    """How an instance compares with the training data.

    Parameters
    ----------
    score, inside
        Distance over the largest distance that counts as inside, and whether it is: at most 1.
    far
        Whether it is farther from the training data than its families are from each other.
    """

    score: float
    inside: bool
    far: bool


class OODDetector:
    """Tells instances that are unlike the training data.

    Features are standardised robustly (by their interquartile ranges), cut, and projected to the main directions of the
    training data; what the projection loses counts as a direction of its own. The distance of an instance is that to
    its second nearest training instance, per root of the number of features. How a file happens to be written does not
    count: two isomorphic formulas have one score.

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``: what :meth:`z_scores` tells of. An instance without online features is
        judged by the static ones: the missing values count as average.
    judged_by
        The part of them that distances are of; default: all. A family that was never seen is told best from the known
        ones by static features alone (docs/research-log.md).
    """

    #: What it is called as a part of an estimator.
    name: ClassVar[str] = "ood_detector"

    def __init__(self, features: str = "both", judged_by: str | None = None) -> None:
        self.features, self.judged_by = features, judged_by or features
        if not set(feature_parts(self.judged_by)) <= set(feature_parts(features)):
            raise EstimatorError(f"found distances of {judged_by} features, of which {features} has not all")
        self._standardiser: Standardiser | None = None
        self._inside = self._far = 0.0

    def fit(self, instances: Sequence[Instance], groups: Sequence[str] | None = None) -> Self:
        """Learn what the training data looks like, from more than ten instances.

        ``groups`` is the family of each; by default what is far is judged by multiples of the usual distance.
        EstimatorError if there are too few instances or the groups don't fit.
        """
        n = len(instances)
        if n <= _LEAST_INSTANCES:
            raise EstimatorError(
                f"found {n} training instances; expected more than ten, to tell what is unlike them: collect runs of "
                "more instances that the early search does not answer"
            )
        if groups is not None and len(groups) != n:
            raise EstimatorError(f"found {len(groups)} groups for {n} training instances")
        matrix = FeatureMatrix.from_instances(instances, self.features)
        self._standardiser = Standardiser.fit(matrix)
        judged = (
            FeatureMatrix.from_instances(instances, self.judged_by).names if self.judged_by != self.features else ()
        )
        self._judged = np.array(
            [name not in ORDER_FEATURE_NAMES and (not judged or name in judged) for name in self._standardiser.names]
        )
        x = self._coordinates(matrix)
        self._centre = x.mean(axis=0)
        _, _, directions = np.linalg.svd(x - self._centre, full_matrices=False)
        # As they will be read back from a file.
        self._directions = directions[:_COMPONENTS].astype(np.float32)
        self._centre = self._centre.astype(np.float32).astype(np.float64)
        projected, lost = self._project(x)
        self._training = projected.astype(np.float32)
        distances = _distances(projected, self._training.astype(np.float64))
        alone = distances.copy()
        np.fill_diagonal(alone, np.inf)
        own = self._scale(np.sort(alone, axis=1)[:, _NEIGHBOURS - 1], lost)
        self._inside = float(max(np.quantile(own, _INSIDE), 1e-9))
        self._far = _FAR_WITHOUT_GROUPS * self._inside
        if groups is not None and len(set(groups)) > 1:
            names = np.asarray(groups, dtype=object)
            foreign = np.where(names[:, None] == names[None, :], np.inf, distances)
            nearest = np.sort(foreign, axis=1)[:, _NEIGHBOURS - 1]
            found = self._scale(nearest[np.isfinite(nearest)], lost[np.isfinite(nearest)])
            if len(found):
                self._far = float(max(np.quantile(found, _FAR), self._inside))
        return self

    def _coordinates(self, matrix: FeatureMatrix) -> Floats:
        return np.clip(self._fitted.transform(matrix, clip=False)[:, self._judged], -_CUT, _CUT)

    def _project(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the coordinates along the main directions and the length of what they leave."""
        centred = x - self._centre
        directions = self._directions.astype(np.float64)
        projected = centred @ directions.T
        return projected, np.sqrt(((centred - projected @ directions) ** 2).sum(axis=1))

    def _scale(self, distance: Floats, lost: Floats) -> Floats:
        return np.asarray(np.hypot(distance, lost) / np.sqrt(len(self._centre)))

    def judge(self, instances: Sequence[Instance]) -> list[OODVerdict]:
        """Compare instances with the training data; EstimatorError before fitting."""
        standardiser = self._fitted
        if not instances:
            return []
        matrix = FeatureMatrix.from_instances(instances, self.features, standardiser.input_names)
        projected, lost = self._project(self._coordinates(matrix))
        training = self._training.astype(np.float64)
        scores = []
        for start in range(0, len(projected), 1024):
            part = slice(start, start + 1024)
            near = np.partition(_distances(projected[part], training), _NEIGHBOURS - 1, axis=1)[:, _NEIGHBOURS - 1]
            scores += self._scale(near, lost[part]).tolist()
        return [OODVerdict(score / self._inside, score <= self._inside, score > self._far) for score in scores]

    def in_distribution(self, instances: Sequence[Instance]) -> tuple[NDArray[np.bool_], Floats]:
        """Return whether each instance resembles the training data, and its score (at most 1: it does)."""
        found = self.judge(instances)
        return np.array([item.inside for item in found], dtype=bool), np.array([item.score for item in found])

    def medians(self) -> dict[str, float]:
        """Return the training medians of the features that vary in training; EstimatorError before fitting."""
        imputer = self._fitted.imputer
        return dict(zip(imputer.names, imputer.median.tolist(), strict=True))

    def z_scores(self, instance: Instance) -> dict[str, float]:
        """Return how many robust standard deviations each feature lies above the training median; NaN where missing.

        EstimatorError before fitting.
        """
        standardiser = self._fitted
        matrix = FeatureMatrix.from_instances([instance], self.features, standardiser.input_names)
        values = standardiser.transform(matrix, clip=False)[0]
        position = {name: i for i, name in enumerate(matrix.names)}
        return {
            name: float("nan") if np.isnan(matrix.values[0, position[name]]) else float(value)
            for name, value in zip(standardiser.names, values, strict=True)
            if name in position
        }

    @property
    def _fitted(self) -> Standardiser:
        if self._standardiser is None:
            raise EstimatorError("the out-of-distribution detector is not fitted; call fit() or load() first")
        return self._standardiser

    def save(self, directory: Path) -> None:
        """Write it into a directory; EstimatorError before fitting."""
        if self._standardiser is None:
            raise EstimatorError("the out-of-distribution detector is not fitted; there is nothing to save")
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            directory / _ARRAYS,
            allow_pickle=False,
            centre=self._centre.astype(np.float32),
            directions=self._directions,
            training=self._training,
        )
        header: dict[str, Any] = {
            "format": _FORMAT,
            "features": self.features,
            "judged_by": self.judged_by,
            "judged": np.flatnonzero(self._judged).tolist(),
            "inside": self._inside,
            "far": self._far,
            "standardiser": self._standardiser.to_json(),
        }
        (directory / _FILE).write_text(json.dumps(header, indent=1, sort_keys=True, allow_nan=False) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read it from a directory; CheckpointError if that is incomplete, damaged or of a newer format."""
        directory = Path(directory)
        try:
            header = read_json_object(directory / _FILE)
            arrays = read_arrays(directory / _ARRAYS)
            if int(header["format"]) > _FORMAT:
                raise CheckpointError(
                    f"{directory / _FILE}: found format {header['format']}, expected at most {_FORMAT}; "
                    "install a newer satcost-gnn"
                )
            detector = cls(str(header["features"]), str(header["judged_by"]))
            detector._inside, detector._far = float(header["inside"]), float(header["far"])
            detector._standardiser = Standardiser.from_json(header["standardiser"])
            columns = np.arange(len(detector._standardiser.names))
            detector._judged = np.isin(columns, header["judged"])
            detector._centre = arrays["centre"].astype(np.float64)
            detector._directions, detector._training = (
                arrays[name].astype(np.float32) for name in ("directions", "training")
            )
            if not (
                detector._directions.shape[1:] == detector._centre.shape == (int(detector._judged.sum()),)
                and detector._training.shape[1:] == detector._directions.shape[:1]
            ):
                raise ValueError("the arrays disagree with each other")
            if len(detector._training) < _NEIGHBOURS or not 0 < detector._inside <= detector._far < np.inf:
                raise ValueError(
                    f"found {len(detector._training)} training instances and bounds of {detector._inside} and "
                    f"{detector._far}"
                )
        except CheckpointError as error:
            raise type(error)(f"the saved out-of-distribution detector can't be read: {error}") from error
        except (EstimatorError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DamagedFileError(
                f"{directory}: the saved out-of-distribution detector can't be read: {type(error).__name__}: {error}"
            ) from error
        return detector


def _distances(a: Floats, b: Floats) -> Floats:
    """Return the Euclidean distances of the rows of a to those of b."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
