"""The time limit of `solve` covers everything, and a prediction costs nobody the answer."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from portfolio_predictions import prediction, training

from satcost_gnn.decide.run import PortfolioSolver, SolveSettings, programs_of
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.process_tree import process_start
from satcost_gnn.search import solvers
from satcost_gnn.serve.predictor import Predictor

FAKE = Path(__file__).parents[1] / "search" / "fake_solver.py"
TINY = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4], [2, 3]])
COSTS = {"cadical195": (5.0, 0.1)}
# Nothing waits for what takes that long.
LONG_S = 60.0


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Predictor]:
    monkeypatch.setattr(solvers, "_registered", {})
    with Predictor.from_checkpoint(unit="cpu_seconds") as found:
        monkeypatch.setattr(found, "load", lambda: None)
        monkeypatch.setattr(found, "predict", lambda _: prediction(COSTS))
        yield found


def solver(predictor: Predictor, behaviour: str, time_limit_s: float) -> PortfolioSolver:
    command = f"{sys.executable} -S -E {FAKE} {behaviour} {{cnf}}"
    programs = programs_of([f"cadical195={command}"])
    made = PortfolioSolver(predictor, SolveSettings(time_limit_s, programs=programs))
    made.training = replace(training(["cadical195"]), presolving_s=0.3, switching_margin=0.0)
    made.solvers = ("cadical195",)
    return made


def blocking() -> tuple[Callable[..., None], threading.Event]:
    """Return a function that takes long, and the event that it has been called."""
    called, free = threading.Event(), threading.Event()

    def work(*_: object) -> None:
        called.set()
        free.wait(LONG_S)

    return work, called


def test_loading_runs_beside_the_solver(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    load, called = blocking()
    monkeypatch.setattr(predictor, "load", load)
    found = solver(predictor, "solve-later", 50.0).solve(TINY)
    assert called.is_set()
    assert (found.status, found.solver, found.source) == ("SAT", "cadical195", "presolving")
    assert found.wall_s < LONG_S / 2


@pytest.mark.parametrize("stage", ["load", "predict"])
def test_what_takes_too_long_is_not_waited_for(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    work, called = blocking()
    monkeypatch.setattr(predictor, stage, work)
    found = solver(predictor, "spin", 6.0).solve(TINY)
    assert called.is_set()
    assert (found.status, found.source) == ("UNKNOWN", "presolving")
    assert found.wall_s < 6.0 + 5.0


def test_a_paused_solver_has_the_rest_of_the_time(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    work, called = blocking()
    monkeypatch.setattr(predictor, "predict", work)
    found = solver(predictor, "solve-later", 20.0).solve(TINY)
    assert called.is_set()
    assert (found.status, found.solver) == ("SAT", "cadical195")


def test_nothing_is_predicted_where_little_is_left(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("load", "predict"):
        monkeypatch.setattr(predictor, stage, lambda *_: pytest.fail("nothing should have been predicted"))
    # What went by before the call counts.
    found = solver(predictor, "spin", 30.0).solve(TINY, begin=time.monotonic() - 28.0)
    assert (found.status, found.schedule) == ("UNKNOWN", None)
    assert 29.0 < found.wall_s < 40.0


def test_start_of_the_process() -> None:
    now = time.monotonic()
    assert process_start() < now
    # The interpreter that runs this has used its CPU time since.
    assert now - process_start() > os.times().user / max(len(os.sched_getaffinity(0)), 1) / 8
