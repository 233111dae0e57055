"""A batch on a cluster of two nodes on this machine, one of which dies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_nodes import NODE, dies_after_writes

from satcost_gnn.cli.batch_solve import BatchSolveOptions, run_batch_solve
from satcost_gnn.decide.batch_runs import RunOrder, run_on_node
from satcost_gnn.formula.sources import FormulaFile
from satcost_gnn.runtime.ray_cluster import call_on_node

# They depend on the moment, or on what the search before has taken; all else must not.
OF_THE_MOMENT = ("cpu_s", "finished_s", "expected_s", "p_solved")


def hard(n: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    rows = [(rng.choice(n, 3, replace=False) + 1) * rng.choice([-1, 1], size=3) for _ in range(round(4.26 * n))]
    return f"p cnf {n} {len(rows)}\n" + "".join(" ".join(map(str, row)) + " 0\n" for row in rows)


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(
        ({name: value for name, value in row.items() if name not in OF_THE_MOMENT} for row in rows),
        key=lambda row: row["path"],
    )


@pytest.mark.slow
def test_no_row_is_lost_or_written_twice_when_a_node_dies(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = tmp_path / "cnf"
    folder.mkdir()
    for k in range(8):
        (folder / f"i{k}.cnf").write_text(hard(100, k))
    # They take more than a hundred thousand conflicts: no second of presolving answers them, whatever the machine.
    for k in (1, 3):
        (folder / f"long{k}.cnf").write_text(hard(250, k))
    (folder / "broken.cnf").write_text("p cnf 2 2\n1 2 0\n1 x 0\n")
    names = sorted(map(str, folder.iterdir()))
    common: dict[str, Any] = {"minimise": "total", "limit": 100.0, "memory": 900}
    assert run_batch_solve(BatchSolveOptions(names, tmp_path / "local.jsonl", **common)) == 1

    doomed = cluster.add_node(**NODE)
    here = NodeAffinitySchedulingStrategy(doomed.node_id, soft=False)
    first = FormulaFile(names[1], "first")
    task = ray.remote(call_on_node).options(num_cpus=1, memory=2**30, scheduling_strategy=here)
    order = RunOrder(first, "cadical195", 10.0, 900)
    place = Path(names[1])
    kind, run = ray.get(task.remote(run_on_node, place, place.stat().st_size, None, (order, None)))
    assert kind == "done" and run.status in ("SAT", "UNSAT")

    calls = dies_after_writes(doomed, cluster, monkeypatch)
    assert run_batch_solve(BatchSolveOptions(names, tmp_path / "ray.jsonl", executor="ray", **common)) == 1
    assert calls() == len(names)
    found = rows_of(tmp_path / "ray.jsonl")
    assert found == rows_of(tmp_path / "local.jsonl")
    assert {row["runs"] for row in found if row["status"] != "error"} == {0, 1}


@pytest.mark.slow
def test_programs_run_on_nodes(cluster: Any, tmp_path: Path) -> None:
    script = tmp_path / "solver.py"
    script.write_text("print('s UNSATISFIABLE')\nraise SystemExit(20)\n")
    formula = tmp_path / "f.cnf"
    formula.write_text(hard(250, 3))
    options = BatchSolveOptions(
        [str(formula)],
        tmp_path / "ray.jsonl",
        solvers=["minisat22"],
        programs=[f"minisat22={sys.executable} {script} {{cnf}}"],
        limit=100.0,
        memory=900,
        executor="ray",
    )
    assert run_batch_solve(options) == 0
    (row,) = rows_of(tmp_path / "ray.jsonl")
    assert (row["runs"], row["status"], row["solver"]) == (1, "UNSAT", "minisat22")


def test_a_run_on_a_node_names_the_file_as_the_user_does(tmp_path: Path) -> None:
    copy = tmp_path / "copy.cnf"
    copy.write_text("p cnf 2 2\n1 2 0\n1 x 0\n")
    run = run_on_node(copy, RunOrder(FormulaFile(str(copy), "mine.cnf"), "cadical195", 10.0, 900), None)
    assert "mine.cnf" in run.detail and str(copy) not in run.detail
