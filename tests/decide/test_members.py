import itertools

import numpy as np
import pytest

from satcost_gnn.decide.pickers import members


@pytest.mark.parametrize("seed", range(10))
def test_each_member_adds_most_to_those_before_it(seed):
    penalised = 10 ** np.random.default_rng(seed).uniform(0, 4, size=(15, 5))
    found = members(penalised, 5, 0.0).tolist()
    for k, column in enumerate(found):
        means = {other: penalised[:, [*found[:k], other]].min(axis=1).mean() for other in range(5)}
        assert means[column] == min(means[other] for other in set(range(5)) - set(found[:k]))
    # Whoever is missing would not lower the virtual best.
    best = penalised[:, found].min(axis=1).mean()
    assert best == pytest.approx(penalised.min(axis=1).mean())


def test_near_copies_are_left_out_and_the_single_best_is_not():
    penalised = np.array([[10.0, 9.99, 100.0], [10.0, 10.5, 100.0], [50.0, 50.0, 1.0]])
    assert members(penalised).tolist() == [0, 2]
    assert members(penalised, least=0.0).tolist() == [0, 2, 1]
    assert members(penalised, 1).tolist() == [0]
    for columns in itertools.permutations(range(3)):
        assert columns[members(penalised[:, columns])[0]] == 0
