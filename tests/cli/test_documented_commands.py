"""Every `satcost` command in README and docs has the options that it is shown with."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from satcost_gnn.cli import app

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
GROUPS = {"cache", "dataset", "generate"}
GENERATE = {"family", "list", "cubes", "cnfgen", "recipe"}


def documented() -> list[tuple[str, str, frozenset[str]]]:
    """Return the document, the command and its options for each command line."""
    found = []
    for path in [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in BLOCK.findall(path.read_text()):
            for line in re.split(r"\n|&&", block.replace("\\\n", " ")):
                words = shlex.split(line, comments=True)
                if len(words) > 1 and words[0].endswith("satcost") and not words[1].startswith("-"):
                    if words[1] == "generate" and words[2] not in GENERATE:
                        words.insert(2, "family")  # the word may be left out
                    command = " ".join(words[1:3] if words[1] in GROUPS else words[1:2])
                    options = frozenset(w.split("=")[0] for w in words if w.startswith("--"))
                    found.append((path.name, command, options))
    return found


def options_of(command: str) -> set[str]:
    """Return the options that the command line takes."""
    found = get_command(app)
    for word in command.split():
        found = found.commands[word]  # type: ignore[attr-defined]
    return {option for one in found.params for option in (*one.opts, *one.secondary_opts)}


def test_there_are_some() -> None:
    assert len(documented()) > 20


@pytest.mark.parametrize(("document", "command", "options"), sorted(set(documented()), key=str))
def test_options_exist(document: str, command: str, options: frozenset[str]) -> None:
    assert options <= options_of(command), f"{document}: satcost {command}"
