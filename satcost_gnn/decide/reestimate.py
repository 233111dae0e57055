"""The cost of a run predicted anew while it goes on: the prediction before it, what has been survived, how it searches.

A landmark model (van Houwelingen, "Dynamic prediction by landmarking in event history analysis", Scandinavian Journal
of Statistics 2007). At a landmark the run has used t and goes on. Beyond it, time is counted relative to t: the k-th
interval is from t 10^d(k) to t 10^d(k+1). The probability h(k) that the run ends within it, if it gets there, is

    logit h(k) = a(k) + b logit p(k) + c x,

where p(k) is what the prediction before the run says of the same (conditioned on having got there), and x are features
of the search so far: what it has used, rates, how they have changed since half of the conflicts, how surprised the
prediction before is to see the run go on, and what had been predicted at that half (as in Haim and Walsh, "Online
estimation of search cost", 2008, where earlier predictions join the features). Everything is a ratio or a logarithm,
and needs no more of a solver than its counters. Nothing here imports torch or scikit-learn unless a model is fitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Self

import numpy as np

from satcost_gnn.core.distribution import GRIDS, CostDistribution, CostGrid
from satcost_gnn.decide.hazard_stage import Floats, Stage
from satcost_gnn.errors import EstimatorError

#: log10 of multiples of what has been used: the ends of the intervals of the hazard.
LEADS: Floats = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0])
# Bins of 0.05 decades, so that every lead is an edge.
_BINS = 60
#: Features of the search so far, see :func:`search_features`.
FEATURES = (
    "log10_used",
    "log10_conflicts",
    "log10_decisions_per_conflict",
    "log10_propagations_per_conflict",
    "log10_conflicts_per_restart",
    "decisions_trend",
    "propagations_trend",
    "restarts_trend",
    "seconds_trend",
    "prior_survival",
    "prior_width",
)
#: The one more feature of the second stage.
EARLIER = "earlier_prediction"
# Weight of "any cost is possible" beside the prediction before the run, so that a run that outlives it is no surprise
# of probability 0.
_VAGUE = 0.05
_LEAST_HAZARD = 1e-3
# Conflicts below which a state is nothing to learn from: the prediction is for runs that have got so far.
_LEAST_CONFLICTS = 2000
# Ridge penalty of both stages.
_PENALTY = 1.0
_FILE = "reestimator.json"


@dataclass(frozen=True)
class SearchState:
    """Counters of a running solver, from the beginning of its run; None for those that aren't known.

    ``cpu_s`` are CPU seconds of the solver.
    """

    conflicts: int
    decisions: int | None
    propagations: int | None
    restarts: int | None
    cpu_s: float

    def cost(self, unit: str) -> float:
        """Return what has been used, in a cost unit; NaN if it isn't counted, ValueError for an unknown unit."""
        if unit not in GRIDS:
            raise ValueError(f"found cost unit {unit!r}; expected one of {', '.join(GRIDS)}")
        value = {"conflicts": self.conflicts, "propagations": self.propagations, "cpu_seconds": self.cpu_s}[unit]
        return float("nan") if value is None else float(value)


def half_way(history: Sequence[SearchState]) -> int:
    """Return the index of the last state with at most half the conflicts of the latest; -1 if there is none."""
    counts = np.array([state.conflicts for state in history])
    return int(np.searchsorted(counts, counts[-1] / 2, side="right")) - 1


def _ratio(a: float | None, b: float | None) -> float:
    return float("nan") if a is None or b is None else float(np.log10((a + 1.0) / (b + 1.0)))


def _trend(before: int | None, after: int | None, then: SearchState, now: SearchState) -> float:
    """Return log10 of a counter's rate per conflict between two states over its rate before them; NaN if not known."""
    if before is None or after is None:
        return float("nan")
    return _ratio(after - before, now.conflicts - then.conflicts) - _ratio(before, then.conflicts)


def search_features(history: Sequence[SearchState], prior: CostDistribution, unit: str) -> Floats:
    """Return the features of a search so far.

    Parameters
    ----------
    history
        States of the run in order of time; the last is the landmark.
    prior
        Prediction before the run, of shape ``()``.

    Returns
    -------
    float64[len(FEATURES)]
        NaN where something isn't counted, or there is nothing to compare with yet.
    """
    now = history[-1]
    index = half_way(history)
    rates = [
        _ratio(now.decisions, now.conflicts),
        _ratio(now.propagations, now.conflicts),
        _ratio(now.conflicts, now.restarts),
    ]
    trends = [float("nan")] * 4
    if index >= 0:
        then = history[index]
        for k, counter in enumerate(("decisions", "propagations", "restarts")):
            trends[k] = _trend(getattr(then, counter), getattr(now, counter), then, now)
        # A history without counters has no clock of its own either.
        if now.decisions is not None:
            since = max(now.cpu_s - then.cpu_s, 1e-3) / (now.conflicts - then.conflicts + 1)
            trends[3] = float(np.log10(since / (max(then.cpu_s, 1e-3) / (then.conflicts + 1))))
    used = np.log10(max(now.cost(unit), 10.0**prior.grid.low))
    low, high = prior.interval(0.8)
    survival = float(np.log10(max(1.0 - float(prior.cdf_at(used)), 1e-3)))
    return np.array([used, np.log10(now.conflicts + 1.0), *rates, *trends, survival, float(high - low)])


