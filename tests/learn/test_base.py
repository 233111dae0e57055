import json
import subprocess
import sys

import numpy as np
import pytest
from small_estimators import NETWORK, as_costs, small, table_for, with_graphs
from synthetic_table import SOLVERS, make_instances, make_table

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.learn.base import ESTIMATORS, Estimator, TrainingTable, columns, group_folds, register
from satcost_gnn.learn.baselines.constant import Constant
from satcost_gnn.learn.registry import CATALOGUE, MODULES, NAMES, estimator_class, load_estimator, make_estimator

# Training table


def test_subset_by_index_and_by_mask():
    table = make_table(20, absent=0.3)
    part = table.subset([5, 2, 2])
    assert [i.path for i in part.instances] == ["5.cnf", "2.cnf", "2.cnf"]
    np.testing.assert_array_equal(part.cost, table.cost[[5, 2, 2]])
    assert part.groups == ["family5", "family2", "family2"]
    mask = np.arange(20) % 2 == 0
    assert [i.path for i in table.subset(mask).instances] == [f"{k}.cnf" for k in range(0, 20, 2)]
    assert len(table.subset([])) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"unit": "hours"}, "found cost unit 'hours'"),
        ({"solvers": ("a", "a")}, "each once"),
        ({"cost": np.zeros((3, 3))}, r"cost of shape \(3, 3\); expected \(20, 2\)"),
        ({"cost": np.full((20, 2), np.nan)}, "no finite number"),
        ({"groups": ["x"]}, "found 1 groups"),
        ({"satisfiable": np.full(20, 2)}, "must hold 1, 0 or -1"),
    ],
)
def test_an_inconsistent_table_is_refused(change, message):
    table = make_table(20)
    fields = {name: getattr(table, name) for name in table.__dataclass_fields__}
    with pytest.raises(EstimatorError, match=message):
        TrainingTable(**{**fields, **change})


def test_group_folds_keep_groups_together_and_are_even():
    groups = [f"g{k % 13}" for k in range(130)] + ["big"] * 40
    folds = group_folds(groups, 5, seed=3)
    for group in set(groups):
        assert len({int(f) for f, g in zip(folds, groups, strict=True) if g == group}) == 1
    sizes = np.bincount(folds)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 10
    np.testing.assert_array_equal(folds, group_folds(groups, 5, seed=3))
    assert (folds != group_folds(groups, 5, seed=4)).any()
    with pytest.raises(EstimatorError, match="at least 2"):
        group_folds(groups, 1)


# Registry


def test_every_name_has_a_class_of_that_name():
    for name in NAMES:
        assert estimator_class(name).name == name
        assert ESTIMATORS[name].__module__ == MODULES[name]
    with pytest.raises(EstimatorError, match=r"found estimator 'oracle'; expected one of .*constant"):
        estimator_class("oracle")
    with pytest.raises(EstimatorError, match="'constant'"):
        make_estimator("constant", colour="red")


def test_register_refuses_a_taken_name_and_unknown_needs():
    class Impostor(Constant):
        name = "constant"

    class Greedy(Constant):
        name = "greedy"
        needs = frozenset({"oracle"})

    with pytest.raises(EstimatorError, match="taken by Constant"):
        register(Impostor)
    with pytest.raises(EstimatorError, match="oracle"):
        register(Greedy)
    assert ESTIMATORS["constant"] is Constant and "greedy" not in ESTIMATORS


