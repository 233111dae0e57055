"""Colour: on terminals unless ``--color``, ``NO_COLOR`` or the terminal says otherwise."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Any

import typer

from satcost_gnn.runtime.progress import is_terminal


class Color(StrEnum):
    """When output has colours."""

    auto = "auto"
    always = "always"
    never = "never"


def choose(when: Color) -> None:
    """Have a choice of the command line hold for all that is printed, also by libraries: they read these variables."""
    if when is Color.always:
        os.environ.pop("NO_COLOR", None)
        os.environ["FORCE_COLOR"] = "1"
    elif when is Color.never:
        os.environ.pop("FORCE_COLOR", None)
        os.environ["NO_COLOR"] = "1"


def is_coloured() -> bool:
    """Whether standard output takes colours: rich decides, by NO_COLOR, FORCE_COLOR, TERM and the terminal."""
    if not is_terminal(sys.stdout) and not os.environ.get("FORCE_COLOR"):
        return False
    from rich.console import Console

    console = Console(file=sys.stdout)
    return console.color_system is not None and not console.no_color


def styled(text: str, part: str, **style: Any) -> str:
    """Return a text with the first occurrence of a part set in a style of :func:`typer.style`, where it has colours."""
    return text.replace(part, typer.style(part, **style), 1) if part and is_coloured() else text
