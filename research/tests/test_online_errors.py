from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from online_errors import (
    Fold,
    Learner,
    ObservedRuns,
    compare_predictions,
    errors,
    errors_by_fraction,
    errors_by_point,
    forest,
    held_out_predictions,
    linear,
    linear_by_answer,
    mean,
    scaled,
    standing_at,
    start_predictions,
)

from satcost_gnn.errors import EvaluationError
from satcost_gnn.learn.base import group_folds

SPENT = (100.0, 200.0, 400.0, 800.0, 1600.0)


def synthetic(n: int = 90, noise: float = 0.3, seed: int = 0, shift: float = 0.0, level: float = 3.3) -> ObservedRuns:
    """Searches whose cost shows in a feature, by itself at every point, with noise of its own at each point."""
    rng = np.random.default_rng(seed)
    satisfiable = rng.integers(0, 2, n)
    base = rng.normal(level, 0.4, n)
    cost = base + shift * satisfiable
    spent = np.where(np.log10(SPENT) < cost[:, None], SPENT, np.nan)
    signal = base[:, None] + rng.normal(0.0, noise, (n, len(SPENT)))
    answer = satisfiable[:, None] + rng.normal(0.0, 0.1, (n, len(SPENT)))
    features = np.stack([signal, answer, rng.normal(size=(n, len(SPENT)))], axis=2)
    return ObservedRuns(
        instances=tuple(f"i{k}" for k in range(n)),
        log10_cost=cost,
        censored=np.zeros(n, dtype=bool),
        satisfiable=satisfiable.astype(np.int8),
        spent=spent,
        names=("window.signal", "window.answer", "window.nothing"),
        features=np.where(np.isnan(spent)[:, :, None], np.nan, features),
        static_names=("size",),
        static=rng.normal(size=(n, 1)),
        estimates={"guess": np.where(np.isnan(spent), np.nan, 2.0 * signal + 1.0)},
    )


def at_first_points(runs: ObservedRuns, count: int) -> ObservedRuns:
    return replace(
        runs,
        spent=runs.spent[:, :count],
        features=runs.features[:, :count],
        estimates={name: values[:, :count] for name, values in runs.estimates.items()},
    )


def root_mean_square(runs: ObservedRuns, predicted: np.ndarray, point: int) -> float:
    return errors_by_point(runs, predicted)[point]["rmse"]


@pytest.mark.parametrize("learner", [linear, linear_by_answer, forest])
def test_learners_find_what_the_features_show(learner: Learner) -> None:
    runs = at_first_points(synthetic(n=70), 2)
    found = held_out_predictions(runs, learner)
    constant = held_out_predictions(runs, mean)
    assert np.isnan(found[np.isnan(runs.spent)]).all() and not np.isnan(found[~np.isnan(runs.spent)]).any()
    assert root_mean_square(runs, found, 1) < 0.9 * root_mean_square(runs, constant, 1)


def test_an_estimate_is_shifted_and_scaled() -> None:
    runs = synthetic(noise=0.01)
    found = held_out_predictions(runs, scaled, estimate="guess", static=False)
    assert root_mean_square(runs, found, 0) < 0.05
    # As it stands it is far off.
    assert errors(runs.estimates["guess"][:, 0], runs.log10_cost)["rmse"] > 2.0


def test_an_instance_is_not_seen_in_training() -> None:
    runs = synthetic(n=40)
    folds = group_folds(runs.instances, 5)
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def spy(fold: Fold) -> tuple[np.ndarray, np.ndarray]:
        seen.append((fold.train.values[:, 0], fold.test.values[:, 0]))
        return np.zeros(len(fold.test)), np.zeros(len(fold.train))

    held_out_predictions(runs, spy, folds=folds, earlier=True)
    assert len(seen) >= 5
    for train, test in seen:
        assert len(test) and not np.isin(test, train).any()


def test_a_changed_cost_leaves_the_instances_own_predictions_alone() -> None:
    runs = synthetic(n=50)
    row = int(np.argmax(runs.log10_cost))
    folds = group_folds(runs.instances, 5)
    other = runs.log10_cost.copy()
    other[row] += 1.0

    for earlier in (False, True):
        one = held_out_predictions(runs, linear, folds=folds, earlier=earlier)[row]
        two = held_out_predictions(replace(runs, log10_cost=other), linear, folds=folds, earlier=earlier)[row]
        np.testing.assert_array_equal(one, two)


def test_earlier_predictions_help_where_windows_err_by_themselves() -> None:
    # Each window is off by its own; the mean of several is better than the last.
    runs = synthetic(n=150, noise=0.6, level=4.5)
    alone = held_out_predictions(runs, linear)
    chain = held_out_predictions(runs, linear, earlier=True)
    last = len(SPENT) - 1
    assert root_mean_square(runs, chain, last) < root_mean_square(runs, alone, last)
    difference = compare_predictions(runs, chain, alone, from_point=1)["rmse"]
    assert difference.value < 0 and difference.high < 0
    # At the first point there is nothing earlier.
    np.testing.assert_array_equal(alone[:, 0], chain[:, 0])


