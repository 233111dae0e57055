"""A run that is not known is no data: whatever stands in its place changes nothing, in any estimator."""

from dataclasses import replace

import numpy as np
import pytest
from small_estimators import small, table_for
from synthetic_table import make_table

from satcost_gnn.learn.registry import NAMES, make_estimator


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_in_the_place_of_an_unknown_run_changes_nothing(name: str) -> None:
    table = table_for(name, 90, seed=4, absent=0.3, cutoff=4.6)
    assert np.isnan(table.cost[~table.known]).all() and (~table.known).sum() > 20
    expected = small(name).fit(table).predict(table.instances[:20]).cdf
    for nonsense, stopped in ((9.0, False), (-5.0, True), (np.inf, True)):
        cost, censored = table.cost.copy(), table.censored.copy()
        cost[~table.known], censored[~table.known] = nonsense, stopped
        found = small(name).fit(replace(table, cost=cost, censored=censored)).predict(table.instances[:20]).cdf
        np.testing.assert_array_equal(found, expected)
    assert np.isfinite(expected).all()


@pytest.mark.parametrize("name", ["constant", "knn", "forest"])
@pytest.mark.parametrize("joint", [True, False])
def test_a_prediction_is_made_of_known_runs_alone(name: str, joint: bool) -> None:
    """Where all known runs of a solver cost the same, so does every prediction of an estimator that averages runs."""
    table = make_table(120, seed=5)
    cost, known = table.cost.copy(), table.known.copy()
    known[::3, 1] = False
    # At the middle of a bin, far below what the other solver, or a model of the features, would say.
    cost[:, 1] = 1.125
    settings = {"n_trees": 10, "joint": joint} if name == "forest" else {}
    fitted = make_estimator(name, **settings).fit(replace(table, cost=cost, known=known))
    second = fitted.predict(table.instances)[:, 1]
    if name == "knn":
        # Its samples are smoothed.
        assert (np.abs(second.median() - 1.125) < 0.3).all()
    else:
        np.testing.assert_allclose(second.cdf_at(np.full(120, 1.0)), 0.0, atol=1e-4)
        np.testing.assert_allclose(second.cdf_at(np.full(120, 1.25)), 1.0, atol=1e-4)