# What holds for every estimator


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", list(GRIDS))
def test_contract(name, unit, tmp_path):
    table = table_for(name, 80, cutoff=4.8, missing=0.05, absent=0.1, unit=unit)
    estimator = small(name)
    assert not estimator.is_fitted
    with pytest.raises(EstimatorError, match="not fitted"):
        estimator.predict(table.instances)
    with pytest.raises(EstimatorError, match="not fitted"):
        estimator.save(tmp_path)
    assert estimator.fit(table) is estimator
    fresh = with_graphs(make_instances(7, seed=99)[0])
    found = estimator.predict(fresh)
    assert found.shape == (7, 2) and found.grid == GRIDS[unit]
    assert estimator.solvers == SOLVERS and estimator.unit == unit
    assert estimator.predict([]).shape == (0, 2)
    # An instance is predicted alike alone and in company.
    np.testing.assert_allclose(
        estimator.predict(fresh[3:4]).cdf[0], found.cdf[3], atol=1e-5 if name == NETWORK else 1e-12
    )
    again = small(name).fit(table).predict(fresh)
    np.testing.assert_array_equal(again.cdf, found.cdf)

    estimator.save(tmp_path / "saved")
    loaded = load_estimator(name, tmp_path / "saved")
    assert loaded.parameters() == estimator.parameters()
    assert (loaded.solvers, loaded.unit, loaded.needs) == (estimator.solvers, unit, estimator.needs)
    # Matrix products round by how their operands lie in memory, which reading a network from a file changes.
    np.testing.assert_allclose(loaded.predict(fresh).cdf, found.cdf, rtol=0, atol=1e-7 if name == NETWORK else 0)
    files = [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]
    assert files and all(path.suffix in (".json", ".npz", ".safetensors") for path in files)
    assert not estimator.clone().is_fitted


@pytest.mark.parametrize("name", NAMES)
def test_tags_are_those_of_the_catalogue_and_what_lacks_a_need_is_refused(name):
    kind, entry = estimator_class(name), CATALOGUE[name]
    assert (set(kind.needs), kind.censored, kind.multi_unit) == (
        set(entry.needs),
        entry.censored,
        entry.multi_unit,
    ), f"{name}: the tags of the class (left) and of its entry in CATALOGUE (right) differ"
    assert hasattr(kind, "for_unit") == kind.multi_unit