def test_models_by_answer_help_where_the_answers_cost_differently() -> None:
    runs = at_first_points(synthetic(n=150, noise=0.1, shift=1.5), 1)
    hidden = replace(runs, features=runs.features[:, :, [0, 2]], names=(runs.names[0], runs.names[2]))
    told = root_mean_square(runs, held_out_predictions(runs, linear_by_answer), 0)
    assert told < 0.75 * root_mean_square(hidden, held_out_predictions(hidden, linear_by_answer), 0)


@pytest.mark.parametrize("learner", [linear, forest])
def test_stopped_searches_count_as_bounds(learner: Learner) -> None:
    runs = at_first_points(synthetic(n=80, noise=0.1), 1)
    limit = 3.4
    censored = runs.log10_cost > limit
    cut = replace(runs, log10_cost=np.minimum(runs.log10_cost, limit), censored=censored)
    bounds = held_out_predictions(cut, learner)[censored, 0]
    as_costs = held_out_predictions(replace(cut, censored=np.zeros_like(censored)), learner)[censored, 0]
    # The truth lies above the limit: whoever takes the bound for the cost predicts too little.
    assert bounds.mean() > as_costs.mean() + 0.05
    assert np.abs(bounds - runs.log10_cost[censored]).mean() < np.abs(as_costs - runs.log10_cost[censored]).mean()


def test_predictions_never_fall_below_what_was_spent() -> None:
    runs = synthetic(noise=2.0)
    found = held_out_predictions(runs, linear)
    there = ~np.isnan(runs.spent)
    assert (found[there] >= np.log10(runs.spent[there])).all()


def test_folds_whose_searches_have_all_ended_are_left_alone() -> None:
    runs = synthetic(n=60)
    going_on = ~np.isnan(runs.spent)
    # All searches of the first fold end before the third point.
    folds = np.where(going_on[:, 2], 1 + np.arange(60) % 3, 0)
    found = held_out_predictions(runs, forest, folds=folds, least=10)
    np.testing.assert_array_equal(np.isnan(found), ~going_on)


def test_with_too_few_left_the_estimate_before_stands() -> None:
    runs = synthetic(n=60, level=3.0)
    left = (~np.isnan(runs.spent)).sum(axis=0)
    assert left[-1] < 30 and left[-2] > 36
    found = held_out_predictions(runs, mean, least=30, folds=group_folds(runs.instances, 10))
    going_on = ~np.isnan(runs.spent[:, -1])
    expected = np.maximum(found[going_on, -2], np.log10(SPENT[-1]))
    np.testing.assert_array_equal(found[going_on, -1], expected)
    alone = held_out_predictions(runs, mean, least=30, folds=group_folds(runs.instances, 10), carry=False)
    assert np.isnan(alone[:, -1]).all()
    np.testing.assert_array_equal(alone[:, :-1], found[:, :-1])
    assert np.isnan(held_out_predictions(runs, mean, least=1000)).all()


def test_what_stands_is_what_was_said_last() -> None:
    spent = np.array([[10.0, 100.0], [10.0, np.nan]])
    said = np.array([[3.0, 4.0], [2.0, np.nan]])
    start = np.array([1.5, 1.5])

    def standing(at: float) -> list[float]:
        found: list[float] = standing_at(spent, said, np.full(2, at), start).tolist()
        return found

    assert standing(5.0) == [1.5, 1.5]
    assert standing(10.0) == [3.0, 2.0]
    assert standing(500.0) == pytest.approx([4.0, np.log10(500.0)])


def test_errors_by_fraction_of_a_known_case() -> None:
    runs = synthetic(n=20)
    truth = np.where(np.isnan(runs.spent), np.nan, runs.log10_cost[:, None])
    start = runs.log10_cost + 1.0
    found = errors_by_fraction(runs, truth, start, (0.001, 0.9))
    # Before the first point the start's prediction stands, ten times too large.
    assert found[0.001]["rmse"] == pytest.approx(1.0) and found[0.001]["ratio"] == pytest.approx(10.0)
    assert found[0.001]["within_4"] == 0.0 and found[0.001]["within_10"] == 1.0
    assert found[0.9]["rmse"] < 0.5 and found[0.9]["n"] == 20


def test_start_predictions_come_from_the_formula_alone() -> None:
    runs = synthetic(n=60)

    telling = replace(runs, static=runs.log10_cost[:, None])
    assert errors(start_predictions(telling, linear), runs.log10_cost)["rmse"] < 0.05
    assert errors(start_predictions(runs, linear), runs.log10_cost)["rmse"] > 0.3


def test_subset_keeps_rows_together() -> None:
    runs = synthetic(n=10)
    part = runs.subset(runs.satisfiable == 1)
    assert len(part) == int((runs.satisfiable == 1).sum()) and (part.satisfiable == 1).all()
    assert part.instances[0] == runs.instances[int(np.flatnonzero(runs.satisfiable == 1)[0])]
    assert part.estimates["guess"].shape == part.spent.shape


def test_impossible_searches_are_refused() -> None:

    runs = synthetic(n=5)
    with pytest.raises(EvaluationError, match="after the end"):
        replace(runs, log10_cost=np.full(5, 0.5))
    with pytest.raises(EvaluationError, match="rise"):
        replace(runs, spent=np.full((5, 5), 10.0))
    with pytest.raises(EvaluationError, match=r"static: found shape \(4, 1\)"):
        replace(runs, static=np.zeros((4, 1)))
