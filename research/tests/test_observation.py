from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from observation import (
    ESTIMATES,
    Point,
    checkpoints,
    feature_names,
    observations,
    restart_points,
)
from recording import Recording

from satcost_gnn.data.generate import FAMILIES
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.search.tree_size import estimates


def recorded(solver: str, conflicts: int = 6000) -> Recording:
    hard = FAMILIES["random-ksat"].generate(seed=11, n=260, ratio=4.26)
    return Recording.from_probe(run_probe(hard, ProbeSettings(solver=solver, conflicts=conflicts)))


@pytest.fixture(scope="module")
def geometric() -> Recording:
    return recorded("ergo")


@pytest.fixture(scope="module")
def cadical() -> Recording:
    return recorded("cadical195")


def test_windows_follow_restarts_and_do_not_overlap(geometric: Recording) -> None:
    points = restart_points(geometric, waiting=50, length=200)
    restarts = [0, *geometric.numbers[np.flatnonzero(geometric.trace.restart) - 1].tolist()]
    assert len(points) >= 6
    for point in points:
        assert point.begin == restarts[point.restart] + 50 and point.end == point.begin + 200
    for before, after in itertools.pairwise(points):
        assert after.begin - 50 >= before.end and after.begin - 50 >= 1.5 * (before.begin - 50)
    assert points[-1].end < geometric.conflicts


def test_of_geometric_restarts_all_long_ones_are_used(geometric: Recording) -> None:
    # 100 * 1.5^k conflicts: from the third on there is room for 250 in each.
    used = [point.restart for point in restart_points(geometric, waiting=50, length=200, growth=1.0)]
    assert used[-1] >= 8 and [restart for restart in used if restart > 3] == list(range(4, used[-1] + 1))


def test_checkpoints_grow_and_look_back_over_the_window(cadical: Recording) -> None:
    points = checkpoints(cadical, first=500, growth=2.0, length=1000)
    assert [point.end for point in points] == [500, 1000, 2000, 4000]
    assert [point.begin for point in points] == [100, 100, 1000, 3000]


@pytest.mark.parametrize("place", [restart_points, checkpoints])
def test_points_do_not_know_where_the_search_ends(cadical: Recording, place: object) -> None:
    assert callable(place)
    whole_trace = cadical.trace
    names = ("level", "backjump", "trail", "undone", "decisions", "restart", "assigned_since", "fixed", "progress")
    parts = {name: getattr(whole_trace, name)[:3000] for name in (*names, "learnt_length")}
    events = whole_trace.events[: int(np.flatnonzero(whole_trace.events >= 0)[2999]) + 1]
    cut_trace = replace(whole_trace, **parts, events=events)
    cut = replace(cadical, conflicts=3000, trace=cut_trace, numbers=cadical.numbers[:3000])
    whole, part = place(cadical), place(cut)
    assert part == [point for point in whole if point.end < 3000]
    found = {one.point: one for one in observations(cadical, whole)}
    for one in observations(cut, part):
        np.testing.assert_array_equal(one.features.values, found[one.point].features.values)
        assert one.estimates == found[one.point].estimates or np.isnan(one.estimates["holt"])


def test_features_are_those_of_the_window(cadical: Recording) -> None:
    (one,) = observations(cadical, [Point(0, 1000, 1500)])
    level = np.log1p(cadical.trace.level[1000:1500])
    assert one.features["window.level.mean"] == pytest.approx(level.mean(), rel=1e-5)
    assert one.features["window.level.sd"] == pytest.approx(level.std(), rel=1e-4)
    assert one.features["window.level.last"] == pytest.approx(level[-1], rel=1e-5)
    assert one.features["window.level.trend"] == pytest.approx(level[250:].mean() - level[:250].mean(), abs=1e-5)
    assert one.features["spent.conflicts_log"] == pytest.approx(np.log1p(1500), rel=1e-6)
    assert one.features.names == feature_names(learnt=True)
    assert not np.isnan([one.features[name] for name in one.features.names if "holt" not in name]).any()


def test_estimates_are_of_the_longest_tree_so_far(cadical: Recording) -> None:
    (one,) = observations(cadical, [Point(0, 1000, 1500)])
    found = estimates(cadical.trace.events)
    longest = int(np.argmax(found.leaves[:1500]))
    assert set(one.estimates) == set(ESTIMATES)
    assert one.estimates["twice_so_far"] == pytest.approx(np.log10(3000))
    leaves = (found.log2_wbe[longest] - 1) * np.log10(2)
    assert one.estimates["wbe"] == pytest.approx(np.clip(leaves, np.log10(1500), 12.0))
    assert one.estimates["progress_bar"] == pytest.approx(
        np.clip(np.log10(1500 / cadical.trace.progress[1499]), np.log10(1500), 12.0), rel=1e-5
    )


def test_a_window_without_conflicts_is_left_out(geometric: Recording) -> None:
    assert list(observations(geometric, [Point(0, 1000, 1005)])) == []


def test_wrong_windows_are_refused(geometric: Recording) -> None:
    with pytest.raises(ValueError, match="length 0"):
        restart_points(geometric, length=0)
    with pytest.raises(ValueError, match="first 100"):
        checkpoints(geometric, first=100)
