"""Numbers on the command line: checked before any work begins, so that ``nan`` or ``-1`` is wrong usage at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer


@dataclass(frozen=True)
class Number:
    """Reads one number of an option; made for ``typer.Option(parser=...)``.

    Parameters
    ----------
    expected
        What is expected, in words.
    low
        Least value.
    above
        Whether ``low`` itself is too small.
    below
        Value that must not be reached; infinity for none.
    whole
        Whether only whole numbers are read.
    """

    expected: str
    low: float = 0.0
    above: bool = False
    below: float = math.inf
    whole: bool = False

    def __call__(self, text: Any) -> float | int:
        """Return the number; BadParameter (exit code 2) if the text is none, not finite, or out of range."""
        try:
            value: float | int = int(str(text)) if self.whole else float(text)
        except ValueError:
            raise typer.BadParameter(f"found {text!r}; expected {self.expected}") from None
        low = value > self.low if self.above else value >= self.low
        if not (math.isfinite(value) and low and value < self.below):
            raise typer.BadParameter(f"found {text!s}; expected {self.expected}")
        return value

    @property
    def __name__(self) -> str:
        """What stands for the value in the help."""
        return "INTEGER" if self.whole else "NUMBER"


SECONDS = Number("a number of seconds above 0, such as 60", above=True)
MEBIBYTES = Number("a whole number of mebibytes above 0, such as 4096", low=1, whole=True)
COUNT = Number("a whole number of at least 1", low=1, whole=True)
NATURAL = Number("a whole number of at least 0", whole=True)
COST = Number("a cost above 0, such as 100000", above=True)
NOT_NEGATIVE = Number("a number of at least 0")
FACTOR = Number("a factor above 1, such as 10", low=1.0, above=True)
SHARE = Number("a share of at least 0 and less than 1, such as 0.5", below=1.0)


@dataclass(frozen=True)
class Commas:
    """Says of an option that its one text is a list with commas; stands beside ``typer.Option`` in an annotation.

    Parameters
    ----------
    item
        Reads one item.
    """

    item: Callable[[str], Any] = str

    @property
    def __name__(self) -> str:
        """What stands for the value in the help."""
        return "LIST"

    def __call__(self, text: Any) -> list[Any]:
        """Return the items of a text, empty ones left out; BadParameter if none is left, or one is out of range."""
        items = [part.strip() for part in str(text).split(",")]
        found = [self.item(item) for item in items if item != ""]
        if not found:
            raise typer.BadParameter(f"found {text!r}; expected names or numbers with commas between them")
        return found
