import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from pysat.solvers import Solver
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.shuffle import seeded
from satcost_gnn.runtime.sandbox import Outcome, Sandbox
from satcost_gnn.search.solver_run import run_solver, solve_child
from satcost_gnn.search.solvers import SOLVERS, Budget, Counter, SolverSpec, Stop, solver_spec

UNSATISFIABLE = Formula.from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]])
SATISFIABLE = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4], [2, 2, -2]])


def random_3sat(n: int, ratio: float, seed: int) -> Formula:
    rng = random.Random(seed)
    return Formula.from_clauses(
        [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, n + 1), 3)] for _ in range(int(ratio * n))]
    )


# Unsatisfiable, and out of reach for all.
HARD = random_3sat(400, 4.6, 3)
COMPLETE = [name for name, spec in SOLVERS.items() if spec.complete]
COUNTED = [name for name, spec in SOLVERS.items() if "conflicts" in spec.counters]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize("name", COMPLETE)
def test_every_solver_answers(name: str, sandbox: Sandbox) -> None:
    assert run_solver(sandbox, name, UNSATISFIABLE, cpu_s=5).status == "UNSAT"
    assert run_solver(sandbox, name, SATISFIABLE, cpu_s=5).status == "SAT"
    assert run_solver(sandbox, name, Formula.from_clauses([[1], []]), cpu_s=5).status == "UNSAT"


@pytest.mark.parametrize("name", COMPLETE)
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


@pytest.mark.parametrize(
    "name", [name for name, spec in SOLVERS.items() if spec.budget is Budget.CONFLICT and spec.counters]
)
def test_a_limit_on_conflicts_is_kept(name: str, sandbox: Sandbox) -> None:
    run = run_solver(sandbox, name, HARD, cpu_s=60, conflicts=500)
    assert run.status == "TIMEOUT"
    assert run.conflicts is not None and 500 <= run.conflicts <= 520


@pytest.mark.parametrize("name", [name for name, spec in SOLVERS.items() if spec.budget is Budget.RESTART])
def test_who_goes_over_its_limit_is_censored_at_what_it_did(name: str, sandbox: Sandbox) -> None:
    formula = HARD
    run = run_solver(sandbox, name, formula, cpu_s=60, conflicts=500)
    assert run.status == "TIMEOUT"
    with Solver(name=SOLVERS[name].pysat_name, bootstrap_with=formula.clauses()) as engine:
        engine.conf_budget(500)
        assert engine.solve_limited() is None
        assert run.conflicts == engine.accum_stats()["conflicts"] > 520


def test_conflict_limit_where_there_is_none_is_unsupported(sandbox: Sandbox) -> None:
    run = run_solver(sandbox, "lingeling", SATISFIABLE, conflicts=5)
    assert run.status == "UNSUPPORTED"
    assert "conflicts" in run.detail


@pytest.mark.parametrize("name", COMPLETE)
def test_counters_that_are_told_move(name: str, sandbox: Sandbox) -> None:
    spec = SOLVERS[name]
    run = run_solver(sandbox, name, HARD, cpu_s=1.5)
    assert run.status == "TIMEOUT"
    counts = {counter: getattr(run, counter) for counter in Counter}
    # A counter that stands still is not told.
    told = {counter for counter, count in counts.items() if count is not None}
    assert told == spec.counters, f"{name}: read after a stop by {spec.stop.name} (left), declared (right)"
    assert all(count > 0 for count in counts.values() if count is not None)
    assert counts["conflicts"] is None or counts["conflicts"] > 2000


def test_kissat_tells_the_conflicts_of_its_own_limit(sandbox: Sandbox) -> None:
    for limit in (1, 77, 5000):
        run = run_solver(sandbox, "kissat404", HARD, cpu_s=60, conflicts=limit)
        assert run.status == "TIMEOUT" and run.conflicts is not None and limit <= run.conflicts <= limit + 2
    easy = run_solver(sandbox, "kissat404", random_3sat(100, 3.0, 3), cpu_s=60)
    assert easy.status == "SAT" and easy.conflicts is not None and easy.decisions is not None
    # The whole run, and the run with its cost as the limit plus one, are the same run.
    whole = run_solver(sandbox, "kissat404", random_3sat(150, 4.26, 1), cpu_s=60)
    assert whole.status in ("SAT", "UNSAT") and whole.conflicts is not None
    again = run_solver(sandbox, "kissat404", random_3sat(150, 4.26, 1), cpu_s=60, conflicts=whole.conflicts + 1)
    assert (again.status, again.conflicts, again.decisions) == (whole.status, whole.conflicts, whole.decisions)


def test_reading_the_file_is_not_in_the_time_of_a_solver(sandbox: Sandbox, tmp_path: Path) -> None:
    formula = random_3sat(60_000, 3.0, 4)
    path = tmp_path / "large.cnf"
    path.write_text(formula.to_dimacs())
    run = run_solver(sandbox, "kissat404", str(path), cpu_s=0.2)
    # The child needs longer than the limit to read it; Kissat is stopped after its own time.
    assert run.status == "TIMEOUT" and run.conflicts is not None


