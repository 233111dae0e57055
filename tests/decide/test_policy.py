"""The policies run what the commands run, and every number of selection comes from them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from portfolio_predictions import GRID, prediction, training

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.policy import schedule_plan, select_plan, solve_plan
from satcost_gnn.decide.schedule import schedule_after, schedule_of
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.scoring import Plan, Slice, runtimes, score
from satcost_gnn.decide.select import SelectionSettings, choose, decide
from satcost_gnn.decide.turns import AFTER_S

#: The single best, a, is predicted to be hopeless; b to be quick.
COSTS = {"a": (500.0, 0.3), "b": (0.5, 0.2), "c": (400.0, 0.3)}


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("min_effect_size", [0.0, 0.5])
def test_many_instances_are_decided_as_one_by_one(objective: Objective, min_effect_size: float) -> None:
    rng = np.random.default_rng(1)
    distributions = CostDistribution.normal(GRID, rng.normal(0.5, 0.6, (40, 3)), rng.uniform(0.1, 0.8, (40, 3)))
    overhead, unlike = rng.uniform(0, 12, 40), rng.random(40) < 0.2
    statistics = training("bca", min_effect_size)
    settings = SelectionSettings(objective, 10.0, risk=0.1)
    together = choose(distributions, "abc", statistics, settings, overhead, unlike)
    left = 0
    for k in range(40):
        one = prediction(COSTS, distribution=distributions[k], in_distribution=not unlike[k])
        alone = decide(one, statistics, settings, float(overhead[k]))
        assert alone.chosen == "abc"[together.chosen[k]]
        assert alone.ranking[0].solver == "abc"[together.best[k]]
        assert alone.effect_size == pytest.approx(together.effect_size[k], abs=1e-12)
        assert [row.value for row in alone.ranking] == pytest.approx(np.sort(together.value[k]), abs=1e-12)
        left += alone.leaves
    assert 0 < left < 40 and not (together.chosen[unlike] != 1).any()


def test_select_and_schedule_are_the_policies_of_these_names() -> None:
    found = prediction(COSTS)
    (run,) = select_plan(found, 0.2, training("abc"), SelectionSettings(cutoff_s=10.0)).cores
    assert run == (Slice("b", np.inf),)
    settings = ScheduleSettings(time_limit_s=10.0)
    made = schedule_plan(found, 0.2, training("abc"), settings)
    expected = schedule_of(found, training("abc"), replace(settings, time_limit_s=9.8), 0.2)
    assert made == Plan(expected.cores) and not made.turns


def test_solve_goes_on_or_gives_way_after_its_head_start() -> None:
    statistics = replace(training("abc"), presolving_s=1.0)
    settings = ScheduleSettings(time_limit_s=10.0)
    found = prediction(COSTS)
    made = solve_plan(found, 0.2, statistics, settings)
    left = replace(settings, time_limit_s=8.8)
    assert made == Plan(schedule_after(found, statistics, left, "a", 1.0, 10.0).cores, (Slice("a", 1.0),))
    assert made.cores[0][0].solver == "b"
    # Out of distribution the single best goes on: the two seconds that it takes, and the overhead.
    unlike = solve_plan(replace(found, in_distribution=False), 0.2, statistics, settings)
    assert [part.solver for part in unlike.cores[0]] == ["a"]
    seconds = {"a": 3.0, "b": 0.5, "c": np.inf}
    assert score(made, seconds, 10.0, 0.2) == pytest.approx(1.7)
    assert score(unlike, seconds, 10.0, 0.2) == pytest.approx(3.2)
    # Without time for a prediction there is none, and nothing is gained by it.
    assert score(solve_plan(found, 9.5, statistics, settings), seconds, 10.0, 9.5) == 20.0
    assert score(solve_plan(found, 9.5, statistics, settings), {**seconds, "a": 0.9}, 10.0, 9.5) == 0.9


def test_solve_gives_parity_its_turn_and_follows_the_static_schedule() -> None:
    statistics = replace(training("abc"), presolving_s=10.0, presolving=(Slice("c", 5.0), Slice("a", 20.0)))
    settings, found = ScheduleSettings(time_limit_s=1000.0), prediction(COSTS)
    made = solve_plan(found, 0.5, statistics, settings)
    own = [Slice("a", 10.0 - AFTER_S), Slice("c", 5.0), Slice("a", 20.0)]
    assert made.turns == (Slice("a", AFTER_S), Slice("parity", 1.0), *own)
    never = dict.fromkeys("abc", np.inf)
    assert score(made, {**never, "a": 1.5}, 1000.0, 0.5) == 1.5
    assert score(made, {**never, "parity": 0.1}, 1000.0, 0.5) == AFTER_S + 0.1
    # What declines gives its time back; what does not is charged its whole turn.
    declined_s = {"parity": 0.25}
    assert score(made, {**never, "a": 9.0}, 1000.0, 0.5, declined_s=declined_s) == 9.25
    assert score(made, {**never, "a": 9.0}, 1000.0, 0.5) == 10.0
    # Its second turn is the rest of one run.
    assert score(made, {**never, "a": 12.0}, 1000.0, 0.5, declined_s=declined_s) == 17.25
    # After the turns, and the prediction, it goes on where it was.
    goes_on = Plan(((Slice("a", np.inf),),), made.turns)
    assert score(goes_on, {**never, "a": 40.0}, 1000.0, 0.5, declined_s=declined_s) == pytest.approx(45.75)
    # Not for so little time, nor where only some solvers may run.
    short = solve_plan(found, 0.5, statistics, ScheduleSettings(time_limit_s=10.0))
    alone = solve_plan(found, 0.5, statistics, settings, parity=False)
    assert short.turns == alone.turns == (Slice("a", 10.0), Slice("c", 5.0), Slice("a", 20.0))


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        (select_plan, SelectionSettings()),
        (schedule_plan, ScheduleSettings()),
        (solve_plan, ScheduleSettings()),
    ],
)
def test_what_the_probe_has_solved_costs_what_was_spent_by_then(policy: Any, settings: Any) -> None:
    statistics = replace(training("abc"), presolving_s=1.0)
    made = policy(prediction(COSTS, status="solved", result="SAT"), 0.2, statistics, settings)
    never = runtimes(np.array([20.0, 20.0, 20.0]), "abc", 10.0)
    assert score(made, never, 10.0, 0.2) == pytest.approx(1.2 if made.turns else 0.2)
