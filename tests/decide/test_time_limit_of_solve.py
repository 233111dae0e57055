"""The time limit of `solve` covers everything, and a prediction costs nobody the answer."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from portfolio_predictions import prediction, training

from satcost_gnn.decide.concurrent_runs import ConcurrentRuns
from satcost_gnn.decide.run import PortfolioSolver, SolveSettings, programs_of
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.process_tree import process_start
from satcost_gnn.search import solvers
from satcost_gnn.serve.prediction import Prediction
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


def blocking(sign: Path | None = None) -> tuple[Callable[..., None], threading.Event]:
    """Return a function that takes long, and the event that it has been called; it writes a file then, if asked."""
    called, free = threading.Event(), threading.Event()

    def work(*_: object) -> None:
        called.set()
        if sign is not None:
            sign.touch()
        free.wait(LONG_S)

    return work, called


def test_loading_runs_beside_the_solver(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load, called = blocking(tmp_path / "loading")
    monkeypatch.setattr(predictor, "load", load)
    found = solver(predictor, f"solve-when:{tmp_path / 'loading'}", 50.0).solve(TINY)
    assert called.is_set()
    assert (found.status, found.solver, found.source) == ("SAT", "cadical195", "presolving")


def test_a_paused_solver_has_the_rest_of_the_time(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work, called = blocking(tmp_path / "predicting")
    monkeypatch.setattr(predictor, "predict", work)
    # It could not answer before, so it was paused for the prediction and went on afterwards.
    found = solver(predictor, f"solve-when:{tmp_path / 'predicting'}", 20.0).solve(TINY)
    assert called.is_set()
    assert (found.status, found.solver) == ("SAT", "cadical195")


class Clock:
    """Time that goes by only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Runs:
    """A solver that runs for ever, on a clock of its own."""

    formula, begin = TINY, 100.0

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self.clock, self.limit_s = clock, limit_s
        self.failed: set[str] = set()
        self.paused = False

    def has_answer(self) -> bool:
        return False

    def left_s(self) -> float:
        return self.limit_s - (self.clock() - self.begin)

    def watch(self, on_progress: object, every_s: float, for_s: float) -> bool:
        self.clock.now += for_s
        # The other threads have a turn.
        time.sleep(0.001)
        return True

    def pause(self) -> None:
        self.paused = True


def decided(
    predictor: Predictor, limit_s: float, spent_s: float, prediction_s: float = 1.0
) -> tuple[Prediction | None, Runs]:
    """Return what is predicted so many seconds after the beginning, and the solver that ran meanwhile."""
    clock = Clock()
    made = PortfolioSolver(predictor, SolveSettings(limit_s), clock)
    made.training = replace(training(predictor.solvers), prediction_s=prediction_s)
    runs = Runs(clock, limit_s)
    clock.now += spent_s
    return made._predicted_in_time(cast(ConcurrentRuns, runs), None, 0.2)[0], runs


def test_a_prediction_is_made_where_there_is_time(predictor: Predictor) -> None:
    found, runs = decided(predictor, 30.0, 10.0)
    assert found is not None and runs.paused


@pytest.mark.parametrize(
    ("limit_s", "spent_s", "prediction_s"), [(30.0, 28.0, 1.0), (30.0, 10.0, 12.0), (3.0, 0.0, 1.0)]
)
def test_nothing_is_predicted_where_less_is_left_than_it_takes(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, limit_s: float, spent_s: float, prediction_s: float
) -> None:
    for stage in ("load", "predict"):
        monkeypatch.setattr(predictor, stage, lambda *_: pytest.fail("nothing should have been predicted"))
    found, runs = decided(predictor, limit_s, spent_s, prediction_s)
    assert (found, runs.paused) == (None, False)


def test_loading_takes_nobody_past_the_limit(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    load, called = blocking()
    monkeypatch.setattr(predictor, "load", load)
    monkeypatch.setattr(predictor, "predict", lambda *_: pytest.fail("there is no time for it"))
    found, runs = decided(predictor, 30.0, 10.0)
    assert called.is_set()
    assert (found, runs.paused) == (None, False)
    # It was given up when a prediction would have taken all that was left, not before.
    assert 0.0 < runs.left_s() <= 2.0 + 1e-6


def test_a_slow_prediction_has_its_share_only(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    work, called = blocking()
    monkeypatch.setattr(predictor, "predict", work)
    found, runs = decided(predictor, 3.0, 0.5, 0.1)
    assert called.is_set()
    assert (found, runs.paused) == (None, True)


def test_start_of_the_process() -> None:
    now = time.monotonic()
    assert process_start() < now
    # The interpreter that runs this has used its CPU time since.
    assert now - process_start() > os.times().user / max(len(os.sched_getaffinity(0)), 1) / 8
