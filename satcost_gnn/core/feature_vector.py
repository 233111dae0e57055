"""A named vector of features with a mask and the time it took: what every feature extractor returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FeatureVector:
    """Features of one instance.

    Parameters
    ----------
    names
        One name a value, unique.
    values
        ``float32[n]``; NaN marks a missing value, and every other value is finite.
    seconds
        Wall seconds spent on each group of features.

    Raises
    ------
    ValueError
        If the names and the values differ in number, a name comes twice, or a value is infinite.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = tuple(self.names)
        values = np.array(self.values, dtype=np.float32)
        if values.shape != (len(names),):
            raise ValueError(f"found values of shape {values.shape}; expected ({len(names)},), one for each name")
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"feature names must be unique; found {twice} more than once")
        infinite = np.isinf(values)
        if infinite.any():
            raise ValueError(f"features must be finite or NaN; found infinite {names[int(np.argmax(infinite))]!r}")
        values.flags.writeable = False
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "seconds", dict(self.seconds))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> float:
        """Return the value of one feature (NaN if missing); KeyError for an unknown name."""
        try:
            return float(self.values[self.names.index(name)])
        except ValueError:
            like = get_close_matches(name, self.names)
            raise KeyError(f"unknown feature {name!r}" + (f"; there are {', '.join(like)}" if like else "")) from None

    def __reduce__(self) -> tuple[object, ...]:
        # Through the constructor, so that a copy from another process is read-only too.
        return type(self), (self.names, np.array(self.values), self.seconds)

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """``bool[n]``: which values are missing."""
        return np.isnan(self.values)

    @property
    def total_seconds(self) -> float:
        """Wall seconds over all groups."""
        return float(sum(self.seconds.values()))

    @classmethod
    def missing(cls, names: Iterable[str]) -> FeatureVector:
        """Return a vector in which every value is missing, at no cost."""
        names = tuple(names)
        return cls(names, np.full(len(names), np.nan, dtype=np.float32))

    @classmethod
    def from_mapping(
        cls, names: Iterable[str], values: Mapping[str, float], seconds: Mapping[str, float] | None = None
    ) -> FeatureVector:
        """Build a vector in the order of ``names``; names absent from ``values``, and infinite values, are missing.

        Raises
        ------
        ValueError
            If ``values`` has a name that is not in ``names``.
        """
        names = tuple(names)
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(f"found values for unknown features {unknown}")
        row = np.array([values.get(name, np.nan) for name in names], dtype=np.float64)
        row[np.abs(row) > np.finfo(np.float32).max] = np.nan
        return cls(names, row.astype(np.float32), dict(seconds or {}))

    @classmethod
    def concatenate(cls, *vectors: FeatureVector) -> FeatureVector:
        """Join vectors of different names; seconds of groups with the same name add up.

        Raises
        ------
        ValueError
            If two vectors share a feature name.
        """
        names = tuple(name for vector in vectors for name in vector.names)
        values = np.concatenate([np.zeros(0, dtype=np.float32), *(vector.values for vector in vectors)])
        seconds: dict[str, float] = {}
        for vector in vectors:
            for group, spent in vector.seconds.items():
                seconds[group] = seconds.get(group, 0.0) + spent
        return cls(names, values, seconds)

    def select(self, names: Iterable[str]) -> FeatureVector:
        """Return the named features in the order asked for; KeyError for an unknown name."""
        names = tuple(names)
        position = {name: i for i, name in enumerate(self.names)}
        chosen = np.array([position[name] for name in names], dtype=np.intp)
        return FeatureVector(names, self.values[chosen], self.seconds)

    def as_dict(self) -> dict[str, float]:
        """Return name -> value (NaN where missing)."""
        return dict(zip(self.names, self.values.tolist(), strict=True))
