"""The plain run is the labelled run itself, as far as its budget goes."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.errors import SolverError
from satcost_gnn.features.preprocessing import preprocess
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.plain_run import PlainRun, PlainSettings, run_plain
from satcost_gnn.search.solver_run import run_solver

LIMITS = Limits(60.0, 300.0, 4096)
COUNTERS = ("conflicts", "decisions", "propagations", "restarts")


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    with Sandbox() as helper:
        yield helper


def plain(sandbox: Sandbox, formula: Formula, settings: PlainSettings) -> PlainRun:
    kwargs = {"formula": formula, "settings": settings}
    outcome = sandbox.run("satcost_gnn.search.plain_run:run_plain", kwargs, LIMITS)
    assert outcome.status == "OK" and isinstance(outcome.value, PlainRun), outcome
    return outcome.value


@pytest.mark.parametrize(
    "recipe",
    [
        "random-ksat:k=3,n=240,ratio=4.4,seed=3",
        "graph-colouring:n=120,colours=4,density=4.4,seed=1",
        "multiplier-miter:bits=5,identity=commuted,second=tree,seed=0",
        "pigeonhole:holes=7,seed=0",
    ],
)
@pytest.mark.parametrize("solver", ["cadical195", "cadical195:sat", "cadical153"])
def test_each_stage_is_the_start_of_the_uninterrupted_run(sandbox: Sandbox, recipe: str, solver: str) -> None:
    formula = from_recipe(recipe)
    found = plain(sandbox, formula, PlainSettings(solver, stages=(50, 500, 5_000)))
    for stage in found.stages:
        budget = None if stage.status in ("SAT", "UNSAT") else stage.budget
        alone = run_solver(sandbox, solver, formula, cpu_s=60.0, conflicts=budget)
        assert [getattr(stage, name) for name in COUNTERS] == [getattr(alone, name) for name in COUNTERS]
        assert stage.status == (alone.status if budget is None else "UNKNOWN")
    spent = [stage.conflicts for stage in found.stages]
    assert spent == sorted(spent) and found.spent("conflicts") == spent[-1]
    assert found.model is None or satisfies(formula, found.model)
    assert found.status != "SAT" or found.model is not None


def test_what_comes_next_depends_on_counts_alone(sandbox: Sandbox) -> None:
    formula = from_recipe("random-ksat:k=3,n=240,ratio=4.4,seed=3")
    settings = PlainSettings(stages=(100, 1_000, 10_000))
    first = plain(sandbox, formula, settings)
    assert [stage.budget for stage in first.stages] == [100, 1_000, 10_000]
    again = plain(sandbox, formula, settings)
    assert [replace(stage, cpu_s=0.0) for stage in first.stages] == [replace(s, cpu_s=0.0) for s in again.stages]
    # Fewer propagations than the next stage is expected to need, or a smaller formula than this one.
    short = plain(sandbox, formula, replace(settings, propagations=first.stages[0].propagations))
    assert [stage.budget for stage in short.stages] == [100] and short.status == "UNKNOWN"
    assert run_plain(formula, replace(settings, literals=formula.n_literals - 1)) is None


def test_a_run_that_time_ends_is_a_bound(sandbox: Sandbox) -> None:
    formula = from_recipe("random-ksat:k=3,n=300,ratio=4.26,seed=1")
    found = plain(sandbox, formula, PlainSettings(stages=(10_000_000,), propagations=10**12, cpu_s=0.3))
    assert found.status == "TIMEOUT" and found.ended_by_time and not found.solved
    assert 0 < found.conflicts < 10_000_000 and found.spent("cpu_seconds") > 0.2
    settings = PreprocessSettings(FeatureSpec(plain=PlainSettings(stages=(10_000_000,), cpu_s=0.3), probe=None))
    assert "a bound" in preprocess(formula, settings, sandbox).note


@pytest.mark.parametrize("clauses", [[], [[]], [[1]], [[1, -1]], [[1], [-1]]])
def test_trivial_formulas(sandbox: Sandbox, clauses: list[list[int]]) -> None:
    found = plain(sandbox, Formula.from_clauses(clauses), PlainSettings())
    assert found.status == ("UNSAT" if clauses in ([[]], [[1], [-1]]) else "SAT") and found.conflicts == 0


def test_a_solver_that_dies_costs_only_its_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    from satcost_gnn.search import plain_run

    search: Callable[..., dict[str, object]] = plain_run._search

    def dies_later(engine: object, spec: object, budget: int, cpu_s: float) -> dict[str, object]:
        if budget > 100:
            os._exit(1)
        return search(engine, spec, budget, cpu_s)

    monkeypatch.setattr(plain_run, "_search", dies_later)
    found = run_plain(from_recipe("random-ksat:k=3,n=240,ratio=4.4,seed=3"), PlainSettings(stages=(100, 1_000)))
    assert found is not None and found.status == "CRASHED" and not found.solved
    assert found.stages[0].status == "UNKNOWN" and found.spent("conflicts") == found.stages[0].conflicts


def test_a_run_of_one_stage_needs_no_fork(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    formula = from_recipe("random-ksat:k=3,n=150,ratio=4.4,seed=3")
    settings = PlainSettings(stages=(1_000_000,))

    def refuse() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", refuse)
    alone = run_plain(formula, settings)
    assert alone is not None and alone.solved
    reference = run_solver(sandbox, "cadical195", formula, cpu_s=60.0)
    assert [getattr(alone.stages[-1], name) for name in COUNTERS] == [getattr(reference, name) for name in COUNTERS]


def test_settings() -> None:
    for wrong in ({"solver": "glucose42"}, {"stages": ()}, {"stages": (200, 200)}, {"stages": (0,)}, {"cpu_s": 0.0}):
        with pytest.raises(SolverError):
            PlainSettings(**wrong)
    one, other = FeatureSpec(plain=PlainSettings()), FeatureSpec(plain=PlainSettings(stages=(7,)))
    assert len({FeatureSpec().key(), one.key(), other.key()}) == 3
    assert FeatureSpec.from_dict({"plain": {"stages": [5, 50]}}).plain == PlainSettings(stages=(5, 50))
