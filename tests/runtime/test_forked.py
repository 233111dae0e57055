import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from process_listing import left_running, processes_with

from satcost_gnn.errors import EstimatorError
from satcost_gnn.runtime.forked import run_forked
from satcost_gnn.runtime.logs import log


def test_jobs_that_fail_or_die_leave_the_others_alone(tmp_path: Path, heard: list[str]) -> None:
    def good(number: int):
        def job() -> None:
            log.info(f"working on {number}")
            (tmp_path / str(number)).write_text("done")

        return job

    def wrong() -> None:
        raise EstimatorError("found nothing; expected something")

    def broken() -> None:
        raise ZeroDivisionError("by zero")

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    ended: dict[int, str] = {}
    run_forked([good(0), wrong, killed, broken, good(4)], list("abcde"), 2, ended.__setitem__)
    assert ended[0] == ended[4] == ""
    assert ended[1] == "found nothing; expected something"
    assert "SIGKILL" in ended[2] and "memory" in ended[2]
    assert ended[3] == "ZeroDivisionError: by zero"
    assert (tmp_path / "0").exists() and (tmp_path / "4").exists()
    assert "e: working on 4" in heard and any(line.startswith("d: Traceback") for line in heard)


def test_no_more_at_a_time_than_asked_for(tmp_path: Path, heard: list[str]) -> None:
    def job() -> None:
        mine = tmp_path / f"{os.getpid()}"
        mine.touch()
        log.info(str(len(list(tmp_path.iterdir()))))
        mine.unlink()

    run_forked([job] * 6, ["job"] * 6, 1, lambda number, problem: None)
    assert heard == ["job: 1"] * 6


def test_jobs_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    marker = f"satcost-forked-{os.getpid()}"
    program = (
        "import os, subprocess, sys, time\n"
        "from satcost_gnn.runtime.forked import run_forked\n"
        "job = lambda: (open('begun', 'w').close(), time.sleep(600))\n"
        "run_forked([job, job], ['a', 'b'], 2, print)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, marker], cwd=tmp_path)
    try:
        while not (tmp_path / "begun").exists():
            assert parent.poll() is None
            time.sleep(0.02)
        assert len(processes_with(marker)) >= 2
    finally:
        parent.kill()
        parent.wait()
    assert left_running(marker, 60) == []
