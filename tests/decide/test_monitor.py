import math
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from pysat.solvers import Glucose42, Solver

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.monitor import CostMonitor, Estimate, give_up_below, prior_of
from satcost_gnn.decide.reestimate import Reestimator, SearchState, conditional
from satcost_gnn.errors import SolverError


@cache
def clauses(n: int = 150, seed: int = 5) -> list[list[int]]:
    return from_recipe(f"random-ksat:k=3,n={n},ratio=4.26,seed={seed}").clauses()


def prior(unit: str = "conflicts", mean: float = 4.0, sd: float = 0.3) -> CostDistribution:
    return CostDistribution.normal(GRIDS[unit], mean, sd)


@pytest.mark.parametrize("name", ["minisat22", "glucose42", "maplechrono", "gluecard4", "minisatep"])
def test_watching_leaves_the_search_as_it_is(name: str) -> None:
    with Solver(name=name, bootstrap_with=clauses()) as alone:
        expected = alone.solve()
        counters = alone.accum_stats()
    with Solver(name=name, bootstrap_with=clauses()) as solver, CostMonitor(solver, prior(), first=200) as monitor:
        assert monitor.mode == "watch"
        assert monitor.run() == expected
        assert solver.accum_stats() == counters
    last = monitor.history[-1]
    assert (last.conflicts, last.decisions, last.restarts) == tuple(
        counters[key] for key in ("conflicts", "decisions", "restarts")
    )


@pytest.mark.parametrize("name", ["cadical103", "cadical153", "cadical195", "cadical300"])
def test_slices_grow_and_give_the_same_answer(name: str) -> None:
    with Solver(name=name, bootstrap_with=clauses(190)) as alone:
        expected = alone.solve()
    with Solver(name=name, bootstrap_with=clauses(190)) as solver, CostMonitor(solver, prior(), first=100) as monitor:
        assert monitor.mode == "slices"
        assert monitor.run() == expected
        counts = [state.conflicts for state in monitor.history]
        assert solver.accum_stats()["conflicts"] == counts[-1]
    steps = np.diff(counts[:-1])
    assert len(steps) > 3 and (steps >= 100).all()
    # A quarter of what has been done, or the first step; CaDiCaL may go over a budget by a few conflicts.
    assert (steps <= np.maximum(100, 0.25 * np.array(counts[:-2])) + 10).all()


def test_a_model_is_the_solvers_own() -> None:
    satisfiable = from_recipe("random-ksat:k=3,n=120,ratio=3.5,seed=1").clauses()
    with Glucose42(bootstrap_with=satisfiable) as solver, CostMonitor(solver) as monitor:
        assert monitor.solve_limited() is True
        model = set(solver.get_model())
    assert all(model & set(clause) for clause in satisfiable)


@pytest.mark.parametrize("name", ["cadical195", "minisat22"])
def test_assumptions_are_passed_on(name: str) -> None:
    with Solver(name=name, bootstrap_with=[[1, 2], [-1, 3]]) as solver, CostMonitor(solver) as monitor:
        assert monitor.run(assumptions=[-2, -3]) is False
        assert monitor.run(assumptions=[-2]) is True
        assert monitor.stopped_by == ""


@pytest.mark.parametrize("name", ["cadical195", "minisat22"])
def test_the_callback_stops_the_run_and_the_solver_can_go_on(name: str) -> None:
    # Looked at ever less often while looking is dear beside the search: it must last seconds to be seen three times.
    hard = clauses(300, 1)
    seen: list[Estimate] = []

    def stop_at_third(estimate: Estimate) -> bool:
        seen.append(estimate)
        return len(seen) == 3

    with Solver(name=name, bootstrap_with=hard) as solver, CostMonitor(solver, prior(mean=5.0)) as monitor:
        assert monitor.run(callback=stop_at_third) is None
        assert monitor.stopped_by == "callback"
        assert monitor.estimates == seen
        assert monitor.estimate is seen[-1]
        so_far = solver.accum_stats()["conflicts"]
        # Neither the budget of a slice nor the interrupt is left behind: a budget of the caller's own is what counts.
        solver.conf_budget(5_000)
        assert solver.solve_limited() is None
        assert solver.accum_stats()["conflicts"] >= so_far + 5_000


