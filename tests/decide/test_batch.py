import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.batch import BATCH_COLUMNS, Aim, BatchQueue, BatchSettings, Task, simulate, solve_batch
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.early_budget import presolving
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.serve.predictor import Predictor

GRID = GRIDS["cpu_seconds"]
SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


def pigeonhole(holes: int) -> str:
    """Return a formula that no solver of ours refutes in some seconds: one pigeon more than holes."""
    variable = lambda pigeon, hole: pigeon * holes + hole + 1  # noqa: E731
    clauses = [[variable(p, h) for h in range(holes)] for p in range(holes + 1)]
    pairs = [(p, q) for p in range(holes + 1) for q in range(p)]
    clauses += [[-variable(p, h), -variable(q, h)] for h in range(holes) for p, q in pairs]
    lines = "".join(f"{' '.join(map(str, clause))} 0\n" for clause in clauses)
    return f"p cnf {holes * (holes + 1)} {len(clauses)}\n{lines}"


def predicted(medians: Any, sd: float = 0.05) -> CostDistribution:
    """``medians[m, n_solvers]`` in seconds."""
    return CostDistribution.normal(GRID, np.log10(np.array(medians, dtype=float)), sd)


def order(work: BatchQueue) -> list[Task]:
    found = []
    while (task := work.next()) is not None:
        found.append(task)
    return found


def test_shortest_first_for_the_mean_longest_first_for_the_total() -> None:
    medians = [[3.0], [0.5], [8.0], [1.5]]
    first = {aim: [t.instance for t in order(BatchQueue(predicted(medians), ["a"], 60.0, aim))] for aim in Aim}
    assert first == {Aim.MEAN: [1, 3, 0, 2], Aim.TOTAL: [2, 0, 3, 1], Aim.GIVEN: [0, 1, 2, 3]}


def test_the_solver_with_the_least_expected_cost_runs() -> None:
    medians = [[3.0, 1.0], [0.5, 2.0]]
    for aim in Aim:
        tasks = order(BatchQueue(predicted(medians), ["a", "b"], 60.0, aim))
        assert {task.instance: task.solver for task in tasks} == {0: "b", 1: "a"}


def test_failed_runs_come_back_with_growing_limits_until_the_whole_is_used_up() -> None:
    work = BatchQueue(predicted([[1.0]], 1.5), ["a"], 60.0, Aim.MEAN)
    limits = []
    while (task := work.next()) is not None:
        limits.append(task.cpu_s)
        again = work.failed(task)
        assert again == (sum(limits) < 59.9)
    assert len(limits) > 1 and limits == sorted(limits) and sum(limits) == pytest.approx(60.0)
    assert len(set(limits)) == len(limits) and limits[-1] > 30.0


@pytest.mark.parametrize("aim", list(Aim))
@pytest.mark.parametrize("sd", [0.05, 0.5, 2.0])
def test_no_instance_uses_more_than_the_limit(aim: Aim, sd: float) -> None:
    solvers, spent = ["a", "b", "c"], [0.0, 1.0, 2.9, 3.5]
    medians = [[1.0, 2.0, 0.1]] * 3 + [[0.1, 0.1, 0.1]]
    work = BatchQueue(predicted(medians, sd), solvers, 3.0, aim, {1: "b"}, spent)
    used = dict(enumerate(spent))
    while (task := work.next()) is not None:
        used[task.instance] += task.cpu_s
        work.failed(task)
    assert used == {0: pytest.approx(3.0), 1: pytest.approx(3.0), 2: pytest.approx(3.0), 3: 3.5}


def test_what_a_crash_has_left_goes_to_the_others() -> None:
    work = BatchQueue(predicted([[0.5, 4.0]]), ["a", "b"], 60.0, Aim.TOTAL)
    task = work.next()
    assert task is not None and task.cpu_s == 60.0
    assert work.failed(task, 2.0, out=True)
    task = work.next()
    assert task == Task(0, "b", 58.0)


