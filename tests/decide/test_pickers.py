import numpy as np
import pytest

from satcost_gnn.decide.pickers import (
    MOST_SOLVERS,
    PICKERS,
    PairwiseClassification,
    WeightedForest,
    make_picker,
    members,
)
from satcost_gnn.errors import EstimatorError


def problem(n=120, seed=0):
    """Solver 0 is quick where the first feature is low, solver 1 where it is high, solver 2 never."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 4))
    low = x[:, 0] < 0.5
    penalised = np.stack([np.where(low, 10.0, 2000.0), np.where(low, 2000.0, 10.0), np.full(n, 2000.0)], axis=1)
    return x, penalised * rng.uniform(0.9, 1.1, size=penalised.shape)


@pytest.mark.parametrize("name", PICKERS)
def test_every_picker_finds_the_quick_solver_on_instances_it_has_not_seen(name):
    x, penalised = problem()
    x_new, penalised_new = problem(seed=1)
    picker = make_picker(name).fit(x, penalised)
    for scores, cost in ((picker.out_of_bag, penalised), (picker.scores(x_new), penalised_new)):
        assert scores.shape == cost.shape
        assert (scores.argmin(axis=1) == cost.argmin(axis=1)).mean() > 0.85


@pytest.mark.parametrize("name", PICKERS)
def test_scores_out_of_bag_know_nothing_of_their_own_instance(name):
    """Where features say nothing, a score that had seen the answer would look good."""
    rng = np.random.default_rng(0)
    x, penalised = rng.uniform(size=(200, 3)), rng.choice([10.0, 2000.0], size=(200, 2))
    picker = make_picker(name).fit(x, penalised)
    paid = penalised[np.arange(200), picker.out_of_bag.argmin(axis=1)].mean()
    assert paid > penalised.mean() - 150


@pytest.mark.parametrize("name", PICKERS)
def test_scores_out_of_bag_know_nothing_of_their_own_group(name):
    """Where a feature names the group and the group decides, only who has seen the group does well."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    x = groups[:, None] + rng.uniform(size=(200, 2)) * 0.1
    penalised = np.stack([rng.permutation(np.tile([10.0, 2000.0], 10))[groups], np.full(200, 1100.0)], axis=1)
    of_group, of_instance = (
        penalised[np.arange(200), make_picker(name).fit(x, penalised, by).out_of_bag.argmin(axis=1)].mean()
        for by in (groups, None)
    )
    assert of_instance < 650
    assert of_group > 800


@pytest.mark.parametrize("name", PICKERS)
def test_the_same_seed_gives_the_same_scores(name):
    x, penalised = problem(60)
    first, second, other = (make_picker(name, seed).fit(x, penalised) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.scores(x), second.scores(x))
    assert not np.array_equal(first.scores(x), other.scores(x))


@pytest.mark.parametrize("name", PICKERS)
def test_a_single_solver_is_always_picked(name):
    x, penalised = problem(40)
    assert make_picker(name).fit(x, penalised[:, :1]).scores(x).shape == (40, 1)


def test_bad_input_is_named():
    x, penalised = problem(30)
    with pytest.raises(EstimatorError, match="magic"):
        make_picker("magic")
    with pytest.raises(EstimatorError, match="shape"):
        make_picker("par").fit(x[:5], penalised)
    with pytest.raises(EstimatorError, match="finite"):
        make_picker("par").fit(x, penalised * np.nan)
    with pytest.raises(EstimatorError, match="fit"):
        _ = make_picker("pairwise").out_of_bag


def test_complementary_solvers_are_taken_and_copies_are_not():
    _, penalised = problem()
    copies = np.concatenate([penalised, penalised[:, :1] + 1.0], axis=1)
    assert sorted(members(copies, 2, 0.0).tolist()) == [0, 1]
    assert len(members(copies, 9, 0.0)) == 4


def test_solvers_that_take_no_part_are_never_picked():
    x, penalised = problem()
    many = np.concatenate([penalised, np.full((len(x), MOST_SOLVERS), 2000.0)], axis=1)
    picker = PairwiseClassification().fit(x, many)
    picks = picker.scores(x).argmin(axis=1)
    assert set(picks.tolist()) <= set(members(many, MOST_SOLVERS, 0.0).tolist())


def test_instances_weigh_as_much_as_the_choice_matters():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=(300, 1)).astype(float)
    # Many small gains, few large losses among instances that look alike: the losses decide.
    gain = np.where(rng.random(300) < 0.8, 1.0, -1000.0)
    assert WeightedForest(x, gain, np.arange(len(x)), 0).share(x).max() < 0.1
    assert WeightedForest(x, np.sign(gain), np.arange(len(x)), 0).share(x).min() > 0.5
    # Nothing to learn: a constant.
    assert (WeightedForest(x, np.ones(300), np.arange(300), 0).share(x) == 1.0).all()
    assert (WeightedForest(x, np.where(np.arange(300) < 3, -1.0, 0.0), np.arange(300), 0).out_of_bag == 0.0).all()
