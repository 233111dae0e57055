"""What is said at several budgets: numbers that can be counted by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.evaluate.horizons import FEWEST, at_horizons, by_decade, measured, overall, run_limits, sources

GRID = GRIDS["cpu_seconds"]


def at(centres: np.ndarray) -> CostDistribution:
    """All mass within a tenth of a decade around each centre."""
    edges = np.asarray(GRID.edges)
    return CostDistribution(GRID, np.clip((edges[None, :] - centres[:, None]) / 0.2 + 0.5, 0.0, 1.0))


def run(instance: str, solver: str, status: RunStatus, limit: float, seed: int = 0, source: str = "") -> Any:
    return SimpleNamespace(instance=instance, solver=solver, status=status, cpu_limit_s=limit, seed=seed, source=source)


def test_the_limit_is_that_of_the_longest_run_with_an_outcome() -> None:
    runs = {
        "a": [
            run("a", "x", RunStatus.TIMEOUT, 10),
            run("a", "x", RunStatus.SAT, 100),
            run("a", "y", RunStatus.CRASHED, 9),
        ],
        "b": [run("b", "x", RunStatus.MEMOUT, 1000), run("b", "y", RunStatus.SAT, 10, seed=1)],
    }
    dataset = SimpleNamespace(runs_of=runs, runs=[one for found in runs.values() for one in found])
    found = run_limits(dataset, ["x", "y"], ["a", "b", "c"])
    assert found[:2, 0] == pytest.approx([2.0, 3.0])
    assert np.isnan(found[:, 1]).all() and np.isnan(found[2]).all()


def test_an_instance_with_any_published_run_is_published() -> None:
    runs = [run("a", "x", RunStatus.SAT, 10), run("b", "x", RunStatus.SAT, 10, source="event")]
    assert sources(SimpleNamespace(runs=runs), ["a", "b"]).tolist() == ["own", "published"]


def test_runs_with_a_lower_limit_do_not_count_at_a_budget_even_if_they_are_solved() -> None:
    n = 2 * FEWEST
    cost = np.full(n, 0.5)
    limit = np.where(np.arange(n) < FEWEST, 1.0, math.log10(60))
    censored = np.zeros(n, dtype=bool)
    # Half of those with the long limit take 30 s.
    cost[FEWEST : FEWEST + FEWEST // 2] = math.log10(30)
    found = at_horizons(at(cost), cost, censored, limit)
    assert set(found) == {"1", "10", "60"}
    assert found["10"]["runs"] == n and found["60"]["runs"] == FEWEST
    assert found["10"]["solved"] == pytest.approx(0.75) and found["60"]["solved"] == 1.0
    assert found["1"]["solved"] == found["1"]["predicted"] == 0.0
    # Foretold exactly.
    assert found["10"]["brier"] == pytest.approx(0.0, abs=1e-9) and found["10"]["auc"] == 1.0
    assert found["10"]["brier_constant"] == pytest.approx(0.75 * 0.25)


def test_a_run_that_was_stopped_just_below_its_limit_was_not_solved_by_it() -> None:
    n = FEWEST
    cost = np.full(n, math.log10(9.7))
    found = at_horizons(at(np.full(n, 3.0)), cost, np.ones(n, dtype=bool), np.ones(n))
    assert found["10"]["runs"] == n and found["10"]["solved"] == 0.0
    # Nobody was solved: there is nothing to tell apart.
    assert math.isnan(found["10"]["auc"])


def test_a_stopped_run_counts_up_to_its_own_limit() -> None:
    n = 4
    cost = np.array([1.0, 1.0, 2.0, 2.0])
    censored = np.array([True, True, False, False])
    # Said: 1,000 s. The stopped ones were stopped at 10 s: nothing was wrong with them.
    found = overall(at(np.full(n, 3.0)), cost, censored, np.array([1.0, 1.0, 4.0, 4.0]))
    assert found["rmse_capped"] == pytest.approx(math.sqrt((0 + 0 + 1 + 1) / 4), abs=0.01)
    assert found["median_of_unsolved"] == pytest.approx(3.0, abs=0.01)
    assert found["runs"] == 4 and found["solved"] == 2


def test_coverage_by_decade_bounds_what_stopped_runs_may_be() -> None:
    n = 40
    centre = np.full(n, 1.5)
    cost = np.full(n, 1.5)
    cost[:10] = 2.5  # outside
    censored = np.zeros(n, dtype=bool)
    censored[10:20] = True
    cost[10:20] = 1.0  # stopped below the interval: inside or above
    found = by_decade(at(centre), cost, censored)
    assert list(found) == ["1e1 to 1e2"]
    assert found["1e1 to 1e2"]["least"] == pytest.approx(0.5)
    assert found["1e1 to 1e2"]["most"] == pytest.approx(0.75)
    # Between the edges of the grid the mass is spread evenly: .8 of the two bins around the centre.
    assert found["1e1 to 1e2"]["width"] == pytest.approx(0.8 * 2 * GRID.width)


def test_a_stopped_run_is_inside_an_interval_without_an_upper_end_once_it_is_past_the_lower() -> None:
    n = FEWEST
    beyond = np.full(n, GRID.high)  # the upper half lies beyond the grid
    cost, censored = np.full(n, GRID.high - 0.01), np.ones(n, dtype=bool)
    found = by_decade(at(beyond - 0.001), cost, censored)
    assert {row["least"] for row in found.values()} <= {1.0}


def test_sources_are_apart_and_small_ones_have_no_numbers() -> None:
    n = FEWEST + 3
    source = np.array(["own"] * FEWEST + ["published"] * 3)
    cost, censored, limit = np.full(n, 0.5), np.zeros(n, dtype=bool), np.full(n, 1.0)
    limit[0] = math.nan
    assert measured(at(cost), cost, censored, limit, source) == {}
    limit[0] = 1.0
    found = measured(at(cost), cost, censored, limit, source)
    assert list(found) == ["own"]
    assert list(found["own"]) == ["overall", "by 1 s", "by 10 s", "1e0 to 1e1"]
