"""The turn of the solver of parity constraints: when it comes, what it answers, and what declining costs."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from portfolio_predictions import FAKE

from satcost_gnn.data.generate import get_family
from satcost_gnn.decide import turns
from satcost_gnn.decide.batch import BatchSettings, solve_batch
from satcost_gnn.decide.concurrent_runs import ConcurrentRuns
from satcost_gnn.decide.run import PortfolioSolver, Solution, SolveSettings, programs_of
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.turns import AFTER_S, MOST_S, parity_s, with_parity
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.dimacs import write_dimacs
from satcost_gnn.serve.predictor import Predictor

# Neither is answered by clause learning in any time.
TSEITIN = {"n": 60, "degree": 5, "charge": "odd"}
XOR = {"k": 3, "n": 400, "ratio": 0.95, "kind": "consistent"}
PIGEONS = {"holes": 11}


@pytest.fixture(autouse=True)
def a_moment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AFTER_S", 0.2)


@pytest.fixture(scope="module")
def shipped() -> Iterator[Predictor]:
    with Predictor.from_checkpoint(unit="cpu_seconds", start="constant") as predictor:
        yield predictor


def made(family: str, parameters: dict[str, Any]) -> Formula:
    return get_family(family).generate(1, **parameters)


def spinning(what: str = "spin") -> dict[str, str]:
    command = f"{sys.executable} -S -E {FAKE} {what} {{cnf}}"
    return programs_of([f"{name}={command}" for name in ("cadical195", "kissat404", "glucose42", "minisat22")])


def runs(found: Solution) -> list[tuple[str, str]]:
    return [(attempt.solver, attempt.status) for attempt in found.attempts]


def test_the_first_turn_is_divided() -> None:
    own, other = Slice("a", 10.0), Slice("b", 3.0)
    assert with_parity([own, other], 1000.0) == [
        Slice("a", turns.AFTER_S),
        Slice("parity", MOST_S),
        Slice("a", 10.0 - turns.AFTER_S),
        other,
    ]
    assert with_parity([Slice("a", 0.0)], 50.0) == [Slice("a", 0.0), Slice("parity", 0.5), Slice("a", 0.0)]
    assert with_parity([own], 10.0) == [own]
    assert [parity_s(limit) for limit in (1.0, 19.0, 50.0, 5000.0)] == [0.0, 0.0, 0.5, 1.0]
    # As documented.
    assert AFTER_S == 7.0


@pytest.mark.parametrize("cores", [1, 2])
def test_parity_refutes_what_clause_learning_does_not(shipped: Predictor, cores: int) -> None:
    formula = made("tseitin", TSEITIN)
    found = PortfolioSolver(shipped, SolveSettings(100, cores=cores)).solve(formula)
    assert (found.status, found.solver, found.model) == ("UNSAT", "parity", None)
    names = ["cadical195", "cadical195:seed=1"][:cores]
    assert sorted(runs(found)) == [*((name, "CANCELLED") for name in names), ("parity", "UNSAT")]
    (own,) = (attempt for attempt in found.attempts if attempt.solver == "parity")
    assert own.cpu_s > 0 and own.core == cores - 1


def test_its_model_is_checked_and_complete(shipped: Predictor) -> None:
    formula = made("random-xor", XOR)
    found = PortfolioSolver(shipped, SolveSettings(100, programs=spinning())).solve(formula)
    assert (found.status, found.solver) == ("SAT", "parity")
    assert found.model is not None and len(found.model) == formula.n_vars and satisfies(formula, found.model)


def test_who_answers_soon_never_meets_it(shipped: Predictor) -> None:
    formula = made("random-xor", {**XOR, "n": 30})
    assert runs(PortfolioSolver(shipped, SolveSettings(100)).solve(formula)) == [("cadical195", "SAT")]


@pytest.mark.parametrize("cores", [1, 2])
def test_what_it_declines_goes_on_where_it_was(
    shipped: Predictor, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    formula = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4], [2, 3]])
    declined, take = tmp_path / "declined", ConcurrentRuns._take

    def watched(self: ConcurrentRuns, item: Any) -> None:
        take(self, item)
        if any(attempt.status == "DECLINED" for attempt in self.attempts):
            declined.touch()

    # The others answer when it has declined, not before.
    monkeypatch.setattr(ConcurrentRuns, "_take", watched)
    solver = PortfolioSolver(shipped, SolveSettings(100, cores=cores, programs=spinning(f"solve-when:{declined}")))
    found = solver.solve(formula)
    assert found.status == "SAT" and ("parity", "DECLINED") in runs(found)
    # Nobody was begun twice, and what it has used is told.
    assert len(found.attempts) == cores + 1
    (own,) = (attempt for attempt in found.attempts if attempt.solver == "parity")
    assert own.cpu_s > 0 and "do not decide" in own.detail


def test_nobody_goes_on_beyond_the_turn(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_S", 0.1)
    monkeypatch.setattr(turns, "LEAST_S", 0.1)
    # Reading it takes longer than that.
    rows = [[k, k + 1, k + 2] for k in range(1, 400_000)]
    solver = PortfolioSolver(shipped, SolveSettings(12, programs=spinning()))
    solver.training = replace(solver.training, presolving_s=100.0)
    found = solver.solve(Formula.from_clauses(rows))
    own = [attempt for attempt in found.attempts if attempt.solver == "parity"]
    assert [attempt.status for attempt in own] == ["TIMEOUT"] and "turn" in own[0].detail
    assert [status for name, status in runs(found) if name == "cadical195"] == ["TIMEOUT"]


def test_it_has_no_turn_with_a_proof_or_with_named_solvers(shipped: Predictor, tmp_path: Path) -> None:
    formula = made("tseitin", TSEITIN)
    proving = PortfolioSolver(shipped, SolveSettings(4, proof=tmp_path / "proof")).solve(formula)
    with Predictor.from_checkpoint(unit="cpu_seconds", solvers=["cadical195"], start="constant") as predictor:
        named = PortfolioSolver(predictor, SolveSettings(4)).solve(formula)
    for found in (proving, named):
        assert found.status == "UNKNOWN" and "parity" not in dict(runs(found))


def test_a_batch_asks_it_before_it_predicts(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(turns, "SHARE", 0.1)
    refuted, declined = tmp_path / "refuted.cnf", tmp_path / "declined.cnf"
    write_dimacs(made("tseitin", TSEITIN), refuted)
    write_dimacs(made("pigeonhole", PIGEONS), declined)
    seen: list[Any] = []
    predict = Predictor.predict_preprocessed

    def asked(self: Predictor, batch: Any, **options: Any) -> Any:
        seen.extend(item.instance for item in batch)
        return predict(self, batch, **options)

    monkeypatch.setattr(Predictor, "predict_preprocessed", asked)
    rows: list[dict[str, Any]] = []
    solve_batch(shipped, [str(refuted), str(declined)], BatchSettings(4.0), rows.append)
    found = {Path(row["path"]).name: row for row in rows}
    assert [found["refuted.cnf"][key] for key in ("status", "solver", "runs")] == ["UNSAT", "parity", 0]
    assert found["refuted.cnf"]["cpu_s"] > 0
    # Nothing is predicted of what it answers; of the other one its time is charged.
    (instance,) = seen
    assert instance.timings["parity"] > 0 and found["declined.cnf"]["status"] == "TIMEOUT"
