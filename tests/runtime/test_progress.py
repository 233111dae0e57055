"""Lines of progress where standard error is no terminal; the clock is the test's."""

from types import SimpleNamespace

import pytest

from satcost_gnn.runtime.progress import ProgressLine, duration


class Clock:
    """A clock that stands still until it is moved."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("satcost_gnn.runtime.progress.time", SimpleNamespace(monotonic=made.monotonic))
    return made


def test_a_line_now_and_then_and_one_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(20, "files", every_s=15.0) as progress:
        for _ in range(20):
            clock.now += 2.0
            progress.advance()
    assert capsys.readouterr().err.splitlines() == [
        # After the first few steps nothing is said of the time that is left.
        "8/20 files, 0.5/s",
        "16/20 files, 0.5/s, 0:00:08 left",
        "20/20 files, 0.5/s, 0:00:00 left",
    ]


def test_what_has_been_said_is_not_said_again(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(1, "files") as progress:
        clock.now += 30.0
        progress.advance()
    assert len(capsys.readouterr().err.splitlines()) == 1
    with ProgressLine(1, "files"):
        clock.now += 30.0
    assert capsys.readouterr().err == ""


def test_what_was_done_before_is_in_no_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(110, "runs", first="loading") as progress:
        progress.skip(90)
        assert capsys.readouterr().err == ""
        for _ in range(10):
            clock.now += 1.0
            progress.advance()
    assert capsys.readouterr().err == "100/110 runs, 1.0/s, 0:00:10 left\n"
    with ProgressLine(3, "runs", first="loading") as progress:
        progress.skip(3)
    assert capsys.readouterr().err == "3/3 runs, loading\n"


def test_results_do_not_meet_the_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("satcost_gnn.runtime.progress.is_terminal", lambda _: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressLine(2, "files", first="loading") as progress:
        for name in ("one", "two"):
            progress.advance()
            with progress.hidden():
                print(name)
    said = capsys.readouterr()
    assert said.out == "one\ntwo\n" and "loading" in said.err and "2/2" in said.err and "one" not in said.err


def test_durations() -> None:
    assert [duration(value) for value in (None, 0.4, 59.6, 3599.0, 90_061.0)] == [
        "?", "0:00:00", "0:01:00", "0:59:59", "25:01:01",
    ]  # fmt: skip
