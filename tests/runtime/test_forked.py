import os
import signal
from pathlib import Path

from satcost_gnn.errors import EstimatorError
from satcost_gnn.runtime.forked import run_forked


def test_jobs_that_fail_or_die_leave_the_others_alone(tmp_path: Path) -> None:
    def good(number: int):
        def job(say) -> None:
            say(f"working on {number}")
            (tmp_path / str(number)).write_text("done")

        return job

    def wrong(say) -> None:
        raise EstimatorError("found nothing; expected something")

    def broken(say) -> None:
        raise ZeroDivisionError("by zero")

    def killed(say) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    ended: dict[int, str] = {}
    said: list[str] = []
    run_forked([good(0), wrong, killed, broken, good(4)], 2, ended.__setitem__, said.append)
    assert ended[0] == ended[4] == ""
    assert ended[1] == "found nothing; expected something"
    assert "SIGKILL" in ended[2] and "memory" in ended[2]
    assert ended[3] == "ZeroDivisionError: by zero"
    assert (tmp_path / "0").exists() and (tmp_path / "4").exists()
    assert "working on 4" in said and any("Traceback" in line for line in said)


def test_no_more_at_a_time_than_asked_for(tmp_path: Path) -> None:
    def job(say) -> None:
        mine = tmp_path / f"{os.getpid()}"
        mine.touch()
        say(str(len(list(tmp_path.iterdir()))))
        mine.unlink()

    counts: list[int] = []
    run_forked([job] * 6, 1, lambda number, problem: None, lambda text: counts.append(int(text)))
    assert counts == [1] * 6