@pytest.mark.parametrize("aim", list(Aim))
def test_a_solver_that_is_out_gives_way_to_the_next(aim: Aim) -> None:
    work = BatchQueue(predicted([[0.5, 4.0]]), ["a", "b"], 60.0, aim)
    task = work.next()
    assert task is not None and task.solver == "a"
    assert work.failed(task, out=True)
    task = work.next()
    assert task is not None and task.solver == "b"
    assert not work.failed(task, out=True)
    assert work.next() is None


def test_instances_that_nothing_is_expected_of_are_run_last() -> None:
    hopeless = np.zeros((2, 1, GRID.bins + 1))
    hopeless[1] = predicted([[5.0]]).cdf[0]
    work = BatchQueue(CostDistribution(GRID, hopeless), ["a"], 60.0, Aim.MEAN)
    assert [task.instance for task in order(work)] == [1, 0]


def test_simulation_of_the_aims() -> None:
    rng = np.random.default_rng(0)
    runtime = 10.0 ** rng.uniform(-1, 1.5, (60, 2))
    solvers = ["a", "b"]

    def run(aim: Aim, cores: int) -> dict[str, float]:
        return simulate(BatchQueue(predicted(runtime, 0.2), solvers, 60.0, aim), runtime, solvers, cores)

    for cores in (1, 3):
        found = {aim: run(aim, cores) for aim in Aim}
        assert all(one["solved"] == 60 for one in found.values())
        assert found[Aim.MEAN]["mean_s"] < 0.8 * found[Aim.GIVEN]["mean_s"]
        assert found[Aim.TOTAL]["total_s"] <= found[Aim.GIVEN]["total_s"] + 1e-9
    assert run(Aim.GIVEN, 1)["total_s"] == pytest.approx(runtime.min(axis=1).sum())


def test_simulation_gives_up_what_no_run_solves() -> None:
    runtime = np.array([[np.inf], [1.0]])
    found = simulate(BatchQueue(predicted([[5.0], [1.0]]), ["a"], 10.0, Aim.MEAN), runtime, ["a"], 1)
    assert found["solved"] == 1 and found["mean_solved_s"] == pytest.approx(1.0)
    assert found["total_s"] >= 11.0


def test_settings_out_of_range() -> None:
    for limit, solvers in ((0.0, ["a"]), (10.0, [])):
        with pytest.raises(ConfigError):
            BatchQueue(predicted([[1.0]]), solvers, limit, Aim.MEAN)
    with pytest.raises(ConfigError, match="mean, total, given"):
        Aim.of("median")


@pytest.mark.parametrize("name", ["sudoku-9.cnf", "subset-cardinality-12.cnf"])
def test_what_presolving_answers_is_answered_without_a_prediction(name: str) -> None:
    code = """
import json, sys
from satcost_gnn.decide.batch import BatchSettings, solve_batch
from satcost_gnn.serve.predictor import Predictor

asked, rows = [], []
Predictor.predict_preprocessed = lambda self, batch, **options: asked.append(len(batch)) or []
with Predictor.from_checkpoint(unit="cpu_seconds") as predictor:
    solve_batch(predictor, sys.argv[1:], BatchSettings(60), rows.append)
heavy = [name for name in ("torch", "sklearn", "lightning", "lightgbm", "pysolvers") if name in sys.modules]
print(json.dumps([asked, heavy, [[row["status"], row["solver"], row["runs"], row["cpu_s"] > 0] for row in rows]]))
"""
    command = [sys.executable, "-c", code, str(SAMPLES / name)]
    asked, heavy, rows = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert asked == [] and heavy == []
    assert rows == [["SAT" if name.startswith("sudoku") else "UNSAT", "cadical195", 0, True]]


