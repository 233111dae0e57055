import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from process_listing import left_running, processes_with

from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox

MODULE = "sandboxed_functions"
ROOMY = Limits(cpu_s=20, wall_s=30, memory_mb=1024)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    here = str(Path(__file__).parent)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = here if not before else f"{here}{os.pathsep}{before}"
    with Sandbox() as running:
        yield running
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def test_value_comes_back(sandbox: Sandbox) -> None:
    outcome = sandbox.run("math:hypot", {"args": (3.0, 4.0)}, ROOMY)
    assert (outcome.status, outcome.value) == ("OK", 5.0)
    assert outcome.cpu_s >= 0 and outcome.wall_s > 0 and outcome.peak_memory_mb > 1


def test_arrays_come_back_whole(sandbox: Sandbox) -> None:
    outcome = sandbox.run("numpy:arange", {"args": (3_000_000,)}, ROOMY)
    assert outcome.status == "OK"
    assert np.array_equal(outcome.value, np.arange(3_000_000))


def test_noise_on_standard_output_does_not_mix_with_answers(sandbox: Sandbox) -> None:
    assert sandbox.run(f"{MODULE}:print_and_return", {"value": 7}, ROOMY).value == 7


def test_exception_is_an_error_with_its_type(sandbox: Sandbox) -> None:
    outcome = sandbox.run(f"{MODULE}:raise_error", {}, ROOMY)
    assert (outcome.status, outcome.error_type) == ("ERROR", "KeyError")
    assert "missing thing" in outcome.detail


def test_unknown_function_is_an_error(sandbox: Sandbox) -> None:
    assert sandbox.run("no_such_module:f", {}, ROOMY).error_type == "ModuleNotFoundError"


def test_cpu_limit(sandbox: Sandbox) -> None:
    outcome = sandbox.run(f"{MODULE}:spin", {}, Limits(cpu_s=0.3, wall_s=30, memory_mb=512))
    assert outcome.status == "TIMEOUT"
    assert "CPU" in outcome.detail
    assert outcome.cpu_s >= 0.3


def test_wall_limit(sandbox: Sandbox) -> None:
    outcome = sandbox.run("time:sleep", {"args": (60,)}, Limits(cpu_s=5, wall_s=0.3, memory_mb=512))
    assert outcome.status == "TIMEOUT"
    assert "wall" in outcome.detail


def test_memory_limit(sandbox: Sandbox) -> None:
    outcome = sandbox.run(f"{MODULE}:eat_memory", {}, Limits(cpu_s=20, wall_s=30, memory_mb=200))
    assert outcome.status == "MEMOUT"


def test_abort_keeps_the_last_partial_value(sandbox: Sandbox) -> None:
    outcome = sandbox.run(f"{MODULE}:report_then_abort", {}, ROOMY)
    assert (outcome.status, outcome.value) == ("CRASHED", {"reached": 2})
    assert "SIGABRT" in outcome.detail


def test_exit_code_is_a_crash(sandbox: Sandbox) -> None:
    outcome = sandbox.run("os:_exit", {"args": (3,)}, ROOMY)
    assert outcome.status == "CRASHED"
    assert "code 3" in outcome.detail


def test_descendants_die_with_the_child(sandbox: Sandbox) -> None:
    marker = f"satcost-test-{os.getpid()}"
    outcome = sandbox.run(f"{MODULE}:fork_and_wait", {"marker": marker}, Limits(cpu_s=5, wall_s=1.0, memory_mb=512))
    assert outcome.status == "TIMEOUT"
    assert processes_with(marker) == []


def test_sandbox_survives_its_children(sandbox: Sandbox) -> None:
    for _ in range(3):
        assert sandbox.run("os:abort", {}, ROOMY).status == "CRASHED"
    assert sandbox.run("math:sqrt", {"args": (9.0,)}, ROOMY).value == 3.0


def test_helper_is_started_again_after_it_was_killed() -> None:
    with Sandbox() as fresh:
        fresh.run("math:sqrt", {"args": (1.0,)}, ROOMY)
        assert fresh._server is not None
        fresh._server.kill()
        fresh._server.wait()
        assert fresh.run("math:sqrt", {"args": (9.0,)}, ROOMY).value == 3.0


