import numpy as np
import pytest

from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.search.online import ONLINE_FEATURE_NAMES
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_replicate import PREFIX, REPLICATE_FEATURE_NAMES, replicate_features, run_probe_replicate
from satcost_gnn.search.probe_settings import ProbeSettings


def random_ksat(n_vars: int, n_clauses: int, seed: int) -> Formula:
    rng = np.random.default_rng(seed)
    clauses = [(rng.permutation(n_vars)[:3] + 1) * np.where(rng.random(3) < 0.5, -1, 1) for _ in range(n_clauses)]
    return Formula.from_clauses([clause.tolist() for clause in clauses])


def test_it_is_another_search_of_the_same_formula_and_repeatable() -> None:
    formula = random_ksat(150, 640, 0)
    settings = ProbeSettings(conflicts=200)
    first, second, once_more = (
        run_probe(formula, settings),
        run_probe_replicate(formula, settings),
        run_probe_replicate(formula, settings),
    )
    assert first.trace is not None and second.trace is not None and once_more.trace is not None
    assert not np.array_equal(first.trace.level, second.trace.level)
    np.testing.assert_array_equal(second.trace.level, once_more.trace.level)


def test_a_model_is_one_of_the_formula() -> None:
    for seed in range(5):
        formula = random_ksat(60, 200, seed)
        found = run_probe_replicate(formula, ProbeSettings())
        assert found.status == "SAT" and found.model is not None
        assert satisfies(formula, found.model) and len(np.unique(np.abs(found.model))) == len(found.model)


@pytest.mark.parametrize(("conflicts", "solved"), [(50, 0.0), (2000, 1.0)])
def test_features_are_those_of_the_first_search_but_the_dives(conflicts: int, solved: float) -> None:
    found = replicate_features(run_probe_replicate(random_ksat(120, 520, 3), ProbeSettings(conflicts=conflicts)))
    assert found.names == REPLICATE_FEATURE_NAMES
    assert found[f"{PREFIX}solved"] == solved
    theirs = {name for name in ONLINE_FEATURE_NAMES if not name.startswith("knuth.")}
    assert {name.removeprefix(PREFIX) for name in found.names} == theirs | {"solved"}
    assert not np.isnan(found[f"{PREFIX}level.all.mean"])


def test_without_a_search_everything_is_missing() -> None:
    assert replicate_features(None).is_missing.all()
