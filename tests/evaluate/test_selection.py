from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from portfolio_predictions import prediction
from synthetic_setup import LIMIT_S, SOLVERS, make_setup

from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.evaluate.protocol import EvaluationSetup
from satcost_gnn.evaluate.scores import Resamples
from satcost_gnn.evaluate.selection import (
    LEAST_INSTANCES,
    Selection,
    SelectionProblem,
    fitted,
    select,
    selection_problem,
    selection_row,
)


def problem_of(directory: Path) -> tuple[SelectionProblem, CostDistribution]:
    """Return a problem, and predictions that know each run's cost."""
    setup = make_setup(directory)
    table = setup.data.tables["cpu_seconds"].subset(setup.test)
    problem = selection_problem(
        setup.dataset, SOLVERS, table.instances, list(setup.solved_in_test().values()), sides_of(setup)
    )
    assert isinstance(problem, SelectionProblem)
    return problem, CostDistribution.normal(grid_for("cpu_seconds"), table.cost + table.censored, 0.02)


def sides_of(setup: EvaluationSetup) -> list[dict[str, str]]:
    return [setup.side_names(fold) for fold in setup.folds]


def row_of(problem: SelectionProblem, found: Selection):
    return selection_row(problem, [found], Resamples.draw(len(problem.instances), None, 200))