def _survival(prior: CostDistribution, log10_cost: Floats) -> Floats:
    """Return the probability of costing more under the prior with a share of vagueness; positive everywhere."""
    grid = prior.grid
    # Evenly spread in log10 cost, to two decades beyond the grid and with a rest beyond that.
    vague = np.clip((log10_cost - grid.low) / (grid.high + 2.0 - grid.low), 0.0, 0.95)
    return 1.0 - (1.0 - _VAGUE) * prior.cdf_at(log10_cost) - _VAGUE * vague


def conditional(prior: CostDistribution, used: float) -> CostDistribution:
    """Return the distribution of the whole cost given that it is more than what has been used.

    It is on a grid of its own that begins at what has been used: on the shared grid, whose bins are a quarter of a
    decade, :meth:`CostDistribution.condition_above` would leave probability on costs that have been passed.

    Parameters
    ----------
    prior
        Prediction before the run, of shape ``()``.
    used
        Cost so far, in the prior's unit.
    """
    start = max(float(np.log10(max(used, 1e-300))), prior.grid.low)
    grid = CostGrid(prior.grid.unit, start, start + float(LEADS[-1]), _BINS)
    survival = _survival(prior, grid.edges)
    return CostDistribution(grid, 1.0 - survival / survival[0])


def _lead_hazards(prior: CostDistribution, used: float) -> Floats:
    """``float64[len(LEADS) - 1]``: probability under the prior of ending in each interval if it is reached."""
    survival = _survival(prior, np.log10(max(used, 1e-300)) + LEADS)
    return np.asarray(np.clip(1.0 - survival[1:] / survival[:-1], _LEAST_HAZARD, 1.0 - _LEAST_HAZARD))


@dataclass(frozen=True)
class RecordedRun:
    """A run to learn from.

    Parameters
    ----------
    group
        Instance; runs of one instance are kept together in cross-validation.
    history
        States in order of time.
    total
        What the whole run cost, or if ``censored`` a bound that it exceeds.
    priors
        Unit -> prediction before the run, of shape ``()``.
    weight
        How many runs it stands for.
    """

    group: str
    history: tuple[SearchState, ...]
    total: SearchState
    priors: Mapping[str, CostDistribution]
    censored: bool = False
    weight: float = 1.0