def test_presolving_is_one_run_that_lasts_about_as_long_as_a_prediction() -> None:
    settings = PreprocessSettings()
    for limit, expected in ((0.5, 0.5), (60.0, 1.0), (500.0, 5.0), (100_000.0, 30.0)):
        plain = presolving(settings, limit, "cadical195").features.plain
        assert plain is not None and len(plain.stages) == 1 and plain.cpu_s == pytest.approx(expected)
    # The searches that listen keep to it, too.
    tight = presolving(settings, 2.0, "cadical195")
    assert tight.limits.cpu_s == 2.0 and tight.features.probe is not None and tight.features.probe.cpu_s == 0.5
    wide = presolving(settings, 3600.0, "cadical195")
    assert wide.limits == settings.limits and wide.features.probe == settings.features.probe
    # It cannot be ended without losing the search.
    assert presolving(settings, 60.0, "minisat22").features.plain is None


def test_a_batch_with_the_shipped_checkpoint(tmp_path: Path) -> None:
    names = ["hard.cnf", "sudoku-9.cnf", "malformed.cnf", "subset-cardinality-12.cnf", "missing.cnf"]
    # Some 150,000 conflicts: not answered by the plain run of a second before the prediction, on no machine.
    (tmp_path / "hard.cnf").write_text(from_recipe("random-ksat:k=3,n=260,ratio=4.6,seed=3").to_dimacs())
    files = [str((tmp_path if name == "hard.cnf" else SAMPLES) / name) for name in names]
    rows: list[dict[str, Any]] = []
    with Predictor.from_checkpoint(unit="cpu_seconds", start="forest") as predictor:
        solve_batch(predictor, files, BatchSettings(60, cores=2), rows.append)
    found = {Path(row["path"]).name: row for row in rows}
    assert sorted(found) == sorted(names) and len(rows) == len(names)
    assert all(set(row) <= set(BATCH_COLUMNS) for row in rows)
    assert Counter(row["status"] for row in rows) == {"UNSAT": 2, "SAT": 1, "error": 2}
    assert found["sudoku-9.cnf"]["solver"] == "cadical195"
    assert found["sudoku-9.cnf"]["runs"] == 0
    hard = found["hard.cnf"]
    assert hard["runs"] >= 1 and hard["cpu_s"] > 0 and hard["finished_s"] > 0
    # The labels reach beyond the limit of 60 s.
    assert 0 < hard["expected_s"] <= 60 and 0 < hard["p_solved"] < 1
    assert hard["known_up_to_s"] == pytest.approx(4270.0)
    assert ":6" in found["malformed.cnf"]["error"]


def test_the_limit_is_for_all_that_is_done_for_an_instance(tmp_path: Path) -> None:
    """Whatever the load: CPU seconds of the whole command, but for those of starting it and of predicting."""
    hard = tmp_path / "hard.cnf"
    hard.write_text(pigeonhole(11))
    rows: list[dict[str, Any]] = []
    with Predictor.from_checkpoint(unit="cpu_seconds", start="constant") as predictor:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        solve_batch(predictor, [str(hard)], BatchSettings(2.0), rows.append)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert [row["status"] for row in rows] == ["TIMEOUT"]
    # A helper process for the early search and one for the runs take a second to start.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0 + 4.0


def test_an_instance_whose_limit_is_used_up_before_its_first_run_has_a_row(tmp_path: Path) -> None:
    (tmp_path / "hard.cnf").write_text(pigeonhole(11))
    rows: list[dict[str, Any]] = []
    with Predictor.from_checkpoint(unit="cpu_seconds", start="constant") as predictor:
        # Presolving takes at least a second, if there is one.
        solve_batch(predictor, [str(tmp_path / "hard.cnf")], BatchSettings(0.3), rows.append)
    assert [(row["status"], row["runs"], row["cpu_s"]) for row in rows] == [("TIMEOUT", 0, 0.0)]
    assert "no run was begun" in rows[0]["error"] and "of 0.3 CPU seconds" in rows[0]["error"]


@pytest.mark.parametrize("aim", list(Aim))
def test_instances_without_a_run_are_told_of(aim: Aim) -> None:
    work = BatchQueue(predicted([[1.0], [1.0], [1.0]]), ["a"], 10.0, aim, spent_s=[10.0, 0.0, 12.0])
    assert work.used_up == [0, 2]
    assert {task.instance for task in order(work)} == {1}
