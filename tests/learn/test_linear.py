import numpy as np
import pytest
from synthetic_table import make_instances, make_table, rmse, true_mean

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable, group_folds
from satcost_gnn.learn.baselines.size import Size
from satcost_gnn.learn.censored_regression import CensoredRidge
from satcost_gnn.learn.linear import (
    AnswerClassifier,
    Linear,
    SelectedRidge,
    _best_penalty,
    _held_out,
    _prefix_sizes,
    _ridge_path,
    _usable_folds,
)


@pytest.mark.parametrize("criterion", ["aic", "bic", "none"])
def test_it_learns_what_structure_and_search_tell(criterion):
    table = make_table(400, cutoff=5.0, missing=0.05)
    fresh, truth = make_instances(300, seed=5)[0], true_mean(300, seed=5)
    found = Linear(criterion=criterion, by_answer=False).fit(table).predict(fresh)
    assert rmse(found, truth) < 0.4 < rmse(Size().fit(table).predict(fresh), truth)
    y = truth + 0.2 * np.random.default_rng(3).normal(size=truth.shape)
    low, high = found.interval(0.8)
    assert 0.7 < ((low <= y) & (y <= high)).mean() < 0.9


def test_feature_sets_need_only_their_part():
    table = make_table(300)
    static, online = Linear(features="static").fit(table), Linear(features="online").fit(table)
    assert (static.needs, online.needs) == ({"static"}, {"online"})
    bare = [Instance(i.path, "", i.static) for i in table.instances[:5]]
    np.testing.assert_array_equal(static.predict(bare).cdf, static.predict(table.instances[:5]).cdf)
    parts = [part for model in online._models for part in (model.common, *model.by_answer)]
    read = {online._standardiser.names[column] for part in parts for column in part.columns}
    assert read and not read & set(table.instances[0].static.names)


def fold_sets(n, seed=0):
    return [np.random.default_rng(seed).permutation(n) % 5, np.arange(n) // (n // 5 + 1)]


def test_selection_drops_noise():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 40))
    y = x[:, 3] - 0.5 * x[:, 17] + 0.3 * rng.normal(size=300)
    data = x, y, np.zeros(300, bool), np.ones(300), fold_sets(300)
    for criterion, most in (("aic", 15), ("bic", 4)):
        chosen, held_out = SelectedRidge.fit(*data, None, criterion)
        assert {3, 17} <= set(chosen.columns.tolist()) and len(chosen.columns) <= most
        assert chosen.model.coefficients[list(chosen.columns).index(3)] == pytest.approx(1.0, abs=0.1)
        assert chosen.sd == pytest.approx(0.3, abs=0.04)
        assert np.sqrt(np.mean((held_out - y) ** 2)) == pytest.approx(0.3, abs=0.04)
    assert len(SelectedRidge.fit(*data, 1.0, "none")[0].columns) == 40


def test_the_noise_is_that_of_new_instances_even_with_more_features_than_rows():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 150))
    y = rng.normal(size=60)
    chosen, _ = SelectedRidge.fit(x, y, np.zeros(60, bool), np.ones(60), fold_sets(60), 0.1, "none")
    assert np.std(y - chosen.predict(x)) < 0.2
    assert chosen.sd > 0.8


def test_ridge_path_is_scikit_learns_ridge():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(2)
    x, y, weights = rng.normal(size=(50, 8)) + 1, rng.normal(size=50), rng.random(50)
    penalties = np.array([0.5, 20.0])
    intercepts, coefficients = _ridge_path(x, y, weights, penalties)
    for k, penalty in enumerate(penalties):
        theirs = Ridge(alpha=penalty).fit(x, y, sample_weight=weights)
        np.testing.assert_allclose(coefficients[k], theirs.coef_, rtol=1e-8)
        assert intercepts[k] == pytest.approx(theirs.intercept_)
    nothing = _ridge_path(x, y, np.zeros(50), penalties)
    assert nothing[0].tolist() == pytest.approx([y.mean()] * 2) and not nothing[1].any()


def test_the_penalty_has_the_least_error_of_explicit_cross_validation():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 25))
    y = x[:, 0] + 1.5 * rng.normal(size=60)
    folds = fold_sets(60)
    found = _best_penalty(x, y, np.ones(60), folds)

    def error(penalty):
        total = 0.0
        for fold_of in folds:
            for fold in range(5):
                out = fold_of == fold
                model = CensoredRidge.fit(x[~out], y[~out], np.zeros((~out).sum(), bool), penalty)
                total += float(((model.predict(x[out]) - y[out]) ** 2).sum())
        return total

    assert error(found) <= min(error(p) for p in 10.0 ** np.arange(-1.0, 5.1, 1.0)) * (1 + 1e-9)


