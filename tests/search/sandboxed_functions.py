"""Functions that misbehave, run in sandboxed children by the tests."""

import os
import subprocess
import sys
import time

from satcost_gnn.search.sandbox import report


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
