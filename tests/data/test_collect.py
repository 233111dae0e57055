import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from satcost_gnn.cli.collect import CollectOptions, run_collect
from satcost_gnn.cli.generate import GenerateOptions, run_generate
from satcost_gnn.data.collect import collect, plan
from satcost_gnn.data.execution import CollectLimits, LocalExecutor, Request
from satcost_gnn.data.run_store import RunStore
from satcost_gnn.data.schema import Run, RunStatus, read_manifest, read_runs
from satcost_gnn.errors import DatasetError, SolverError

RUN = Run(
    instance="a", solver="minisat22", seed=0, status=RunStatus.SAT, conflicts=1, decisions=2, propagations=3,
    restarts=1, cpu_s=0.1, wall_s=0.2, peak_memory_mb=20.0, cpu_limit_s=5.0, wall_limit_s=75.0, memory_limit_mb=4096,
)  # fmt: skip


def write_instances(directory: Path, count: int) -> list[tuple[str, Path]]:
    directory.mkdir(exist_ok=True)
    found = []
    for k in range(count):
        rng = random.Random(k)
        clauses = [" ".join(str(v * rng.choice((-1, 1))) for v in rng.sample(range(1, 61), 3)) for _ in range(250)]
        path = directory / f"i{k:02d}.cnf"
        path.write_text("p cnf 60 250\n" + "".join(f"{clause} 0\n" for clause in clauses))
        found.append((f"i{k:02d}", path))
    return found


def deterministic(runs: list[Run]) -> list[tuple[object, ...]]:
    return [(*run.key, run.status, run.conflicts, run.decisions, run.propagations, run.restarts) for run in runs]


def test_collects_every_run_and_skips_what_is_there(tmp_path: Path) -> None:
    requests = list(plan(write_instances(tmp_path / "cnf", 3), ["cadical195", "minisat22"], (0, 1)))
    fresh: list[bool] = []
    for _ in range(2):
        runs = collect(
            requests,
            tmp_path / "set",
            executor=LocalExecutor(2),
            on_progress=lambda run: fresh.append(run is not None),
        )
    assert len(runs) == 12 and len(requests) == 12
    assert all(run.status.solved and run.conflicts is not None for run in runs)
    assert fresh == [True] * 12 + [False] * 12
    assert read_runs(tmp_path / "set" / "runs.parquet") == runs
    assert all(run.machine and run.solver_version for run in runs)


def test_other_limits_make_another_run(tmp_path: Path) -> None:
    requests = list(plan(write_instances(tmp_path / "cnf", 1), ["minisat22"]))
    collect(requests, tmp_path / "set", limits=CollectLimits(cpu_s=5))
    runs = collect(requests, tmp_path / "set", limits=CollectLimits(cpu_s=6))
    assert [run.cpu_limit_s for run in runs] == [5, 6]


def test_vanished_and_unreadable_files_do_not_stop_the_rest(tmp_path: Path) -> None:
    instances = write_instances(tmp_path / "cnf", 3)
    instances[0][1].unlink()
    instances[1][1].write_text("p cnf 2 1\n1 x 0\n")
    problems: list[str] = []
    runs = collect(list(plan(instances, ["minisat22"])), tmp_path / "set", on_problem=problems.append)
    assert [name for name in ("i00.cnf", "i01.cnf:2") if any(name in problem for problem in problems)] == [
        "i00.cnf",
        "i01.cnf:2",
    ]
    # What cannot be read says nothing of the solver.
    assert [(run.instance, run.status.solved) for run in runs] == [("i02", True)]


def test_unknown_solver_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SolverError):
        collect([Request("a", tmp_path / "a.cnf", "nosuch")], tmp_path / "set")


@pytest.mark.slow
def test_killed_at_random_moments_ends_with_the_same_table(tmp_path: Path) -> None:
    instances = write_instances(tmp_path / "cnf", 12)
    solvers = ["cadical195", "minisat22", "glucose42"]
    undisturbed = collect(list(plan(instances, solvers)), tmp_path / "undisturbed")
    script = (
        "import sys; from pathlib import Path; from satcost_gnn.data.collect import collect, plan\n"
        "root = Path(sys.argv[1])\n"
        "found = [(p.stem, p) for p in sorted((root / 'cnf').iterdir())]\n"
        f"collect(list(plan(found, {solvers!r})), root / 'killed', merge_every_s=0.1)\n"
    )
    rng = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    resumed = read_runs(tmp_path / "killed" / "runs.parquet")
    assert deterministic(resumed) == deterministic(undisturbed)
    assert not list((tmp_path / "killed" / "journal").glob("*.jsonl"))


