"""What the plain run answers is known; no prediction contradicts what it has shown."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from early_formulas import early_formulas
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satcost_gnn.core.distribution import GRIDS
from satcost_gnn.core.observed import extrapolated
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.features.early_budget import early_share, within_limit
from satcost_gnn.features.preprocessing import Preprocessed
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.cnf import satisfies
from satcost_gnn.learn.early_answers import LEVELS, RELATIVE_COST_FILE, RelativeCosts, write_relative_costs
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.plain_run import PlainRun, PlainStage
from satcost_gnn.search.probe import probe
from satcost_gnn.search.solver_run import run_solver
from satcost_gnn.serve.prediction import QUANTILES, Prediction
from satcost_gnn.serve.predictor import Predictor

FORMULAS = early_formulas()
SOLVER = "cadical195"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as helper:
        yield helper


@pytest.fixture(scope="module", params=["conflicts", "cpu_seconds"])
def predictor(request: pytest.FixtureRequest) -> Iterator[Predictor]:
    with Predictor.from_checkpoint(unit=request.param, start="forest", machine_factor=1.0) as shipped:
        yield shipped


@pytest.mark.parametrize("name", FORMULAS)
def test_what_the_solver_answers_alone_has_its_exact_cost(predictor: Predictor, sandbox: Sandbox, name: str) -> None:
    formula = FORMULAS[name]
    listening = probe(formula, predictor.settings.features.probe, sandbox)
    alone = run_solver(sandbox, SOLVER, formula, cpu_s=60.0)
    assert alone.status in ("SAT", "UNSAT") and alone.conflicts is not None
    # With a listener it would not have been answered, or only after many more conflicts.
    assert not listening.solved or (listening.conflicts or 0) >= alone.conflicts + 1_000
    found = predictor.predict(formula)
    assert (found.status, found.source, found.result) == ("solved", "search", alone.status)
    assert found.answered_by == SOLVER and (found.result == "UNSAT" or satisfies(formula, found.model))
    rows = {row["solver"]: row for row in found.rows()}
    mine = rows.pop(SOLVER)
    assert (mine["status"], mine["source"]) == ("solved", "search")
    exact = {mine[q] for q in QUANTILES}
    assert exact == {found.known[SOLVER]} and mine["p_solved"] == 1.0
    if predictor.unit == "conflicts":
        assert exact == {alone.conflicts}
    else:
        # Another run of the same search.
        assert 0.1 < exact.pop() / alone.cpu_s < 10 or alone.cpu_s < 0.01
    for row in rows.values():
        # The others were not run: predictions, and as uncertain as that.
        assert (row["status"], row["source"], row["result"]) == ("ok", "relative_cost", alone.status)
        # Below the least cost of the grid there is nothing to tell apart.
        least = 10 ** GRIDS[predictor.unit].low
        assert row["q95"] is None or row["q05"] < row["q95"] or row["q95"] <= least * (1 + 1e-9)


@pytest.fixture(scope="module")
def unsolved(predictor: Predictor) -> Preprocessed:
    item = predictor.preprocess(from_recipe("random-ksat:k=3,n=250,ratio=4.6,seed=3"))
    assert item.instance is not None and item.instance.plain is not None and not item.instance.plain.solved
    return item


def survivor(item: Preprocessed, conflicts: int, seconds: float) -> Preprocessed:
    """Return the item with a plain run that has spent so much in vain."""
    assert item.instance is not None
    stage = PlainStage(conflicts, "UNKNOWN", conflicts, conflicts, 30 * conflicts, 1, seconds)
    run = PlainRun(SOLVER, (stage,), seconds)
    return dataclasses.replace(item, instance=dataclasses.replace(item.instance, plain=run))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conflicts=st.integers(0, 10**9), seconds=st.floats(0.0, 1e6))
def test_no_quantile_lies_below_what_was_survived(
    predictor: Predictor, unsolved: Preprocessed, conflicts: int, seconds: float
) -> None:
    found = predictor.predict_preprocessed([survivor(unsolved, conflicts, seconds)])[0]
    before = predictor.predict_preprocessed([survivor(unsolved, 0, 0.0)])[0]
    spent = float(conflicts) if predictor.unit == "conflicts" else seconds
    assert found.survived == {SOLVER: spent} and found.distribution is not None and before.distribution is not None
    column = found.solvers.index(SOLVER)
    levels = np.linspace(0, 1, 11)
    low = np.log10(spent) if spent > 0 else -np.inf
    # What lies beyond the labels is unknown.
    assert not (found.distribution[column].quantile(levels) < low).any()
    assert (extrapolated(found.distribution)[column].quantile(levels) >= low).all()
    for row in found.rows():
        others = row["solver"] != SOLVER
        assert row["survived"] == (None if others else spent)
        assert others or all(value >= spent for q in QUANTILES if (value := row[q]) is not None)
    assert not any(found.quantile(level)[SOLVER] < spent for level in levels)
    # Other solvers have shown nothing themselves, but are expected to take no less for it.
    for other in set(found.solvers) - {SOLVER}:
        for level in (0.1, 0.5, 0.9):
            now, then = found.quantile(level)[other], before.quantile(level)[other]
            assert np.isnan(now) or now >= then * (1 - 1e-6)


def test_one_solver_that_is_asked_for_alone_is_told_as_among_all(unsolved: Preprocessed, predictor: Predictor) -> None:
    item = survivor(unsolved, 100_000, 50.0)
    among = predictor.predict_preprocessed([item])[0]
    settings: dict[str, Any] = {"start": "forest", "machine_factor": 1.0, "solvers": ["glucose42"]}
    with Predictor.from_checkpoint(unit=predictor.unit, **settings) as single:
        alone = single.predict_preprocessed([item])[0]
    without = predictor.predict_preprocessed([survivor(unsolved, 0, 0.0)])[0]
    assert alone.quantile(0.5)["glucose42"] == pytest.approx(among.quantile(0.5)["glucose42"])
    assert alone.quantile(0.5)["glucose42"] > 1.2 * without.quantile(0.5)["glucose42"]


def test_an_answer_of_the_probe_is_no_cost_of_the_solver(predictor: Predictor) -> None:
    item = predictor.preprocess([[1, 2], [-1, 2], [1, -2], [-1, -2]], plain=False)
    # As if the solver alone had needed more than the probe did.
    found = predictor.predict_preprocessed([survivor(item, 777, 0.5)])[0]
    assert (found.status, found.source, found.result, found.known) == ("ok", "probe", "UNSAT", {})
    assert found.quantile(0.0)[SOLVER] >= (777 if predictor.unit == "conflicts" else 0.5)


def test_the_share_of_a_limit() -> None:
    assert [early_share(limit) for limit in (1.0, 10.0, 100.0, 3600.0)] == [0.2, 0.2, 1.0, 30.0]
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="limit"):
            early_share(wrong)
    short, long = (within_limit(PreprocessSettings(), limit, SOLVER).features.plain for limit in (10.0, 3600.0))
    assert short is not None and long is not None
    assert short.propagations < long.propagations and (short.cpu_s, long.cpu_s) == (0.2, 30.0)
    assert within_limit(PreprocessSettings(), 10.0, "glucose42").features.plain is None


def test_relative_costs_are_kept_and_checked(predictor: Predictor, tmp_path) -> None:  # type: ignore[no-untyped-def]
    place = predictor.checkpoint.directory / predictor.unit / RELATIVE_COST_FILE
    stored = predictor.checkpoint.read_json(f"{predictor.unit}/{RELATIVE_COST_FILE}")
    shipped = RelativeCosts.from_json(stored, str(place))
    shipped.save(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_text() == place.read_text()
    for level in LEVELS:
        for name in set(predictor.solvers) - {SOLVER}:
            found = shipped.predict(name, predictor.unit, 50.0, level)
            assert found.quantile(0.05) < found.quantile(0.95)
    for wrong in ({}, [], {**stored, "levels": [0]}, {**stored, "offsets": {"a": [[0.0]]}}):
        with pytest.raises(CheckpointError, match="relative costs"):
            RelativeCosts.from_json(wrong, "x")


def test_rows_of_a_prediction_without_a_search() -> None:
    found = Prediction(path="x", gbdhash="", unit="conflicts", solvers=("a",), cutoff=1.0, status="error", reason="why")
    assert found.answered_by == "" and found.searched_s is None and len(found.rows()) == 1


def test_relative_costs_of_a_data_set(tmp_path) -> None:  # type: ignore[no-untyped-def]
    dataset = Dataset.open(Path(__file__).parents[1] / "datasets" / "longer")
    sides = dict.fromkeys(dataset.instances, "train")
    write_relative_costs(tmp_path, dataset, sides, ["cadical195", "minisat22"], "conflicts")
    found = RelativeCosts.from_json(json.loads((tmp_path / RELATIVE_COST_FILE).read_text()), "x")
    for level in LEVELS:
        # No label of this set is that easy: what all of them say.
        assert found.predict("cadical195", "conflicts", 1000.0, level).quantile(0.5) == pytest.approx(3.0, abs=0.26)
        assert found.predict("minisat22", "conflicts", 1000.0, level).sd() > 0.1
