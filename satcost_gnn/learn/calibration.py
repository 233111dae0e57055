"""Calibration of predicted distributions on instances that the estimator was not trained on.

The probability integral transform (PIT) of a run is the predicted probability of costing at most what it did cost. If
predictions were right, PITs would be uniform. A calibration is the monotone map of probability levels that makes those
of a calibration split uniform: split conformal prediction at all levels at once, since the k-th smallest of n PITs
takes the level k / (n + 1). For a new run that is exchangeable with them, the calibrated q-quantile then covers with
probability q (up to 1 / (n + 1)).

Predictions of seconds and of hours err differently, and runs of hours are few: so each solver has several maps, of
calibration runs of like predicted cost (conformal prediction by groups, called Mondrian: Vovk, Gammerman and Shafer,
"Algorithmic learning in a random world", 2005; by the size of the prediction: Boström and Johansson, "Mondrian
conformal regressors", COPA 2020), and what lies between two groups is calibrated by both.

What that does not cover: for a run that was stopped only a lower bound of its PIT is known. The distribution of PITs is
then estimated by Kaplan-Meier. It is valid for predicted costs below the cutoff; above it, a calibrated quantile is as
good as the assumption that stopping says nothing about the cost, and the guarantee is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.learn.stored_estimator import Stored

Floats = NDArray[np.float64]

#: With fewer calibration runs a solver's predictions are left as they are.
LEAST_RUNS = 30

#: A group of like predicted cost has so many calibration runs, and half as many that were not stopped, at least.
LEAST_IN_GROUP = 50

_FORMAT = 2
# Levels at which the map has its knots: dense in the tails, where intervals end.
_LEVELS = np.array(
    [0.005, 0.01, 0.025, *np.arange(0.05, 0.951, 0.05), 0.975, 0.99, 0.995],
)
# Share of a wide normal in what is calibrated, so that no cost is impossible and every PIT lies between 0 and 1.
_WIDE_SHARE = 0.05
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class RecalibrationMap(Stored):
    """Calibration of one solver's runs, or of a group of them.

    Parameters
    ----------
    predicted, calibrated
        Rising knots from 0 to 1: a predicted probability and what it is calibrated to, linear between. Empty for no
        calibration.
    sd
        Standard deviation in decades that the wide normal has beyond the prediction's own.
    runs, censored
        Calibration runs, and how many of them are censored.
    note
        Why there is no calibration, or how far it is valid; empty if there is nothing to say.
    """

    predicted: Floats
    calibrated: Floats
    sd: float
    runs: int
    censored: int
    note: str

    @property
    def is_identity(self) -> bool:
        """Whether it leaves predictions as they are."""
        return len(self.predicted) == 0

    @classmethod
    def fit(cls, distribution: CostDistribution, log10_cost: Floats, censored: NDArray[np.bool_]) -> Self:
        """Fit to predictions of shape ``(n,)`` and what the runs did cost."""
        runs, stopped = len(log10_cost), int(censored.sum())
        nothing = np.empty(0)
        if runs < LEAST_RUNS:
            note = f"not calibrated: {runs} calibration runs, at least {LEAST_RUNS} are needed"
            return cls(nothing, nothing, 0.0, runs, stopped, note)
        if runs - stopped < LEAST_RUNS // 2:
            note = f"not calibrated: only {runs - stopped} of {runs} calibration runs were not stopped"
            return cls(nothing, nothing, 0.0, runs, stopped, note)
        residual = np.abs(distribution.median() - log10_cost)[~censored]
        sd = float(max(np.quantile(residual, 0.9), 0.25))
        # A cost beyond the grid has no PIT but a lower bound, like a censored run.
        hidden = censored | (log10_cost > distribution.grid.high)
        reached = np.minimum(log10_cost, distribution.grid.high)
        wide = widened(distribution, sd)
        predicted = calibrated = np.array([0.0, 1.0])
        # A map is applied at the edges of the grid, with straight lines between, which is not quite what was fitted
        # where a prediction is sharper than a bin. Fitting again to what comes out puts that right.
        for _ in range(_ROUNDS):
            pit = _mapped(wide, predicted, calibrated).cdf_at(reached)
            level, at = _levels_of(pit, hidden)
            wanted = _LEVELS[(level[0] <= _LEVELS) & (level[-1] >= _LEVELS)]
            knots = np.interp(np.interp(wanted, level, at), calibrated, predicted)
            predicted = np.concatenate([[0.0], knots, [1.0]])
            calibrated = np.concatenate([[0.0], wanted, [1.0]])
            # Equal knots would make the map jump; a rise too small to matter keeps it a function both ways.
            predicted = np.maximum.accumulate(predicted) + 1e-9 * np.arange(len(predicted))
            predicted = predicted / predicted[-1]
        note = ""
        if stopped:
            note = (
                f"{stopped} of {runs} calibration runs were stopped: valid for costs below the cutoff only; above it, "
                "quantiles rest on the assumption that stopping says nothing about the cost"
            )
        return cls(predicted, calibrated, sd, runs, stopped, note)

    def apply(self, distribution: CostDistribution) -> CostDistribution:
        """Return the calibrated distributions."""
        if self.is_identity:
            return distribution
        return _mapped(widened(distribution, self.sd), self.predicted, self.calibrated)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; ValueError if the map doesn't rise from 0 to 1."""
        found = super().from_json(values)
        if found.predicted.shape != found.calibrated.shape:
            raise ValueError(f"found {len(found.predicted)} predicted and {len(found.calibrated)} calibrated levels")
        for knots in () if found.is_identity else (found.predicted, found.calibrated):
            if knots[0] != 0 or knots[-1] != 1 or (np.diff(knots) < 0).any():
                raise ValueError("the levels of a calibration must rise from 0 to 1")
        return found


