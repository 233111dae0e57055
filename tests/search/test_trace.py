from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satcost_gnn.search.trace import DECISION, FINISHED, RESTART, Trace, expand_events
from satcost_gnn.search.tree_size import decision_runs


def small_trace() -> Trace:
    """Three conflicts over four variables, the last after a restart that keeps one decision."""
    return Trace(
        n_vars=4,
        n_active=3,
        level=np.array([3, 2, 2], dtype=np.int32),
        backjump=np.array([1, 0, 1], dtype=np.int32),
        trail=np.array([3, 2, 3], dtype=np.int32),
        undone=np.array([2, 2, 1], dtype=np.int32),
        decisions=np.array([3, 4, 6], dtype=np.int32),
        restart=np.array([False, False, True]),
        assigned_since=np.array([3, 1, 4], dtype=np.int64),
        fixed=np.array([0, 0, 1], dtype=np.int32),
        progress=np.array([0.1, 0.1, 0.4], dtype=np.float32),
        learnt_length=np.array([2, 1, 2], dtype=np.int32),
        events=np.array([-1, -1, -1, 1, -1, 0, -1, RESTART - 1, -1, 1, -1], dtype=np.int32),
        assigned=np.array([3, 2, 3, -1], dtype=np.int32),
        decided=np.array([1, 1, 0, -1], dtype=np.int32),
        flips=np.array([1, 0, 2, -1], dtype=np.int32),
        positive=np.array([1, 2, 1, -1], dtype=np.int32),
        learnt=np.array([2, 1, 2, 0], dtype=np.int32),
        learnt_positive=np.array([1, 0, 2, 0], dtype=np.int32),
        observed=np.array([True, True, True, False]),
        propagations=17,
        restarts=1,
    )


def equal(a: Trace, b: Trace) -> bool:
    left, right = a.to_arrays(), b.to_arrays()
    return left.keys() == right.keys() and all(
        np.array_equal(left[k], right[k]) and left[k].dtype == right[k].dtype for k in left
    )


def test_arrays_survive_a_file() -> None:
    trace = small_trace()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **trace.to_arrays())
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as stored:
        again = Trace.from_arrays(dict(stored))
    assert equal(trace, again)
    assert np.array_equal(trace.events, again.events)
    assert (again.n_vars, again.n_active, again.propagations, again.restarts) == (4, 3, 17, 1)


def test_a_missing_array_and_another_layout_are_refused() -> None:
    arrays = small_trace().to_arrays()
    with pytest.raises(ValueError, match="learnt_length"):
        Trace.from_arrays({k: v for k, v in arrays.items() if k != "learnt_length"})
    arrays["scalars"] = arrays["scalars"].copy()
    arrays["scalars"][0] = 99
    with pytest.raises(ValueError, match="layout 99"):
        Trace.from_arrays(arrays)


@given(st.lists(st.one_of(st.just(DECISION), st.integers(0, 5), st.integers(-9, -2), st.just(FINISHED)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_packing_events_is_lossless(events: list[int]) -> None:
    array = np.array(events, dtype=np.int32)
    codes, runs, trailing = decision_runs(array)
    assert np.array_equal(expand_events(codes.astype(np.int32), np.append(runs, trailing)), array)


def test_types_are_brought_into_line() -> None:
    trace = replace(small_trace(), level=[3, 2, 2], restart=[0, 0, 1])  # type: ignore[arg-type]
    assert trace.level.dtype == np.int32 and trace.restart.dtype == np.bool_


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backjump": [3, 0, 1]}, "backjump"),
        ({"backjump": [1, -1, 1]}, "backjump"),
        ({"decisions": [3, 2, 6]}, "decisions"),
        ({"trail": [3, 2]}, "trail"),
        ({"learnt_length": [1]}, "learnt_length"),
        ({"undone": [0, -1, 0]}, "undone"),
        ({"assigned": [1, 2, 3]}, "assigned"),
        ({"flips": [1, 2, 3, -2]}, "flips"),
        ({"n_active": 5}, "n_active"),
        ({"events": [-1, -1, -1, 0]}, "events"),
        ({"level": [[3, 2, 2]]}, "dimensions"),
    ],
)
def test_disagreeing_arrays_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(small_trace(), **{k: np.array(v) if isinstance(v, list) else v for k, v in change.items()})


def test_a_trace_without_proof_has_no_learnt_lengths() -> None:
    trace = replace(small_trace(), learnt_length=np.zeros(0, dtype=np.int32))
    assert trace.conflicts == 3


def test_observed_share() -> None:
    assert small_trace().observed_share == 1.0
    assert replace(small_trace(), observed=np.array([True, False, False, False])).observed_share == pytest.approx(1 / 3)
