"""Colours: on terminals only, and not where NO_COLOR or --color says so."""

import os
import pty
import subprocess
import sys

import pytest

COLOUR = "\x1b["


def shown(*words: str, terminal: bool = True, **variables: str) -> str:
    """Return what `satcost estimators` prints."""
    ours = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-m", "satcost_gnn", *words, "estimators"]
    environment |= {"TERM": "xterm", **variables}
    if not terminal:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    reading, writing = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=writing) as process:
        os.close(writing)
        found = b""
        while True:
            try:
                part = os.read(reading, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            found += part
    os.close(reading)
    assert process.returncode == 0
    return found.decode()


def test_on_terminals_only() -> None:
    assert COLOUR in shown()
    assert COLOUR not in shown(terminal=False)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_variables(variables: dict[str, str]) -> None:
    assert COLOUR not in shown(**variables)


def test_an_empty_variable_says_nothing() -> None:
    assert COLOUR in shown(NO_COLOR="")


def test_the_option_is_stronger() -> None:
    assert COLOUR not in shown("--color", "never", FORCE_COLOR="1")
    assert COLOUR in shown("--color=always", terminal=False, NO_COLOR="1")
