from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from synthetic_graphs import first_conflicts

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.online import (
    LEAST_CONFLICTS,
    ONLINE_FEATURE_NAMES,
    ONLINE_FEATURES,
    SPEED_FEATURE_NAMES,
    SPEED_FEATURES,
    WAITING_CONFLICTS,
    _concentration,
    online_features,
    speed_features,
)
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeResult, ProbeSettings
from satcost_gnn.search.random_dives import Dives
from satcost_gnn.search.trace import RESTART, Trace
from satcost_gnn.search.tree_size import estimates

# A forecast needs a tree weight of .005, and the random dives are no part of the trace.
MAY_BE_MISSING = {"tree.holt", "tree.holt_longest", "tree.holt_max"} | {
    name for name, (group, _) in ONLINE_FEATURES.items() if group == "knuth"
}


def random_3sat(variables: int, seed: int) -> Formula:
    rng = random.Random(seed)
    clauses = [
        [v * rng.choice((-1, 1)) for v in rng.sample(range(1, variables + 1), 3)]
        for _ in range(round(4.26 * variables))
    ]
    return Formula.from_clauses(clauses, variables)


@pytest.fixture(scope="module")
def result() -> ProbeResult:
    return run_probe(random_3sat(250, 4), ProbeSettings(conflicts=800))


@pytest.fixture(scope="module")
def trace(result: ProbeResult) -> Trace:
    assert result.trace is not None and result.status == "UNKNOWN"
    return result.trace


