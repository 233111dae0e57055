"""Lines of progress where standard error is no terminal; the clock is the test's."""

import re
import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.features.preprocessing import PreprocessSettings, preprocess
from satcost_gnn.runtime.progress import ProgressLine, TimeLeft, doing, duration, waiting
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.search.plain_run import PlainSettings
from satcost_gnn.search.probe_settings import ProbeSettings


class Clock:
    """A clock that stands still until it is moved."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def at_once() -> Any:
    """Have each step told as it ends."""
    return patch("satcost_gnn.runtime.progress._EVERY_S", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("satcost_gnn.runtime.progress.time", SimpleNamespace(monotonic=made.monotonic))
    return made


def test_a_line_now_and_then_and_one_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(20, "files") as progress:
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
    assert capsys.readouterr().err == "3/3 runs\n"


def line_after(clock: Clock, capsys: pytest.CaptureFixture[str], steps: list[tuple[float, str]], **options: Any) -> str:
    """Return what is said after steps that took so many seconds each, of 500 files."""
    with at_once(), ProgressLine(500, "files", **options) as progress:
        for seconds, name in steps:
            clock.now += seconds
            progress.advance(name=name)
        return capsys.readouterr().err.splitlines()[-1]


def test_easy_files_that_come_first_do_not_promise_an_early_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    easy = [(0.1, "easy")] * 10
    assert line_after(clock, capsys, easy) == "10/500 files, 10.0/s, 0:00:49 left"
    # A share of 1 - .05^(1/10) = .26 of those to come may be of 10 s each: .74 * 49 s + .26 * 490 * 10 s.
    said = line_after(clock, capsys, easy, longest_s=10.0)
    assert said == "10/500 files, 10.0/s, 0:00:49 to 0:21:45 left"
    assert line_after(clock, capsys, easy, longest_s=10.0, jobs=10) == "10/500 files, 10.0/s, 0:00:49 to 0:02:43 left"
    # One look at a hard one, and the upper end holds what 490 of its kind would take in part.
    low, high = said_range(line_after(clock, capsys, [*easy, (10.0, "hard")], longest_s=10.0))
    assert low > 400 and high > 1200
    # When most are done there is little left to be wrong about.
    low, high = said_range(line_after(clock, capsys, [(0.1, "easy")] * 490, longest_s=10.0))
    assert (low, high) == (1, 1)


def test_large_files_that_come_last_count_by_their_bytes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {f"{k}": 1_000 if k < 250 else 99_000 for k in range(500)}
    half = [(0.1, f"{k}") for k in range(250)]
    # All of them weigh half by their number, half by their bytes: (250 * 50 + 250 * 1) of (500 * 50 + 250 * 100).
    assert line_after(clock, capsys, half, sizes=sizes) == "250/500 files, 10.0/s, 0:01:13 left"
    assert line_after(clock, capsys, half) == "250/500 files, 10.0/s, 0:00:25 left"


def test_what_is_left_is_reckoned_without_what_was_skipped(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {f"{k}": 1_000 if k < 5 else 9_000 for k in range(10)}
    with at_once(), ProgressLine(10, "files", longest_s=5.0, sizes=sizes) as progress:
        progress.skip(5, [f"{k}" for k in range(5)])
        clock.now += 5.0
        progress.advance(name="5")
    assert capsys.readouterr().err.splitlines()[-1] == "6/10 files, 0.2/s, 0:00:20 left"


def test_time_goes_on_though_nothing_ends() -> None:
    left = TimeLeft(100, 10.0)
    left.advance(1.0)
    first = left.range_s(1.0)
    later = left.range_s(50.0)
    assert first is not None and later is not None and later[0] > 40 * first[0]


def said_range(line: str) -> tuple[int, int]:
    """Return the ends of the range that a line tells, in seconds."""
    ends = [3600 * int(h) + 60 * int(m) + int(s) for h, m, s in re.findall(r"(\d+):(\d\d):(\d\d)", line)]
    return ends[0], ends[-1]


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


def test_what_is_being_done_is_said_until_a_step_has_ended(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(2, "files", first="starting") as outer:
        doing("reading")
        with ProgressLine(1, "cubes"):
            doing("something else")
        doing("probing")
        outer.skip(1)
        clock.now += 20.0
        outer.skip(0)
        doing("loading")
        clock.now += 20.0
        outer.advance()
    doing("nobody looks")
    assert capsys.readouterr().err.splitlines() == ["1/2 files, probing", "2/2 files, 1.5/min, 0:00:00 left"]


def test_a_long_first_step_is_told_of_meanwhile(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    waiting()
    threads = threading.active_count()
    with ProgressLine(2, "files", first="probing"):
        for _ in range(4):
            clock.now += 8.0
            waiting()
        # A command of one thread forks its helper.
        assert threading.active_count() == threads
    assert capsys.readouterr().err.splitlines() == ["0/2 files, probing"] * 2


def test_children_say_what_they_do() -> None:
    words: list[str] = []

    class Line(ProgressLine):
        def doing(self, what: str) -> None:
            words.append(what)

    settings = PreprocessSettings().with_features(
        probe=ProbeSettings(conflicts=10), dives=None, plain=PlainSettings(stages=(10,)), max_graph_edges=5000
    )
    hard = from_recipe("random-ksat:k=3,n=150,ratio=4.26,seed=1")
    reports: list[object] = []
    with Line(1, "files"), Sandbox() as sandbox:
        assert preprocess(hard, settings, sandbox).instance is not None
        assert words == ["reading", "plain run", "features", "probing", "graph", "probing a renamed copy"]
        sandbox.run("satcost_gnn.runtime.sandbox:report_stage", {"args": ("alone",)}, Limits(), reports.append)
        assert words[-1] == "alone" and reports == []


@pytest.mark.parametrize(
    ("seconds", "told"), [(2.0, "0.5/s"), (10.0, "0.1/s"), (24.0, "2.5/min"), (600.0, "0.1/min"), (3600.0, "1.0/h")]
)
def test_slow_steps_are_counted_by_the_minute_or_hour(
    clock: Clock, capsys: pytest.CaptureFixture[str], seconds: float, told: str
) -> None:
    with at_once(), ProgressLine(100, "files") as progress:
        clock.now += seconds
        progress.advance()
    assert capsys.readouterr().err == f"1/100 files, {told}\n"


def test_where_nothing_was_left_to_do_there_is_no_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(3, "files") as progress:
        progress.skip(3)
    assert capsys.readouterr().err == "3/3 files\n"
