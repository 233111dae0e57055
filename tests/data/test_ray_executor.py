import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zstandard

from satcost_gnn.data.collect import collect, plan
from satcost_gnn.data.execution import CollectLimits, Request
from satcost_gnn.data.race import RaceRules
from satcost_gnn.data.ray_executor import RayExecutor, run_on_node
from satcost_gnn.data.schema import Run, RunStatus, read_runs
from satcost_gnn.errors import ExecutorError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.ray_cluster import RayCluster, call_on_node, check_room
from satcost_gnn.search import solvers
from satcost_gnn.search.external import parse_definition, register_external

LIMITS = CollectLimits(cpu_s=20, wall_s=200, memory_mb=512)
# On the node that is to die it hangs from its second run on, and elsewhere it waits until that has come about. It says
# where it began and where it ended.
PROGRAM = """#!/bin/sh
begun() { echo "$1 $SATCOST_TEST_NODE" >> "{LOG}"; }
begun begin
if [ "$SATCOST_TEST_NODE" != doomed ]; then
  until grep -q 'hang doomed' "{LOG}"; do sleep 0.1; done
elif [ "$(grep -c 'begin doomed' "{LOG}")" -gt 1 ]; then
  begun hang
  exec sleep 200
fi
begun end
echo 's UNSATISFIABLE'
exit 20
"""


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "_registered", {})


def write_instances(directory: Path, count: int) -> list[tuple[str, Path]]:
    directory.mkdir()
    found = []
    for k in range(count):
        path = directory / f"i{k}.cnf"
        # Every pair of pigeons in every hole, less one clause a file, so that no two are the same.
        holes = 5
        clauses = [[p * holes + h + 1 for h in range(holes)] for p in range(holes + 1)]
        clauses += [
            [-(a * holes + h + 1), -(b * holes + h + 1)]
            for h in range(holes)
            for a in range(holes + 1)
            for b in range(a)
        ]
        del clauses[-1 - k]
        path.write_text(Formula.from_clauses(clauses).to_dimacs())
        found.append((f"i{k}", path))
    return found


def counted(runs: list[Run]) -> list[tuple[object, ...]]:
    return [(*run.key, run.status, run.conflicts, run.decisions, run.propagations, run.restarts) for run in runs]


@pytest.mark.slow
def test_no_run_is_lost_or_counted_twice_when_a_node_dies(cluster: Any, tmp_path: Path) -> None:
    instances = write_instances(tmp_path / "cnf", 8)
    log, program = tmp_path / "log", tmp_path / "program"
    log.touch()
    program.write_text(PROGRAM.replace("{LOG}", str(log)))
    program.chmod(0o755)
    name = register_external(f"fake={program}")
    doomed = cluster.add_node(
        num_cpus=1, object_store_memory=100 * 2**20, memory=2**30, env_vars={"SATCOST_TEST_NODE": "doomed"}
    )
    fresh = 0
    killed = False

    def step(run: Run | None) -> None:
        nonlocal fresh, killed
        fresh += run is not None
        if not killed and "hang doomed" in log.read_text():
            cluster.remove_node(doomed, allow_graceful=False)
            killed = True

    requests, executor = list(plan(instances, ["minisat22", name], (0, 1))), RayExecutor(RayCluster())
    runs = collect(requests, tmp_path / "set", limits=LIMITS, executor=executor, on_progress=step)
    assert killed
    assert fresh == len(runs) == len(requests) == len({run.key for run in runs}) == 32
    assert read_runs(tmp_path / "set" / "runs.parquet") == runs
    assert {run.status for run in runs if run.solver == name} == {RunStatus.UNSAT}
    # One that the dead node was at was made again, and some it had finished before.
    lines = log.read_text().split("\n")
    assert lines.count("begin ") + lines.count("begin doomed") > lines.count("end ") + lines.count("end doomed")
    assert lines.count("end ") + lines.count("end doomed") == 16
    assert "end doomed" in lines
    alone = collect(list(plan(instances, ["minisat22"], (0, 1))), tmp_path / "alone", limits=LIMITS)
    assert counted([run for run in runs if run.solver == "minisat22"]) == counted(alone)
    assert all(run.machine and "python-sat" in run.solver_version for run in runs if run.solver == "minisat22")
    # A name that means something else, or nothing, to other processes: the file has to be sent.
    with instances[0][1].open() as stream:
        unseen = [("i0", Path(f"/proc/self/fd/{stream.fileno()}"))]
        sent = collect(list(plan(unseen, ["minisat22"])), tmp_path / "sent", limits=LIMITS, executor=executor)
    assert counted(sent) == counted(alone)[:1]


