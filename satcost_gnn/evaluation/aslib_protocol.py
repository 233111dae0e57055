"""Our tabular estimators on published scenarios of algorithm selection (ASlib), in the scenarios' own folds.

A scenario holds features and run times but no formulas, so that only estimators on static features take part. What
is learnt, chosen or calibrated for a fold is so on the other folds alone: the weights of the mixture, the level of its
intervals, which feature steps are worth their cost, and what runs before them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.aslib import AslibScenario
from satcost_gnn.data.dataset import SHORTEST_S
from satcost_gnn.distribution import CostDistribution, grid_for
from satcost_gnn.errors import DatasetError, EstimatorError
from satcost_gnn.estimators import NAMES, make_estimator
from satcost_gnn.estimators.base import TrainingTable
from satcost_gnn.evaluation.metrics import (
    auc,
    brier,
    closed_gap,
    coded_cost,
    expected_coded,
    mean_crps,
    paired_bootstrap,
    par,
    rmse,
    solved_by,
    spearman,
)
from satcost_gnn.feature_vector import FeatureVector
from satcost_gnn.instance import Instance

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

UNIT = "cpu_seconds"
#: How many solvers are predicted: those with the least mean PAR2.
BEST_SOLVERS = 10
COVERAGE = 0.8
_INNER_FOLDS = 4
# Feature steps are compared by a quick model in fewer folds: there are several sets of them.
_POLICY_FOLDS = 2
_LOG10_2 = float(np.log10(2.0))


@dataclass(frozen=True)
class TabularContender:
    """A row of the table: an estimator with its settings."""

    name: str
    estimator: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)


#: The mixture of :data:`MEMBERS`.
MIXTURE = "mixture"
#: What the published figures were obtained with, and what the others are compared with.
REFERENCE = "random_forest_untuned"
CONTENDERS: tuple[TabularContender, ...] = (
    TabularContender("constant", "constant", "constant (Kaplan-Meier)"),
    TabularContender("linear", "linear", "linear model (LMP)", {"features": "static"}),
    TabularContender("knn", "knn", "nearest neighbours", {"features": "static"}),
    TabularContender(
        REFERENCE,
        "forest",
        "random forest with scikit-learn's defaults",
        {"features": "static", "kind": "random_forest", "n_trees": 100, "max_features": 1.0, "min_leaf": 1},
    ),
    TabularContender("forest", "forest", "ExtraTrees", {"features": "static"}),
    TabularContender(
        "forest_ranks",
        "forest",
        "ExtraTrees on ranks",
        {"features": "static", "n_trees": 100, "min_leaf": 1, "ranks": True},
    ),
    TabularContender("gaussian_process", "gaussian_process", "Gaussian process", {"features": "static"}),
    TabularContender("boosting", "boosting", "gradient boosting of hazards", {"features": "static"}),
)
MEMBERS = ("forest_ranks", "gaussian_process")


@dataclass(frozen=True, eq=False)
class ScenarioProblem:
    """A scenario as a problem of prediction.

    Parameters
    ----------
    scenario
        The scenario.
    columns
        ``int64[m]``: solvers predicted, best first.
    table
        The ``n`` instances. Costs are shifted by ``shift``.
    folds
        ``int64[n]``.
    cutoff
        log10 of the cutoff, shifted.
    shift
        Added to log10 of seconds, so that the cutoff lies on an edge of the grid and the probability of being solved
        by it is exact. Differences of logarithms don't change.
    features
        Indices of the scenario's features that the instances have: all but the times of feature extraction.
    """

    scenario: AslibScenario
    columns: Integers
    table: TrainingTable
    folds: Integers
    cutoff: float
    shift: float
    features: Integers

    def with_steps(self, steps: Sequence[str]) -> TrainingTable:
        """Return the table with the features of some steps only."""
        provided = {name for step in self.scenario.steps if step.name in steps for name in step.provides}
        kept = np.array([k for k in self.features if self.scenario.feature_names[k] in provided], dtype=np.int64)
        return _table(self.scenario, self.columns, kept, self.shift)


def pose(scenario: AslibScenario, solvers: int = BEST_SOLVERS) -> ScenarioProblem:
    """Return the problem that a scenario poses.

    Raises
    ------
    DatasetError
        If the scenario has no cutoff, no folds, no features but times, or its measure is no runtime.
    """
    penalised = scenario.par(2.0)
    if scenario.folds is None:
        raise DatasetError(f"{scenario.name}: found no cv.arff, expected the published folds; get the file")
    if scenario.cutoff_s is None or len(np.unique(scenario.folds[:, 0])) < 2:
        raise DatasetError(f"{scenario.name}: found a single fold, expected at least 2 in cv.arff")
    features = np.flatnonzero(~scenario.is_time_feature)
    if not len(features):
        raise DatasetError(f"{scenario.name}: found no feature besides times of feature extraction, expected some")
    columns = np.argsort(penalised.mean(axis=0), kind="stable")[:solvers]
    grid = grid_for(UNIT)
    cutoff = float(np.log10(scenario.cutoff_s))
    edge = float(grid.edges[np.searchsorted(grid.edges, cutoff - 1e-9)])
    table = _table(scenario, columns, features, edge - cutoff)
    return ScenarioProblem(scenario, columns, table, scenario.folds[:, 0], edge, edge - cutoff, features)


def _table(scenario: AslibScenario, columns: Integers, features: Integers, shift: float) -> TrainingTable:
    assert scenario.cutoff_s is not None
    times, solved = scenario.runtimes[:, columns, 0], scenario.solved[:, columns, 0]
    # As in PAR: whatever gave no answer (timeout, crash, no run at all) counts as stopped at the cutoff.
    seconds = np.where(solved, np.maximum(times, SHORTEST_S), scenario.cutoff_s)
    names = tuple(scenario.feature_names[k] for k in features)
    # Vectors hold single precision: counts beyond it are missing, and some publishers write infinities.
    values = np.where(np.abs(scenario.features) < np.finfo(np.float32).max, scenario.features, np.nan)
    instances = [
        Instance(path=name, gbdhash=name, static=FeatureVector(names, values[i, features].astype(np.float32)))
        for i, name in enumerate(scenario.instances)
    ]
    return TrainingTable(
        instances,
        tuple(scenario.algorithms[k] for k in columns),
        UNIT,
        np.log10(seconds) + shift,
        ~solved,
        np.ones(solved.shape, dtype=bool),
        list(scenario.instances),
        np.full(len(instances), -1, dtype=np.int8),
    )


# Mixture and intervals ------------------------------------------------------------------------------------------------


def least_squares_weights(predictions: Sequence[Floats], target: Floats) -> Floats:
    """Return the weights, none negative and of sum 1, whose average of predictions has the least squared error."""
    from scipy.optimize import nnls

    # A heavy last row holds the sum at 1.
    x = np.stack([np.ravel(part) for part in predictions], axis=1)
    heavy = 1e3 * np.sqrt(len(x))
    weights, _ = nnls(np.vstack([x, np.full((1, x.shape[1]), heavy)]), np.append(np.ravel(target), heavy))
    return np.asarray(weights / weights.sum())


def interval_scores(distribution: CostDistribution, cost: Floats, censored: Bools, cutoff: float) -> Floats:
    """Return the least level whose central interval holds each PAR2-coded cost.

    The central interval of level s runs from quantile (1 - s) / 2 to quantile (1 + s) / 2, and quantiles above the
    cutoff are twice the cutoff. So a solved run's score is |2 F(y) - 1|, and a stopped one's max(0, 2 F(cutoff) - 1).
    """
    at = distribution.cdf_at(np.where(censored, cutoff, cost))
    return np.where(censored, np.maximum(2.0 * at - 1.0, 0.0), np.abs(2.0 * at - 1.0))


def conformal_level(scores: Floats, coverage: float) -> float:
    """Return the level at which intervals hold new costs with at least the coverage: a conformal quantile.

    It is the ceil((n + 1) coverage)-th least of n scores (Gupta, Kuchibhotla and Ramdas, "Nested conformal prediction
    and quantile out-of-bag ensemble methods", Pattern Recognition 127, 2022), at most 1.
    """
    ranked = np.sort(np.ravel(scores))
    place = int(np.ceil((len(ranked) + 1) * coverage))
    return float(min(ranked[place - 1], 1.0)) if place <= len(ranked) else 1.0


def coded_widths(distribution: CostDistribution, level: float, cutoff: float) -> Floats:
    """Return the widths in decades of the central intervals of a level, ends above the cutoff at twice the cutoff."""
    ends = [distribution.quantile(q) for q in ((1.0 - level) / 2, (1.0 + level) / 2)]
    low, high = (np.where(end >= cutoff, cutoff + _LOG10_2, end) for end in ends)
    return np.asarray(high - low)


# Selection ------------------------------------------------------------------------------------------------------------

_PRESOLVE_S = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True)
class Policy:
    """What a selector does: perhaps run a solver shortly, compute features, run the solver of least expected PAR2.

    Parameters
    ----------
    steps
        Feature steps computed; empty: none, and always the same solver is run.
    presolver, presolve_s
        Column of the solver that is run first, and for how many seconds; None for none.
    always
        Column run if no features are computed.
    """

    steps: tuple[str, ...]
    presolver: int | None = None
    presolve_s: float = 0.0
    always: int | None = None


def schedule_cost(
    policy: Policy, choice: Integers, runtime: Floats, solved: Bools, features_s: Floats, cutoff: float, k: float
) -> Floats:
    """Return the penalised seconds of a policy on each instance, everything that it does charged.

    Parameters
    ----------
    policy
        The policy.
    choice
        ``int64[n]``: column that its prediction picks.
    runtime, solved
        ``[n, m]``: seconds, and which runs gave an answer within the cutoff.
    features_s
        ``float64[n]``: seconds of its feature steps.
    cutoff
        Seconds for everything together.
    k
        Penalty factor.
    """
    rows = np.arange(len(choice))
    picked = np.full(len(choice), policy.always) if policy.always is not None else choice
    total = policy.presolve_s + (features_s if policy.steps else np.zeros(len(choice)))
    cost = par(runtime[rows, picked] + total, solved[rows, picked], cutoff, k)
    if policy.presolver is None:
        return cost
    early = solved[:, policy.presolver] & (runtime[:, policy.presolver] <= policy.presolve_s)
    return np.where(early, runtime[:, policy.presolver], cost)


def step_sets(scenario: AslibScenario, rows: Integers) -> list[tuple[str, ...]]:
    """Return sets of feature steps to choose from, each with all that its steps require.

    They are the publishers' default, all steps, and what the cheapest steps give for a mean cost over some rows of up
    to 0.1 %, 0.3 %, 1 % and 3 % of the cutoff. Steps that give nothing but times are left out.
    """
    steps = {step.name: step for step in scenario.steps}
    times = {name for name, is_time in zip(scenario.feature_names, scenario.is_time_feature, strict=True) if is_time}
    useful = [name for name, step in steps.items() if set(step.provides) - times]
    mean = dict.fromkeys(steps, 0.0)
    if scenario.feature_costs is not None:
        known = np.nan_to_num(scenario.feature_costs[rows], nan=0.0).mean(axis=0)
        mean = dict(zip(steps, known.tolist(), strict=True))

    def closed(names: Sequence[str]) -> tuple[str, ...]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in steps and name not in found:
                found.add(name)
                waiting += steps[name].requires
        return tuple(name for name in steps if name in found)

    everything = closed(useful)
    sets = [everything]
    default = closed(scenario.default_steps)
    if set(default) & set(useful):
        sets.append(default)
    for share in (0.001, 0.003, 0.01, 0.03):
        taken: tuple[str, ...] = ()
        for name in sorted(useful, key=mean.__getitem__):
            wider = closed([*taken, name])
            if sum(mean[step] for step in wider) <= share * (scenario.cutoff_s or np.inf):
                taken = wider
        if taken:
            sets.append(taken)
    return list(dict.fromkeys(sets))


def best_policy(
    picks: Mapping[tuple[str, ...], Integers],
    costs: Mapping[tuple[str, ...], Floats],
    runtime: Floats,
    solved: Bools,
    cutoff: float,
) -> Policy:
    """Return the policy of least mean PAR2 on training instances.

    Parameters
    ----------
    picks
        Steps -> ``int64[n]``: column picked from their features, by a model that wasn't fitted on the instance.
    costs
        Steps -> ``float64[n]``: their seconds.
    runtime, solved, cutoff
        As for :func:`schedule_cost`.
    """
    n, m = runtime.shape
    single = int(np.argmin(par(runtime, solved, cutoff).mean(axis=0)))
    best, least = Policy((), always=single), np.inf
    first: list[tuple[int | None, float]] = [(None, 0.0), *((j, s) for j in range(m) for s in _PRESOLVE_S)]
    for steps in ((), *picks):
        choice = picks.get(steps, np.full(n, single))
        for presolver, seconds in first:
            policy = Policy(steps, presolver, seconds, None if steps else single)
            mean = float(
                schedule_cost(policy, choice, runtime, solved, costs.get(steps, np.zeros(n)), cutoff, 2.0).mean()
            )
            if mean < least:
                best, least = policy, mean
    return best


# The protocol ---------------------------------------------------------------------------------------------------------


def evaluate_scenario(
    scenario: AslibScenario,
    seed: int = 0,
    contenders: Sequence[TabularContender] = CONTENDERS,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure every contender on a scenario's own folds.

    Parameters
    ----------
    scenario
        The scenario.
    seed
        Seed of the inner folds.
    contenders
        What is compared; those of :data:`MEMBERS` among them make the mixture, and the last of these chooses features.
    say
        Takes lines about the progress.

    Returns
    -------
    dict
        Plain values for JSON: ``contenders`` (name -> measures), ``mixture`` (its weights and level), ``selection``,
        ``versus_reference``, ``errors`` (name -> what went wrong), and what the scenario is.

    Raises
    ------
    DatasetError
        If the scenario lacks what is needed (see :func:`pose`).
    """
    start = time.process_time()
    problem = pose(scenario)
    table, cutoff = problem.table, problem.cutoff
    n, m = table.cost.shape
    present = [contender for contender in contenders if contender.estimator in NAMES]
    errors = {c.name: f"this version has no estimator {c.estimator!r}" for c in contenders if c not in present}
    members = [contender for contender in present if contender.name in MEMBERS]
    cdf = {contender.name: np.full((n, m, table.grid.bins + 1), np.nan) for contender in present}
    mixture = np.full((n, m, table.grid.bins + 1), np.nan)
    level, weights = np.full(n, np.nan), []
    selector = _Selector(problem, members, seed) if members else None
    for number, fold in enumerate(np.unique(problem.folds)):
        held, rest = np.flatnonzero(problem.folds == fold), np.flatnonzero(problem.folds != fold)
        train, test = table.subset(rest), [table.instances[i] for i in held]
        for contender in present:
            if contender.name in errors:
                continue
            try:
                cdf[contender.name][held] = _made(contender).fit(train).predict(test).cdf
            except (EstimatorError, ImportError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                errors[contender.name] = f"{type(error).__name__}: {error}"
                say(f"{scenario.name}: {contender.name}: {error}")
        members = [contender for contender in members if contender.name not in errors]
        if members and selector is not None:
            inner = _dealt(len(rest), _INNER_FOLDS, seed + number)
            parts = [_made(contender).out_of_fold(train, inner) for contender in members]
            y = coded_cost(train.cost, train.censored, "par2", cutoff)
            share = least_squares_weights([expected_coded(part, "par2", cutoff) for part in parts], y)
            weights.append(share)
            own = parts[0].mix(share, parts[1:])
            level[held] = conformal_level(interval_scores(own, train.cost, train.censored, cutoff), COVERAGE)
            mixture[held] = sum(w * cdf[c.name][held] for w, c in zip(share, members, strict=True))
            selector.select(rest, held, members, share, mixture[held])
        say(f"{scenario.name}: fold {number + 1} of {len(np.unique(problem.folds))}")
    found = {name: CostDistribution(table.grid, part) for name, part in cdf.items() if name not in errors}
    levels = {name: np.full(n, COVERAGE) for name in found}
    result: dict[str, Any] = {
        "scenario": scenario.name,
        "instances": n,
        "solvers": list(table.solvers),
        "solvers_of_scenario": len(scenario.algorithms),
        "cutoff_s": scenario.cutoff_s,
        "features": len(problem.features),
        "time_features_dropped": int(scenario.is_time_feature.sum()),
        "seed": seed,
    }
    if members and selector is not None:
        found[MIXTURE], levels[MIXTURE] = CostDistribution(table.grid, mixture), level
        result["mixture"] = {
            "weights": dict(zip([c.name for c in members], np.mean(weights, axis=0).tolist(), strict=True)),
            "level": float(level.mean()),
        }
        result["selection"] = selector.result()
    result["contenders"] = {name: _measures(found[name], problem, levels[name]) for name in found}
    if REFERENCE in found:
        result["versus_reference"] = {
            name: _difference(found[name], found[REFERENCE], problem, seed) for name in found if name != REFERENCE
        }
    result["errors"] = errors
    result["cpu_seconds"] = round(time.process_time() - start, 1)
    return result


class _Selector:
    """Chooses a policy on the training side of each fold and charges it on the other side."""

    def __init__(self, problem: ScenarioProblem, members: Sequence[TabularContender], seed: int) -> None:
        self._problem, self._seed = problem, seed
        # The cheapest member to fit stands for the mixture while feature steps are compared.
        self._quick = members[-1]
        self._tables: dict[tuple[str, ...], TrainingTable] = {}
        scenario = problem.scenario
        self._runtime = scenario.runtimes[:, problem.columns, 0]
        self._solved = scenario.solved[:, problem.columns, 0]
        n = len(scenario.instances)
        self._cost = {k: np.full(n, np.nan) for k in ("par2", "par10", "par2_free", "par10_free", "par2_plain")}
        self._picks = np.full(n, -1, dtype=np.int64)
        self._policies: list[Policy] = []

    def _features_s(self, steps: tuple[str, ...]) -> Floats:
        cost = self._problem.scenario.feature_cost(steps)
        if cost is None:
            return np.zeros(len(self._runtime))
        # A cost that isn't stated counts as the largest that is.
        return np.where(np.isnan(cost), np.nanmax(cost) if np.isfinite(cost).any() else 0.0, cost)

    def _table(self, steps: tuple[str, ...]) -> TrainingTable:
        if steps not in self._tables:
            self._tables[steps] = self._problem.with_steps(steps)
        return self._tables[steps]

    def select(
        self, rest: Integers, held: Integers, members: Sequence[TabularContender], share: Floats, mixture: Floats
    ) -> None:
        problem = self._problem
        assert problem.scenario.cutoff_s is not None
        cutoff = problem.scenario.cutoff_s
        everything, *others = sets = step_sets(problem.scenario, rest)
        folds = _dealt(len(rest), _POLICY_FOLDS, self._seed)
        quick = _made(self._quick)
        picks = {steps: self._best(quick.out_of_fold(self._table(steps).subset(rest), folds)) for steps in sets}
        costs = {steps: self._features_s(steps) for steps in sets}
        runtime, solved = self._runtime, self._solved
        policy = best_policy(
            picks, {steps: cost[rest] for steps, cost in costs.items()}, runtime[rest], solved[rest], cutoff
        )
        full = self._best(CostDistribution(problem.table.grid, mixture))
        if policy.steps in others:
            table = self._table(policy.steps)
            train, test = table.subset(rest), [table.instances[i] for i in held]
            parts = [_made(contender).fit(train).predict(test) for contender in members]
            choice = self._best(parts[0].mix(share, parts[1:]))
        else:
            choice = full
        args = (runtime[held], solved[held])
        spent = costs[policy.steps][held] if policy.steps else np.zeros(len(held))
        plain = Policy(everything)
        for k in (2, 10):
            self._cost[f"par{k}"][held] = schedule_cost(policy, choice, *args, spent, cutoff, k)
            self._cost[f"par{k}_free"][held] = schedule_cost(plain, full, *args, np.zeros(len(held)), cutoff, k)
        self._cost["par2_plain"][held] = schedule_cost(plain, full, *args, costs[everything][held], cutoff, 2)
        self._picks[held] = choice if policy.always is None else policy.always
        self._policies.append(policy)

    def _best(self, distribution: CostDistribution) -> Integers:
        return np.asarray(distribution.expected_par(2.0, 10.0**self._problem.cutoff).argmin(axis=1), dtype=np.int64)

    def result(self) -> dict[str, Any]:
        scenario, solvers = self._problem.scenario, self._problem.table.solvers
        assert scenario.cutoff_s is not None
        done: dict[str, Any] = {"feature_costs_stated": scenario.feature_costs is not None}
        for name, cost in self._cost.items():
            # Single and virtual best are those of all the scenario's solvers, not of the predicted ones only.
            k = 10 if name.startswith("par10") else 2
            penalised = par(scenario.runtimes[:, :, 0], scenario.solved[:, :, 0], scenario.cutoff_s, k)
            single, virtual = float(penalised.mean(axis=0).min()), float(penalised.min(axis=1).mean())
            done[name] = {
                "selector_s": float(cost.mean()),
                "single_best_s": single,
                "virtual_best_s": virtual,
                "closed_gap": closed_gap(float(cost.mean()), single, virtual),
            }
        shares = {solvers[j]: float((self._picks == j).mean()) for j in np.unique(self._picks)}
        done["pick_shares"] = dict(sorted(shares.items(), key=lambda item: -item[1]))
        done["policies"] = [
            {
                "steps": list(policy.steps),
                "presolver": None if policy.presolver is None else solvers[policy.presolver],
                "presolve_s": policy.presolve_s,
                "always": None if policy.always is None else solvers[policy.always],
            }
            for policy in self._policies
        ]
        return done


def _made(contender: TabularContender) -> Any:
    return make_estimator(contender.estimator, **contender.settings)


def _dealt(n: int, folds: int, seed: int) -> Integers:
    return np.random.default_rng(seed).permutation(n) % folds


def _mean_rmse(point: Floats, problem: ScenarioProblem, coding: str, rows: Integers | None = None) -> float:
    """Return the mean over solvers of the RMSE."""
    rows = np.arange(len(point)) if rows is None else rows
    y, stopped = problem.table.cost[rows], problem.table.censored[rows]
    return float(
        np.nanmean(
            [
                rmse(point[rows, j], y[:, j], stopped[:, j], coding=coding, cutoff=problem.cutoff)
                for j in range(y.shape[1])
            ]
        )
    )


def _measures(found: CostDistribution, problem: ScenarioProblem, level: Floats) -> dict[str, float]:
    table, cutoff = problem.table, problem.cutoff
    points = {coding: expected_coded(found, coding, cutoff) for coding in ("solved", "capped", "par2")}
    p_solved, outcome = found.cdf_at(cutoff), solved_by(table.cost, table.censored, cutoff)
    scores = interval_scores(found, table.cost, table.censored, cutoff)
    widths = np.concatenate([coded_widths(found[level == one], float(one), cutoff) for one in np.unique(level)])
    inside = scores <= level[:, None]
    solvers = range(len(table.solvers))
    return {
        **{f"rmse_{coding}": _mean_rmse(point, problem, coding) for coding, point in points.items()},
        "spearman_solved": float(
            np.nanmean([spearman(points["solved"][:, j], table.cost[:, j], table.censored[:, j]) for j in solvers])
        ),
        "crps": mean_crps(found, table.cost, table.censored, cutoff),
        "brier": brier(p_solved, outcome),
        "auc": float(np.nanmean([auc(p_solved[:, j], outcome[:, j]) for j in solvers])),
        "coverage_80": float(inside.mean()),
        "coverage_80_solved": float(inside[~table.censored].mean()),
        "width_80": float(widths.mean()),
    }


def _difference(
    found: CostDistribution, reference: CostDistribution, problem: ScenarioProblem, seed: int
) -> dict[str, float]:
    ours, theirs = (expected_coded(part, "par2", problem.cutoff) for part in (found, reference))
    paired = paired_bootstrap(
        partial(_rows_rmse, ours, problem), partial(_rows_rmse, theirs, problem), len(ours), count=500, seed=seed
    )
    base = _mean_rmse(theirs, problem, "par2")
    return {
        "difference": paired.value,
        "low": paired.low,
        "high": paired.high,
        "p_value": paired.p_value,
        "relative": paired.value / base,
    }


def _rows_rmse(point: Floats, problem: ScenarioProblem, rows: Integers) -> float:
    return _mean_rmse(point, problem, "par2", rows)
