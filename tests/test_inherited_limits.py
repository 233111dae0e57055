"""Limits that a batch system, `ulimit` or runsolver has set count where they are lower than our own."""

import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from satcost_gnn.data.collect import collect, plan
from satcost_gnn.data.execution import CollectLimits
from satcost_gnn.data.race import RaceRules
from satcost_gnn.data.run_store import RunStore
from satcost_gnn.data.schema import Run, RunStatus
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.process_tree import below
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.external import register_external
from satcost_gnn.search.solver_run import run_solver
from satcost_gnn.serve.predictor import Predictor

SAMPLE = Path(__file__).parents[1] / "datasets" / "samples" / "golfer-4-3-5.cnf"
ROOMY = Limits(cpu_s=100, wall_s=200, memory_mb=1024)


def random_3sat(n: int, seed: int) -> Formula:
    rng = random.Random(seed)
    return Formula.from_clauses(
        [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, n + 1), 3)] for _ in range(int(4.26 * n))]
    )


def pigeons(n: int) -> Formula:
    """Return a formula that takes any solver longer than any limit here."""
    clauses = [[p * n + h + 1 for h in range(n)] for p in range(n + 1)]
    clauses += [[-(p * n + h + 1), -(q * n + h + 1)] for h in range(n) for p in range(n + 1) for q in range(p)]
    return Formula.from_clauses(clauses)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        running.run("math:sqrt", {"args": (4.0,)}, ROOMY)
        yield running


def limit(sandbox: Sandbox, kind: int, value: int) -> None:
    """Set a hard limit of a helper, as if it had inherited it."""
    assert sandbox._server is not None
    resource.prlimit(below(sandbox._server.pid)[0], kind, (value, value))


@pytest.mark.parametrize("solver", ["cadical195", "minisat22"])
def test_a_run_ends_at_a_lower_limit_of_cpu_time_with_its_counters(sandbox: Sandbox, solver: str) -> None:
    limit(sandbox, resource.RLIMIT_CPU, 2)
    found = run_solver(sandbox, solver, pigeons(14), cpu_s=1000)
    assert found.status == "TIMEOUT"
    assert found.conflicts is not None and found.conflicts > 0
    assert 0.5 < found.cpu_s <= 2.0


def test_whatever_runs_ends_at_a_lower_limit_of_cpu_time(sandbox: Sandbox, tmp_path: Path) -> None:
    limit(sandbox, resource.RLIMIT_CPU, 1)
    outcome = sandbox.run("collections:deque", {"args": (iter(int, 1), 0)}, ROOMY)
    assert outcome.status == "TIMEOUT"
    assert "CPU limit of 1 s" in outcome.detail and "inherited" in outcome.detail
    program = tmp_path / "spin"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    found = run_solver(sandbox, register_external(f"spin={program}"), random_3sat(5, 1), cpu_s=1000)
    assert found.status == "TIMEOUT" and found.detail.startswith("CPU limit of ")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (resource.RLIMIT_AS, 1 << 30),
        (resource.RLIMIT_DATA, 1 << 30),
        (resource.RLIMIT_CPU, 20),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
    ],
)
def test_everything_goes_on_below_a_lower_limit(sandbox: Sandbox, kind: int, value: int) -> None:
    limit(sandbox, kind, value)
    assert run_solver(sandbox, "cadical195", random_3sat(20, 1)).status in ("SAT", "UNSAT")


def test_memory_that_is_refused_is_named_for_what_it_is(sandbox: Sandbox) -> None:
    limit(sandbox, resource.RLIMIT_AS, 1 << 30)
    outcome = sandbox.run("builtins:bytearray", {"args": (2 << 30,)}, Limits(20, 60, 4096))
    assert outcome.status == "MEMOUT"
    assert "1024 MiB" in outcome.detail and "ulimit -v" in outcome.detail


