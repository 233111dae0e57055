"""What `evaluate` says of `satcost solve`: its own policy, with settings chosen on the calibration side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_setup import make_setup
from test_selection import problem_of

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.turns import DECLINING_S, PARITY, parity_s
from satcost_gnn.evaluate.selection import SelectionProblem
from satcost_gnn.evaluate.solving import solve_par2, solve_statistics


def free(problem: SelectionProblem) -> SelectionProblem:
    return replace(problem, timings={stage: np.zeros_like(values) for stage, values in problem.timings.items()})


def single_best_with_parity(problem: SelectionProblem, solver: str) -> np.ndarray:
    """Return PAR2 of the single best that lets parity decline after two seconds, if the limit is worth it."""
    cost = problem.par2[:, problem.portfolio.index(solver)].copy()
    slice_s = parity_s(problem.cutoff_s)
    cost[cost > 2.0] += min(slice_s, DECLINING_S)
    return np.where(cost > problem.cutoff_s, 2 * problem.cutoff_s, cost)


def test_without_a_prediction_it_is_the_single_best_and_paritys_turn(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    training = replace(problem.training[0], presolving_s=None)
    single = training.single_best(problem.portfolio)
    found = solve_par2(problem, known, (), 0.0, training)
    assert found == pytest.approx(single_best_with_parity(problem, single))


def test_perfect_predictions_that_cost_nothing_leave_the_single_best_where_it_is_slow(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    problem = free(problem)
    training = replace(problem.training[0], presolving_s=0.0, switching_margin=0.0, min_effect_size=0.0)
    single = problem.portfolio.index(training.single_best(problem.portfolio))
    found = solve_par2(problem, known, (), 0.0, training)
    open_ = ~problem.by_probe()
    alone = problem.par2[open_, single]
    best = problem.par2[open_].min(axis=1)
    assert best.mean() <= found[open_].mean() < 0.5 * (best.mean() + alone.mean())
    # One that would take all of the limit is not made.
    dear = replace(training, prediction_s=problem.cutoff_s)
    assert solve_par2(problem, known, (), 1000.0, dear)[open_] == pytest.approx(alone)


def test_turns_of_the_training_side_come_first(tmp_path: Path) -> None:
    problem, known = problem_of(tmp_path)
    single = problem.training[0].single_best(problem.portfolio)
    other = next(name for name in problem.portfolio if name != single)
    turns = (Slice(other, problem.cutoff_s),)
    training = replace(problem.training[0], presolving_s=1e-6, presolving=turns)
    found = solve_par2(free(problem), known, (), 0.0, training)
    cost = problem.par2[:, problem.portfolio.index(other)]
    quick = cost < 0.9 * problem.cutoff_s
    assert quick.any()
    assert (found[quick] <= cost[quick] + 1.0 + DECLINING_S).all()


def test_settings_are_chosen_on_the_calibration_side(tmp_path: Path) -> None:
    setup = make_setup(tmp_path)
    problem, _ = problem_of(tmp_path)
    table = setup.data.tables["cpu_seconds"]
    side = problem.sides[0]
    rows = [k for k, one in enumerate(table.instances) if side.get(one.gbdhash) == "calibration"]
    assert rows
    held_out = table.subset(rows)
    from satcost_gnn.core.distribution import grid_for

    known = CostDistribution.normal(grid_for("cpu_seconds"), held_out.cost + held_out.censored, 0.02)
    chosen = solve_statistics(problem, known, held_out.instances, (), 0.25)
    assert chosen is not None and chosen.presolving_s is not None
    assert chosen.par2 == problem.training[0].par2
    assert chosen.prediction_s > 0.25
    # The most cautious choice unless something else is told apart; with several folds there is no side to choose on.
    assert 0 < chosen.presolving_s <= problem.cutoff_s
    several = replace(problem, training=problem.training * 2)
    assert solve_statistics(several, known, held_out.instances, (), 0.25) is None
    assert solve_statistics(problem, known[:0], [], (), 0.25) is None
    assert PARITY not in problem.portfolio
