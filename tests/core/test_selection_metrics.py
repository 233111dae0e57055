import math

import numpy as np
import pytest

from satcost_gnn.core.selection_metrics import (
    PortfolioBounds,
    closed_gap,
    of_choice,
    par,
    single_best,
    virtual_best,
)

RUNTIME = np.array([[1.0, 50.0], [100.0, 3.0], [100.0, 20.0], [100.0, 100.0]])
SOLVED = np.array([[True, True], [False, True], [False, True], [False, False]])


def chosen_cost(choice: list[int], overhead: list[float] | float = 0.0) -> np.ndarray:
    return par(of_choice(RUNTIME, choice), of_choice(SOLVED, choice), 100.0, overhead=overhead)


def test_penalised_costs_and_gap_by_hand() -> None:
    par2 = par(RUNTIME, SOLVED, 100.0)
    np.testing.assert_array_equal(par2, [[1, 50], [200, 3], [200, 20], [200, 200]])
    np.testing.assert_array_equal(par(RUNTIME, SOLVED, 100.0, k=10)[1], [1000, 3])
    # Solved, but after the cutoff; at the cutoff it counts; no answer at all.
    assert par(30.0, True, 20.0) == 40.0
    assert par(20.0, True, 20.0) == 20.0
    assert par(np.inf, True, 20.0) == 40.0
    assert single_best(par2) == 1
    single, virtual = par2.mean(axis=0).min(), virtual_best(par2).mean()
    assert (single, virtual) == (68.25, 56.0)
    assert closed_gap(chosen_cost([0, 1, 1, 0]).mean(), single, virtual) == 1.0
    assert closed_gap(chosen_cost([1, 1, 1, 1]).mean(), single, virtual) == 0.0
    assert closed_gap(par2[:, 0].mean(), single, virtual) < 0
    assert math.isnan(closed_gap(1.0, 5.0, 5.0))


def test_overhead_is_charged_and_can_cost_the_solution() -> None:
    np.testing.assert_array_equal(chosen_cost([0, 1, 1, 0], [2.0, 2.0, 85.0, 2.0]), [3, 5, 200, 200])


@pytest.mark.parametrize("k", [2, 10])
def test_the_bounds_are_what_tables_and_reports_computed_each_for_itself(k: int) -> None:
    rng = np.random.default_rng(k)
    runtime, cutoff = rng.lognormal(1.0, 2.0, (200, 4)), 20.0
    solved = runtime <= cutoff
    overhead = rng.uniform(0, 3, 200)
    costs = par(runtime, solved, cutoff, k)
    # A table of run times; a scenario; a benchmark with its charge.
    by_table = np.array([[s if s <= cutoff else k * cutoff for s in row] for row in runtime.tolist()])
    np.testing.assert_allclose(costs, by_table, rtol=0, atol=1e-12)
    by_scenario = np.where(solved, runtime, k * cutoff)
    np.testing.assert_allclose(costs, by_scenario, rtol=0, atol=1e-12)
    choice = rng.integers(0, 4, 200)
    total = runtime[np.arange(200), choice] + overhead
    by_benchmark = np.where(total <= cutoff, total, k * cutoff)
    charged = par(of_choice(runtime, choice), of_choice(solved, choice), cutoff, k, overhead)
    np.testing.assert_allclose(charged, by_benchmark, rtol=0, atol=1e-12)
    bounds = PortfolioBounds.of(costs)
    assert bounds.single == int(np.argmin(by_table.mean(axis=0)))
    assert bounds.sbs == pytest.approx(by_table.mean(axis=0).min(), abs=1e-12)
    assert bounds.vbs == pytest.approx(by_table.min(axis=1).mean(), abs=1e-12)
    expected = (bounds.sbs - charged.mean()) / (bounds.sbs - bounds.vbs)
    assert bounds.closed_gap(charged) == pytest.approx(expected, abs=1e-12)
    assert bounds.closed_gap(costs[:, bounds.single]) == pytest.approx(0, abs=1e-12)
    assert bounds.closed_gap(virtual_best(costs)) == pytest.approx(1, abs=1e-12)