def test_a_solver_whose_package_is_missing_is_unsupported(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(SOLVERS["cryptominisat"], name="absent", package="nosuchpackage", extra="nosuchextra")
    monkeypatch.setitem(SOLVERS, "absent", missing)
    with Sandbox() as fresh:
        run = run_solver(fresh, "absent", SATISFIABLE)
    assert run.status == "UNSUPPORTED"
    assert "absent is not installed; install it with `pip install 'satcost-gnn[nosuchextra]'`" in run.detail
    assert missing.version == "nosuchpackage not installed"
    shown = CliRunner().invoke(app, ["solvers"], env={"COLUMNS": "200"}).output.splitlines()
    assert next(line for line in shown if line.startswith("absent ")).endswith(
        "(not installed: pip install 'satcost-gnn[nosuchextra]')"
    )
    assert "installed" not in next(line for line in shown if line.startswith("cadical195 "))


@pytest.mark.parametrize("name", ["cryptominisat", "parity"])
def test_parity_is_solved_by_elimination(name: str, sandbox: Sandbox) -> None:
    # Parities of a random cubic graph's edges with an odd sum: exponential for clause learning alone.
    rng = random.Random(0)
    nodes = 60
    ends = [v for v in range(nodes) for _ in range(3)]
    while True:
        rng.shuffle(ends)
        pairs = [frozenset(ends[k : k + 2]) for k in range(0, len(ends), 2)]
        if len(set(pairs)) == len(pairs) and all(len(pair) == 2 for pair in pairs):
            break
    clauses = []
    for node in range(nodes):
        edges = [k + 1 for k, pair in enumerate(pairs) if node in pair]
        for bits in itertools.product((0, 1), repeat=3):
            if sum(bits) % 2 != (node == 0):
                clauses.append([-edge if bit else edge for edge, bit in zip(edges, bits, strict=True)])
    formula = Formula.from_clauses(clauses)
    run = run_solver(sandbox, name, formula, cpu_s=30)
    plain = run_solver(sandbox, "minisat22", formula, cpu_s=60, conflicts=20_000)
    assert run.status == "UNSAT"
    assert plain.status == "TIMEOUT"


def test_a_solver_that_takes_not_every_formula_says_so_at_once(sandbox: Sandbox) -> None:
    run = run_solver(sandbox, "parity", HARD, cpu_s=60)
    assert run.status == "UNSUPPORTED"
    assert "parity constraints alone" in run.detail
    assert set(SOLVERS) - set(COMPLETE) == {"parity"}


class Ended:
    """A sandbox whose children all end in the same way."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def run(self, *_: object) -> Outcome:
        return self.outcome


@pytest.mark.parametrize(("used", "told"), [(25.0, 21.0), (150.0, 100.0), (3.0, 0.0)])
def test_the_wall_clock_ends_a_run_at_the_time_the_solver_used(used: float, told: float) -> None:
    # Four seconds went into reading the file.
    ended = Ended(Outcome("TIMEOUT", {"before_cpu_s": 4.0}, used, 400.0, 30.0, "wall-clock limit of 400 s"))
    run = run_solver(cast(Sandbox, ended), "minisat22", SATISFIABLE, cpu_s=100.0)
    assert (run.status, run.cpu_s, run.detail) == ("TIMEOUT", told, "wall-clock limit of 400 s")


def test_a_child_tells_what_it_used_before_its_solver(sandbox: Sandbox) -> None:
    call = SOLVERS["lingeling"].child_call(
        HARD, seed=0, cpu_s=100.0, wall_s=1.5, memory_mb=2048, conflicts=None
    )  # fmt: skip
    outcome = sandbox.run(call.function, call.kwargs, call.limits)
    assert outcome.status == "TIMEOUT" and 0 < outcome.value["before_cpu_s"] < outcome.cpu_s


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


class Parrot:
    """An engine that isn't PySAT's: it knows one answer."""

    def __init__(self) -> None:
        self.clauses: list[list[int]] = []

    def add_clause(self, clause: list[int]) -> None:
        self.clauses.append(list(clause))

    def solve(self) -> bool:
        return True

    def get_model(self) -> list[int]:
        return [clause[0] for clause in self.clauses]

    def accum_stats(self) -> dict[str, int]:
        return {}


def test_an_engine_that_an_entry_names(monkeypatch: pytest.MonkeyPatch) -> None:
    parrot = SolverSpec(
        "parrot", "", "", counters=frozenset(), stop=Stop.KILL, budget=Budget.NONE, engine=f"{__name__}:Parrot"
    )
    monkeypatch.setitem(SOLVERS, "parrot", parrot)
    found = solve_child("parrot", Formula.from_clauses([[1, 2], [-3, 1]]), 0, cpu_s=5.0)
    assert (found["status"], found["verified"]) == ("SAT", True)
    assert not solve_child("parrot", Formula.from_clauses([[1], [-1]]), 0, cpu_s=5.0)["verified"]
    assert parrot.version.startswith("satcost-gnn ")
