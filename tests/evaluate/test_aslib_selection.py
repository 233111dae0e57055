import itertools

import numpy as np

from satcost_gnn.data.aslib_scenario import AslibScenario, FeatureStep
from satcost_gnn.evaluate import aslib_selection as selection


def test_everything_that_a_policy_does_is_charged():
    runtime = np.array([[1.0, 50.0], [80.0, 20.0], [99.0, np.inf]])
    choice = np.array([1, 1, 1])
    features_s = np.array([10.0, 85.0, 1.0])
    policy = selection.Policy(0, ((0, 5.0),), ("base",), "par")
    found = selection.policy_cost(policy, choice, runtime, features_s, 100.0, 2.0)
    # Answered in presolving; 5 + 85 + 20 is over the cutoff; no answer.
    assert found.tolist() == [1.0, 200.0, 200.0]
    plain = selection.Policy(0, (), ("base",), "par")
    assert selection.policy_cost(plain, choice, runtime, features_s, 100.0, 10.0).tolist() == [60, 1000, 1000]
    single = selection.Policy(0)
    assert selection.policy_cost(single, choice, runtime, features_s, 100.0, 2.0).tolist() == [1, 80, 99]


def test_a_solver_that_is_chosen_after_presolving_goes_on():
    runtime = np.array([[30.0, 60.0], [30.0, np.inf], [2.0, 4.0]])
    policy = selection.Policy(0, ((1, 5.0), (0, 1.0)), ("base",), "par")
    found = selection.policy_cost(policy, np.array([1, 0, 1]), runtime, np.array([7.0, 7.0, 7.0]), 100.0, 2.0)
    # 5 + 1 + 7 before what is left of 60 after 5; of 30 after 1; answered within the first slice.
    assert found.tolist() == [68.0, 42.0, 4.0]


def test_only_a_better_score_by_more_than_the_margin_is_picked():
    scores = np.array([[1.0, 0.0, 2.0], [1.0, 0.9, 2.0], [0.0, 1.0, 2.0]])
    assert selection.picked(scores, 0, 0.0).tolist() == [1, 1, 0]
    assert selection.picked(scores, 0, 0.5).tolist() == [1, 0, 0]
    assert selection.picked(scores, 0, 1.0).tolist() == [0, 0, 0]


def runs(n, seed=0):
    """Two solvers, each quick on half of the instances, and one that is middling on all; infinite from 900 s."""
    rng = np.random.default_rng(seed)
    runtime = np.stack(
        [np.where(np.arange(n) % 2, 50.0, 700.0), np.where(np.arange(n) % 2, 700.0, 50.0), np.full(n, 250)]
    )
    runtime = runtime.T * 10 ** rng.normal(0, 0.05, size=(n, 3))
    return np.where(runtime < 900.0, runtime, np.inf)


def option(runtime, picker="oracle", seconds=1.0, noise=0.0, seed=0):
    scores = np.minimum(runtime, 2000.0) + noise * np.random.default_rng(seed).normal(size=runtime.shape)
    return selection.Option(("a",), picker, scores, np.full(len(runtime), seconds))


def test_the_policy_is_the_best_of_all():
    rng = np.random.default_rng(0)
    runtime = 10 ** rng.uniform(-1, 3, size=(60, 2))
    runtime[runtime >= 900] = np.inf
    options = [option(runtime, "noisy", 1.0, 300.0), option(runtime, "oracle", 30.0)]
    policy, gain, error = selection.choose_policy(options, runtime, 900.0)
    assert gain > error

    def mean(policy, choice, seconds):
        return selection.policy_cost(policy, choice, runtime, np.full(60, seconds), 900.0, 2.0).mean()

    by_name = {one.picker: one for one in options}
    chosen = by_name[policy.picker]
    choice = selection.picked(chosen.scores, policy.single, policy.margin)
    found = mean(policy, choice, chosen.features_s[0])
    for one, first in itertools.product(options, ((), selection.presolving_for(runtime, 900.0))):
        other = selection.Policy(policy.single, first, ("a",), one.picker)
        assert found <= mean(other, selection.picked(one.scores, policy.single, 0.0), one.features_s[0]) + 1e-9
    for column in (0, 1):
        assert found <= mean(selection.Policy(column), np.zeros(60, dtype=int), 0.0) + 1e-9


def test_a_picker_that_knows_is_taken_and_one_that_guesses_is_not():
    runtime = runs(80)
    options = [option(runtime, "guess", 1.0, 1e6), option(runtime, "oracle", 1.0)]
    policy, gain, error = selection.choose_policy(options, runtime, 1000.0)
    assert policy.picker == "oracle"
    assert gain > 5 * error


