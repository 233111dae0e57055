"""From feature vectors to matrices, and from raw features to what linear models, networks and distances can take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.stored_estimator import Stored

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Feature sets: name -> the parts of an instance that it takes, in order.
FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "static": ("static",),
    "online": ("online",),
    "both": ("static", "online"),
    # How fast the probe ran on this machine: not repeatable, but seconds cannot be told without it.
    "online+speed": ("online", "speed"),
    "both+speed": ("static", "online", "speed"),
}

# The standard deviation of a normal distribution over its interquartile range.
_IQR_TO_SD = 0.7413
# A column is taken in logarithms if it is more skewed than this and the logarithm makes it less so.
_SKEWED = 2.0


def feature_parts(features: str) -> tuple[str, ...]:
    """Return the parts of an instance that a feature set takes; EstimatorError for an unknown set."""
    try:
        return FEATURE_SETS[features]
    except KeyError:
        raise EstimatorError(f"found feature set {features!r}; expected one of {', '.join(FEATURE_SETS)}") from None


def features_for_unit(features: str, unit: str) -> str:
    """Return the feature set to use for a cost unit: with the probe's speed where seconds are to be predicted."""
    with_speed = f"{features}+speed"
    return with_speed if unit == "cpu_seconds" and with_speed in FEATURE_SETS else features


def _vector(instance: Instance, part: str) -> FeatureVector | None:
    if part == "static":
        return instance.static
    if part == "online":
        return instance.online
    if instance.probe is None:
        return None
    from satcost_gnn.search.online import speed_features

    return speed_features(instance.probe)


@dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """Named features of several instances.

    Parameters
    ----------
    names
        One name a column, unique.
    values
        ``float64[n, n_features]``; NaN marks a missing value.

    Raises
    ------
    EstimatorError
        If the shape doesn't fit the names.
    """

    names: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise EstimatorError(f"found features of shape {values.shape}; expected (n, {len(self.names)})")
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def from_instances(
        cls, instances: Sequence[Instance], features: str = "both", names: Sequence[str] | None = None
    ) -> FeatureMatrix:
        """Collect a set of :data:`FEATURE_SETS`; an instance without some of them has a row of missing values.

        By default there are all columns of the first instance with features, or those of ``names``, in order.

        Raises
        ------
        EstimatorError
            If no instance has the features, two differ in their names, or a wanted column isn't there.
        """
        blocks: list[Floats] = []
        found: list[str] = []
        for part in feature_parts(features):
            vectors: list[FeatureVector | None] = [_vector(instance, part) for instance in instances]
            first = next((vector for vector in vectors if vector is not None and len(vector)), None)
            if first is None:
                if names is None and part == "static":
                    raise EstimatorError(f"found no {part} features in any of {len(instances)} instances")
                continue
            block = np.full((len(instances), len(first)), np.nan)
            for row, vector in enumerate(vectors):
                if vector is None or not len(vector):
                    continue
                if vector.names != first.names:
                    odd = sorted(set(vector.names) ^ set(first.names))[:3]
                    raise EstimatorError(
                        f"{instances[row].path}: its {part} features differ from those of other instances "
                        f"(first differences: {odd}); compute all with one version of the package"
                    )
                block[row] = vector.values
            blocks.append(block)
            found += first.names
        matrix = np.concatenate(blocks, axis=1) if blocks else np.empty((len(instances), 0))
        if names is None:
            if not found:
                raise EstimatorError(f"found no {features} features in any of {len(instances)} instances")
            return cls(tuple(found), matrix)
        if tuple(names) == tuple(found):
            return cls(tuple(names), matrix)
        position = {name: i for i, name in enumerate(found)}
        # A part that no instance of this call has is missing as a whole; a lone column that isn't there is a mistake.
        lost = [name for name in names if name not in position]
        if lost and blocks and len(blocks) == len(feature_parts(features)):
            raise EstimatorError(
                f"{instances[0].path}: found no feature {lost[0]!r} ({len(lost)} lacking); the estimator was fitted "
                "on features of another version of the package"
            )
        chosen = np.full((len(instances), len(names)), np.nan)
        for column, name in enumerate(names):
            if name in position:
                chosen[:, column] = matrix[:, position[name]]
        return cls(tuple(names), chosen)


