"""Read and write the ARFF files that ASlib scenarios are made of.

The reader is our own: liac-arff refuses plain values with a space in them, believes what a file declares of its
columns, and writes the texts ``?`` and nothing as missing values. What a column holds is told by whoever reads it, not
by the file: publishers declare ids of digits as numbers, which would make ``007`` another instance, and list statuses
that then come in another case. So every column is read as text, and made numbers where numbers are asked for. ``?``
without quotes, or nothing at all, is a missing value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import DatasetError

NUMERIC = "NUMERIC"
STRING = "STRING"

#: Type of a column to write: :data:`NUMERIC`, :data:`STRING`, or the values that it may take.
Kind: TypeAlias = "str | Sequence[str]"
Column: TypeAlias = NDArray[np.float64] | list[str | None]

_PIECE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_KIND = r"(?:numeric|real|integer|string|\{.*\})"
_ATTRIBUTE = re.compile(rf"@attribute\s+({_PIECE}|[^\s{{]+)\s*{_KIND}", re.IGNORECASE)
# A value between separators: quoted, or anything that doesn't begin with a quote; spaces around it don't count.
_VALUE = {sign: re.compile(rf"\s*({_PIECE}|(?!['\"])[^{sign}]*?)\s*(?:{sign}|$)") for sign in ",\t"}
_PLAIN = re.compile(r"[^\s,'\"%{}?\\]+")


@dataclass(frozen=True, eq=False)
class ArffTable:
    """The content of an ARFF file.

    Parameters
    ----------
    source
        Path or name of it.
    names
        Names of its columns.
    columns
        For each of them n texts, None where missing.
    lines
        For each row its line in the file.
    """

    source: str
    names: tuple[str, ...]
    columns: tuple[list[str | None], ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def values(self, name: str) -> list[str | None]:
        """Return a column as texts, None where missing; names are compared without regard to case.

        Raises
        ------
        DatasetError
            If there is no such column.
        """
        for other, column in zip(self.names, self.columns, strict=True):
            if other.lower() == name.lower():
                return column
        raise DatasetError(f"{self.source}: found no attribute {name!r}, expected it besides {', '.join(self.names)}")

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as numbers, ``float64[n]`` with NaN for missing values.

        Raises
        ------
        DatasetError
            If there is no such column or a value is no number.
        """
        column = self.values(name)
        numbers = np.empty(len(column), dtype=np.float64)
        for k, value in enumerate(column):
            try:
                numbers[k] = math.nan if value is None else float(value)
            except ValueError:
                raise DatasetError(
                    f"{self.source}:{self.lines[k]}: {name}: found {value!r}, expected a number or ?"
                ) from None
        return numbers

    def texts(self, name: str) -> list[str]:
        """Return a column without missing values.

        Raises
        ------
        DatasetError
            If there is no such column or a value is missing.
        """
        column = self.values(name)
        for line, value in zip(self.lines, column, strict=True):
            if value is None:
                raise DatasetError(f"{self.source}:{line}: {name}: found '?', expected a value")
        return [value for value in column if value is not None]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def parse_arff(text: str, source: str = "<memory>") -> ArffTable:
    """Parse the text of an ARFF file.

    Raises
    ------
    DatasetError
        If it is malformed or sparse; the message has source and line.
    """
    names: list[str] = []
    rows: list[list[str | None]] = []
    numbers: list[int] = []
    data = False
    # Not splitlines: a value may hold the odd line separators that it splits at.
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("%"):
            continue
        if data:
            if line.startswith("{"):
                raise DatasetError(f"{source}:{number}: found a sparse row, expected one value for each attribute")
            rows.append(_values(line, len(names), source, number))
            numbers.append(number)
            continue
        keyword = line.split(None, 1)[0].lower()
        if keyword == "@attribute":
            match = _ATTRIBUTE.fullmatch(line)
            if match is None:
                raise DatasetError(
                    f"{source}:{number}: found {line[:80]!r}, expected @attribute NAME and a type: numeric, string or "
                    "{a, b}"
                )
            names.append(_unquoted(match.group(1)))
        elif keyword not in ("@relation", "@data"):
            raise DatasetError(f"{source}:{number}: found {line[:60]!r}, expected @relation, @attribute or @data")
        data = keyword == "@data"
    if not data or not names:
        raise DatasetError(f"{source}: found no {'@data' if names else '@attribute'}, expected an ARFF file")
    twice = next((name for name in names if [other.lower() for other in names].count(name.lower()) > 1), None)
    if twice is not None:
        raise DatasetError(f"{source}: found attribute {twice!r} twice, expected each once")
    return ArffTable(source, tuple(names), tuple([row[k] for row in rows] for k in range(len(names))), tuple(numbers))


def _values(line: str, columns: int, source: str, number: int) -> list[str | None]:
    """Return the values of a data line, None where missing."""
    values = _split(line, ",", source, number)
    if len(values) != columns and "\t" in line:
        values = _split(line, "\t", source, number)
    if len(values) != columns:
        raise DatasetError(f"{source}:{number}: found {len(values)} values, expected {columns}")
    return [None if value in ("?", "") else _unquoted(value) for value in values]


def _split(line: str, separator: str, source: str, number: int) -> list[str]:
    """Return the values of a data line, still quoted."""
    if "'" not in line and '"' not in line:
        return [value.strip() for value in line.split(separator)]
    values, position, pattern = [], 0, _VALUE[separator]
    while True:
        match = pattern.match(line, position)
        if match is None:
            raise DatasetError(f"{source}:{number}: found a quote out of place in {line[:60]!r}, expected it closed")
        values.append(match.group(1))
        if match.end() == len(line) and not match.group(0).endswith(separator):
            return values
        position = match.end()


def read_arff(path: Path | str) -> ArffTable:
    """Read an ARFF file.

    Raises
    ------
    DatasetError
        If it is missing, not UTF-8, malformed or sparse.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path}: found no such file, expected an ARFF file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_arff(text, str(path))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _number(value: float) -> str:
    if math.isnan(value):
        return "?"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def format_arff(relation: str, attributes: Sequence[tuple[str, Kind]], columns: Sequence[Column]) -> str:
    """Return the text of an ARFF file; reading it gives the same columns back.

    Raises
    ------
    DatasetError
        If a text has a line break, or a number is infinite: ARFF can't hold them.
    """
    lines = [f"@RELATION {_quoted(relation)}", ""]
    for name, kind in attributes:
        shown = kind if isinstance(kind, str) else "{" + ", ".join(map(_quoted, kind)) + "}"
        lines.append(f"@ATTRIBUTE {_quoted(name)} {shown}")
    lines += ["", "@DATA"]
    written = []
    for (name, _), column in zip(attributes, columns, strict=True):
        if isinstance(column, list):
            written.append(["?" if value is None else _quoted(value) for value in column])
        else:
            if np.isinf(column).any():
                raise DatasetError(f"{relation}: {name}: found an infinite number, expected finite or NaN")
            written.append([_number(value) for value in column.tolist()])
    lines += [",".join(values) for values in zip(*written, strict=True)]
    for line in lines:
        if "\n" in line or "\r" in line:
            raise DatasetError(f"{relation}: found a line break in {line[:60]!r}, expected names and values without")
    return "\n".join(lines) + "\n"
