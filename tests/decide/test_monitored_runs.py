import json
from pathlib import Path

import pytest

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.monitored_runs import MonitoredRun, read_monitored_runs, run_monitored
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.solver_run import solve_child


@pytest.mark.parametrize("solver", ["minisat22", "cadical195"])
def test_a_run_is_recorded_to_its_end(solver: str) -> None:
    formula = from_recipe("random-ksat:k=3,n=150,ratio=4.26,seed=5")
    with Sandbox() as sandbox:
        found = run_monitored(sandbox, solver, formula, instance="x")
    assert found.status == solve_child(solver, formula, 0, 60.0)["status"]
    assert found.solved and found.weight == 1.0
    conflicts = [state.conflicts for state in found.states]
    assert conflicts == sorted(conflicts) and conflicts[-1] > 0


def test_a_censored_run_is_censored_at_its_last_state(tmp_path: Path) -> None:
    path = tmp_path / "hard.cnf"
    path.write_text(from_recipe("random-ksat:k=3,n=350,ratio=4.26,seed=5").to_dimacs())
    with Sandbox() as sandbox:
        found = run_monitored(sandbox, "minisat22", path, instance="x", cpu_s=0.3)
    assert found.status == "TIMEOUT" and not found.solved
    run = found.run({})
    assert run.censored and run.total == found.states[-1]
    assert len(run.history) == len(found.states) - 1


def test_what_is_written_is_read_and_torn_lines_are_not(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        found = run_monitored(
            sandbox, "glucose42", from_recipe("random-ksat:k=3,n=180,ratio=4.26,seed=5"), instance="x"
        )
    assert len(found.states) > 1
    text = json.dumps(found.to_json())
    crashed = json.dumps({**found.to_json(), "status": "CRASHED"})
    path = tmp_path / "runs.jsonl"
    path.write_text(f"{text}\n{crashed}\n{text[:50]}")
    (again,) = read_monitored_runs(path)
    assert (again.instance, again.solver, again.status) == (found.instance, found.solver, found.status)
    assert [state.conflicts for state in again.states] == [state.conflicts for state in found.states]
    assert MonitoredRun.from_json(json.loads(text)).states[-1].cpu_s == pytest.approx(found.states[-1].cpu_s, abs=1e-4)
    assert list(read_monitored_runs(tmp_path / "none.jsonl")) == []
