import numpy as np
import pytest
from synthetic_table import make_table

from satcost_gnn.estimators import corrected_estimate as module
from satcost_gnn.estimators.corrected_estimate import corrected_estimate


@pytest.fixture
def table():
    return make_table(60, seed=3)


def test_held_out_predictions_are_no_copies_of_the_labels(table):
    forest, held_out = corrected_estimate("forest", table)
    assert held_out.shape == table.cost.shape
    solved = table.known & ~table.censored
    inside = np.abs(forest.predict(table.instances).mean() - table.cost)[solved].mean()
    outside = np.abs(held_out.mean() - table.cost)[solved].mean()
    assert inside < outside


def test_what_is_kept_is_not_fitted_again(table, tmp_path, monkeypatch):
    forest, held_out = corrected_estimate("forest", table, tmp_path)

    def refuse(*_, **__):
        raise AssertionError("fitted again")

    monkeypatch.setattr(module, "make_estimator", refuse)
    again, same = corrected_estimate("forest", table, tmp_path)
    np.testing.assert_array_equal(same.cdf, held_out.cdf)
    np.testing.assert_allclose(
        again.predict(table.instances).cdf, forest.predict(table.instances).cdf, rtol=0, atol=1e-6
    )


def test_another_table_is_fitted_anew(table, tmp_path):
    corrected_estimate("forest", table, tmp_path)
    corrected_estimate("forest", table.subset(np.arange(50)), tmp_path)
    changed = table.subset(np.arange(len(table)))
    changed.cost[0, 0] += 0.5
    corrected_estimate("forest", changed, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
