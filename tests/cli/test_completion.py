"""Completion in shells: of commands without importing them, of options without torch."""

import json
import os
import subprocess
import sys

import pytest

from satcost_gnn.cli import COMMANDS

HEAVY = {"torch", "lightning", "sklearn", "matplotlib", "ray"}
SCRIPT = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([name for name in sys.modules]), file=sys.stderr))
sys.argv = ["satcost"]
from satcost_gnn.cli import main
main()
"""


def completed(instruction: str, words: str = "", place: int = 0) -> tuple[list[str], set[str]]:
    """Return what a shell is told, and the modules that were loaded for it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=dict(os.environ, _SATCOST_COMPLETE=instruction, COMP_WORDS=words, COMP_CWORD=str(place)),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n"), set(json.loads(done.stderr.splitlines()[-1]))


def test_commands_are_completed_without_importing_them() -> None:
    found, modules = completed("complete_bash", "satcost ", 1)
    assert [name for name in found if name] == list(COMMANDS)
    assert not modules & {f"satcost_gnn.cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert completed("complete_bash", "satcost pre", 1)[0][0] == "predict"


@pytest.mark.parametrize(
    ("words", "place", "expected"),
    [("satcost predict --un", 2, "--unit"), ("satcost train --c", 2, "--config"), ("satcost dataset sp", 2, "split")],
)
def test_options_are_completed_without_torch(words: str, place: int, expected: str) -> None:
    found, modules = completed("complete_bash", words, place)
    assert expected in found
    assert not modules & HEAVY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_for_each_shell(shell: str) -> None:
    found, _ = completed(f"source_{shell}")
    assert "satcost" in " ".join(found) and "_SATCOST_COMPLETE" in " ".join(found)