@pytest.mark.parametrize("name", [name for name in NAMES if CATALOGUE[name].censored])
def test_a_bound_is_not_taken_for_a_cost(name):
    table = table_for(name, 90, seed=4, cutoff=4.2)
    assert 0.2 < table.censored.mean() < 0.8
    bounds, costs = (small(name).fit(one).predict(table.instances[:30]).mean() for one in (table, as_costs(table)))
    assert bounds.mean() > costs.mean() + 0.02, (
        f"{name} takes bounds for costs; if it may: censored=False, in both places"
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name != NETWORK])
def test_a_damaged_file_is_a_checkpoint_error(name, tmp_path):
    small(name).fit(make_table(40)).save(tmp_path)
    header = json.loads((tmp_path / "estimator.json").read_text())
    for change, message in [
        ({"format": 99}, "install a newer"),
        ({"estimator": "other"}, "expected '" + name),
        ({"unit": "hours"}, "damaged"),
        ({"solvers": ["one", "two", "three"]}, "damaged"),
        ({"parameters": {"colour": "red"}}, "damaged"),
    ]:
        (tmp_path / "estimator.json").write_text(json.dumps({**header, **change}))
        with pytest.raises(CheckpointError, match=message):
            load_estimator(name, tmp_path)
    (tmp_path / "estimator.json").write_text("{")
    with pytest.raises(CheckpointError, match="JSON"):
        load_estimator(name, tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_estimator(name, tmp_path / "nowhere")
    with pytest.raises(EstimatorError, match="takes no options; found device"):
        load_estimator(name, tmp_path, device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_learn_from_is_an_error(name):
    table = table_for(name, 30)
    with pytest.raises(EstimatorError, match="table is empty"):
        small(name).fit(table.subset([]))
    fields = {field: getattr(table, field) for field in table.__dataclass_fields__}
    without = table.known.copy()
    without[:, 1] = False
    estimator = small(name)
    with pytest.raises(EstimatorError, match="no run of solver 'glucose42'"):
        estimator.fit(TrainingTable(**{**fields, "known": without}))
    assert not estimator.is_fitted


@pytest.mark.parametrize("name", NAMES)
def test_runs_that_were_all_stopped_still_give_finite_predictions_above_the_bound(name):
    table = table_for(name, 40, cutoff=1.0)
    assert table.censored.all()
    found = small(name).fit(table).predict(table.instances[:3])
    assert np.isfinite(found.mean()).all() and (found.mean() >= 1.0).all()


# Out-of-fold predictions


class FoldSpy(Constant):
    """A constant that remembers which instances it was fitted on."""

    name = "spy"
    fitted_on: list = []  # noqa: RUF012

    def _fit(self, table):
        super()._fit(table)
        self.mine = {i.path for i in table.instances}
        FoldSpy.fitted_on.append(self.mine)

    def _predict(self, instances):
        assert not self.mine & {i.path for i in instances}
        return super()._predict(instances)


def test_out_of_fold_never_predicts_what_it_was_fitted_on():
    table = make_table(60)
    FoldSpy.fitted_on.clear()
    estimator = FoldSpy()
    found = estimator.out_of_fold(table, 3)
    assert found.shape == (60, 2) and not estimator.is_fitted
    assert len(FoldSpy.fitted_on) == 3
    for fitted in FoldSpy.fitted_on:
        # Whole families are held out.
        held_out = {int(path[:-4]) % 6 for path in {i.path for i in table.instances} - fitted}
        kept = {int(path[:-4]) % 6 for path in fitted}
        assert held_out and not held_out & kept
    chosen = estimator.out_of_fold(table, np.arange(60) % 2)
    expected = Constant().fit(table.subset(np.arange(60) % 2 == 1)).predict(table.instances[:1])
    np.testing.assert_allclose(chosen.cdf[0], expected.cdf[0])


def test_out_of_fold_refuses_bad_folds():
    table = make_table(20)
    with pytest.raises(EstimatorError, match=r"expected \(20,\)"):
        Constant().out_of_fold(table, np.zeros(3))
    with pytest.raises(EstimatorError, match="single fold"):
        Constant().out_of_fold(table, np.zeros(20))


def test_a_prediction_of_the_wrong_shape_is_caught():
    class Wrong(Constant):
        def _predict(self, instances):
            return CostDistribution(self.grid, self._cdf)

    with pytest.raises(EstimatorError, match=r"predicted \(2,\)"):
        Wrong().fit(make_table(20)).predict(make_instances(3)[0])


def test_columns_puts_solvers_side_by_side():
    a, b = (CostDistribution.normal(GRIDS["conflicts"], np.arange(3.0) + k, 0.5) for k in (1, 2))
    joined = columns([a, b])
    assert joined.shape == (3, 2)
    np.testing.assert_allclose(joined[:, 1].cdf, b.cdf)


def test_estimator_cannot_be_made_without_its_methods():
    class Half(Estimator):
        name = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_listing_estimators_loads_no_heavy_library():
    code = (
        "import sys, satcost_gnn.learn.registry, satcost_gnn.core.distribution, satcost_gnn.learn.calibration\n"
        "print([name for name in ('torch', 'sklearn', 'scipy', 'pyarrow') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_estimator_that_keeps_nothing_of_what_it_has_learnt_is_told_at_once(tmp_path):
    class Forgetful(Estimator):
        name = "forgetful"
        needs = frozenset({"static"})

        def __init__(self, alpha=1.0):
            self._alpha = alpha

        def _fit(self, table):
            self.learnt = 1

        def _predict(self, instances):
            raise AssertionError

    made = Forgetful()
    with pytest.raises(EstimatorError, match=r"'forgetful': found no attribute 'alpha', expected each setting"):
        made.parameters()
    made.alpha = 1.0
    with pytest.raises(EstimatorError, match=r"'forgetful': found no _state\(\), expected it and _restore\(\)"):
        made._state()
