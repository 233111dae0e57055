"""Several sandboxes at a time: results as they come, errors passed on, an interruption that does not wait."""

import queue
import time

import pytest

from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.runtime.sandbox_pool import SandboxPool


def _after(seconds: float):
    def call(sandbox: Sandbox) -> tuple[float, str]:
        return seconds, sandbox.run("time:sleep", {"args": (seconds,)}, Limits(wall_s=60)).status

    return call


def test_results_come_as_they_get_ready_and_each_once() -> None:
    with SandboxPool[tuple[float, str]](2) as pool:
        for seconds in (1.5, 0.0, 0.0):
            pool.submit(_after(seconds))
        assert pool.pending == 3
        with pytest.raises(queue.Empty):
            pool.next(timeout_s=0.0)
        found = [pool.next() for _ in range(3)]
    assert found == [(0.0, "OK"), (0.0, "OK"), (1.5, "OK")]
    assert pool.pending == 0


def test_an_error_of_a_call_is_raised_and_the_others_go_on() -> None:
    def broken(sandbox: Sandbox) -> int:
        raise ValueError("broken")

    with SandboxPool[int](1) as pool:
        pool.submit(broken)
        pool.submit(lambda sandbox: 7)
        with pytest.raises(ValueError, match="broken"):
            pool.next()
        assert pool.next() == 7


def test_who_leaves_ends_what_runs_and_what_waits() -> None:
    seen: list[str] = []

    def call(sandbox: Sandbox) -> None:
        seen.append(sandbox.run("time:sleep", {"args": (600.0,)}, Limits(wall_s=900)).status)

    with SandboxPool[None](1) as pool:
        pool.submit(call)
        pool.submit(call)
        time.sleep(0.2)
    # Cancelled before or after its helper had begun; the second call is never made.
    assert seen == ["CANCELLED"]