def made_up(conflicts: int, n_vars: int = 10) -> Trace:
    """Every conflict after two decisions, jumping back one level; a restart before every tenth."""
    index = np.arange(conflicts)
    restart = (index % 10 == 0) & (index > 0)
    level, events, levels, backjumps = 0, [], [], []
    for again in restart:
        if again:
            events.append(RESTART)
            level = 0
        events += [-1, -1]
        level += 2
        levels.append(level)
        level -= 1
        events.append(level)
        backjumps.append(level)
    return Trace(
        n_vars=n_vars,
        n_active=n_vars,
        level=np.array(levels, dtype=np.int32),
        backjump=np.array(backjumps, dtype=np.int32),
        trail=np.minimum(index + 2, 5).astype(np.int32),
        undone=np.ones(conflicts, dtype=np.int32),
        decisions=(2 * index + 2).astype(np.int32),
        restart=restart,
        assigned_since=np.full(conflicts, 3, dtype=np.int64),
        fixed=(index // 100).astype(np.int32),
        progress=np.minimum(0.01 + index / 10_000, 1.0).astype(np.float32),
        learnt_length=(1 + index % 8).astype(np.int32),
        events=np.array(events, dtype=np.int32),
        assigned=np.full(n_vars, 6, dtype=np.int32),
        decided=np.eye(1, n_vars, dtype=np.int32)[0] * 7,
        flips=np.full(n_vars, 2, dtype=np.int32),
        positive=np.full(n_vars, 3, dtype=np.int32),
        learnt=np.full(n_vars, 4, dtype=np.int32),
        learnt_positive=np.full(n_vars, 1, dtype=np.int32),
        observed=np.ones(n_vars, dtype=bool),
        propagations=50 * conflicts,
        restarts=int(restart.sum()),
    )


def test_the_catalogue_is_complete(trace: Trace) -> None:
    vector = online_features(trace)
    assert vector.names == ONLINE_FEATURE_NAMES == tuple(ONLINE_FEATURES)
    assert len(set(ONLINE_FEATURE_NAMES)) == len(ONLINE_FEATURE_NAMES) > 150
    assert {group for group, _ in ONLINE_FEATURES.values()} == {
        "series",
        "rates",
        "variables",
        "tree",
        "progress",
        "knuth",
    }
    assert all(description for _, description in (*ONLINE_FEATURES.values(), *SPEED_FEATURES.values()))
    assert not set(SPEED_FEATURE_NAMES) & set(ONLINE_FEATURE_NAMES)
    assert set(vector.seconds) == {
        "online.series",
        "online.rates",
        "online.variables",
        "online.tree",
        "online.progress",
    }


def test_little_is_missing_for_a_real_trace(trace: Trace) -> None:
    vector = online_features(trace)
    missing = [name for name in vector.names if math.isnan(vector[name])]
    assert set(missing) <= MAY_BE_MISSING


def test_the_same_trace_gives_the_same_features(trace: Trace) -> None:
    again = Trace.from_arrays(trace.to_arrays())
    np.testing.assert_array_equal(online_features(trace).values, online_features(again).values)


def test_without_a_trace_everything_is_missing() -> None:
    assert online_features(None).is_missing.all()


def test_windows_and_statistics_by_hand() -> None:
    trace = made_up(900)
    vector = online_features(trace)
    level = np.log1p(trace.level.astype(float))
    after = level[WAITING_CONFLICTS:]
    for window, part in {"all": after, "half": after[400:], "quarter": after[600:]}.items():
        assert vector[f"level.{window}.mean"] == pytest.approx(part.mean())
        assert vector[f"level.{window}.sd"] == pytest.approx(part.std())
        assert vector[f"level.{window}.min"] == pytest.approx(part.min())
        assert vector[f"level.{window}.max"] == pytest.approx(part.max())
    assert vector["level.last"] == pytest.approx(level[-1])
    assert vector["level.trend"] == pytest.approx(after[400:].mean() - after[:400].mean(), abs=1e-6)
    assert vector["level_share.last"] == pytest.approx(trace.level[-1] / 10)
    assert vector["backjump.all.mean"] == pytest.approx(math.log(2))
    assert vector["backjump.all.sd"] == pytest.approx(0.0, abs=1e-6)
    assert vector["backjump_share.last"] == pytest.approx(1 / trace.level[-1])
    assert vector["decisions.all.max"] == pytest.approx(math.log(3))
    assert vector["assigned.last"] == pytest.approx(math.log(4))
    assert vector["trail_share.last"] == pytest.approx(0.5)
    assert vector["undone_share.last"] == pytest.approx(0.2)
    assert vector["learnt.last"] == pytest.approx(math.log(2 + 899 % 8))


def test_rates_by_hand() -> None:
    vector = online_features(made_up(800))
    expected = {
        "conflicts_log": math.log(801),
        "restarts_per_conflict": 79 / 800,
        "given_up_per_conflict": 79 / 800,
        "propagations_per_conflict_log": math.log(51),
        "propagations_per_decision_log": math.log(26),
        "decisions_per_conflict_log": math.log(3),
        "learnt_unit_share": 1 / 8,
        "learnt_binary_share": 1 / 8,
        "learnt_short_share": 6 / 8,
        "learnt_none_share": 0.0,
        "to_root_share": 0.0,
        "one_level_share": 1.0,
        "fixed_share": 0.7,
        "fixed_gain": 0.7,
        "fixed_gain_late": 0.3,
        "active_log": math.log(11),
        "observed_share": 1.0,
    }
    assert {f"rates.{name}" for name in expected} == {n for n, (g, _) in ONLINE_FEATURES.items() if g == "rates"}
    for name, value in expected.items():
        assert vector[f"rates.{name}"] == pytest.approx(value, abs=1e-6), name


def test_variables_by_hand() -> None:
    vector = online_features(made_up(100))
    expected = {
        "assigned_share": 1.0,
        "decided_share": 0.1,
        "flipped_share": 1.0,
        "flips_per_assignment": 1 / 3,
        "polarity": 0.0,
        "positive_share": 0.5,
        "learnt_share": 1.0,
        "assigned_entropy": 1.0,
        "assigned_gini": 0.0,
        "decided_entropy": 0.0,
        "decided_gini": 0.9,
        "learnt_entropy": 1.0,
        "learnt_gini": 0.0,
        "learnt_top_share": 0.1,
    }
    assert {f"variables.{name}" for name in expected} == {
        n for n, (g, _) in ONLINE_FEATURES.items() if g == "variables"
    }
    for name, value in expected.items():
        assert vector[f"variables.{name}"] == pytest.approx(value, abs=1e-6), name


def test_trees_against_the_estimators() -> None:
    trace = made_up(95)
    found = estimates(trace.events)
    vector = online_features(trace)
    assert vector["tree.trees_log"] == pytest.approx(math.log(10))
    assert vector["tree.leaves_last_log"] == pytest.approx(math.log(6))
    assert vector["tree.leaves_longest_log"] == pytest.approx(math.log(11))
    assert vector["tree.wbe_last"] == pytest.approx(found.log2_wbe[-1])
    assert vector["tree.wbe_longest"] == pytest.approx(found.log2_wbe[9])
    assert vector["tree.recursive_longest"] == pytest.approx(found.log2_recursive[9])
    assert vector["tree.weight_longest"] == pytest.approx(found.log2_weight[9])
    ends = [*range(9, 90, 10), 94]
    assert vector["tree.wbe_max"] == pytest.approx(found.log2_wbe[ends[:-1]].max())
    assert vector["tree.wbe_min"] == pytest.approx(found.log2_wbe[ends[:-1]].min())
    weights = [10.0] * 9 + [5.0]
    assert vector["tree.wbe_mean"] == pytest.approx(np.average(found.log2_wbe[ends], weights=weights))
    assert vector["tree.wbe_over_leaves"] == pytest.approx(found.log2_wbe[9] - math.log2(10))
    assert vector["tree.recursive_over_wbe"] == pytest.approx(found.log2_recursive[9] - found.log2_wbe[9])
    assert vector["tree.wbe_trend"] == pytest.approx(found.log2_wbe[9] - found.log2_wbe[4])
    assert vector["tree.weight_trend"] == pytest.approx(found.log2_weight[9] - found.log2_weight[4])


def test_estimates_out_of_sight_are_capped() -> None:
    trace = made_up(20)
    deep = replace(
        first_conflicts(trace, 0),
        level=np.array([5000], dtype=np.int32),
        backjump=np.array([4998], dtype=np.int32),
        trail=np.array([9], dtype=np.int32),
        undone=np.array([1], dtype=np.int32),
        progress=np.array([0.5], dtype=np.float32),
        decisions=np.array([5000], dtype=np.int32),
        restart=np.array([False]),
        assigned_since=np.array([9], dtype=np.int64),
        fixed=np.array([0], dtype=np.int32),
        events=np.array([-1] * 5000 + [4998], dtype=np.int32),
    )
    vector = online_features(deep)
    assert vector["tree.wbe_last"] == 256.0 and vector["tree.weight_last"] == -256.0


@pytest.mark.parametrize("conflicts", [0, 1, LEAST_CONFLICTS - 1, LEAST_CONFLICTS, 12, 40, 399, 400])
def test_few_conflicts_leave_features_missing_not_wrong(trace: Trace, conflicts: int) -> None:
    short = first_conflicts(trace, conflicts)
    vector = online_features(short)
    assert vector["rates.conflicts_log"] == pytest.approx(math.log1p(conflicts))
    assert math.isnan(vector["level.last"]) == (conflicts == 0)
    after = conflicts - min(WAITING_CONFLICTS, conflicts // 4)
    assert math.isnan(vector["level.all.mean"]) == (after < LEAST_CONFLICTS)
    assert math.isnan(vector["rates.to_root_share"]) == (conflicts < LEAST_CONFLICTS)
    assert math.isnan(vector["tree.wbe_last"]) == (conflicts == 0)
    # Totals over the whole run must not leak into a part of it.
    assert all(math.isnan(vector[name]) for name, (group, _) in ONLINE_FEATURES.items() if group == "variables")
    assert math.isnan(vector["rates.restarts_per_conflict"])


def test_a_prefix_has_the_features_of_a_shorter_search(trace: Trace) -> None:
    shorter = run_probe(random_3sat(250, 4), ProbeSettings(conflicts=300)).trace
    assert shorter is not None
    prefix = online_features(first_conflicts(trace, shorter.conflicts))
    there = online_features(shorter)
    for name, (group, _) in ONLINE_FEATURES.items():
        if group in ("series", "tree"):
            assert prefix[name] == pytest.approx(there[name], nan_ok=True), name


def test_a_solver_without_proof_or_propagation_count(trace: Trace) -> None:
    blind = np.full(trace.n_vars, -1, dtype=np.int32)
    other = replace(
        trace, learnt_length=np.zeros(0, dtype=np.int32), learnt=blind, learnt_positive=blind, propagations=0
    )
    vector = online_features(other)
    lost = {name for name in vector.names if math.isnan(vector[name])} - MAY_BE_MISSING
    assert lost == {
        name
        for name in vector.names
        if name.startswith(("learnt.", "learnt_per_level.", "rates.learnt", "variables.learnt", "rates.propagations"))
    }


def test_progress_by_hand() -> None:
    trace = made_up(400)
    vector = online_features(trace)
    progress = np.log10(trace.progress.astype(float))
    assert vector["progress.last"] == vector["progress.max"] == pytest.approx(progress[-1])
    assert vector["progress.mean"] == pytest.approx(progress[200:].mean())
    assert vector["progress.trend"] == pytest.approx(progress[200:].mean() - progress[:200].mean())
    # Variables that aren't observed may leave nothing at all.
    dark = replace(trace, progress=np.zeros(400, dtype=np.float32))
    assert online_features(dark)["progress.last"] == pytest.approx(-2.0)


def test_dives_by_hand() -> None:
    dives = Dives(
        n_active=10,
        depth=np.array([1, 3, 1, 3], dtype=np.int32),
        conflict=np.array([True, True, True, False]),
        model=np.array([False, False, False, True]),
        assigned=np.array([4, 6, 4, 10]),
        seconds=0.25,
    )
    vector = online_features(made_up(40), dives)
    # Trees of 3 and 15 nodes.
    assert vector["knuth.log2_mean"] == pytest.approx(math.log2(9))
    assert vector["knuth.log2_median"] == pytest.approx((math.log2(3) + math.log2(15)) / 2)
    assert vector["knuth.log2_sd"] == pytest.approx((math.log2(15) - math.log2(3)) / 2)
    assert vector["knuth.depth_mean_log"] == pytest.approx(math.log(3))
    assert vector["knuth.depth_min_log"] == pytest.approx(math.log(2))
    assert vector["knuth.depth_share"] == pytest.approx(0.2)
    assert vector["knuth.assigned_per_decision_log"] == pytest.approx(math.log(24 / 8))
    assert (vector["knuth.conflict_share"], vector["knuth.model_share"]) == (0.75, 0.25)
    assert vector.seconds["online.knuth"] == 0.25


def test_a_formula_without_variables() -> None:
    result = run_probe(Formula.from_clauses([]))
    vector = online_features(result.trace)
    assert vector["rates.conflicts_log"] == vector["rates.active_log"] == 0.0
    assert math.isnan(vector["level.all.mean"])


def test_concentration() -> None:
    assert _concentration(np.array([5, 5, 5, 5])) == (pytest.approx(1.0), pytest.approx(0.0))
    assert _concentration(np.array([0, 0, 0, 9])) == (pytest.approx(0.0), pytest.approx(0.75))
    entropy, gini = _concentration(np.array([1, 3]))
    assert entropy == pytest.approx(-(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75)))
    assert gini == pytest.approx(0.25)
    assert all(math.isnan(x) for counts in ([], [3], [0, 0]) for x in _concentration(np.array(counts, dtype=int)))


class TestSpeed:
    def test_by_hand(self, result: ProbeResult) -> None:
        timed = replace(result, timings={"load": 0.1, "search": 2.0, "trace": 1.0}, conflicts=2000, propagations=200)
        vector = speed_features(timed)
        assert vector.names == SPEED_FEATURE_NAMES
        assert vector["speed.conflicts_per_second"] == pytest.approx(3.0)
        assert vector["speed.propagations_per_second"] == pytest.approx(2.0)
        assert vector["speed.load_seconds"] == pytest.approx(-1.0)
        assert vector["speed.search_seconds"] == pytest.approx(math.log10(2.0))

    def test_a_failed_probe_has_none(self, result: ProbeResult) -> None:
        failed = replace(result, trace=None, timings={}, status="CRASHED")
        assert speed_features(failed).is_missing.all()

    def test_no_conflicts_no_speed(self, result: ProbeResult) -> None:
        vector = speed_features(replace(result, conflicts=0, timings={"load": 0.1, "search": 1.0}))
        assert math.isnan(vector["speed.conflicts_per_second"])
        assert not math.isnan(vector["speed.search_seconds"])

    def test_a_search_too_short_to_be_timed_has_no_speed(self, result: ProbeResult) -> None:
        vector = speed_features(replace(result, timings={"load": 0.0, "search": 0.0}))
        assert math.isnan(vector["speed.conflicts_per_second"]) and math.isnan(vector["speed.decisions_per_second"])
        assert vector["speed.load_seconds"] == vector["speed.search_seconds"] == pytest.approx(-3.0)
