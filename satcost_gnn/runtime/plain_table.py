"""A table as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def plain_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table: texts to the left, numbers (already formatted, or int) to the right."""
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]

    def is_number(text: str) -> bool:
        return text.rstrip("%").replace(".", "", 1).replace("-", "", 1).isdecimal()

    right = [bool(cells) and all(is_number(row[k]) for row in cells) for k in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return [line(header), *(line(row) for row in cells)]
