"""Several cores: who runs on them, that the first answer wins, and what becomes of members that fail."""

import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from portfolio_predictions import FAKE, TINY, training
from process_listing import processes_with

from satcost_gnn.decide.run import PortfolioSolver, Solution, SolveSettings, programs_of
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import satisfies
from satcost_gnn.serve.predictor import Predictor


def portfolio(
    shipped: Predictor,
    behaviours: dict[str, str],
    parallel: tuple[str, ...] = (),
    **settings: Any,
) -> PortfolioSolver:
    """Return a solver whose members behave as named; solvers that are not named are as they are."""
    commands = {name: f"{sys.executable} -S -E {FAKE} {what} {{cnf}}" for name, what in behaviours.items()}
    programs = programs_of([f"{name}={command}" for name, command in commands.items()])
    made = PortfolioSolver(shipped, SolveSettings(**{"time_limit_s": 60.0, "cores": 2, **settings}, programs=programs))
    made.training = replace(training(["cadical195", "glucose42", "minisat22", "kissat404"]), parallel=parallel)
    return made


def statuses(found: Solution) -> dict[str, str]:
    return {attempt.solver: attempt.status for attempt in found.attempts}


def test_members_are_those_chosen_then_the_others_then_seeds(shipped: Predictor, tmp_path: Path) -> None:
    chosen = ("kissat404", "cadical195:sat", "kissat404:seed=2", "no-such-solver")
    made = portfolio(shipped, {}, chosen)
    usual = ["cadical195", "glucose42", "minisat22"]
    expected = [*chosen[:3], *usual, "cadical195:seed=1", "glucose42:seed=1"]
    assert list(islice(made._members(), 8)) == expected
    # On one core it is the one that predictions are about.
    alone = portfolio(shipped, {}, chosen[:3], cores=1)
    assert next(alone._members()) == "cadical195"
    # Whoever the user has not named does not run, nor what writes no proof of the formula as it is.
    with Predictor.from_checkpoint(unit="cpu_seconds", solvers=["cadical195", "glucose42"]) as some:
        made = PortfolioSolver(some, SolveSettings(cores=4))
        made.training = replace(training(["cadical195", "glucose42"]), parallel=chosen[:3])
        members = list(islice(made._members(), 4))
        assert members == ["cadical195", "glucose42", "cadical195:seed=1", "glucose42:seed=1"]
    proving = portfolio(shipped, {}, (*chosen[1:3], "cadical195:seed=1"), proof=tmp_path / "proof")
    assert list(proving._members()) == ["cadical195:sat", "cadical195", "glucose42"]


