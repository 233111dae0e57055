"""Selection on published scenarios: presolving, feature steps and pickers, chosen in the training folds.

A policy runs a static schedule of short slices, then computes some feature steps, then runs the solver that a picker
puts first; or it computes nothing and runs the single best. Everything that it does is charged against the cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import PortfolioBounds, of_choice, par, single_best
from satcost_gnn.data.aslib_scenario import AslibScenario
from satcost_gnn.decide.pickers import PICKERS, make_picker, members
from satcost_gnn.decide.static_schedule import SHARES, schedule_runtimes, static_schedule
from satcost_gnn.errors import EstimatorError
from satcost_gnn.evaluate.aslib_problem import ScenarioProblem
from satcost_gnn.evaluate.metrics import percentile_interval, resamples
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.feature_matrix import FeatureMatrix
from satcost_gnn.learn.rank_transform import RankTransform

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

#: Slices of presolving, and the share of the cutoff that they may take together.
PRESOLVING_SLICES = 3
PRESOLVING_SHARE = 0.02
# Shares of the instances on which another solver scores better than the single best that stay with the single best.
_LOYAL = (0.0, 0.25, 0.5, 0.75)
# A choice that isn't better than running the single best after presolving by so many standard errors is not made.
STANDARD_ERRORS = 1.0
_CHOICE_FOLDS = 5
#: The picker that takes the least expected PAR2 of the predicted distributions.
EXPECTED = "expected_par"
#: The mean of the others, each in units of its standard deviation.
COMMITTEE = "committee"
#: What the others are compared with: AutoFolio's default shape, a cost-sensitive forest for each pair of solvers.
PLAIN_FOREST = "pairwise"


@dataclass(frozen=True)
class Policy:
    """What a selector does.

    Parameters
    ----------
    single
        Column of the single best solver. It is run if no features are computed, and where no other one scores
        better by more than the margin.
    presolving
        Columns with seconds, run in turn before anything else. A solver that is chosen afterwards goes on.
    steps
        Feature steps computed; empty: none.
    picker
        Name of the picker that scores the solvers; None without features.
    margin
        In the units of the picker's scores.
    """

    single: int
    presolving: tuple[tuple[int, float], ...] = ()
    steps: tuple[str, ...] = ()
    picker: str | None = None
    margin: float = 0.0


@dataclass(frozen=True, eq=False)
class Option:
    """What a picker says of the training instances from the features of some steps.

    Parameters
    ----------
    steps, picker
        As in :class:`Policy`.
    scores
        ``float64[n, m]``: less is better, infinite for a solver that is not to be run; by models that haven't seen the
        instance, nor any other of its group.
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


def policy_cost(
    policy: Policy, choice: Integers, runtime: Floats, features_s: Floats, cutoff: float, k: float
) -> Floats:
    """Return the penalised seconds of a policy on each instance, everything that it does charged.

    Parameters
    ----------
    policy
        The policy.
    choice
        ``int64[n]``: column that it picks from features.
    runtime
        ``float64[n, m]``: seconds of the runs, infinite without an answer within the cutoff.
    features_s
        ``float64[n]``: seconds of its feature steps.
    cutoff
        Seconds for everything together.
    k
        Penalty factor.
    """
    column = choice if policy.steps else np.full(len(choice), policy.single)
    had = np.zeros(runtime.shape[1])
    for solver, seconds in policy.presolving:
        had[solver] += seconds
    late = of_choice(runtime - had, column) + had.sum() + (features_s if policy.steps else 0.0)
    early = schedule_runtimes(runtime, policy.presolving)
    total = np.where(np.isfinite(early), early, late)
    return par(total, np.isfinite(total), cutoff, k)


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


def _first_slices(first: tuple[int, ...], cutoff: float) -> tuple[tuple[int, float], ...]:
    return tuple((solver, SHARES[0] * cutoff) for solver in first)