def test_perfect_predictions_are_the_oracle_where_the_probe_is_no_use(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    open_ = ~problem.by_probe()
    found = select(problem, known, (), 0.0)
    assert 0 < (~open_).sum() < open_.sum()
    assert found.par2_uncharged[open_].mean() == pytest.approx(problem.par2[open_].min(axis=1).mean(), rel=0.02)
    assert (found.choice[open_] >= 0).all() and (found.choice[~open_] == -1).all()
    row = row_of(problem, found)
    assert row.gap > 0.5 and row.low <= row.gap <= row.high
    assert set(row.shares) == set(SOLVERS) and sum(row.shares.values()) == pytest.approx(1)
    assert min(row.shares.values()) > 0.2 and not row.warnings


def test_everything_an_estimator_needs_is_charged(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    open_ = ~problem.by_probe()
    for needs, expected in (((), 0.1), (("static",), 0.15), (("graph", "online", "static"), 0.2)):
        found = select(problem, known, needs, 0.003)
        assert found.overhead_s[open_] == pytest.approx(expected + 0.003)
        assert (found.overhead_s[~open_] < expected + 0.003).all()
        done = found.solved & open_
        assert found.par2[done] == pytest.approx((found.par2_uncharged + found.overhead_s)[done])
        # What the probe solves costs what came before and with it, and no run of a solver.
        assert found.par2[~open_] == pytest.approx(found.overhead_s[~open_])
    late = select(problem, known, (), LIMIT_S)
    assert not late.solved[open_].any()
    assert late.par2[open_] == pytest.approx(2 * LIMIT_S) and late.par10[open_] == pytest.approx(10 * LIMIT_S)


def test_waiting_for_a_busy_processor_is_not_charged(tmp_path: Path) -> None:
    setup = make_setup(tmp_path)
    instances = setup.data.tables["cpu_seconds"].subset(setup.test).instances
    busy = [replace(one, timings={stage: 3 * s for stage, s in one.timings.items()}) for one in instances]
    idle, loaded = (selection_problem(setup.dataset, SOLVERS, part, [], sides_of(setup)) for part in (instances, busy))
    assert isinstance(idle, SelectionProblem) and isinstance(loaded, SelectionProblem)
    for stage, seconds in idle.timings.items():
        assert loaded.timings[stage] == pytest.approx(seconds)


def test_one_sided_and_useless_selectors_are_named(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    single = problem.single
    one_sided = np.tile([0.0, 3.0] if single == 0 else [3.0, 0.0], (len(known), 1))
    row = row_of(problem, select(problem, CostDistribution.normal(known.grid, one_sided, 0.1), (), 0.0))
    assert any(f"always picks {problem.portfolio[single]}" in text for text in row.warnings)
    wrong = CostDistribution(known.grid, known.cdf[:, ::-1])
    row = row_of(problem, select(problem, wrong, (), 0.0))
    assert row.gap < 0 and any("worse than always running" in text for text in row.warnings)
    slow = row_of(problem, select(problem, known, (), 3.0))
    assert slow.gap < 0 < slow.gap_uncharged
    assert any("costs more" in text for text in slow.warnings)


def test_only_instances_with_runs_of_the_whole_portfolio_count(tmp_path: Path) -> None:
    setup = make_setup(tmp_path)
    table = setup.data.tables["cpu_seconds"].subset(setup.test)
    lost = {one.gbdhash for one in table.instances[:10]}
    runs = tuple(r for r in setup.dataset.runs if not (r.solver == SOLVERS[1] and r.instance in lost))
    problem = selection_problem(replace(setup.dataset, runs=runs), SOLVERS, table.instances, [], sides_of(setup))
    assert isinstance(problem, SelectionProblem)
    assert problem.left_out == 10 and not lost & set(problem.instances)
    few = selection_problem(setup.dataset, SOLVERS, table.instances[: LEAST_INSTANCES - 1], [], sides_of(setup))
    assert isinstance(few, str) and str(LEAST_INSTANCES) in few
    alone = tuple(r for r in setup.dataset.runs if r.solver == SOLVERS[0])
    alone += tuple(
        r for r in setup.dataset.runs if r.solver == SOLVERS[1] and r.instance not in setup.dataset.instances
    )
    found = selection_problem(
        replace(setup.dataset, runs=(*alone, setup.dataset.runs[1])), SOLVERS, table.instances, [], sides_of(setup)
    )
    assert isinstance(found, str)


def test_a_run_stopped_before_the_cutoff_tells_nothing(tmp_path: Path) -> None:
    setup = make_setup(tmp_path)
    table = setup.data.tables["cpu_seconds"].subset(setup.test)
    stopped = next(k for k in range(len(table)) if table.censored[k, 0])
    name = table.instances[stopped].gbdhash
    runs = tuple(
        replace(r, cpu_limit_s=2.0, cpu_s=2.0) if r.instance == name and r.status.censored else r
        for r in setup.dataset.runs
    )
    problem = selection_problem(replace(setup.dataset, runs=runs), SOLVERS, table.instances, [], sides_of(setup))
    assert isinstance(problem, SelectionProblem)
    assert problem.cutoff_s == LIMIT_S and name not in problem.instances


def test_a_report_chooses_by_the_policy_of_select(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    (statistics,) = problem.training
    found = select(problem, known, ("static",), 0.02)
    settings = SelectionSettings(cutoff_s=problem.cutoff_s)
    for k in np.flatnonzero(~problem.by_probe())[:10]:
        one = prediction(
            dict.fromkeys(problem.portfolio, (1.0, 1.0)), distribution=known[problem.rows[k]][problem.columns]
        )
        decision = decide(one, statistics, settings, float(found.overhead_s[k]))
        assert problem.portfolio[found.choice[k]] == decision.chosen


def test_predictions_that_mislead_the_calibration_side_leave_the_single_best_alone(tmp_path: Path) -> None:
    setup = make_setup(tmp_path)
    problem, known = problem_of(tmp_path)
    table = setup.data.tables["cpu_seconds"].subset(setup.data.side("calibration"))
    names = [one.gbdhash for one in table.instances]
    good = CostDistribution.normal(known.grid, table.cost + table.censored, 0.02)
    (trusted,) = fitted(problem, good, names)
    (misled,) = fitted(problem, CostDistribution(known.grid, good.cdf[:, ::-1]), names)
    assert misled.min_effect_size > trusted.min_effect_size
    assert misled.single_best() == trusted.single_best() == problem.training[0].single_best()
    wrong = CostDistribution(known.grid, known.cdf[:, ::-1])
    shares = [row_of(problem, select(problem, wrong, (), 0.0, [one])).par2 for one in (trusted, misled)]
    assert shares[1] < shares[0]
    two = replace(problem, training=problem.training * 2)
    assert fitted(two, good, names) == two.training