def test_a_program_of_the_users_is_a_member_if_the_portfolio_has_it(
    shipped: Predictor, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(training(["cadical195", "glucose42", "minisat22", "kissat404"]), parallel=("cadical195", "mine"))
    monkeypatch.setattr("satcost_gnn.decide.run.TrainingStatistics.of_checkpoint", lambda _: known)
    left_out = PortfolioSolver(shipped, SolveSettings(cores=2))
    assert [*islice(left_out._members(), 2)] == ["cadical195", "glucose42"]
    assert [line for line in heard if "mine of the portfolio is left out" in line and "--program" in line]
    heard.clear()
    made = portfolio(shipped, {"mine": "solve", "cadical195": "crash"}, known.parallel)
    assert [*islice(made._members(), 2)] == ["cadical195", "mine"]
    assert not heard
    found = made.solve(TINY)
    assert (found.status, found.solver) == ("SAT", "mine")
    with pytest.raises(ConfigError, match=r"in place of 'yours'; expected one of .*mine"):
        portfolio(shipped, {"yours": "solve"})


def test_all_cores_begin_at_once_without_a_prediction(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("load", "predict"):
        monkeypatch.setattr(shipped, stage, lambda *_: pytest.fail("nothing is predicted on several cores"))
    made = portfolio(shipped, {"cadical195": f"spin only-{os.getpid()}", "glucose42": "solve-later"})
    found = made.solve(TINY)
    assert (found.status, found.solver, found.source) == ("SAT", "glucose42", "portfolio")
    assert statuses(found) == {"glucose42": "SAT", "cadical195": "CANCELLED"}
    assert sorted(attempt.core for attempt in found.attempts) == [0, 1]
    assert found.schedule is not None and [core[0].solver for core in found.schedule.cores] == [
        "cadical195",
        "glucose42",
    ]
    assert not processes_with(f"only-{os.getpid()}")


@pytest.mark.parametrize(("behaviour", "status"), [("segmentation-fault", "CRASHED"), ("wrong-model", "WRONG")])
def test_a_core_whose_member_fails_has_the_next_one(shipped: Predictor, behaviour: str, status: str) -> None:
    made = portfolio(shipped, {"cadical195": behaviour, "glucose42": "spin"})
    found = made.solve(TINY)
    assert (found.status, found.solver) == ("SAT", "minisat22")
    assert statuses(found)["cadical195"] == status
    assert next(attempt.core for attempt in found.attempts if attempt.solver == "minisat22") == 0


def test_all_time_out(shipped: Predictor) -> None:
    made = portfolio(shipped, {"cadical195": "spin", "glucose42": "spin"}, time_limit_s=3.0)
    found = made.solve(TINY)
    assert (found.status, found.exit_code, found.model) == ("UNKNOWN", 0, None)
    assert statuses(found) == {"cadical195": "TIMEOUT", "glucose42": "TIMEOUT"}
    assert "time limit" in found.reason or "wall-clock limit" in found.reason


def test_all_fail(shipped: Predictor) -> None:
    behaviours = dict.fromkeys(["cadical195", "glucose42", "minisat22", "kissat404"], "segmentation-fault")
    found = portfolio(shipped, behaviours, cores=3).solve(TINY)
    assert (found.status, set(statuses(found).values())) == ("UNKNOWN", {"CRASHED", "DECLINED"})
    # Another seed of a solver that has crashed is not tried, unless it began before.
    assert set(behaviours) <= set(statuses(found)) and len(found.attempts) < 8


def test_seeds_answer_for_the_formula_as_it_is(shipped: Predictor) -> None:
    made = portfolio(shipped, {"cadical195": "spin"}, ("cadical195", "minisat22:seed=3"))
    found = made.solve(TINY)
    assert (found.status, found.solver) == ("SAT", "minisat22:seed=3")
    assert found.model is not None and len(found.model) == TINY.n_vars and satisfies(TINY, found.model)
    # Programs that take no seed get another copy of the formula.
    other = portfolio(shipped, {"cadical195": "spin", "minisat22": "solve-later"}, ("cadical195", "minisat22:seed=3"))
    found = other.solve(TINY)
    assert (found.status, found.solver) == ("SAT", "minisat22:seed=3")
    assert found.model is not None and satisfies(TINY, found.model)


def test_memory_is_shared_and_the_last_member_makes_room(shipped: Predictor) -> None:
    hungry = "import time; x = bytearray(200 << 20); time.sleep({})"
    # Each is within the limit, both are not.
    programs = programs_of(
        [
            f"cadical195={sys.executable} -S -E -c '{hungry.format(4)}; print(\"s UNSATISFIABLE\")' {{cnf}}",
            f"glucose42={sys.executable} -S -E -c '{hungry.format(60)}' {{cnf}}",
        ]
    )
    made = PortfolioSolver(shipped, SolveSettings(60.0, 300, 2, programs=programs))
    made.training = training(["cadical195", "glucose42", "minisat22", "kissat404"])
    found = made.solve(TINY)
    assert (found.status, found.solver) == ("UNSAT", "cadical195")
    # Nobody begins in its place: there would be no room.
    assert statuses(found) == {"cadical195": "UNSAT", "glucose42": "MEMOUT"}
    assert "shared" in next(attempt.detail for attempt in found.attempts if attempt.status == "MEMOUT")