def declining(scenario: AslibScenario) -> tuple[int, ...]:
    """Return the columns of solvers that answer or decline: they say at once that an instance isn't for them."""
    status = scenario.statuses[:, :, 0]
    no, answers = status == "not_applicable", status == "ok"
    return tuple(np.flatnonzero((no | answers).all(axis=0) & no.any(axis=0)).tolist())


def presolving_for(runtime: Floats, cutoff: float, first: tuple[int, ...] = ()) -> tuple[tuple[int, float], ...]:
    """Return the presolving that training instances call for: short slices of the members of a portfolio.

    Solvers that decline come first, whatever the training instances say: what they cost is next to nothing.
    """
    slices = _first_slices(first, cutoff)
    left = cutoff - sum(seconds for _, seconds in slices)
    rest = runtime[~(runtime[:, list(first)] <= SHARES[0] * cutoff).any(axis=1)]
    if not len(rest):
        return slices
    among = members(par(rest, np.isfinite(rest), cutoff))
    found = static_schedule(rest[:, among], left, PRESOLVING_SLICES, PRESOLVING_SHARE * cutoff, last=0)
    return (*slices, *((int(among[solver]), seconds) for solver, seconds in found[:-1]))


def choose_policy(
    options: Sequence[Option],
    runtime: Floats,
    cutoff: float,
    groups: Integers | None = None,
    first: tuple[int, ...] = (),
) -> tuple[Policy, float, float]:
    """Return the policy for new instances, learnt on training instances.

    The single best solver runs after presolving, unless it pays to choose: among all options, margins, and presolving
    or only what comes first in any case, the policy of least mean PAR2 is chosen on most of the groups and applied to
    the rest, in turn, and must there be better than presolving and the single best solver, chosen alike, by more than
    :data:`STANDARD_ERRORS`. The best of many policies looks better than it is; the rest has no part in choosing it (but
    for the margins' single best solver, which is that of all).

    Parameters
    ----------
    options
        What pickers say.
    runtime, cutoff
        As for :func:`policy_cost`.
    groups
        ``int64[n]``: what is new at a time; by default each instance by itself.
    first
        Solvers that come first whatever the policy is.

    Returns
    -------
    policy
        The policy.
    gain, error
        What the choice saves over the single best solver on the rest, in seconds of PAR2, and its standard error: the
        larger of those over instances and over groups.
    """
    n = len(runtime)
    groups = np.arange(n) if groups is None else groups
    solved = np.isfinite(runtime)
    alone = par(runtime, solved, cutoff)
    single = single_best(alone)
    tried: list[tuple[Policy, Integers, Floats]] = []
    for option in options:
        advantage = option.scores[:, single] - option.scores.min(axis=1)
        better = advantage[advantage > 0]
        margins = np.quantile(better, _LOYAL[1:]).tolist() if len(better) else []
        for margin in dict.fromkeys([0.0, *margins]):
            policy = Policy(single, (), option.steps, option.picker, margin)
            tried.append((policy, picked(option.scores, single, margin), option.features_s))

    def costs(presolving: tuple[tuple[int, float], ...], rows: Bools) -> Floats:
        ways = [
            policy_cost(replace(policy, presolving=before), choice[rows], runtime[rows], spent[rows], cutoff, 2.0)
            for before in dict.fromkeys([presolving, least])
            for policy, choice, spent in tried
        ]
        return np.stack(ways)

    def plain(policy: Policy, rows: Bools) -> Floats:
        count = int(rows.sum())
        return policy_cost(policy, np.zeros(count, dtype=np.int64), runtime[rows], np.zeros(count), cutoff, 2.0)

    everything = np.ones(n, dtype=bool)
    presolving, least = presolving_for(runtime, cutoff, first), _first_slices(first, cutoff)
    cautious = Policy(single, presolving)
    if not tried:
        return cautious, 0.0, 0.0
    _, group = np.unique(groups, return_inverse=True)
    parts = group % min(_CHOICE_FOLDS, int(group.max()) + 1)
    gains = np.zeros(n)
    for part in np.unique(parts):
        held, rest = parts == part, parts != part
        if not rest.any():
            return cautious, 0.0, 0.0
        inner = presolving_for(runtime[rest], cutoff, first)
        best = int(costs(inner, rest).mean(axis=1).argmin())
        gains[held] = plain(Policy(single_best(alone[rest]), inner), held) - costs(inner, held)[best]
    gain = float(gains.mean())
    by_group = np.bincount(group, weights=gains - gain)
    clustered = np.sqrt(np.sum(by_group**2) * len(by_group) / max(len(by_group) - 1, 1)) / n
    error = float(max(clustered, gains.std() / np.sqrt(n)))
    if gain <= STANDARD_ERRORS * error:
        return cautious, gain, error
    way, number = divmod(int(costs(presolving, everything).mean(axis=1).argmin()), len(tried))
    return replace(tried[number][0], presolving=least if way else presolving), gain, error


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

    The solvers are all those of the scenario, of which the training side names the members. The seed is the pickers'.
    """

    def __init__(self, problem: ScenarioProblem, seed: int) -> None:
        scenario = problem.scenario
        assert scenario.cutoff_s is not None
        self._problem, self._seed, self._cutoff = problem, seed, scenario.cutoff_s
        self._matrices: dict[tuple[str, ...], FeatureMatrix] = {}
        within = scenario.solved[:, :, 0] & (scenario.runtimes[:, :, 0] <= self._cutoff)
        self._runtime = np.where(within, scenario.runtimes[:, :, 0], np.inf)
        self._first = declining(scenario)
        n = len(scenario.instances)
        names = ("par2", "par10", "par2_presolving", "par10_presolving", "par2_single", "par10_single", "par2_plain")
        self._cost = {name: np.full(n, np.nan) for name in names}
        pickers = (EXPECTED, *PICKERS, COMMITTEE)
        self._alone = {kind: {name: np.full(n, np.nan) for name in pickers} for kind in ("charged", "free")}
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

    def select(self, rest: Integers, held: Integers, expected: tuple[Floats, Floats] | None = None) -> None:
        """Choose a policy on some instances and charge it on others.

        Parameters
        ----------
        rest, held
            Training instances, and those on which the policy is charged.
        expected
            Of both, ``float64[len, m]``: expected PAR2 in seconds of the predicted solvers, by models that haven't seen
            the instances, from all features; None for none.
        """
        scenario, cutoff = self._problem.scenario, self._cutoff
        everything, *others = step_sets(scenario, rest)
        runtime, columns = self._runtime[rest], self._problem.columns
        penalised = par(runtime, np.isfinite(runtime), cutoff)
        single = single_best(penalised)
        options: list[Option] = []
        on_held: dict[tuple[tuple[str, ...], str], Floats] = {}
        for steps in (everything, *others):
            scores: dict[str, tuple[Floats, Floats]] = {}
            if steps == everything and single in columns and expected is not None:
                inside, outside = (_placed(one, columns, runtime.shape[1]) for one in expected)
                scores[EXPECTED] = inside, outside
            try:
                scores |= self._by_pickers(steps, rest, held, penalised)
            except EstimatorError:
                # Nothing in these steps varies over the training instances.
                if steps != everything:
                    continue
            for name, (inside, outside) in scores.items():
                options.append(Option(steps, name, inside, self._features_s(steps)[rest]))
                on_held[steps, name] = outside
        policy, gain, error = choose_policy(options, runtime, cutoff, self._problem.folds[rest], self._first)
        nothing, all_s = np.zeros(len(held)), self._features_s(everything)[held]
        choice, spent = np.full(len(held), policy.single), nothing
        if policy.picker is not None:
            choice = picked(on_held[policy.steps, policy.picker], policy.single, policy.margin)
            spent = self._features_s(policy.steps)[held]
        alone, cautious = Policy(single), Policy(single, presolving_for(runtime, cutoff, self._first))
        of_held = self._runtime[held]
        for k in (2, 10):
            self._cost[f"par{k}"][held] = policy_cost(policy, choice, of_held, spent, cutoff, k)
            self._cost[f"par{k}_presolving"][held] = policy_cost(cautious, choice, of_held, nothing, cutoff, k)
            self._cost[f"par{k}_single"][held] = policy_cost(alone, choice, of_held, nothing, cutoff, k)
        plain = Policy(single, (), everything, EXPECTED)
        for name in (EXPECTED, *PICKERS, COMMITTEE):
            by_name = np.full(len(held), single)
            if (everything, name) in on_held:
                by_name = picked(on_held[everything, name], single, 0.0)
            for kind, seconds in (("charged", all_s), ("free", nothing)):
                self._alone[kind][name][held] = policy_cost(plain, by_name, of_held, seconds, cutoff, 2)
        self._cost["par2_plain"][held] = self._alone["charged"][PLAIN_FOREST][held]
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
        among, m = members(penalised), penalised.shape[1]
        found = {}
        for name in PICKERS:
            picker = make_picker(name, self._seed).fit(x, penalised[:, among], self._problem.folds[rest])
            found[name] = (picker.out_of_bag, picker.scores(x_held))
        inside, units = committee([pair[0] for pair in found.values()])
        found[COMMITTEE] = inside, mean_scores([pair[1] for pair in found.values()], units)
        return {name: (_placed(one, among, m), _placed(other, among, m)) for name, (one, other) in found.items()}

    def _described(self, policy: Policy, gain: float, error: float) -> dict[str, Any]:
        solvers = self._problem.scenario.algorithms
        return {
            "single": solvers[policy.single],
            "presolving": [[solvers[solver], seconds] for solver, seconds in policy.presolving],
            "steps": list(policy.steps),
            "picker": policy.picker,
            "margin": policy.margin,
            "inner_gain_s": gain,
            "inner_gain_error_s": error,
        }

    def result(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        scenario = self._problem.scenario
        done: dict[str, Any] = {"feature_costs_stated": scenario.feature_costs is not None}
        # Single and virtual best are those of all the scenario's solvers over all its instances.
        penalised = {k: par(self._runtime, np.isfinite(self._runtime), self._cutoff, k) for k in (2, 10)}
        bounds = {k: PortfolioBounds.of(cost) for k, cost in penalised.items()}
        drawn = resamples(len(self._runtime), seed=self._seed)
        for name, cost in self._cost.items():
            k = 10 if name.startswith("par10") else 2
            gaps = [PortfolioBounds.of(penalised[k][rows]).closed_gap(cost[rows]) for rows in drawn]
            done[name] = {
                "selector_s": float(cost.mean()),
                "single_best_s": bounds[k].sbs,
                "virtual_best_s": bounds[k].vbs,
                "closed_gap": bounds[k].closed_gap(cost),
                "closed_gap_95": list(percentile_interval(np.array(gaps))),
                "unsolved": int((cost > self._cutoff).sum()),
            }
        for kind, costs in self._alone.items():
            done[f"closed_gap_{kind}_by_picker"] = {name: bounds[2].closed_gap(cost) for name, cost in costs.items()}
        shares = {scenario.algorithms[j]: float((self._picks == j).mean()) for j in np.unique(self._picks)}
        done["pick_shares"] = dict(sorted(shares.items(), key=lambda item: -item[1]))
        done["policies"] = self._policies
        return done


def _placed(scores: Floats, columns: Integers, m: int) -> Floats:
    """Return scores of some solvers among all ``m``, infinite for the others."""
    found = np.full((len(scores), m), np.inf)
    found[:, columns] = scores
    return found
