"""Whoever interrupts a command, or gives up an iterator, doesn't wait, and nothing is left running."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from satcost_gnn.data.execution import CollectLimits, LocalExecutor, Request
from satcost_gnn.features.preprocessing import preprocess_many
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.runtime.process_tree import below
from satcost_gnn.serve.predictor import Predictor

# A second is what is promised; the machine that tests may be busy. What is wrong takes longer by far.
SOON_S = 8.0
COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()"]


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hard")
    rng = random.Random(0)
    for k in range(8):
        clauses = [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, 701), 3)] for _ in range(2982)]
        (folder / f"h{k}.cnf").write_text(
            "p cnf 700 2982\n" + "".join(" ".join(map(str, clause)) + " 0\n" for clause in clauses)
        )
    return folder


@pytest.fixture
def nothing_left() -> Iterator[None]:
    before = {*below(os.getpid())}
    yield
    deadline = time.monotonic() + SOON_S
    while {*below(os.getpid())} - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not {*below(os.getpid())} - before


def wait_for_work(pid: int, processes: int) -> list[int]:
    """Wait until so many processes run below a command."""
    deadline = time.monotonic() + 120
    while len(found := below(pid)) < processes:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "{hard}", "--jobs", "4"],
        ["collect", "{hard}", "-o", "{out}", "--cpu", "1000", "--jobs", "4"],
        ["solve", "{hard}/h0.cnf", "--time-limit", "1000"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_is_ended(hard: Path, tmp_path: Path, arguments: list[str], number: signal.Signals) -> None:
    words = [word.format(hard=hard, out=tmp_path / "set") for word in arguments]
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        found = wait_for_work(process.pid, 3)
        time.sleep(0.5)
        found = [*{*found, *below(process.pid)}]
        process.send_signal(number)
        # A solver that is asked to end says so by its exit code, as other solvers do.
        ended = 128 + number if arguments[0] == "solve" else -number
        assert process.wait(SOON_S) in (130, ended)
    finally:
        # If it goes on, nobody else would end it.
        process.kill()
    deadline = time.monotonic() + SOON_S
    while any(_runs(pid) for pid in found):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, end: Callable[[], None]) -> None:
    start = time.monotonic()
    end()
    assert time.monotonic() - start < seconds


@pytest.mark.usefixtures("nothing_left")
def test_predictions_that_nobody_wants_any_more(hard: Path) -> None:
    with Predictor.from_checkpoint() as predictor:
        found = predictor.predict_many([str(path) for path in hard.iterdir()] * 3, jobs=4)
        next(found)
        within(SOON_S, found.close)


@pytest.mark.usefixtures("nothing_left")
def test_preprocessing_that_has_just_begun() -> None:
    # The helpers are still being started.
    sources = ((k, "no-such-file.cnf") for k in range(100))
    found = preprocess_many(sources, PreprocessSettings(), jobs=8, idle_s=0.01)
    next(found)
    within(SOON_S, found.close)


@pytest.mark.usefixtures("nothing_left")
def test_runs_that_nobody_wants_any_more(hard: Path) -> None:
    paths = sorted(hard.iterdir())
    requests = (Request(str(k), paths[k % 8], "minisat22") for k in range(100))
    # The first is quickly over.
    first = iter([Request("missing", Path("no-such-file.cnf"), "minisat22"), *requests])
    found = LocalExecutor(4).execute(first, CollectLimits(cpu_s=1000.0))
    next(found)
    within(SOON_S, found.close)
    assert not [thread for thread in threading.enumerate() if thread.name == "collect"]