def test_child_dies_when_the_caller_is_killed() -> None:
    marker = f"satcost-orphan-{os.getpid()}"
    program = (
        "import os, sys\n"
        "from satcost_gnn.runtime.sandbox import Limits, Sandbox\n"
        "arguments = [sys.executable, '-c', 'import time; time.sleep(60)', os.environ['MARKER']]\n"
        "Sandbox().run('subprocess:call', {'args': (arguments,)}, Limits(cpu_s=20, wall_s=50, memory_mb=1024))\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ, MARKER=marker))
    try:
        while not processes_with(marker):
            assert caller.poll() is None
            time.sleep(0.02)
    finally:
        caller.kill()
        caller.wait()
    # The grandchild would end by itself, or by its limit, long after this.
    assert left_running(marker) == []


@pytest.mark.slow
def test_child_dies_when_the_caller_is_killed_as_it_asks() -> None:
    program = (
        "import os, signal, sys, threading, time\n"
        "from satcost_gnn.runtime.sandbox import Limits, Sandbox\n"
        "sandbox = Sandbox()\n"
        "sandbox.run('math:sqrt', {'args': (4.0,)}, Limits())\n"
        "arguments = [sys.executable, '-S', '-c', 'import time; time.sleep(60)', os.environ['MARKER']]\n"
        "ask = lambda: sandbox.run('subprocess:call', {'args': (arguments,)}, Limits(20, 50, 1024))\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "time.sleep(float(os.environ['AFTER_S']))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for k in range(16):
        marker = f"satcost-asked-{os.getpid()}-{k}-"
        environment = dict(os.environ, MARKER=marker, AFTER_S=str(0.0003 * k))
        subprocess.run([sys.executable, "-c", program], env=environment, check=False)
        # Time for a child to come up that should be dead by now.
        time.sleep(0.4)
        assert left_running(marker) == []


def test_helper_never_loads_torch(sandbox: Sandbox) -> None:
    modules = sandbox.run(f"{MODULE}:loaded_modules", {}, ROOMY).value
    assert "pysat.solvers" in modules
    assert "torch" not in modules


@pytest.mark.parametrize("name", ["cpu_s", "wall_s", "memory_mb"])
def test_limits_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})


def test_partial_values_come_while_the_child_runs(sandbox: Sandbox) -> None:
    seen: list[object] = []
    outcome = sandbox.run(f"{MODULE}:report_three", {}, ROOMY, on_report=seen.append)
    assert (outcome.status, outcome.value) == ("OK", "done")
    assert seen == [0, 1, 2]
    assert sandbox.run(f"{MODULE}:report_three", {}, ROOMY).value == "done"


def test_a_paused_child_does_nothing_until_it_may_go_on(sandbox: Sandbox) -> None:
    # The fixture has put the module on the path.
    seen: queue.SimpleQueue[float] = queue.SimpleQueue()
    found: list[Outcome] = []

    def work() -> None:
        found.append(own.run(f"{MODULE}:report_without_end", {}, ROOMY, seen.put))

    with Sandbox() as own:
        own.pause()  # Nothing runs: nothing to be done.
        worker = threading.Thread(target=work)
        worker.start()
        seen.get(timeout=30)
        own.pause()
        with pytest.raises(queue.Empty):
            while True:
                # What was on its way when it was paused still comes.
                seen.get(timeout=1.0)
        own.resume()
        seen.get(timeout=30)
        own.pause()
        own.cancel()
        worker.join(30)
        assert found[0].status == "CANCELLED"
    with Sandbox() as own:
        # A word that comes too late is passed over.
        own.run("math:sqrt", {"args": (4.0,)}, ROOMY)
        own.pause()
        own.resume()
        assert own.run("math:sqrt", {"args": (9.0,)}, ROOMY).value == 3.0


def test_cancel_ends_the_child_and_all_below_it(sandbox: Sandbox) -> None:
    # The fixture has put the module on the path.
    marker = f"cancel-{os.getpid()}"
    started = threading.Event()
    found: list[Outcome] = []
    with Sandbox() as own:

        def work() -> None:
            found.append(
                own.run(f"{MODULE}:report_then_fork_and_wait", {"marker": marker}, ROOMY, lambda _: started.set())
            )

        worker = threading.Thread(target=work)
        worker.start()
        assert started.wait(30)
        assert processes_with(marker)
        own.cancel()
        worker.join(30)
        assert found[0].status == "CANCELLED"
        assert not processes_with(marker)
        assert own.run("math:sqrt", {"args": (4.0,)}, ROOMY).status == "CANCELLED"
