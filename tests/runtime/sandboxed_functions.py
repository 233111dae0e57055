"""Functions that misbehave, run in sandboxed children by the tests."""

import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from satcost_gnn.runtime.sandbox import report


def spin() -> None:
    while True:
        pass


def eat_memory() -> None:
    held = []
    while True:
        held.append(bytearray(10**7))


def fork_and_wait(marker: str) -> None:
    # One child in our session, one that has left it.
    command = [sys.executable, "-c", "import time; time.sleep(120)", marker]
    subprocess.Popen(command)
    subprocess.Popen(command, start_new_session=True)
    time.sleep(120)


def report_then_abort() -> None:
    report({"reached": 1})
    report({"reached": 2})
    os.abort()


def print_and_return(value: int) -> int:
    os.write(1, b"noise on standard output\n")
    print("more noise")
    return value


def raise_error() -> None:
    raise KeyError("missing thing")


def loaded_modules() -> list[str]:
    return sorted(sys.modules)


def report_three() -> str:
    for value in range(3):
        report(value)
    return "done"


def report_without_end() -> None:
    while True:
        report(time.process_time())
        time.sleep(0.01)


def report_then_fork_and_wait(marker: str) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(120)", marker]
    subprocess.Popen(command)
    subprocess.Popen(command, start_new_session=True)
    report("started")
    time.sleep(120)


def leave_files_and_die(report_only: bool = False) -> None:
    # A copy of a formula, as libraries make it.
    directory = tempfile.mkdtemp(prefix="copy-of-a-formula-")
    Path(directory, "formula.cnf").write_text("p cnf 0 0\n")
    report(directory)
    if not report_only:
        os.abort()
    time.sleep(120)


def report_then_double_fork(marker: str) -> None:
    # A program that has left its parent, its session and its environment.
    command = [sys.executable, "-c", "import time; time.sleep(120)", marker]
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen(command, start_new_session=True, env={})
        os._exit(0)
    os.wait()
    report("started")
    time.sleep(120)


def fork_that_keeps_the_pipe() -> int:
    if os.fork() == 0:
        time.sleep(120)
        os._exit(0)
    return 7


def reserve() -> int:
    return len(mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))


def eat_memory_in_two() -> None:
    for _ in range(2):
        if os.fork() == 0:
            held = bytearray(b"x") * (80 << 20)
            time.sleep(120)
            del held
    time.sleep(120)


def refuse_memory() -> None:
    bytearray(1 << 50)
