"""Every command of the command line by its name, for the tests that must hold for all of them."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from satcost_gnn.cli import app


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command by its name; those of a group with the group's."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        yield name, command


ALL = dict(all_commands())