@pytest.mark.parametrize("name", ["cadical195", "minisat22"])
def test_the_limit_stops_the_run(name: str) -> None:
    with Solver(name=name, bootstrap_with=clauses(300, 1)) as solver, CostMonitor(solver) as monitor:
        assert monitor.run(limit_s=0.2) is None
        assert monitor.stopped_by == "limit"
        assert monitor.history[-1].cpu_s >= 0.2


@pytest.mark.parametrize("name", ["cadical195", "minisat22"])
def test_an_error_in_the_callback_reaches_the_caller(name: str) -> None:
    def fail(_: Estimate) -> None:
        raise KeyError("mine")

    with Solver(name=name, bootstrap_with=clauses(300, 1)) as solver, CostMonitor(solver) as monitor:
        with pytest.raises(KeyError, match="mine"):
            monitor.run(callback=fail)
        assert solver.propagate(assumptions=[1])[0] in (True, False) if name == "minisat22" else True


def test_counters_start_at_each_run() -> None:
    with Solver(name="minisat22", bootstrap_with=clauses()) as solver, CostMonitor(solver) as monitor:
        solver.solve_limited(assumptions=[1, 2, 3])
        before = solver.accum_stats()["conflicts"]
        assert before > 0
        monitor.run()
        assert monitor.history[-1].conflicts == solver.accum_stats()["conflicts"] - before


@pytest.mark.parametrize("name", ["lingeling", "kissat404"])
def test_a_solver_without_budgets_is_refused(name: str) -> None:
    with Solver(name=name) as solver, pytest.raises(SolverError, match="takes no limit on conflicts"):
        CostMonitor(solver)


def test_a_mode_that_does_not_fit_is_refused() -> None:
    with Solver(name="cadical195") as solver, pytest.raises(SolverError, match="mode slices"):
        CostMonitor(solver, mode="watch")


def test_a_prior_of_several_solvers_is_refused() -> None:
    with Solver(name="cadical195") as solver, pytest.raises(SolverError, match="shape"):
        CostMonitor(solver, CostDistribution.normal(GRIDS["conflicts"], [3.0, 4.0], 1.0))


