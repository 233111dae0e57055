"""Who runs below a process, where the kernel lists children and where it doesn't."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from satcost_gnn.runtime import process_tree
from satcost_gnn.runtime.process_tree import Descendants, below

# Starts a process of its own, tells its number, and waits.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def _eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def table_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_tree, "_kernel_lists_children", lambda: False)


def test_those_that_came_after_it(table_only: None) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as before:
        processes = Descendants(os.getpid())
        assert processes.look() == []
        # With whatever earlier tests have left running.
        earlier = set(below(os.getpid()))
        assert before.pid in earlier
        with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            assert processes.look() == sorted([parent.pid, child])
            assert set(processes.look()) == set(below(os.getpid())) - earlier
            parent.kill()
            parent.wait()
            # Whoever its parent is by now.
            assert processes.look() == [child]
            os.kill(child, signal.SIGKILL)
            assert _eventually(lambda: processes.look() == [])
        before.kill()


def test_nobody_is_read_twice(table_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    fields = process_tree._fields
    monkeypatch.setattr(process_tree, "_fields", lambda pid: (read.append(pid), fields(pid))[1])
    processes = Descendants(os.getpid())
    assert processes.look() == [] and os.getpid() not in read
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        for _ in range(5):
            assert processes.look() == [child.pid]
        assert read.count(child.pid) == 1 and len(read) == len(set(read))
        child.kill()