def test_processes_that_are_refused_are_an_error_that_says_so() -> None:
    # Root may start any number.
    program = (
        "import os, resource, sys\n"
        "from satcost_gnn.errors import SandboxError\n"
        "from satcost_gnn.runtime import sandbox_server\n"
        "from satcost_gnn.runtime import interpreter\n"
        "from satcost_gnn.runtime.sandbox import Limits, Sandbox\n"
        "broken = '''import os\n"
        "from satcost_gnn.runtime import sandbox_server\n"
        "def fork(before=os.fork, state=[]):\n"
        "    state.append(0)\n"
        "    if len(state) > 1:\n"
        "        raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "    return before()\n"
        "sandbox_server.os.fork = fork\n"
        "sandbox_server.main()\n"
        "'''\n"
        "interpreter.command = lambda _: [sys.executable, '-c', broken]\n"
        "try:\n"
        "    Sandbox().run('math:sqrt', {'args': (4.0,)}, Limits())\n"
        "except SandboxError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "ulimit -u" in done.stdout


def test_the_lower_limit_is_the_one_that_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cnf"
    path.write_text(random_3sat(20, 1).to_dimacs())
    monkeypatch.setattr("satcost_gnn.data.execution.inherited_cpu_s", lambda: 500.0)
    monkeypatch.setattr("satcost_gnn.data.collect.inherited_cpu_s", lambda: 500.0)
    monkeypatch.setattr("satcost_gnn.data.execution.inherited_address_space_mb", lambda: 2048.0)
    requests = list(plan([("a", path)], ["minisat22"]))
    fresh: list[bool] = []
    for _ in range(2):
        (run,) = collect(
            requests,
            tmp_path / "set",
            limits=CollectLimits(cpu_s=1000.0),
            on_progress=lambda run: fresh.append(run is not None),
        )
        assert (run.cpu_limit_s, run.memory_limit_mb) == (500.0, 2048)
    assert fresh == [True, False]
    # Without that limit it is another run.
    monkeypatch.undo()
    assert len(collect(requests, tmp_path / "set", limits=CollectLimits(cpu_s=1000.0))) == 2


def test_limits_of_a_race_below_a_lower_one() -> None:
    rules = RaceRules((10.0, 30.0, 100.0), scouts=2)
    assert rules.within(50.0) == RaceRules((10.0, 30.0, 50.0), scouts=2)
    assert rules.within(100.0).limits_s == rules.within(float("inf")).limits_s == (10.0, 30.0, 100.0)
    assert rules.within(5.0).limits_s == (5.0,)


def test_runs_that_a_refused_limit_has_spoilt_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.cnf"
    path.write_text(random_3sat(20, 1).to_dimacs())
    spoilt = Run(
        instance="a", solver="minisat22", seed=0, status=RunStatus.CRASHED, conflicts=None, decisions=None,
        propagations=None, restarts=None, cpu_s=0.0, wall_s=0.0, peak_memory_mb=1.0, cpu_limit_s=10.0,
        wall_limit_s=500.0, memory_limit_mb=4096, detail="ValueError: not allowed to raise maximum limit",
    )  # fmt: skip
    store = RunStore(tmp_path / "set")
    store.add(spoilt)
    store.close()
    (run,) = collect(list(plan([("a", path)], ["minisat22"])), tmp_path / "set")
    assert run.status.solved


def test_with_little_address_space_torch_is_not_even_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satcost_gnn.serve.checkpoint_contents.inherited_address_space_mb", lambda: 635.0)
    monkeypatch.setattr("satcost_gnn.serve.checkpoint_contents._takes_torch", lambda device: True)
    with Predictor.from_checkpoint() as predictor:
        item = predictor.preprocess(SAMPLE)
        found = predictor.predict_preprocessed([item])[0]
    assert found.source == "forest" and "limited to 635 MiB (inherited: `ulimit -v`)" in found.reason


def test_with_little_address_space_the_network_is_computed_without_torch() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (635 << 20, 635 << 20))\n"
        "from satcost_gnn.serve.predictor import Predictor\n"
        "with Predictor.from_checkpoint(device='cpu') as predictor:\n"
        f"    found = predictor.predict({str(SAMPLE)!r})\n"
        "print(found.source, found.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.stdout == "ensemble \n", done.stdout + done.stderr
