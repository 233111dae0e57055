import numpy as np
from synthetic_table import make_instances, make_table

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.baselines.constant import Constant


def test_it_is_the_kaplan_meier_estimate_of_each_solver():
    table = make_table(200, cutoff=4.5, absent=0.2)
    found = Constant().fit(table).predict(make_instances(3)[0])
    for column in range(2):
        known = table.known[:, column]
        expected = CostDistribution.from_samples(
            table.grid, table.cost[known, column], censored=table.censored[known, column]
        )
        np.testing.assert_allclose(found.cdf[:, column], np.tile(expected.cdf, (3, 1)))
    # All that is known of the stopped ones is that they cost more.
    assert (np.abs(1 - found.cdf[..., -1] - table.censored.sum(axis=0) / table.known.sum(axis=0)) < 0.02).all()


def test_it_needs_nothing_of_an_instance():
    estimator = Constant().fit(make_table(20))
    bare = Instance("x.cnf", "", make_instances(1)[0][0].static)
    assert estimator.needs == frozenset()
    assert estimator.predict([bare]).shape == (1, 2)
