import random
from collections.abc import Iterator

import numpy as np
import pytest

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.sandbox import Sandbox
from satcost_gnn.search.solvers import SOLVERS, run_solver, satisfies, seeded, solver_spec

UNSATISFIABLE = Formula.from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]])
SATISFIABLE = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4], [2, 2, -2]])


def random_3sat(n: int, ratio: float, seed: int) -> Formula:
    rng = random.Random(seed)
    return Formula.from_clauses(
        [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, n + 1), 3)] for _ in range(int(ratio * n))]
    )


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_answers(name: str, sandbox: Sandbox) -> None:
    assert run_solver(sandbox, name, UNSATISFIABLE, cpu_s=5).status == "UNSAT"
    assert run_solver(sandbox, name, SATISFIABLE, cpu_s=5).status == "SAT"
    assert run_solver(sandbox, name, Formula.from_clauses([[1], []]), cpu_s=5).status == "UNSAT"


@pytest.mark.parametrize("name", SOLVERS)
def test_timeout_keeps_the_counters(name: str, sandbox: Sandbox) -> None:
    run = run_solver(sandbox, name, random_3sat(600, 4.26, 1), cpu_s=0.3)
    assert run.status == "TIMEOUT"
    assert run.cpu_s >= 0.25
    if "conflicts" in SOLVERS[name].counters:
        assert run.conflicts is not None and run.conflicts > 100
    else:
        assert run.conflicts is None


def test_same_run_twice_costs_the_same(sandbox: Sandbox) -> None:
    formula = random_3sat(150, 4.26, 2)
    first, second = (run_solver(sandbox, "cadical195", formula, cpu_s=20) for _ in range(2))
    assert first.status == second.status and first.status in ("SAT", "UNSAT")
    assert (first.conflicts, first.decisions) == (second.conflicts, second.decisions)


def test_conflict_limit(sandbox: Sandbox) -> None:
    run = run_solver(sandbox, "minisat22", random_3sat(300, 4.26, 3), cpu_s=20, conflicts=500)
    assert (run.status, run.conflicts) == ("TIMEOUT", 500)


def test_conflict_limit_where_there_is_none_is_unsupported(sandbox: Sandbox) -> None:
    run = run_solver(sandbox, "kissat404", SATISFIABLE, conflicts=5)
    assert run.status == "UNSUPPORTED"
    assert "conflicts" in run.detail


def test_memory_limit(sandbox: Sandbox) -> None:
    run = run_solver(sandbox, "cadical195", random_3sat(200_000, 4.0, 4), cpu_s=20, memory_mb=60)
    assert run.status == "MEMOUT"


def test_unknown_solver() -> None:
    with pytest.raises(SolverError, match="cadical195"):
        solver_spec("nosuchsolver")


def test_shuffled_copy_is_isomorphic(sandbox: Sandbox) -> None:
    from satcost_gnn.formula.identity import identity

    formula = random_3sat(60, 4.0, 5)
    copy = seeded(formula, 17)
    assert identity(copy).gbdhash != identity(formula).gbdhash
    assert sorted(copy.clause_lengths) == sorted(formula.clause_lengths)

    # Occurrence counts by variable and sign are the same up to renaming and flipping.
    def profile(f: Formula) -> list[tuple[int, ...]]:
        counts = np.zeros((f.n_vars + 1, 2), dtype=int)
        np.add.at(counts, (np.abs(f.literals), (f.literals > 0).astype(int)), 1)
        return sorted(tuple(sorted(row)) for row in counts[1:].tolist())

    assert profile(copy) == profile(formula)
    statuses = {run_solver(sandbox, "minisat22", f, cpu_s=20).status for f in (formula, copy)}
    assert len(statuses) == 1


def test_seed_zero_is_the_formula_itself() -> None:
    assert seeded(SATISFIABLE, 0) is SATISFIABLE


def test_satisfies_against_brute_force() -> None:
    rng = random.Random(6)
    for trial in range(50):
        formula = random_3sat(8, 3.0, trial)
        model = [v * rng.choice((-1, 1)) for v in range(1, 9)]
        expected = all(any(lit in model for lit in clause) for clause in formula.clauses())
        assert satisfies(formula, model) == expected
    assert not satisfies(Formula.from_clauses([[1], []]), [1])
    assert satisfies(Formula.from_clauses([]), [])
