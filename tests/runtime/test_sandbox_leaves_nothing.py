"""What becomes of processes and files when the helper, a child or the caller is killed, and of forked callers."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from process_listing import processes_with

from satcost_gnn.runtime.process_tree import below
from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox
from satcost_gnn.runtime.scratch_space import PREFIX, ScratchSpace, remove_abandoned

MODULE = "sandboxed_functions"
ROOMY = Limits(cpu_s=20, wall_s=60, memory_mb=1024)
# To detect what never comes about; nothing here takes that long.
HANG_S = 30.0


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directory of temporary files, of this process and of its helpers."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    monkeypatch.undo()


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(sandbox: Sandbox, function: str, **kwargs: object) -> tuple[threading.Thread, list[Outcome], list[object]]:
    """Run a function in a thread; return it, its outcome to be, and what the child has reported first."""
    reported, found, told = threading.Event(), [], []

    def note(value: object) -> None:
        told.append(value)
        reported.set()

    def work() -> None:
        found.append(sandbox.run(f"{MODULE}:{function}", kwargs, ROOMY, note))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert reported.wait(HANG_S)
    return thread, found, told


def test_files_of_a_child_that_dies_are_removed(room: Path) -> None:
    with Sandbox() as sandbox:
        outcome = sandbox.run(f"{MODULE}:leave_files_and_die", {}, ROOMY)
        assert outcome.status == "CRASHED"
        assert Path(outcome.value).is_relative_to(room) and not Path(outcome.value).exists()
    assert list(room.iterdir()) == []


@pytest.mark.parametrize("victim", ["warden", "helper"])
def test_whichever_of_the_two_processes_is_killed_nothing_is_left(room: Path, victim: str) -> None:
    marker = f"double-fork-{os.getpid()}-{victim}"
    sandbox = Sandbox()
    thread, _, _ = start(sandbox, "report_then_double_fork", marker=marker)
    assert processes_with(marker)
    assert sandbox._server is not None
    warden = sandbox._server.pid
    helper = below(warden)[0]
    os.kill(warden if victim == "warden" else helper, signal.SIGKILL)
    # The helper is started again for the request that was under way; that one ends here.
    wait_for(lambda: sandbox._server is None or sandbox._server.pid != warden)
    sandbox.cancel()
    thread.join(HANG_S)
    assert not thread.is_alive()
    wait_for(lambda: processes_with(marker) == [])
    wait_for(lambda: list(room.iterdir()) == [])


def test_files_of_the_dead_are_removed_at_the_next_start(room: Path) -> None:
    ours = ScratchSpace.make()
    program = (
        "import os, signal\n"
        "from satcost_gnn.runtime.scratch_space import ScratchSpace\n"
        "(ScratchSpace.make().path / 'formula.cnf').write_text('p cnf 0 0')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    # Of the same name, but not known to be ours.
    foreign = room / f"{PREFIX}foreign"
    foreign.mkdir()
    link = room / f"{PREFIX}link"
    link.symlink_to(foreign)
    assert len(list(room.iterdir())) == 4
    with Sandbox() as sandbox:
        assert sandbox.run("math:sqrt", {"args": (4.0,)}, ROOMY).value == 2.0
        wait_for(lambda: len(list(room.iterdir())) == 4)
    assert {*room.iterdir()} == {ours.path, foreign, link}
    remove_abandoned()
    assert ours.path.exists()
    ours.remove()
    assert not ours.path.exists()


def test_without_room_for_files_everything_else_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    program = (
        "import tempfile\n"
        "tempfile._candidate_tempdir_list = lambda: []\n"
        "from satcost_gnn.runtime import sandbox_server\n"
        "sandbox_server.main()\n"
    )
    monkeypatch.setattr("satcost_gnn.runtime.interpreter.command", lambda _: [sys.executable, "-c", program])
    with Sandbox() as sandbox:
        assert sandbox.run("math:sqrt", {"args": (4.0,)}, ROOMY).value == 2.0


def test_an_answer_counts_even_if_a_forked_process_keeps_the_pipe() -> None:
    with Sandbox() as sandbox:
        outcome = sandbox.run(f"{MODULE}:fork_that_keeps_the_pipe", {}, ROOMY)
        assert (outcome.status, outcome.value) == ("OK", 7)
        assert outcome.wall_s < HANG_S


def test_address_space_that_is_reserved_is_no_memory() -> None:
    with Sandbox() as sandbox:
        assert sandbox.run(f"{MODULE}:reserve", {}, Limits(20, 60, 256)).value == 3 << 30


def test_memory_of_all_processes_counts_together() -> None:
    with Sandbox() as sandbox:
        outcome = sandbox.run(f"{MODULE}:eat_memory_in_two", {}, Limits(20, 60, 120))
        assert (outcome.status, outcome.detail) == ("MEMOUT", "memory limit of 120 MiB")
        assert outcome.peak_memory_mb > 120


def test_what_is_refused_says_so() -> None:
    with Sandbox() as sandbox:
        outcome = sandbox.run(f"{MODULE}:refuse_memory", {}, ROOMY)
        assert outcome.status == "MEMOUT"
        assert "at once" in outcome.detail


def test_a_forked_process_has_helpers_of_its_own() -> None:
    def work(queue: "multiprocessing.SimpleQueue[object]") -> None:
        with sandbox:
            queue.put(sandbox.run("math:sqrt", {"args": (9.0,)}, ROOMY).value)

    context = multiprocessing.get_context("fork")
    with Sandbox() as sandbox:
        sandbox.run("math:sqrt", {"args": (4.0,)}, ROOMY)
        assert sandbox._server is not None
        helper = sandbox._server.pid
        thread, _, _ = start(sandbox, "report_without_end")
        # A thread holds the lock meanwhile, and reads.
        queue = context.SimpleQueue()
        child = context.Process(target=work, args=(queue,), daemon=True)
        child.start()
        child.join(HANG_S)
        assert child.exitcode == 0
        assert queue.get() == 3.0
        assert sandbox._server is not None and sandbox._server.pid == helper and sandbox._server.poll() is None
        sandbox.cancel()
        thread.join(HANG_S)
        assert not thread.is_alive()


def test_children_end_with_the_caller_although_a_fork_of_it_lives_on() -> None:
    marker = f"forked-caller-{os.getpid()}"
    program = (
        "import os, signal, sys, threading, time\n"
        "from satcost_gnn.runtime.sandbox import Limits, Sandbox\n"
        "sandbox = Sandbox()\n"
        "arguments = [sys.executable, '-c', 'import time; time.sleep(60)', os.environ['MARKER']]\n"
        "ask = lambda: sandbox.run('subprocess:call', {'args': (arguments,)}, Limits(20, 50, 1024))\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "time.sleep(1)\n"
        "if os.fork() == 0:\n"
        "    time.sleep(120)\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"MARKER": marker})
    wait_for(lambda: processes_with(marker) != [])
    time.sleep(1.0)
    forks = [pid for pid in below(caller.pid) if b"sandbox_server" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
    caller.kill()
    caller.wait()
    try:
        wait_for(lambda: processes_with(marker) == [])
    finally:
        for pid in forks:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def test_cancelling_before_the_helper_is_there_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox()
    begin = sandbox._start

    def cancelled_meanwhile() -> "subprocess.Popen[bytes]":
        sandbox.cancel()
        return begin()

    monkeypatch.setattr(sandbox, "_start", cancelled_meanwhile)
    assert sandbox.run("time:sleep", {"args": (60,)}, ROOMY).status == "CANCELLED"
