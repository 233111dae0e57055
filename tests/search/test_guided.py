import numpy as np
import pytest

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.shuffle import shuffled, signed_renaming
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.guided import Guidance, run_guided
from satcost_gnn.search.model_sampling import sample_models


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def planted():
    """A satisfiable random 3-SAT formula that takes conflicts, and a model of it."""
    rng = np.random.default_rng(4)
    model = rng.choice([-1, 1], size=120)
    clauses = []
    while len(clauses) < 504:
        variables = rng.choice(120, size=3, replace=False)
        signs = rng.choice([-1, 1], size=3)
        if (signs == model[variables]).any():
            clauses.append(((variables + 1) * signs).tolist())
    formula = Formula.from_clauses(clauses, 120)
    values = sample_models(formula, 1)[0]
    numbers = np.arange(1, 121)
    return formula, np.where(values, numbers, -numbers).astype(np.int32)


@pytest.mark.parametrize("solver", ["minisat22", "glucose42", "cadical195"])
@pytest.mark.parametrize("guidance", list(Guidance))
@pytest.mark.parametrize("seed", [0, 3])
def test_a_model_as_phases_spares_all_conflicts(sandbox, planted, solver, guidance, seed):
    formula, model = planted
    run = run_guided(sandbox, solver, formula, model, guidance=guidance, seed=seed)
    assert (run.status, run.conflicts) == ("SAT", 0)
    own = run_guided(sandbox, solver, formula, None, seed=seed)
    assert own.status == "SAT"
    assert own.conflicts > 0


def test_limit_on_conflicts(sandbox, planted):
    run = run_guided(sandbox, "minisat22", planted[0], -planted[1], conflicts=3)
    assert run.status == "TIMEOUT"
    assert run.conflicts >= 3


def test_initial_phases_need_a_solver_whose_own_are_known(sandbox, planted):
    with pytest.raises(SolverError, match="lingeling"):
        run_guided(sandbox, "lingeling", planted[0], planted[1], guidance=Guidance.INITIAL)


def test_unreadable_file(sandbox, tmp_path):
    (tmp_path / "bad.cnf").write_text("p cnf 1 1\none 0\n")
    with pytest.raises(SolverError, match="one"):
        run_guided(sandbox, "minisat22", str(tmp_path / "bad.cnf"), None)


def test_copies_without_flips_keep_the_number_of_negations():
    formula = Formula.from_clauses([[1, -2, 3], [-1, -3], [2, 4]])
    copy = shuffled(formula, Draws(7, "shuffle"), flip=False)
    renaming = signed_renaming(4, Draws(7, "shuffle"), flip=False)
    assert sorted(renaming) == [1, 2, 3, 4]
    expected = {frozenset(int(np.sign(v) * renaming[abs(v) - 1]) for v in clause) for clause in formula.clauses()}
    assert {frozenset(clause) for clause in copy.clauses()} == expected


def test_renaming_is_the_one_that_the_copy_is_made_with():
    formula = Formula.from_clauses([[1, -2, 3], [-1, -3], [2, 4]])
    renaming = signed_renaming(4, Draws(7, "shuffle"))
    expected = {frozenset(int(np.sign(v) * renaming[abs(v) - 1]) for v in clause) for clause in formula.clauses()}
    assert {frozenset(clause) for clause in shuffled(formula, Draws(7, "shuffle")).clauses()} == expected
