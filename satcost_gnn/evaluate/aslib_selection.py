"""Selection on published scenarios: feature steps, pickers and what runs before them, chosen in the training folds.

A policy may run one solver for some seconds first, then computes some feature steps, then runs the solver that a picker
puts first; or it computes nothing and runs a fixed one. Everything that it does is charged against the cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import PortfolioBounds, of_choice, par, single_best
from satcost_gnn.data.aslib_scenario import AslibScenario
from satcost_gnn.decide.pickers import PICKERS, make_picker
from satcost_gnn.errors import EstimatorError
from satcost_gnn.evaluate.aslib_problem import ScenarioProblem
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.feature_matrix import FeatureMatrix
from satcost_gnn.learn.rank_transform import RankTransform

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_PRESOLVE_S = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# Shares of the instances on which another solver scores better than the single best that stay with the single best.
_LOYAL = (0.0, 0.25, 0.5, 0.75)
# A choice that isn't better than the single best by so many standard errors is not made.
STANDARD_ERRORS = 1.0
_CHOICE_FOLDS = 5
#: The picker that takes the least expected PAR2 of the predicted distributions.
EXPECTED = "expected_par"
#: The mean of the others, each in units of its standard deviation.
COMMITTEE = "committee"


@dataclass(frozen=True)
class Policy:
    """What a selector does.

    Parameters
    ----------
    single
        Column of the single best solver. It is run if no features are computed, and where no other one scores
        better by more than the margin.
    steps
        Feature steps computed; empty: none.
    picker
        Name of the picker that scores the solvers; None without features.
    margin
        In the units of the picker's scores.
    presolver, presolve_s
        Column of the solver that is run first, and for how many seconds; None for none.
    """

    single: int
    steps: tuple[str, ...] = ()
    picker: str | None = None
    margin: float = 0.0
    presolver: int | None = None
    presolve_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Option:
    """What a picker says of the training instances from the features of some steps.

    Parameters
    ----------
    steps, picker
        As in :class:`Policy`.
    scores
        ``float64[n, m]``: less is better; by models that haven't seen the instance.
    features_s
        ``float64[n]``: seconds of the steps.
    """

    steps: tuple[str, ...]
    picker: str
    scores: Floats
    features_s: Floats


def picked(scores: Floats, single: int, margin: float) -> Integers:
    """Return the column of least score, or the single best's where that isn't better by more than the margin."""
    best = scores.argmin(axis=1)
    advantage = scores[:, single] - scores.min(axis=1)
    return np.asarray(np.where(advantage > margin, best, single), dtype=np.int64)


def schedule_cost(
    policy: Policy, choice: Integers, runtime: Floats, solved: Bools, features_s: Floats, cutoff: float, k: float
) -> Floats:
    """Return the penalised seconds of a policy on each instance, everything that it does charged.

    Parameters
    ----------
    policy
        The policy.
    choice
        ``int64[n]``: column that it picks from features.
    runtime, solved
        ``[n, m]``: seconds, and which runs gave an answer within the cutoff.
    features_s
        ``float64[n]``: seconds of its feature steps.
    cutoff
        Seconds for everything together.
    k
        Penalty factor.
    """
    column = choice if policy.steps else np.full(len(choice), policy.single)
    total = policy.presolve_s + (features_s if policy.steps else np.zeros(len(choice)))
    cost = par(of_choice(runtime, column), of_choice(solved, column), cutoff, k, total)
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


def choose_policy(
    options: Sequence[Option], runtime: Floats, solved: Bools, cutoff: float, seed: int = 0
) -> tuple[Policy, float, float]:
    """Return the policy for new instances, learnt on training instances.

    It is the one of least mean PAR2, if making such a choice pays: the choice is made on four fifths of the instances
    and applied to the rest, in turn, and must there be better than the single best solver, chosen alike, by more than
    :data:`STANDARD_ERRORS`. Otherwise it is the single best solver. The best of thousands of policies looks better than
    it is; the rest has no part in choosing it (but for the margins' single best solver, which is that of all).

    Parameters
    ----------
    options
        What pickers say.
    runtime, solved, cutoff
        As for :func:`schedule_cost`.
    seed
        Seed of the fifths.

    Returns
    -------
    policy
        The policy.
    gain, error
        What the choice saves over the single best solver on the rest, in seconds of PAR2, and its standard error.
    """
    alone = par(runtime, solved, cutoff)
    n, m = runtime.shape
    single = single_best(alone)
    tried: list[tuple[Policy, Integers, Floats]] = [
        (Policy(column), np.full(n, column), np.zeros(n)) for column in range(m)
    ]
    for option in options:
        advantage = option.scores[:, single] - option.scores.min(axis=1)
        better = advantage[advantage > 0]
        margins = np.quantile(better, _LOYAL[1:]).tolist() if len(better) else []
        for margin in dict.fromkeys([0.0, *margins]):
            policy = Policy(single, option.steps, option.picker, margin)
            tried.append((policy, picked(option.scores, single, margin), option.features_s))
    costs = np.concatenate([_with_presolvers(*one, runtime, solved, cutoff) for one in tried])
    fifths = np.random.default_rng(seed).permutation(n) % min(_CHOICE_FOLDS, n)
    gains = np.empty(n)
    for fifth in np.unique(fifths):
        held, rest = fifths == fifth, fifths != fifth
        best = int(costs[:, rest].mean(axis=1).argmin())
        gains[held] = alone[held, single_best(alone[rest])] - costs[best, held]
    gain, error = float(gains.mean()), float(gains.std() / np.sqrt(n))
    if gain <= STANDARD_ERRORS * error:
        return Policy(single), gain, error
    number, first = divmod(int(costs.mean(axis=1).argmin()), 1 + m * len(_PRESOLVE_S))
    policy = tried[number][0]
    if first:
        column, length = divmod(first - 1, len(_PRESOLVE_S))
        policy = Policy(policy.single, policy.steps, policy.picker, policy.margin, column, _PRESOLVE_S[length])
    return policy, gain, error


def _with_presolvers(
    policy: Policy, choice: Integers, features_s: Floats, runtime: Floats, solved: Bools, cutoff: float
) -> Floats:
    """Return the PAR2 of a policy without a presolver, and after each column for each number of seconds.

    The shape is ``(1 + m * len(_PRESOLVE_S), n)``.
    """
    n, m = runtime.shape
    found = np.empty((m, len(_PRESOLVE_S), n))
    plain = schedule_cost(policy, choice, runtime, solved, features_s, cutoff, 2.0)
    own, answered = of_choice(runtime, choice), of_choice(solved, choice)
    for k, seconds in enumerate(_PRESOLVE_S):
        late = par(own, answered, cutoff, overhead=seconds + features_s)
        found[:, k] = np.where(solved & (runtime <= seconds), runtime, late[:, None]).T
    return np.concatenate([plain[None], found.reshape(-1, n)])


def committee(scores: Sequence[Floats]) -> tuple[Floats, list[float]]:
    """Return the mean of several pickers' scores, centred and in units of their standard deviations, and these."""
    units = [max(float((one - one.mean(axis=1, keepdims=True)).std()), 1e-12) for one in scores]
    return mean_scores(scores, units), units


def mean_scores(scores: Sequence[Floats], units: Sequence[float]) -> Floats:
    """Return the mean of several pickers' scores in given units, each less the instance's mean."""
    parts = [(one - one.mean(axis=1, keepdims=True)) / unit for one, unit in zip(scores, units, strict=True)]
    return np.asarray(np.mean(parts, axis=0))


class FoldSelection:
    """Chooses a policy on the training side of each fold and charges it on the other side.

    Parameters
    ----------
    problem
        The scenario.
    seed
        Seed of the pickers and of the choice between policies.
    """

    def __init__(self, problem: ScenarioProblem, seed: int) -> None:
        self._problem, self._seed = problem, seed
        self._matrices: dict[tuple[str, ...], FeatureMatrix] = {}
        scenario = problem.scenario
        self._runtime = scenario.runtimes[:, problem.columns, 0]
        self._solved = scenario.solved[:, problem.columns, 0]
        n = len(scenario.instances)
        names = ("par2", "par10", "par2_single", "par10_single", "par2_plain", "par2_free", "par10_free")
        self._cost = {name: np.full(n, np.nan) for name in names}
        self._free = {name: np.full(n, np.nan) for name in (EXPECTED, *PICKERS, COMMITTEE)}
        self._picks = np.full(n, -1, dtype=np.int64)
        self._policies: list[dict[str, Any]] = []

    def _features_s(self, steps: tuple[str, ...]) -> Floats:
        cost = self._problem.scenario.feature_cost(steps)
        if cost is None:
            return np.zeros(len(self._runtime))
        # A cost that isn't stated counts as the largest that is.
        return np.where(np.isnan(cost), np.nanmax(cost) if np.isfinite(cost).any() else 0.0, cost)

    def _matrix(self, steps: tuple[str, ...]) -> FeatureMatrix:
        if steps not in self._matrices:
            table: TrainingTable = self._problem.with_steps(steps)
            self._matrices[steps] = FeatureMatrix.from_instances(table.instances, "static")
        return self._matrices[steps]

    def select(self, rest: Integers, held: Integers, expected_rest: Floats, expected_held: Floats) -> None:
        """Choose a policy on some instances and charge it on others.

        Parameters
        ----------
        rest, held
            Training instances, and those on which the policy is charged.
        expected_rest, expected_held
            ``float64[len, m]``: expected PAR2 in seconds, by models that haven't seen the instances, from all features.
        """
        problem = self._problem
        assert problem.scenario.cutoff_s is not None
        cutoff = problem.scenario.cutoff_s
        everything, *others = step_sets(problem.scenario, rest)
        runtime, solved = self._runtime[rest], self._solved[rest]
        penalised = par(runtime, solved, cutoff)
        options: list[Option] = []
        on_held: dict[tuple[tuple[str, ...], str], Floats] = {}
        for steps in (everything, *others):
            features_s = self._features_s(steps)[rest]
            scores = {EXPECTED: (expected_rest, expected_held)} if steps == everything else {}
            try:
                scores |= self._by_pickers(steps, rest, held, penalised)
            except EstimatorError:
                # Nothing in these steps varies over the training instances.
                if steps != everything:
                    continue
            if len(scores) > 1:
                inside, units = committee([pair[0] for pair in scores.values()])
                scores[COMMITTEE] = (inside, mean_scores([pair[1] for pair in scores.values()], units))
            for name, (inside, outside) in scores.items():
                options.append(Option(steps, name, inside, features_s))
                on_held[steps, name] = outside
        policy, gain, error = choose_policy(options, runtime, solved, cutoff, self._seed)
        args = (self._runtime[held], self._solved[held])
        nothing, all_s = np.zeros(len(held)), self._features_s(everything)[held]
        choice, spent = np.full(len(held), policy.single), nothing
        if policy.picker is not None:
            choice = picked(on_held[policy.steps, policy.picker], policy.single, policy.margin)
            spent = self._features_s(policy.steps)[held]
        single = Policy(single_best(penalised))
        plain = Policy(single.single, everything, EXPECTED)
        full = picked(expected_held, single.single, 0.0)
        for k in (2, 10):
            self._cost[f"par{k}"][held] = schedule_cost(policy, choice, *args, spent, cutoff, k)
            self._cost[f"par{k}_single"][held] = schedule_cost(single, full, *args, nothing, cutoff, k)
            self._cost[f"par{k}_free"][held] = schedule_cost(plain, full, *args, nothing, cutoff, k)
        self._cost["par2_plain"][held] = schedule_cost(plain, full, *args, all_s, cutoff, 2)
        for name in self._free:
            outside = on_held.get((everything, name), expected_held)
            by_name = picked(outside, single.single, 0.0)
            self._free[name][held] = schedule_cost(plain, by_name, *args, nothing, cutoff, 2)
        self._picks[held] = choice
        self._policies.append(self._described(policy, gain, error))

    def _by_pickers(
        self, steps: tuple[str, ...], rest: Integers, held: Integers, penalised: Floats
    ) -> dict[str, tuple[Floats, Floats]]:
        """Return the scores of training instances out of bag, and those of held-out ones, by every picker."""
        matrix = self._matrix(steps)
        train, test = (FeatureMatrix(matrix.names, matrix.values[rows]) for rows in (rest, held))
        transform = RankTransform.fit(train)
        x, x_held = transform.transform(train), transform.transform(test)
        found = {}
        for name in PICKERS:
            picker = make_picker(name, self._seed).fit(x, penalised)
            found[name] = (picker.out_of_bag, picker.scores(x_held))
        return found

    def _described(self, policy: Policy, gain: float, error: float) -> dict[str, Any]:
        solvers = self._problem.table.solvers
        return {
            "single": solvers[policy.single],
            "steps": list(policy.steps),
            "picker": policy.picker,
            "margin": policy.margin,
            "presolver": None if policy.presolver is None else solvers[policy.presolver],
            "presolve_s": policy.presolve_s,
            "inner_gain_s": gain,
            "inner_gain_error_s": error,
        }

    def result(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        scenario, solvers = self._problem.scenario, self._problem.table.solvers
        assert scenario.cutoff_s is not None
        done: dict[str, Any] = {"feature_costs_stated": scenario.feature_costs is not None}
        # Single and virtual best are those of all the scenario's solvers, not of the predicted ones only.
        runs = scenario.runtimes[:, :, 0], scenario.solved[:, :, 0], scenario.cutoff_s
        bounds = {k: PortfolioBounds.of(par(*runs, k)) for k in (2, 10)}
        for name, cost in self._cost.items():
            best = bounds[10 if name.startswith("par10") else 2]
            done[name] = {
                "selector_s": float(cost.mean()),
                "single_best_s": best.sbs,
                "virtual_best_s": best.vbs,
                "closed_gap": best.closed_gap(cost),
            }
        done["closed_gap_free_by_picker"] = {name: bounds[2].closed_gap(cost) for name, cost in self._free.items()}
        shares = {solvers[j]: float((self._picks == j).mean()) for j in np.unique(self._picks)}
        done["pick_shares"] = dict(sorted(shares.items(), key=lambda item: -item[1]))
        done["policies"] = self._policies
        return done
