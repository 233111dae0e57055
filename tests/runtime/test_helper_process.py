"""Helpers that are forked from a command's process behave as those with an interpreter of their own."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOMY = "Limits(60.0, 600.0, 2048)"
PROGRAM = """
import os, sys, threading
from satcost_gnn.runtime.helper_process import ForkedHelper, may_be_forked
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.runtime.process_tree import below
"""


def run_program(body: str, **environment: str) -> str:
    """Return what a program of one thread prints; numpy would have more of them otherwise."""
    made = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM + body],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=os.sep,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment},
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_a_command_of_one_thread_forks_its_helper_and_nobody_else_does() -> None:
    said = run_program(
        f"""
sandbox = Sandbox()
sandbox.start_by_fork()
print(sandbox._server)
with may_be_forked(), Sandbox() as forked:
    print(type(forked._server) is ForkedHelper, forked.run("math:sqrt", {{"args": (4.0,)}}, {ROOMY}).value)
    hold = threading.Event()
    thread = threading.Thread(target=hold.wait)
    thread.start()
    with Sandbox() as other:
        print(type(other._server) is ForkedHelper, other.run("math:sqrt", {{"args": (9.0,)}}, {ROOMY}).value)
    hold.set()
    thread.join()
"""
    )
    assert said.split("\n")[:3] == ["None", "True 2.0", "False 3.0"]


def test_a_forked_helper_has_no_file_signal_handler_or_message_of_the_callers() -> None:
    said = run_program(
        f"""
import signal, logging
from satcost_gnn.runtime.logs import log
signal.signal(signal.SIGUSR1, lambda *_: None)
log.addHandler(logging.StreamHandler())
print("once", end="")
place = os.open(os.devnull, os.O_RDONLY)
sys.path.append({str(Path(__file__).parent)!r})
with may_be_forked(), Sandbox() as sandbox:
    found = sandbox.run("test_helper_process:state", {{"fd": place}}, {ROOMY})
    assert type(sandbox._server) is ForkedHelper
    print(found.value, found.detail)
"""
    )
    assert said == "once(False, True, 0) \n"


def state(fd: int) -> tuple[bool, bool, int]:
    """Return whether a file is open, whether SIGUSR1 has no handler, and how many handlers there are for messages."""
    from satcost_gnn.runtime.logs import log

    # The child opens a log and pipes of its own, in places that were free.
    with contextlib.suppress(OSError):
        return Path(f"/proc/self/fd/{fd}").readlink() == Path(os.devnull), *_handlers(), len(log.handlers)
    return False, *_handlers(), len(log.handlers)


def _handlers() -> tuple[bool]:
    return (signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,)


def test_nothing_is_left_when_the_caller_of_a_forked_helper_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    with pytest.raises(AssertionError):
        run_program(
            f"""
import signal
with may_be_forked(), Sandbox() as first, Sandbox() as second:
    assert all(type(one._server) is ForkedHelper for one in (first, second))
    first.run("math:sqrt", {{"args": (4.0,)}}, {ROOMY})
    open({str(mark)!r}, "w").write(" ".join(str(pid) for pid in below(os.getpid())))
    os.kill(os.getpid(), signal.SIGKILL)
"""
        )
    pids = [int(word) for word in mark.read_text().split()]
    assert len(pids) >= 4
    for pid in pids:
        # Its parent has gone: whoever adopts it takes note of its end in its own time.
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                assert not _runs_on(handle), pid
            finally:
                os.close(handle)


def _runs_on(handle: int) -> bool:
    """Whether a process has not ended, however long one waits."""
    import select

    return not select.select([handle], [], [], 300)[0]


def test_waiting_for_a_forked_helper() -> None:
    said = run_program(
        """
import signal, subprocess, time
helper = ForkedHelper(lambda: time.sleep(600))
try:
    helper.wait(timeout=0)
except subprocess.TimeoutExpired:
    print("waits", helper.poll())
helper.send_signal(signal.SIGTERM)
print(helper.wait(), helper.poll(), helper.returncode)
helper.send_signal(signal.SIGKILL)
helper = ForkedHelper(lambda: os._exit(7))
print(helper.wait())
helper = ForkedHelper(lambda: 1 / 0)
print(helper.wait())
"""
    )
    assert said.split("\n") == ["waits None", f"-{signal.SIGTERM} -{signal.SIGTERM} -{signal.SIGTERM}", "7", "1", ""]
