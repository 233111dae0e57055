"""The reference of commands as Markdown, made from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from satcost_gnn.cli import app


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()


def _name(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.metavar or param.name.upper()}`"
    names = " / ".join([", ".join(param.opts), *([", ".join(param.secondary_opts)] if param.secondary_opts else [])])
    value = "" if param.is_flag else f" {param.metavar or 'VALUE'}"
    return f"`{names}{value}`"


def _default(param: Any) -> str:
    default = param.default
    if default in (None, "", False, [], ()) or callable(default) or param.param_type_name == "argument":
        return ""
    return "on" if default is True else f"`{default}`"


def command_reference() -> str:
    """Return a section for each command: what it does, its usage, its arguments and options with their defaults."""
    sections = []
    for name, command in _commands(get_command(app), "satcost"):
        text = inspect.cleandoc(command.help or "")
        rows = [
            f"| {_name(param)} | {_cell(getattr(param, 'help', '') or '')} | {_default(param)} |"
            for param in command.params
            if not getattr(param, "hidden", False)
        ]
        table = ["| | | default |", "|---|---|---|", *rows] if rows else ["It takes no options."]
        sections.append("\n".join([f"## {name}", "", text, "", *table, ""]))
    return "\n".join(sections)