def state(conflicts: int = 10_000, cpu_s: float = 1.0) -> SearchState:
    return SearchState(conflicts, 2 * conflicts, 50 * conflicts, conflicts // 50, cpu_s)


def estimated(distribution: CostDistribution, unknown: str = "") -> Estimate:
    return Estimate(distribution.grid.unit, state(), distribution, unknown, 1.0)


def test_an_estimate_counts_from_what_has_been_used() -> None:
    estimate = estimated(prior(mean=5.0))
    assert estimate.used == 10_000
    assert estimate.quantile(0.5) == pytest.approx(1e5, rel=0.02)
    assert estimate.remaining() == pytest.approx(9e4, rel=0.02)
    low, high = estimate.remaining_interval(0.8)
    assert 0 < low < estimate.remaining() < high
    assert estimate.p_solved_within(9e4) == pytest.approx(0.5, abs=0.02)
    assert "remaining:" in str(estimate) and "conflicts" in str(estimate)


def test_what_lies_beyond_the_grid_is_no_number() -> None:
    assert math.isinf(estimated(prior(mean=10.0)).remaining())


def test_without_an_estimate_it_says_unknown() -> None:
    estimate = Estimate("conflicts", state(), None, "no prediction before the run", 1.0)
    assert "unknown (no prediction before the run)" in str(estimate)
    with pytest.raises(SolverError, match="no prediction before the run"):
        estimate.remaining()


@pytest.mark.parametrize(("sd", "known"), [(0.3, True), (1.5, False)])
def test_unknown_is_decided_by_the_width_of_the_interval(sd: float, known: bool) -> None:
    with (
        Solver(name="minisat22", bootstrap_with=clauses(300, 1)) as solver,
        CostMonitor(solver, prior(mean=6.0, sd=sd), reestimator=None, first=20_000) as monitor,
    ):
        monitor.run(callback=lambda _: True)
    assert monitor.estimate is not None
    assert (monitor.estimate.unknown == "") is known


def test_without_a_prior_it_begins_with_what_any_run_costs() -> None:
    shipped = Reestimator.shipped()
    assert shipped is not None
    with (
        Solver(name="minisat22", bootstrap_with=clauses(300, 1)) as solver,
        CostMonitor(solver, unit="conflicts") as monitor,
    ):
        monitor.run(callback=lambda _: True)
    estimate = monitor.estimate
    assert estimate is not None and estimate.distribution is not None
    any_run = conditional(shipped.population["conflicts"], estimate.state.conflicts)
    assert estimate.quantile(0.5) == pytest.approx(10.0 ** float(any_run.median()))


def test_another_unit_is_reached_by_the_rate_so_far() -> None:
    with (
        Solver(name="cadical195", bootstrap_with=clauses()) as solver,
        CostMonitor(solver, prior(mean=5.0), unit="cpu_seconds", reestimator=None) as monitor,
    ):
        monitor.run(callback=lambda _: True)
    estimate = monitor.estimate
    assert estimate is not None and estimate.distribution is not None
    assert estimate.distribution.grid.unit == "cpu_seconds"
    rate = estimate.state.cpu_s / estimate.state.conflicts
    assert estimate.quantile(0.5) == pytest.approx(1e5 * rate, rel=0.1)


def test_give_up_below() -> None:
    hopeless, hopeful = estimated(prior(mean=7.0)), estimated(prior(mean=4.5))
    callback = give_up_below(0.1, 1e5)
    assert callback(hopeless) is True
    assert callback(hopeful) is False
    # A guess is no reason to give up.
    assert callback(estimated(prior(mean=7.0), unknown="too wide")) is False


def test_prior_of_takes_the_solvers_column() -> None:
    class Prediction:
        unit = "conflicts"
        solvers = ("a", "b")
        distribution = CostDistribution.normal(GRIDS["conflicts"], [3.0, 5.0], 0.2)

    found = prior_of([Prediction()], "b")
    assert list(found) == ["conflicts"]
    assert float(found["conflicts"].median()) == pytest.approx(5.0, abs=0.05)
    assert prior_of([Prediction()], "c") == {}


def test_torch_is_not_loaded() -> None:
    code = (
        "import sys; from pysat.solvers import Solver; from satcost_gnn.decide.monitor import CostMonitor\n"
        "with Solver(name='cadical195', bootstrap_with=[[1, 2], [-1, 2], [1, -2], [-1, -2]]) as s:\n"
        "    assert CostMonitor(s).run() is False\n"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["cadical195", "minisat22"])
def test_an_exception_leaves_no_budget_on_the_solver(name: str) -> None:
    def fail(_: Estimate) -> None:
        raise RuntimeError("the caller's own")

    with Solver(name=name, bootstrap_with=clauses(190)) as alone:
        expected = alone.solve()
    with Solver(name=name, bootstrap_with=clauses(190)) as solver:
        monitor = CostMonitor(solver, prior(), first=50, mode="slices")
        with pytest.raises(RuntimeError, match="the caller's own"):
            monitor.run(callback=fail)
        assert solver.solve_limited() == expected


@pytest.mark.parametrize("name", ["cadical195", "minisat22"])
def test_stopping_leaves_no_budget_on_the_solver(name: str) -> None:
    with Solver(name=name, bootstrap_with=clauses(190)) as solver:
        assert CostMonitor(solver, prior(), first=50, mode="slices").run(callback=lambda _: True) is None
        assert solver.solve_limited() is not None