def test_limits_that_no_node_can_keep_are_refused() -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 2.0**30}}, {"Alive": False, "Resources": {}}]
    check_room(SimpleNamespace(nodes=lambda: nodes), 2**30)
    with pytest.raises(ExecutorError, match=r"room for a task of 4096 MiB: the largest has 1024 MiB"):
        check_room(SimpleNamespace(nodes=lambda: nodes), 2**32)
    with pytest.raises(ExecutorError, match="no node with a processor"):
        check_room(SimpleNamespace(nodes=lambda: nodes[1:]), 2**30)


def test_program_that_a_node_lacks_is_told(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    spec = parse_definition(f"gone={program}")
    program.unlink()
    [(instance, path)] = write_instances(tmp_path / "cnf", 1)
    request = Request(instance, path, "gone")
    kind, found = call_on_node(run_on_node, path, path.stat().st_size, None, (request, spec, LIMITS))
    assert kind == "failed" and f"{program}: cannot be read" in found


def test_a_file_that_the_node_does_not_see_is_sent(tmp_path: Path) -> None:
    [(instance, path)] = write_instances(tmp_path / "cnf", 1)
    content = path.read_bytes()
    rest = (Request(instance, path, "minisat22"), None, LIMITS)
    kind, seen = call_on_node(run_on_node, path, len(content), None, rest)
    assert kind == "done" and seen.status.solved
    assert call_on_node(run_on_node, path, len(content) + 1, None, rest)[0] == "unseen"
    path.unlink()
    assert call_on_node(run_on_node, path, len(content), None, rest)[0] == "unseen"
    kind, sent = call_on_node(run_on_node, path, len(content), zstandard.compress(content), rest)
    assert kind == "done" and counted([sent]) == counted([seen])
    kind, broken = call_on_node(run_on_node, path, 9, zstandard.compress(b"p cnf 1 x"), rest)
    # The user's own name of the file, not that of the copy.
    assert kind == "done" and f"{path}:1:" in broken.reason and "left out" in broken.reason


@pytest.mark.slow
def test_race_on_a_cluster_makes_the_runs_of_a_race_on_this_machine(cluster: Any, tmp_path: Path) -> None:
    requests = list(plan(write_instances(tmp_path / "cnf", 3), ["minisat22", "cadical195"]))
    rules = RaceRules((5.0, 9.0))
    runs = collect(requests, tmp_path / "set", limits=LIMITS, race=rules, executor=RayExecutor(RayCluster()))
    alone = collect(requests, tmp_path / "alone", limits=LIMITS, race=rules)
    assert {run.key[:3] for run in runs} == {(one.instance, one.solver, one.seed) for one in requests}
    # Second starters may get another limit on another day, and the same answer.
    assert sorted((*run.key[:3], run.status, run.conflicts) for run in runs) == sorted(
        (*run.key[:3], run.status, run.conflicts) for run in alone
    )


def test_missing_ray_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    requests = list(plan(write_instances(tmp_path / "cnf", 1), ["minisat22"]))
    with pytest.raises(ExecutorError, match=r"pip install 'satcost-gnn\[ray\]'"):
        collect(requests, tmp_path / "set", executor=RayExecutor(RayCluster()))