class Reestimator:
    """Predicts the whole cost of a run from the prediction before it and its search so far.

    Parameters
    ----------
    stages
        Unit -> the two stages: without and with the earlier prediction.
    population
        Unit -> distribution over the runs of the training data, of shape ``()``: what stands for the prediction before
        the run if there is none.
    provenance
        What it was fitted on.
    """

    def __init__(
        self,
        stages: Mapping[str, tuple[Stage, Stage]],
        population: Mapping[str, CostDistribution],
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.stages, self.population, self.provenance = dict(stages), dict(population), dict(provenance or {})

    @classmethod
    def fit(
        cls,
        runs: Sequence[RecordedRun],
        population: Mapping[str, CostDistribution],
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Fit both stages for every unit that all runs have a prediction in.

        All states of the runs with enough conflicts are landmarks and weigh alike, as a monitor meets them: to choose
        or weigh them by how long their run turned out to be would tell of the future. Together they weigh as much as
        the runs.

        Raises
        ------
        EstimatorError
            If there is no landmark.
        """
        stages = {}
        for unit in sorted(set.intersection(*(set(run.priors) for run in runs)) if runs else set()):
            rows = [row for run in runs for row in _landmarks(run, unit)]
            if not rows:
                continue
            prior, ended = np.stack([row.hazards for row in rows]), np.stack([row.ended for row in rows])
            # Landmarks of one run are far from independent, which the penalty has to be weighed against.
            share = sum(run.weight for run in runs) / sum(row.weight for row in rows)
            x, at_risk = np.stack([row.features for row in rows]), share * np.stack([row.at_risk for row in rows])
            first = Stage.fit(prior, x, ended, at_risk, _PENALTY)
            earlier = np.array([_earlier(first, row.prior, row.history, unit) for row in rows])
            second = Stage.fit(prior, np.column_stack([x, earlier]), ended, at_risk, _PENALTY)
            stages[unit] = (first, second)
        if not stages:
            raise EstimatorError("found no run with a prediction and enough conflicts; expected some to learn from")
        return cls(stages, population, provenance)

    def reestimate(self, unit: str, prior: CostDistribution | None, history: Sequence[SearchState]) -> CostDistribution:
        """Predict the whole cost of a run that goes on.

        Parameters
        ----------
        prior
            Prediction before the run in this unit, of shape ``()``; None for that of any run in the training data,
            which is conditioned on what has been survived and no more.
        history
            States of the run in order of time, the last one now.

        Returns
        -------
        CostDistribution
            Of shape ``()``, on a grid that begins at what has been used; what lies beyond 1000 times that isn't told
            apart.

        Raises
        ------
        EstimatorError
            If the model hasn't been fitted for the unit or there is no history.
        """
        if unit not in self.stages:
            raise EstimatorError(f"found unit {unit!r}; expected one of {', '.join(self.stages)}")
        if not history:
            raise EstimatorError("found no state of the run; expected at least one")
        used = history[-1].cost(unit)
        if prior is None:
            # The model corrects predictions; of how far any run may be from all others it has learnt nothing.
            return conditional(self.population[unit], used)
        first, second = self.stages[unit]
        x = np.append(search_features(history, prior, unit), _earlier(first, prior, history, unit))
        return _from_lead_hazards(unit, used, second.hazards(_lead_hazards(prior, used), x))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "features": [*FEATURES, EARLIER],
            "leads": LEADS.tolist(),
            "provenance": self.provenance,
            "stages": {unit: [stage.to_json() for stage in pair] for unit, pair in self.stages.items()},
            "population": {
                unit: {"grid": found.grid.to_json(), "cdf": found.cdf.round(6).tolist()}
                for unit, found in self.population.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`.

        Raises
        ------
        EstimatorError
            If it is of another version: other features or intervals.
        """
        if list(values.get("features", ())) != [*FEATURES, EARLIER] or list(values.get("leads", ())) != LEADS.tolist():
            raise EstimatorError("found a re-estimator of other features or intervals; fit it with this version")
        return cls(
            {unit: (Stage.from_json(pair[0]), Stage.from_json(pair[1])) for unit, pair in values["stages"].items()},
            {
                unit: CostDistribution(CostGrid.from_json(found["grid"]), np.array(found["cdf"]))
                for unit, found in values["population"].items()
            },
            values.get("provenance"),
        )

    @classmethod
    def shipped(cls) -> Self | None:
        """Return the one that comes with the package, None if there is none."""
        values = _shipped_values()
        return cls.from_json(values) if values is not None else None


@lru_cache(maxsize=1)
def _shipped_values() -> dict[str, Any] | None:
    place = resources.files("satcost_gnn.decide") / _FILE
    return dict(json.loads(place.read_text())) if place.is_file() else None


def _from_lead_hazards(unit: str, used: float, hazards: Floats) -> CostDistribution:
    start = float(np.log10(max(used, 1e-300)))
    grid = CostGrid(unit, start, start + float(LEADS[-1]), _BINS)
    survival = np.concatenate([[1.0], np.cumprod(1.0 - hazards)])
    return CostDistribution(grid, np.interp(grid.edges - start, LEADS, 1.0 - survival))


def _earlier(first: Stage, prior: CostDistribution, history: Sequence[SearchState], unit: str) -> float:
    """Return log10 of the cost that was predicted at half of the conflicts over the present one; NaN before."""
    index = half_way(history)
    if index < 0:
        return float("nan")
    then = history[: index + 1]
    used = then[-1].cost(unit)
    if not used > 0:
        return float("nan")
    hazards = first.hazards(_lead_hazards(prior, used), search_features(then, prior, unit))
    return float(_from_lead_hazards(unit, used, hazards).median() - np.log10(history[-1].cost(unit)))


@dataclass(frozen=True, eq=False)
class _Landmark:
    prior: CostDistribution
    hazards: Floats
    features: Floats
    ended: Floats
    at_risk: Floats
    weight: float
    history: tuple[SearchState, ...]


def _landmarks(run: RecordedRun, unit: str) -> list[_Landmark]:
    """Return every landmark of a run."""
    prior, total = run.priors[unit], run.total.cost(unit)
    found = []
    for k, state in enumerate(run.history):
        if state.conflicts < _LEAST_CONFLICTS or not 0 < state.cost(unit) < total:
            continue
        history, used = run.history[: k + 1], state.cost(unit)
        reached = np.log10(total / used)
        if run.censored:
            ended = np.zeros(len(LEADS) - 1)
            # The interval in which the run was stopped counts for the part that it was seen to survive. Were it left
            # out, while runs that ended in it stay, an end in every interval that a limit cuts would look all but
            # certain.
            at_risk = np.clip((reached - LEADS[:-1]) / np.diff(LEADS), 0.0, 1.0)
        else:
            ended = ((LEADS[:-1] < reached) & (reached <= LEADS[1:])).astype(np.float64)
            at_risk = (LEADS[:-1] < reached).astype(np.float64)
        features = search_features(history, prior, unit)
        at_risk = run.weight * at_risk
        found.append(_Landmark(prior, _lead_hazards(prior, used), features, ended, at_risk, run.weight, history))
    return found
