"""`select`, `schedule`, `solve` and `batch-solve` decide alike, and say nothing of what no label tells."""

import json
import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from portfolio_predictions import GRID, prediction, training

from satcost_gnn.cli.select import decision_text
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.observed import observed_up_to
from satcost_gnn.decide.batch import Aim, BatchQueue
from satcost_gnn.decide.cubes import CubePrediction, total_of
from satcost_gnn.decide.monitor import CostMonitor
from satcost_gnn.decide.schedule import schedule_of
from satcost_gnn.decide.schedule_search import ScheduleSettings
from satcost_gnn.decide.select import SelectionSettings, decide
from satcost_gnn.decide.time_left import LONGER
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.serve.prediction import Prediction

#: The single best, a, is predicted to be hopeless; b to be quick.
COSTS = {"a": (500.0, 0.3), "b": (0.5, 0.2), "c": (400.0, 0.3)}


def observed(costs: Mapping[str, tuple[float, float]] = COSTS, bound_s: float = 10.0, **changes: Any) -> Prediction:
    made = prediction(costs, **changes)
    assert made.distribution is not None
    return prediction(costs, **{**changes, "distribution": observed_up_to(made.distribution, bound_s)})


@pytest.mark.parametrize("limit_s", [5.0, 10.0, 460.0, 5000.0])
@pytest.mark.parametrize("inside", [True, False, None])
def test_select_and_schedule_give_one_answer(limit_s: float, inside: bool | None) -> None:
    found = observed(in_distribution=inside)
    decision = decide(found, training("abc"), SelectionSettings(cutoff_s=limit_s))
    schedule = schedule_of(found, training("abc"), ScheduleSettings(time_limit_s=limit_s - 0.2), 0.2)
    assert decision.chosen == ("a" if inside is False else "b")
    if inside is False:
        assert "unlike the training data" in decision.reason and "single best" in decision.reason
    longest = max(schedule.cores[0], key=lambda part: part.cpu_s)
    assert longest.solver == decision.chosen and schedule.reason == decision.reason
    assert sum(part.cpu_s for part in schedule.cores[0]) == pytest.approx(limit_s - 0.2)


def test_out_of_distribution_the_single_best_is_never_left_on_several_cores_either() -> None:
    found = observed(in_distribution=False)
    schedule = schedule_of(found, training("abc"), ScheduleSettings(time_limit_s=100.0, cores=2))
    assert [part.solver for part in schedule.cores[0]] == ["a"] and schedule.cores[0][0].cpu_s == 100.0


def test_numbers_beyond_the_labels_are_null() -> None:
    decision = decide(observed(), training("abc"), SelectionSettings(cutoff_s=460.0))
    assert (decision.judged_s, decision.known_up_to_s) == (pytest.approx(10.2), 10.0)
    values = json.loads(json.dumps(decision.to_json(), allow_nan=False))
    for row in values["ranking"]:
        assert row["p_solved"] is None and row["par2_s"] is None and row["expected_cost_s"] is None
        assert (row["median_s"] is None) == (row["solver"] != "b")
    schedule = schedule_of(observed(), training("abc"), ScheduleSettings(time_limit_s=460.0))
    values = json.loads(json.dumps(schedule.to_json(), allow_nan=False))
    assert values["p_solved"] is None and values["expected_s"] is None and values["known_up_to_s"] == 10.0
    within = schedule_of(observed(), training("abc"), ScheduleSettings(time_limit_s=8.0))
    assert 0.9 < within.p_solved <= 1.0 and within.expected_s < 1.0


def test_the_median_of_a_solver_with_short_labels_is_told_to_their_end_only() -> None:
    found = observed({"a": (100.0, 0.3), "b": (0.5, 0.3)}, bound_s=4000.0, solver_bounds={"a": 10.0})
    decision = decide(found, training("ab"), SelectionSettings(cutoff_s=60.0))
    rows = {row.solver: row for row in decision.ranking}
    assert rows["a"].median_s is None and rows["a"].known_up_to_s == 10.0
    assert rows["b"].median_s == found.quantile(0.5)["b"] and rows["b"].known_up_to_s == pytest.approx(4000.0)
    table = {line.split()[0]: line for line in decision_text(decision).splitlines() if line[:3] in ("  a", "  b")}
    assert "> 10 " in table["a"] and ">" not in table["b"]