def test_what_pays_in_one_group_only_is_not_taken():
    """All that is gained is gained in one of eight families: nothing says that a new one will be like it."""
    runtime = np.tile([100.0, 400.0], (80, 1))
    runtime[:10] = [900.0, 60.0]
    families = np.repeat(np.arange(8), 10)
    options = [option(runtime, "oracle", 1.0)]
    assert selection.choose_policy(options, runtime, 1000.0)[0].picker == "oracle"
    policy, gain, error = selection.choose_policy(options, runtime, 1000.0, families)
    assert policy.picker is None
    assert 0 < gain <= error


def test_noise_is_no_reason_to_leave_the_single_best():
    left = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        runtime = 10 ** (1 + 0.8 * rng.normal(size=(60, 3))) * np.array([1.0, 1.3, 1.3])
        guess = selection.Option(("a",), "guess", rng.normal(size=(60, 3)), np.full(60, 1.0))
        runtime[runtime >= 1000] = np.inf
        policy, gain, error = selection.choose_policy([guess], runtime, 1000.0)
        single = int(np.minimum(runtime, 2000).mean(axis=0).argmin())
        alone = policy == selection.Policy(single, selection.presolving_for(runtime, 1000.0))
        assert alone or gain > selection.STANDARD_ERRORS * error
        left += policy.picker == "guess"
    assert left <= 3


def test_features_that_cost_more_than_they_save_are_not_computed():
    runtime = runs(80)
    policy, _, _ = selection.choose_policy([option(runtime, "oracle", 800.0)], runtime, 1000.0)
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


def scenario(statuses):
    """A scenario of which only the statuses matter."""
    n, m = statuses.shape
    return AslibScenario(
        name="tiny",
        instances=tuple(f"i{k}" for k in range(n)),
        algorithms=tuple(f"a{k}" for k in range(m)),
        cutoff_s=1000.0,
        runtimes=np.ones((n, m, 1)),
        statuses=statuses[:, :, None],
        feature_names=("f",),
        features=np.ones((n, 1)),
        steps=(FeatureStep("base", ("f",)),),
        default_steps=("base",),
    )


def test_step_sets_are_closed_and_cheap_ones_are_offered():
    scenario = AslibScenario(
        name="tiny",
        instances=("i", "j"),
        algorithms=("a",),
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
        feature_costs=np.array([[0.5, 400.0, 0.0], [0.5, 400.0, 0.0]]),
        default_steps=("base", "more"),
    )
    assert selection.step_sets(scenario, np.arange(2)) == [("base", "more"), ("base",)]


def test_a_solver_that_declines_comes_first_whatever_it_answers():
    """Column 2 answers nothing here; what it might answer elsewhere costs the shortest slice."""
    runtime = np.concatenate([runs(50)[:, :2], np.full((50, 1), np.inf)], axis=1)
    shortest = selection.SHARES[0] * 1000.0
    plain, found = (selection.presolving_for(runtime, 1000.0, first) for first in ((), (2,)))
    assert found[0] == (2, shortest)
    assert [solver for solver, _ in found[1:]] == [solver for solver, _ in plain]
    # Where it answers everything, nothing else is needed.
    runtime[:, 2] = shortest
    assert selection.presolving_for(runtime, 1000.0, (2,)) == ((2, shortest),)


def test_what_comes_first_comes_first_with_every_picker():
    runtime = np.concatenate([runs(80), np.full((80, 1), np.inf)], axis=1)
    policy, _, _ = selection.choose_policy([option(runtime, "oracle", 1.0)], runtime, 1000.0, first=(3,))
    assert policy.picker == "oracle"
    assert policy.presolving[0] == (3, selection.SHARES[0] * 1000.0)


def test_who_declines_is_told_from_who_fails():
    statuses = np.array([["ok", "ok", "not_applicable", "ok"], ["ok", "timeout", "ok", "not_applicable"]])
    statuses = np.concatenate([statuses, [["ok", "not_applicable", "not_applicable", "crash"]]])
    assert selection.declining(scenario(statuses)) == (2,)


def test_without_options_presolving_and_the_single_best_remain():
    runtime = runs(50)
    policy, gain, error = selection.choose_policy([], runtime, 1000.0)
    assert policy == selection.Policy(2, selection.presolving_for(runtime, 1000.0))
    assert (gain, error) == (0.0, 0.0)
