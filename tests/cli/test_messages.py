"""Messages to the user: on standard error by how much is wanted, in a file, and nothing of them in a library's use."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.cli.messages import start_messages, tell_times
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.progress import ProgressLine


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    start_messages()


def said() -> None:
    log.debug("why")
    log.info("how far")
    log.warning("mind")
    log.error("wrong")
    with ProgressLine(1, "files") as progress:
        progress.advance()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["how far", "mind", "wrong", "1/1 files"]),
        ({"quiet": True}, ["mind", "wrong"]),
        ({"verbose": True}, ["why", "how far", "mind", "wrong", "1/1 files"]),
    ],
)
def test_as_much_is_said_as_is_wanted(options, expected, capsys: pytest.CaptureFixture[str]) -> None:
    start_messages(**options)
    said()
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix("satcost: ").split(",")[0] for line in lines] == expected
    assert all(line.startswith("satcost: ") for line in lines if "/" not in line)


def test_a_file_gets_all_of_it_with_times_and_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start_messages(quiet=True, log_file=tmp_path / "log.txt")
    said()
    start_messages()
    lines = (tmp_path / "log.txt").read_text().splitlines()[1:]
    assert [line.split(" ", 2)[2] for line in lines] == ["DEBUG why", "INFO how far", "WARNING mind", "ERROR wrong"]
    assert capsys.readouterr().err == "satcost: mind\nsatcost: wrong\n"


def test_times_begin_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    start_messages()
    tell_times()
    log.info("begun")
    assert capsys.readouterr().err == "satcost: [0:00:00] begun\n"


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of them"):
        start_messages(quiet=True, verbose=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        start_messages(log_file=tmp_path)


def test_the_command_line_takes_them_before_the_command(tmp_path: Path) -> None:
    options = ["cache", "clear"]
    plain = CliRunner().invoke(app, options, env={"XDG_CACHE_HOME": str(tmp_path)})
    quiet = CliRunner().invoke(app, ["-q", *options], env={"XDG_CACHE_HOME": str(tmp_path)})
    assert plain.stderr == "satcost: 0 entries removed\n" and quiet.stderr == ""


def test_a_library_says_nothing() -> None:
    code = "from satcost_gnn.runtime.logs import log; log.warning('mind'); log.error('wrong')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert logging.getLogger("satcost_gnn") is log