def test_rows_of_a_prediction_are_null_beyond_the_labels_with_the_bound_beside() -> None:
    found = observed(cutoff=3600.0)
    rows = {row["solver"]: row for row in json.loads(json.dumps(found.rows(), allow_nan=False))}
    assert rows["a"]["q50"] is None and rows["b"]["q50"] == pytest.approx(0.5, rel=0.05)
    assert all(row["p_solved"] is None and row["known_up_to"] == 10.0 for row in rows.values())
    assert rows["a"]["p_above"] > 0.99 and rows["b"]["p_above"] < 0.01 and rows["a"]["mean_log10"] <= 1.0
    assert math.isnan(found.quantile(0.5)["a"]) and math.isnan(found.p_solved_by(11.0)["b"])
    assert found.p_solved_by(10.0)["b"] > 0.99 and found.known_up_to == pytest.approx(10.0)


def test_a_batch_keeps_the_single_best_where_predictions_do_not_hold() -> None:
    distribution = CostDistribution.normal(GRID, np.log10([[500.0, 0.5]] * 2), 0.2)
    work = BatchQueue(distribution, ["a", "b"], 60.0, Aim.MEAN, {1: "a"})
    tasks = {}
    while (task := work.next()) is not None:
        tasks.setdefault(task.instance, []).append(task.solver)
        work.failed(task)
    assert tasks[0][0] == "b" and set(tasks[1]) == {"a"}
    useless = BatchQueue(distribution, ["a", "b"], 60.0, Aim.GIVEN, {1: "a"})
    second = [task for task in (useless.next(), useless.next()) if task is not None and task.instance == 1]
    assert useless.failed(second[0], out=True)
    left = useless.next()
    assert left is not None and left.solver == "b"


def test_the_sum_of_cubes_is_open_where_one_of_them_is() -> None:
    def cube(number: int, median: float) -> CubePrediction:
        cost = observed_up_to(CostDistribution.normal(GRID, np.log10(median), 0.2), 10.0)
        return CubePrediction(number, (1,), None, cost, None)

    small = total_of([cube(k, 0.1) for k in range(5)])
    assert small.high < 2.0 and small.at_least == pytest.approx(small.median, rel=1e-3)
    open_ = total_of([cube(0, 0.1), cube(1, 900.0)])
    assert math.isinf(open_.median) and open_.at_least == pytest.approx(10.1, rel=0.1)
    assert json.loads(json.dumps(open_.to_json(), allow_nan=False))["median"] is None


def test_a_run_that_has_survived_the_labels_has_no_time_left_told() -> None:
    class Engine:
        """As much of a solver as the monitor looks at."""

        def __init__(self) -> None:
            self.solver = type("Cadical195", (), {})()

        def accum_stats(self) -> dict[str, int]:
            return {"conflicts": 10**6, "decisions": 10**6, "propagations": 10**7, "restarts": 10}

    prior = observed_up_to(CostDistribution.normal(GRID, np.log10(3.0), 0.3), 10.0)
    monitor = CostMonitor(Engine(), prior)
    monitor._base, monitor._begin = {}, time.monotonic()
    texts = {}
    for seconds in (1.0, 38.0, 250.0):
        state = monitor._state(seconds)
        monitor.history.append(state)
        texts[seconds] = monitor._estimated(state)
    assert not texts[1.0].unknown or "open" in texts[1.0].unknown
    for seconds in (38.0, 250.0):
        assert texts[seconds].unknown == LONGER and LONGER in str(texts[seconds])
        assert math.isinf(texts[seconds].remaining())


def test_cpu_seconds_of_a_cancelled_run_are_known() -> None:
    sandbox = Sandbox()
    found = []
    runner = threading.Thread(
        target=lambda: found.append(sandbox.run("builtins:sum", {"args": (range(10**12),)}, Limits(60, 120, 512)))
    )
    runner.start()
    end = time.monotonic() + 60
    while time.monotonic() < end and (sandbox._server is None or _spent(sandbox) < 0.2):
        time.sleep(0.05)
    sandbox.cancel()
    runner.join(30)
    assert found[0].status == "CANCELLED" and 0.1 < found[0].cpu_s < 60


def _spent(sandbox: Sandbox) -> float:
    from satcost_gnn.runtime.process_tree import below, usage

    assert sandbox._server is not None
    return usage(below(sandbox._server.pid))[0]


def test_numbers_of_a_solver_end_with_its_own_labels() -> None:
    found = observed({"a": (1.0, 0.3), "b": (0.5, 0.3)}, bound_s=4000.0, solver_bounds={"a": 10.0})
    rows = {
        row.solver: (row.par2_s, row.expected_cost_s, row.p_solved)
        for row in decide(found, training("ab"), SelectionSettings(cutoff_s=60.0)).ranking
    }
    assert rows["a"] == (None, None, None) and None not in rows["b"]
    short = decide(found, training("ab"), SelectionSettings(cutoff_s=9.0)).ranking
    assert all(row.p_solved is not None for row in short)
