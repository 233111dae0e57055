"""A table as lines of text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

# Narrower than this no column of texts is made: what is left over runs over the edge.
_NARROWEST = 8


def plain_table(header: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> list[str]:
    """Return the lines of a table: texts to the left, numbers (already formatted, or int) to the right.

    Parameters
    ----------
    header
        Names of the columns.
    rows
        Their values.
    width
        Characters of a line at most: texts and names are broken between words, within their columns. None for no
        limit.
    """
    cells = [[str(value) for value in row] for row in rows]
    right = [bool(cells) and all(_is_number(row[k]) for row in cells) for k in range(len(header))]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    gap = 2
    if width is not None:
        words = [max(map(_longest_word, column)) for column in zip(header, *cells, strict=True)]
        widths = _narrowed(widths, words, width - gap * (len(header) - 1))
        if sum(widths) > width - gap * (len(header) - 1):
            gap = 1
            least = [w if number else min(w, _NARROWEST) for w, number in zip(widths, right, strict=True)]
            widths = _narrowed(widths, least, width - gap * (len(header) - 1))

    def lines(values: Sequence[str]) -> list[str]:
        broken = [_broken(value, most) for value, most in zip(values, widths, strict=True)]
        height = max(map(len, broken))
        found = []
        for k in range(height):
            padded = (
                part[k].rjust(most) if to_right else part[k].ljust(most)
                for part, most, to_right in zip(
                    ([*part, *[""] * (height - len(part))] for part in broken), widths, right, strict=True
                )
            )
            found.append((" " * gap).join(padded).rstrip())
        return found

    return [line for values in (header, *cells) for line in lines(values)]


def _is_number(text: str) -> bool:
    return text.rstrip("%").replace(".", "", 1).replace("-", "", 1).isdecimal()


def _longest_word(text: str) -> int:
    # As textwrap breaks: at spaces, and behind hyphens between letters. Numbers are never broken.
    return max((len(word) for word in re.split(r"\s+|(?<=[^\W\d]-)(?=[^\W\d])", text)), default=0)


def _broken(text: str, width: int) -> list[str]:
    return [text] if len(text) <= width else textwrap.wrap(text, width) or [""]


def _narrowed(widths: Sequence[int], least: Sequence[int], most: int) -> list[int]:
    """Take characters from the columns that have the most to spare until all of them fit, or none has any."""
    found = list(widths)
    while sum(found) > most:
        spare = [now - end for now, end in zip(found, least, strict=True)]
        if max(spare) <= 0:
            break
        found[spare.index(max(spare))] -= 1
    return found