@dataclass(frozen=True, eq=False)
class MapsBySize(Stored):
    """Calibration of one solver: a map for each group of runs of like predicted cost.

    Parameters
    ----------
    centres
        ``float64[groups]``, rising: log10 of the median predicted cost of each group's calibration runs. What is
        predicted between two centres is calibrated by both maps, weighed by its distance; beyond the ends by one.
    maps
        One for each group.
    """

    centres: Floats
    maps: tuple[RecalibrationMap, ...]

    @classmethod
    def fit(cls, distribution: CostDistribution, log10_cost: Floats, censored: NDArray[np.bool_]) -> Self:
        """Fit to predictions of shape ``(n,)`` and what the runs did cost."""
        median = distribution.median()
        groups = size_groups(median, censored)
        if len(groups) < 2:
            whole = RecalibrationMap.fit(distribution, log10_cost, censored)
            return cls(np.zeros(1), (whole,))
        maps = [RecalibrationMap.fit(distribution[rows], log10_cost[rows], censored[rows]) for rows in groups]
        return cls(np.array([np.median(median[rows]) for rows in groups]), tuple(maps))

    def apply(self, distribution: CostDistribution) -> CostDistribution:
        """Return the calibrated distributions."""
        each = [one.apply(distribution) for one in self.maps]
        if len(each) == 1:
            return each[0]
        place = np.interp(distribution.median(), self.centres, np.arange(len(self.centres)))
        weights = [np.maximum(1.0 - np.abs(place - k), 0.0) for k in range(len(each))]
        return CostDistribution.mixture(each, np.stack(weights))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; ValueError if maps and centres don't fit each other."""
        found = super().from_json(values)
        centres, maps = found.centres, found.maps
        if centres.shape != (len(maps),) or not maps or not (np.diff(centres) > 0).all():
            raise ValueError(f"found {len(maps)} maps and centres {centres.tolist()}; expected rising ones, one a map")
        return found