@dataclass(frozen=True, eq=False)
class Imputer(Stored):
    """Puts training medians in the place of missing values and says where by indicator columns.

    Parameters
    ----------
    names
        Features that were not constant in training, in order.
    median
        ``float64[n_features]``: training medians.
    indicated
        Features that get an indicator column ``missing:<name>``: those missing in some training rows and not in others.
        Of several features that are missing in the same rows only the first is indicated.
    """

    names: tuple[str, ...]
    median: Floats
    indicated: tuple[str, ...]

    @classmethod
    def fit(cls, matrix: FeatureMatrix) -> Self:
        """Learn from training features; EstimatorError if every feature is constant or missing."""
        values = matrix.values
        missing = np.isnan(values)
        keep = []
        for column in range(values.shape[1]):
            there = values[~missing[:, column], column]
            if len(there) and there.min() < there.max():
                keep.append(column)
        patterns: set[bytes] = set()
        indicated = []
        for column in range(values.shape[1]):
            pattern = missing[:, column]
            if pattern.any() and not pattern.all() and pattern.tobytes() not in patterns:
                patterns.add(pattern.tobytes())
                indicated.append(matrix.names[column])
        if not keep and not indicated:
            raise EstimatorError(f"all of {values.shape[1]} features are constant or missing over {len(values)} rows")
        median = np.array([np.median(values[~missing[:, column], column]) for column in keep], dtype=np.float64)
        return cls(tuple(matrix.names[column] for column in keep), median, tuple(indicated))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the columns of :meth:`transform`."""
        return (*self.names, *(f"missing:{name}" for name in self.indicated))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the features that :meth:`transform` reads."""
        return tuple(dict.fromkeys((*self.names, *self.indicated)))

    def transform(self, matrix: FeatureMatrix) -> Floats:
        """Return ``float64[n, len(output_names)]``, without missing values."""
        position = {name: i for i, name in enumerate(matrix.names)}
        values = matrix.values[:, [position[name] for name in self.names]]
        values = np.where(np.isnan(values), self.median, values)
        flags = np.isnan(matrix.values[:, [position[name] for name in self.indicated]])
        return np.concatenate([values, flags.astype(np.float64)], axis=1)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; ValueError if its parts are of different sizes."""
        found = super().from_json(values)
        if found.median.shape != (len(found.names),):
            raise ValueError(f"found medians of shape {found.median.shape} for {len(found.names)} features")
        return found


@dataclass(frozen=True, eq=False)
class Standardiser(Stored):
    """Imputes, takes very skewed features in logarithms, centres and scales robustly, and clips.

    Parameters
    ----------
    imputer
        What is done first.
    logarithmic
        ``bool[n_outputs]``: columns x taken as sign(x) log(1 + |x|).
    centre, scale
        ``float64[n_outputs]``: median and standard deviation in training (the interquartile range scaled to one, or the
        standard deviation itself where more than half of the values are equal).
    low, high
        ``float64[n_outputs]``: range of the standardised values in training. Values are clipped to it plus half a
        unit on both sides: a linear model must not run away on an instance beyond what it has seen.
    """

    imputer: Imputer
    logarithmic: Bools
    centre: Floats
    scale: Floats
    low: Floats
    high: Floats

    #: Standardised values are never beyond this, whatever training saw.
    LIMIT = 6.0
    #: How far beyond the training range a standardised value may lie.
    MARGIN = 0.5

    @classmethod
    def fit(cls, matrix: FeatureMatrix) -> Self:
        """Learn from training features; EstimatorError if every feature is constant or missing."""
        imputer = Imputer.fit(matrix)
        values = imputer.transform(matrix)
        logged = _signed_log(values)
        raw_skew, log_skew = np.abs(_skewness(values)), np.abs(_skewness(logged))
        logarithmic = (raw_skew > _SKEWED) & (log_skew < raw_skew)
        logarithmic[len(imputer.names) :] = False
        values = np.where(logarithmic, logged, values)
        centre = np.median(values, axis=0)
        quarter, three_quarters = np.percentile(values, [25, 75], axis=0)
        robust_sd = (three_quarters - quarter) * _IQR_TO_SD
        deviation = values.std(axis=0)
        # A narrow box with long tails: the range would explode in units of the box.
        robust_sd = np.where(robust_sd < 0.1 * deviation, deviation, robust_sd)
        scale = np.where(robust_sd > 0, robust_sd, 1.0)
        standard = np.clip((values - centre) / scale, -cls.LIMIT, cls.LIMIT)
        return cls(imputer, logarithmic, centre, scale, standard.min(axis=0), standard.max(axis=0))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of :meth:`transform`."""
        return self.imputer.output_names

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the features that :meth:`transform` reads."""
        return self.imputer.input_names

    def transform(self, matrix: FeatureMatrix, clip: bool = True) -> Floats:
        """Return ``float64[n, len(names)]``, clipped to about the training range unless told not to."""
        values = self.imputer.transform(matrix)
        values = (np.where(self.logarithmic, _signed_log(values), values) - self.centre) / self.scale
        if not clip:
            return values
        return np.clip(values, self.low - self.MARGIN, self.high + self.MARGIN)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; ValueError if its parts are of different sizes."""
        found = super().from_json(values)
        for part in (found.logarithmic, found.centre, found.scale, found.low, found.high):
            if part.shape != (len(found.names),):
                raise ValueError(f"found values of shape {part.shape} for {len(found.names)} features")
        return found


def _signed_log(values: Floats) -> Floats:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _skewness(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    deviation = values.std(axis=0)
    safe = np.where(deviation > 0, deviation, 1.0)
    return np.asarray(((centred / safe) ** 3).mean(axis=0))