def test_two_collectors_share_a_directory(tmp_path: Path) -> None:
    instances = write_instances(tmp_path / "cnf", 8)
    script = (
        "import sys; from pathlib import Path; from satcost_gnn.data.collect import collect, plan\n"
        "root = Path(sys.argv[1]); made = []\n"
        "found = [(p.stem, p) for p in sorted((root / 'cnf').iterdir())]\n"
        "collect(list(plan(found, ['cadical195', 'minisat22'])), root / 'set', merge_every_s=0.1,\n"
        "        on_progress=lambda run: made.append(run is not None))\n"
        "print(sum(made))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [int(process.communicate()[0]) for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    # A run that one has claimed is left to it by the other: none is made twice.
    assert sum(made) == 16
    collect(list(plan(instances, ["cadical195", "minisat22"])), tmp_path / "set")
    assert len(read_runs(tmp_path / "set" / "runs.parquet")) == 16


def test_torn_journal_line_is_made_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    whole = json.dumps({name: getattr(RUN, name) for name in Run.schema.names})
    (journal / "dead.jsonl").write_text(whole + "\n" + whole[:40])
    store = RunStore(tmp_path)
    assert store.runs() == [RUN]
    store.close()
    assert read_runs(tmp_path / "runs.parquet") == [RUN]
    assert not (journal / "dead.jsonl").exists()


def test_live_journal_of_another_collector_is_read_but_left_alone(tmp_path: Path) -> None:
    first, second = RunStore(tmp_path), RunStore(tmp_path)
    first.add(RUN)
    second.refresh()
    assert RUN.key in second
    second.merge()
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 2
    first.add(replace(RUN, instance="b"))
    second.close()
    first.close()
    assert [run.instance for run in read_runs(tmp_path / "runs.parquet")] == ["a", "b"]


def test_interrupted_command_prints_how_to_continue(tmp_path: Path) -> None:
    write_instances(tmp_path / "cnf", 30)
    command = [sys.executable, "-c", "from satcost_gnn.cli import main; main()", "collect", str(tmp_path / "cnf")]
    command += ["-o", str(tmp_path / "set"), "--solvers", "cadical195,minisat22,glucose42,maplechrono"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "set" / "journal").glob("*.jsonl")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, printed = process.communicate()
    assert process.returncode == 130
    assert f"to continue: satcost collect {tmp_path / 'cnf'}" in printed


def test_full_disk_is_told_and_nothing_finished_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = list(plan(write_instances(tmp_path / "cnf", 4), ["minisat22"]))
    write, lines = os.write, 0

    def write_until_full(fd: int, data: bytes) -> int:
        nonlocal lines
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".jsonl":
            lines += 1
            if lines == 3:
                # The disk takes half of the line, then nothing more.
                return write(fd, data[: len(data) // 2])
            if lines > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_until_full)
        with pytest.raises(DatasetError, match=r"jsonl: .*No space left on device.*start the same command again"):
            collect(requests, tmp_path / "set")
    assert len(read_runs(tmp_path / "set" / "runs.parquet")) == 2
    fresh: list[bool] = []
    runs = collect(requests, tmp_path / "set", on_progress=lambda run: fresh.append(run is not None))
    assert len(runs) == 4 and sum(fresh) == 2


def test_command_takes_programs_and_tells_contradicting_answers(tmp_path: Path, heard: list[str]) -> None:
    instances = write_instances(tmp_path / "cnf", 2)
    (tmp_path / "cnf" / "i02.cnf").write_text("p cnf 1 2\n1 0\n-1 0\n")
    program = tmp_path / "liar"
    program.write_text("#!/bin/sh\necho 's UNSATISFIABLE'\nexit 20\n")
    program.chmod(0o755)
    options = CollectOptions(
        [str(tmp_path / "cnf")], tmp_path / "set", ["minisat22", f"liar={program} --really=1,2 {{cnf}}"], [0], 10.0,
        None, 2048, 1, None,
    )  # fmt: skip
    assert run_collect(options) == 0
    told = [line for line in heard if line.startswith("contradicting answers: ")]
    by_status = {(run.solver, run.status) for run in read_runs(tmp_path / "set" / "runs.parquet")}
    assert ("liar", RunStatus.UNSAT) in by_status and ("minisat22", RunStatus.SAT) in by_status
    satisfiable = [
        path.name for (_, path), run in zip(instances, collect(
            list(plan(instances, ["minisat22"])), tmp_path / "alone"), strict=True) if run.status is RunStatus.SAT
    ]  # fmt: skip
    assert [line.split(": ")[1] for line in told] == satisfiable
    assert all("SAT by minisat22, UNSAT by liar" in line for line in told)


def test_program_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    options = CollectOptions([str(tmp_path)], tmp_path / "set", ["x=nosuchprogram"], [0], 10.0, None, 2048, 1, None)
    with pytest.raises(SolverError, match="nosuchprogram"):
        run_collect(options)
    assert not (tmp_path / "set").exists()


def test_more_runs_on_the_instances_of_a_data_set(tmp_path: Path) -> None:
    made = GenerateOptions("random-ksat", tmp_path / "cnf", 2, 0, ("n=20",))
    assert run_generate(made) == 0
    index, target = tmp_path / "cnf" / "INDEX.csv", tmp_path / "set"
    first = CollectOptions([str(index)], target, ["minisat22"], [0], 10.0, None, 2048, 1, None)
    assert run_collect(first) == 0
    chosen = read_manifest(target / "manifest.parquet")[1]
    # The files are gone: the instance is made again from its recipe.
    shutil.rmtree(tmp_path / "cnf")
    (tmp_path / "list.txt").write_text(f"{chosen.instance} its costs are wanted\n")
    more = replace(
        first,
        paths=[str(target)],
        solvers=["cadical195"],
        instances=tmp_path / "list.txt",
        store=tmp_path / "store",
    )
    assert run_collect(more) == 0
    found = [(run.instance, run.solver) for run in read_runs(target / "runs.parquet") if run.solver == "cadical195"]
    assert found == [(chosen.instance, "cadical195")]
    assert len(read_manifest(target / "manifest.parquet")) == 2
    (tmp_path / "list.txt").write_text("nonsense\n")
    with pytest.raises(DatasetError, match="found 'nonsense', which is no instance"):
        run_collect(more)
    with pytest.raises(DatasetError, match="expected a data set directory"):
        run_collect(replace(more, paths=[str(tmp_path)]))


def test_what_another_collector_has_merged_meanwhile_is_known(tmp_path: Path) -> None:
    first, second = RunStore(tmp_path / "set"), RunStore(tmp_path / "set")
    second.add(RUN)
    # Its journal is gone before it was ever looked at.
    second.close()
    first.refresh()
    assert RUN.key in first
    first.close()
