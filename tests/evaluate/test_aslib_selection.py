import itertools

import numpy as np
import pytest

from satcost_gnn.data.aslib_scenario import AslibScenario, FeatureStep
from satcost_gnn.evaluate import aslib_selection as selection


def test_everything_that_a_policy_does_is_charged():
    runtime = np.array([[1.0, 50.0], [80.0, 20.0], [99.0, 30.0]])
    solved = np.array([[True, True], [True, True], [True, False]])
    choice = np.array([1, 1, 1])
    features_s = np.array([10.0, 85.0, 1.0])
    policy = selection.Policy(0, ("base",), "par", presolver=0, presolve_s=5.0)
    found = selection.schedule_cost(policy, choice, runtime, solved, features_s, 100.0, 2.0)
    # Solved by the presolver; 5 + 85 + 20 is over the cutoff; not solved.
    assert found.tolist() == [1.0, 200.0, 200.0]
    plain = selection.Policy(0, ("base",), "par")
    assert selection.schedule_cost(plain, choice, runtime, solved, features_s, 100.0, 10.0).tolist() == [60, 1000, 1000]
    single = selection.Policy(0)
    assert selection.schedule_cost(single, choice, runtime, solved, features_s, 100.0, 2.0).tolist() == [1, 80, 99]


def test_only_a_better_score_by_more_than_the_margin_is_picked():
    scores = np.array([[1.0, 0.0, 2.0], [1.0, 0.9, 2.0], [0.0, 1.0, 2.0]])
    assert selection.picked(scores, 0, 0.0).tolist() == [1, 1, 0]
    assert selection.picked(scores, 0, 0.5).tolist() == [1, 0, 0]
    assert selection.picked(scores, 0, 1.0).tolist() == [0, 0, 0]


def runs(n, seed=0):
    """Two solvers that are each quick on half of the instances, and one that is middling on all."""
    rng = np.random.default_rng(seed)
    runtime = np.stack(
        [np.where(np.arange(n) % 2, 3.0, 700.0), np.where(np.arange(n) % 2, 700.0, 3.0), np.full(n, 250)]
    )
    runtime = runtime.T * 10 ** rng.normal(0, 0.05, size=(n, 3))
    return runtime, runtime < 900.0


def option(runtime, picker="oracle", seconds=1.0, noise=0.0, seed=0):
    scores = runtime + noise * np.random.default_rng(seed).normal(size=runtime.shape)
    return selection.Option(("a",), picker, scores, np.full(len(runtime), seconds))


def test_the_policy_is_the_best_of_all():
    rng = np.random.default_rng(0)
    runtime = 10 ** rng.uniform(-1, 3, size=(60, 2))
    solved = runtime < 900
    options = [option(runtime, "noisy", 1.0, 300.0), option(runtime, "oracle", 30.0)]
    policy, gain, error = selection.choose_policy(options, runtime, solved, 900.0)
    assert gain > error

    def mean(policy, choice, seconds):
        spent = np.full(60, seconds)
        return selection.schedule_cost(policy, choice, runtime, solved, spent, 900.0, 2.0).mean()

    by_name = {one.picker: one for one in options}
    chosen = by_name[policy.picker]
    choice = selection.picked(chosen.scores, policy.single, policy.margin)
    found = mean(policy, choice, chosen.features_s[0])
    for one, presolver, seconds in itertools.product(options, (None, 0, 1), (1.0, 10.0, 100.0)):
        other = selection.Policy(
            policy.single, ("a",), one.picker, 0.0, presolver, seconds if presolver is not None else 0
        )
        assert found <= mean(other, selection.picked(one.scores, policy.single, 0.0), one.features_s[0]) + 1e-9
    for column in (0, 1):
        assert found <= mean(selection.Policy(column), np.zeros(60, dtype=int), 0.0) + 1e-9


def test_a_picker_that_knows_is_taken_and_one_that_guesses_is_not():
    runtime, solved = runs(80)
    options = [option(runtime, "guess", 1.0, 1e6), option(runtime, "oracle", 1.0)]
    policy, gain, error = selection.choose_policy(options, runtime, solved, 1000.0)
    assert policy.picker == "oracle"
    assert gain > 5 * error


def test_noise_is_no_reason_to_leave_the_single_best():
    left = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        runtime = 10 ** (1 + 0.8 * rng.normal(size=(60, 3))) * np.array([1.0, 1.3, 1.3])
        guess = selection.Option(("a",), "guess", rng.normal(size=(60, 3)), np.full(60, 1.0))
        policy, gain, error = selection.choose_policy([guess], runtime, runtime < 1000, 1000.0, seed)
        alone = policy == selection.Policy(int(np.where(runtime < 1000, runtime, 2000).mean(axis=0).argmin()))
        assert alone or gain > selection.STANDARD_ERRORS * error
        left += policy.picker == "guess"
    assert left <= 3


def test_features_that_cost_more_than_they_save_are_not_computed():
    runtime, solved = runs(80)
    policy, _, _ = selection.choose_policy([option(runtime, "oracle", 800.0)], runtime, solved, 1000.0)
    assert policy.steps == ()


def test_a_committee_is_heard_in_units_of_standard_deviation():
    first = np.array([[0.0, 1.0], [1.0, 0.0]])
    second = 1000.0 * np.array([[3.0, 2.9], [0.0, 1.0]]) + 5.0
    scores, units = selection.committee([first, second])
    np.testing.assert_allclose(scores, selection.mean_scores([first, second], units))
    # A constant added for an instance, or another unit, changes nothing.
    moved, _ = selection.committee([7.0 * first + np.array([[4.0], [9.0]]), second])
    np.testing.assert_allclose(moved, scores, atol=1e-12)
    assert scores.argmin(axis=1).tolist() == [0, scores[1].argmin()]


def test_step_sets_are_closed_and_cheap_ones_are_offered():
    scenario = AslibScenario(
        name="tiny",
        instances=("i", "j"),
        algorithms=("a",),
        measure="runtime",
        is_runtime=True,
        maximise=False,
        cutoff_s=1000.0,
        runtimes=np.ones((2, 1, 1)),
        statuses=np.full((2, 1, 1), "ok"),
        feature_names=("cheap", "dear", "dear-featuretime", "clock-featuretime"),
        features=np.ones((2, 4)),
        steps=(
            FeatureStep("base", ("cheap",)),
            FeatureStep("more", ("dear", "dear-featuretime"), ("base",)),
            FeatureStep("clock", ("clock-featuretime",)),
        ),
        feature_statuses=np.full((2, 3), "ok"),
        feature_costs=np.array([[0.5, 400.0, 0.0], [0.5, 400.0, 0.0]]),
        default_steps=("base", "more"),
    )
    assert selection.step_sets(scenario, np.arange(2)) == [("base", "more"), ("base",)]


@pytest.mark.parametrize("count", [1, 5])
def test_without_options_the_best_schedule_of_fixed_solvers_remains(count):
    runtime, solved = runs(10 * count)
    policy, _, _ = selection.choose_policy([], runtime, solved, 1000.0)
    assert policy.picker is None
    assert policy.steps == ()