def test_held_out_predictions_know_nothing_of_their_fold():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 6)), rng.normal(size=40)
    fold_of = np.arange(40) % 4
    for size in (2, 6):
        before = _held_out(x, y, np.ones(40), fold_of, 1.0, size)
        changed = np.where(fold_of == 2, y + 100.0, y)
        after = _held_out(x, changed, np.ones(40), fold_of, 1.0, size)
        np.testing.assert_array_equal(before[fold_of == 2], after[fold_of == 2])
        assert (before[fold_of != 2] != after[fold_of != 2]).all()


def test_a_single_family_falls_back_to_folds_of_instances():
    alone = np.arange(20) % 5
    together = group_folds(["one"] * 20, 5)
    assert [fold.tolist() for fold in _usable_folds([alone, together], 20)] == [alone.tolist()]
    assert len(set(_usable_folds([together], 20)[0].tolist())) == 2
    table = make_table(60, families=1)
    assert np.isfinite(Linear().fit(table).predict(table.instances).mean()).all()


def answers_table(n=600, seed=0):
    """Satisfiable instances get cheaper with the hidden size, unsatisfiable ones dearer."""
    table = make_table(n, seed)
    size = np.array([i.static["vars_log"] for i in table.instances]) - 7
    rng = np.random.default_rng(seed + 5)
    sat = (np.array([i.static["noise_a"] for i in table.instances]) + 0.3 * rng.normal(size=n) > 0).astype(int)
    mean = np.where(sat == 1, 4 - 0.9 * size, 4 + 0.9 * size)
    cost = np.stack([mean, mean + 0.3], axis=1) + 0.2 * rng.normal(size=(n, 2))
    shown = np.where(rng.random(n) < 0.2, -1, sat)
    everything = np.ones((n, 2), bool)
    return TrainingTable(
        table.instances, table.solvers, "conflicts", cost, ~everything, everything, table.groups, shown
    )


def test_models_by_answer_are_mixed_by_its_probability():
    table, fresh = answers_table(), answers_table(400, seed=9)
    apart = Linear(by_answer=True).fit(table)
    together = Linear(by_answer=False).fit(table)
    scores = [e.predict(fresh.instances).crps(fresh.cost).mean() for e in (apart, together)]
    assert scores[0] < 0.7 * scores[1]
    assert all(len(model.by_answer) == 2 for model in apart._models)
    assert not any(model.by_answer for model in together._models)


def test_too_few_answers_make_one_model():
    table = make_table(100)
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    few = TrainingTable(**{**fields, "satisfiable": np.where(np.arange(100) < 90, 0, 1)})
    assert not any(model.by_answer for model in Linear().fit(few)._models)


def test_classifier_tells_what_can_be_told():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    answer = np.where(rng.random(500) < 0.2, -1, (x[:, 1] > 0.5).astype(int)).astype(np.int8)
    p = AnswerClassifier.fit(x, answer).predict(x)
    known = answer >= 0
    assert ((p > 0.5) == (answer == 1))[known].mean() > 0.9
    assert p.min() > 0 and p.max() < 1


def test_an_instance_beyond_all_training_gets_no_absurd_prediction():
    table = make_table(200)
    estimator = Linear().fit(table)
    names = table.instances[0].static.names, table.instances[0].online.names
    wild = [
        Instance("x", "", *(FeatureVector(part, np.full(len(part), value, np.float32)) for part in names))
        for value in (1e30, -1e30, np.nan)
    ]
    means = estimator.predict(wild).mean()
    assert np.isfinite(means).all()
    assert means.max() <= table.cost.max() + 1.5 and means.min() >= max(0.0, table.cost.min() - 0.5)


def test_prefix_sizes_grow_and_end_below_the_number():
    assert _prefix_sizes(1) == []
    sizes = _prefix_sizes(200)
    assert sizes[:5] == [1, 2, 3, 4, 5] and sizes[-1] < 200 and (np.diff(sizes) > 0).all() and len(sizes) < 30


def test_bad_settings_are_refused():
    for settings in ({"features": "graph"}, {"criterion": "cp"}, {"penalty": -1.0}):
        with pytest.raises(EstimatorError, match="expected"):
            Linear(**settings)