def size_groups(median: Floats, censored: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return calibration runs (``int64[k]`` each) in groups of like predicted cost, in rising order.

    They are whole decades of the median (``float64[n]``, log10), from the largest on; one with less than
    :data:`LEAST_IN_GROUP` runs, or half as many that were not stopped, is joined with the next. A single group if there
    are no two.
    """
    decade = np.floor(median).astype(np.int64)
    groups: list[NDArray[np.int64]] = []
    rows = np.zeros(0, dtype=np.int64)
    for one in np.unique(decade)[::-1]:
        rows = np.concatenate([rows, np.flatnonzero(decade == one)])
        if len(rows) >= LEAST_IN_GROUP and (~censored[rows]).sum() >= LEAST_IN_GROUP // 2:
            groups.append(np.sort(rows))
            rows = np.zeros(0, dtype=np.int64)
    if len(rows):
        # Too few at the lower end: they belong to the lowest group that there is.
        groups = [*groups[:-1], np.sort(np.concatenate([*groups[-1:], rows]))]
    return groups[::-1]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration of one estimator in one unit: maps for each solver, in the order of the predictions' last axis."""

    unit: str
    maps: tuple[MapsBySize, ...]

    @classmethod
    def fit(
        cls,
        distribution: CostDistribution,
        log10_cost: ArrayLike,
        censored: ArrayLike,
        known: ArrayLike | None = None,
    ) -> Self:
        """Fit to a calibration split: instances that took no part in training.

        Parameters
        ----------
        distribution
            Predictions of shape ``(n, n_solvers)``, or ``(n,)`` for a single solver.
        log10_cost, censored
            What the runs cost, or the bound where stopped, and which are; the same shape.
        known
            Which runs there are; default: those whose cost isn't NaN.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        y = np.asarray(log10_cost, dtype=np.float64)
        stopped = np.asarray(censored, dtype=bool)
        given = np.ones(y.shape, dtype=bool) if known is None else np.asarray(known, dtype=bool)
        if not distribution.shape == y.shape == stopped.shape == given.shape or y.ndim not in (1, 2):
            raise ValueError(
                f"found predictions {distribution.shape}, costs {y.shape}, censored {stopped.shape}, known "
                f"{given.shape}; expected one shape, (n, n_solvers) or (n,)"
            )
        there = given & ~np.isnan(y)
        if y.ndim == 1:
            distribution, y = distribution.reshape(len(y), 1), y[:, None]
            stopped, there = stopped[:, None], there[:, None]
        maps = []
        for column in range(y.shape[1]):
            rows = np.flatnonzero(there[:, column])
            maps.append(MapsBySize.fit(distribution[rows, column], y[rows, column], stopped[rows, column]))
        return cls(distribution.grid.unit, tuple(maps))

    def apply(self, distribution: CostDistribution) -> CostDistribution:
        """Return the calibrated distributions; ValueError if unit or number of solvers are not those fitted to."""
        if distribution.grid.unit != self.unit:
            raise ValueError(f"found predictions in {distribution.grid.unit}; the calibration is for {self.unit}")
        if len(self.maps) == 1 and len(distribution.shape) < 2:
            return self.maps[0].apply(distribution)
        if not distribution.shape or distribution.shape[-1] != len(self.maps):
            raise ValueError(
                f"found predictions of shape {distribution.shape}; expected (..., {len(self.maps)}), a column for each "
                "solver"
            )
        cdf = np.empty(distribution.cdf.shape)
        for column, maps in enumerate(self.maps):
            part = CostDistribution(distribution.grid, distribution.cdf[..., column, :])
            cdf[..., column, :] = maps.apply(part).cdf
        return CostDistribution(distribution.grid, cdf)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "format": _FORMAT,
            "unit": self.unit,
            # What earlier versions read.
            "solvers": [],
            "maps": [one.to_json() for one in self.maps],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; CheckpointError if a value is missing or invalid, or the format is another."""
        try:
            if int(values["format"]) != _FORMAT:
                raise CheckpointError(
                    f"calibration: found format {values['format']}, expected {_FORMAT}; "
                    "use the version of satcost-gnn that wrote it"
                )
            maps = tuple(MapsBySize.from_json(item) for item in values["maps"])
            return cls(str(values["unit"]), maps)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"calibration: it is damaged: {type(error).__name__}: {error}") from error


def widened(distribution: CostDistribution, sd: float) -> CostDistribution:
    """Return the distributions mixed with a little of a wide normal around the same means."""
    wide = CostDistribution.normal(distribution.grid, distribution.mean(), np.hypot(distribution.sd(), 2.0 * sd))
    return CostDistribution.mixture([distribution, wide], [1.0 - _WIDE_SHARE, _WIDE_SHARE])


def _mapped(distribution: CostDistribution, predicted: Floats, calibrated: Floats) -> CostDistribution:
    return CostDistribution(distribution.grid, np.interp(distribution.cdf, predicted, calibrated))


def _levels_of(pit: Floats, hidden: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the levels k / (n + 1) of the sorted PITs, by Kaplan-Meier where some are lower bounds only."""
    order = np.lexsort((hidden, pit))
    u, event = pit[order], ~hidden[order]
    n = len(u)
    # One more run is at risk to the end: the one to be predicted. Without bounds this gives exactly k / (n + 1).
    at_risk = n + 1 - np.arange(n)
    survival: Floats = np.cumprod(np.where(event, 1.0 - 1.0 / at_risk, 1.0), dtype=np.float64)
    return 1.0 - survival[event], u[event]
