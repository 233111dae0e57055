"""The grid of costs that distributions live on, one a unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CostGrid:
    """Equal bins of log10 cost.

    Parameters
    ----------
    unit
        Name of the cost's unit (``conflicts``, ``propagations``, ``cpu_seconds``).
    low, high
        log10 of the cost at the lower and the upper end.
    bins
        Number of bins.

    Raises
    ------
    ValueError
        If the ends are not finite and rising or there is no bin.
    """

    unit: str
    low: float
    high: float
    bins: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"found a grid from {self.low} to {self.high}; expected finite ends with low < high")
        if self.bins < 1:
            raise ValueError(f"found a grid of {self.bins} bins; expected at least 1")

    @property
    def edges(self) -> Floats:
        """``float64[bins + 1]``: log10 cost at the edges."""
        return np.linspace(self.low, self.high, self.bins + 1)

    @property
    def centres(self) -> Floats:
        """``float64[bins]``: log10 cost at the middle of each bin."""
        edges = self.edges
        return 0.5 * (edges[1:] + edges[:-1])

    @property
    def width(self) -> float:
        """Width of a bin in decades."""
        return (self.high - self.low) / self.bins

    def bin_of(self, log10_cost: ArrayLike) -> NDArray[np.int64]:
        """Return the bin ``(edge[i], edge[i+1]]`` that holds each value, the outermost bins taking what is outside."""
        inner = self.edges[1:-1]
        return np.searchsorted(inner, np.asarray(log10_cost, dtype=np.float64), side="left").astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the grid as plain values for JSON."""
        return {"unit": self.unit, "low": self.low, "high": self.high, "bins": self.bins}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CostGrid:
        """Build a grid from :meth:`to_json`."""
        return cls(str(values["unit"]), float(values["low"]), float(values["high"]), int(values["bins"]))


#: Unit -> how it is written for people.
UNIT_LABELS: dict[str, str] = {
    "conflicts": "conflicts",
    "propagations": "propagations",
    "cpu_seconds": "CPU seconds",
}

#: Unit -> the grid that estimators share.
GRIDS: dict[str, CostGrid] = {
    "conflicts": CostGrid("conflicts", 0.0, 9.0, 36),
    "propagations": CostGrid("propagations", 2.0, 12.0, 40),
    "cpu_seconds": CostGrid("cpu_seconds", -3.0, 5.0, 32),
}


def grid_for(unit: str) -> CostGrid:
    """Return the shared grid of a unit; ValueError for an unknown unit."""
    try:
        return GRIDS[unit]
    except KeyError:
        raise ValueError(f"found cost unit {unit!r}; expected one of {', '.join(GRIDS)}") from None


# Arguments of the questions to distributions, checked and brought to one shape.


def broadcast_over(x: Floats, cdf: Floats) -> tuple[Floats, Floats]:
    """Broadcast per-distribution values and CDFs to the same leading axes."""
    shape = np.broadcast_shapes(x.shape, cdf.shape[:-1])
    return np.broadcast_to(x, shape), np.broadcast_to(cdf, (*shape, cdf.shape[-1]))


def quantile_levels(q: ArrayLike) -> tuple[Floats, bool]:
    """Return checked levels as an array, and whether there was a single number."""
    levels = np.asarray(q, dtype=np.float64)
    if levels.ndim > 1:
        raise ValueError(f"found levels of shape {levels.shape}; expected a number or a one-dimensional array")
    if not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"found quantile levels {levels.tolist()}; expected numbers from 0 to 1")
    return np.atleast_1d(levels), levels.ndim == 0


def log10_budget(budget: ArrayLike, what: str) -> Floats:
    """Return log10 of a budget that is not negative; -inf for 0."""
    value = np.asarray(budget, dtype=np.float64)
    if np.isnan(value).any() or (value < 0).any():
        raise ValueError(f"found {what} {budget!r}; expected a number that is not negative")
    return np.log10(value, out=np.full(value.shape, -np.inf), where=value > 0)
