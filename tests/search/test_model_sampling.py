import itertools
import time

import numpy as np
import pytest
from synthetic_graphs import random_formula

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.search.model_sampling import SampledModels, find_backbone, sample_models


def all_models(formula):
    numbers = np.arange(1, formula.n_vars + 1)
    every = (np.array(values) for values in itertools.product([False, True], repeat=formula.n_vars))
    return np.array([values for values in every if satisfies(formula, np.where(values, numbers, -numbers))])


def satisfiable_formulas(count):
    rng = np.random.default_rng(5)
    while count:
        formula = random_formula(rng, n_vars=10, n_clauses=int(rng.integers(15, 32)), longest=3)
        models = all_models(formula)
        if len(models):
            count -= 1
            yield formula, models


def test_models_are_models_and_differ_between_seeds():
    formula = Formula.from_clauses([[1, 2, 3], [-1, 4], [5, 6], [7, -8], [9, 10]])
    found = sample_models(formula, 6, seed=1)
    numbers = np.arange(1, 11)
    assert found.shape == (6, 10)
    assert all(satisfies(formula, np.where(values, numbers, -numbers)) for values in found)
    assert len(np.unique(found, axis=0)) > 1
    assert (sample_models(formula, 6, seed=1) == found).all()
    assert (sample_models(formula, 6, seed=2) != found).any()


def test_backbone_is_that_of_all_models():
    sizes = []
    for formula, models in satisfiable_formulas(8):
        share = models.mean(axis=0)
        found = find_backbone(formula, sample_models(formula, 2), deadline=time.process_time() + 20)
        occurs = np.isin(np.arange(1, formula.n_vars + 1), np.abs(formula.literals))
        assert found[occurs].tolist() == np.where(share == 1, 1, np.where(share == 0, -1, 0))[occurs].tolist()
        sizes.append(int((found != 0).sum()))
    assert 0 < sum(sizes) < 80


def test_no_backbone_is_claimed_without_time():
    formula = Formula.from_clauses([[1], [-2]])
    assert find_backbone(formula, sample_models(formula, 1), deadline=0.0).tolist() == [0, 0]


def test_unsatisfiable_formulas_are_refused():
    with pytest.raises(SolverError, match="unsatisfiable"):
        sample_models(Formula.from_clauses([[1], [-1]]), 1)


def test_backbone_overrides_the_share():
    sampled = SampledModels(np.array([[True, False], [False, False]]), np.array([0, -1], dtype=np.int8))
    assert sampled.true_share.tolist() == [0.5, 0.0]
