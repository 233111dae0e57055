"""Read tables of published run times, wide or long, as they come from competitions and their databases.

A wide table has one row an instance: ``hash`` (or ``gbdhash``), perhaps ``benchmark``, ``family``, ``track``,
``verified-result`` and ``claimed-result``, and one column a solver. A long table has ``gbdhash`` (or ``hash``),
``solver`` and ``value``, perhaps ``track``; what a wide table has columns for besides the solvers stands in it as rows
whose ``solver`` is ``benchmark``, ``verified-result`` and so on. Either may have a column ``limit``: the seconds that a
run was given.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from satcost_gnn.errors import DatasetError, FormulaError, FormulaTooLargeError
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, read_text_bytes

#: Columns of a wide table, and solvers of a long one, that are none.
ABOUT = frozenset({"hash", "gbdhash", "benchmark", "filename", "family", "track", "limit"})
#: Results, those that were verified first.
VERIFIED = ("verified-result", "vresult")
CLAIMED = ("claimed-result", "cresult")
RESULTS = (*VERIFIED, *CLAIMED)
_KEYS = ("hash", "gbdhash")
# Of the text of a table.
_MOST_BYTES = 4 << 30
_YEAR = re.compile(r"(?:19|20)\d\d")
_WORD_AND_YEAR = re.compile(r"([a-z]+)[-_]?((?:19|20)\d\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublishedCell:
    """What a table says of one solver, or one kind of result, on one instance.

    Parameters
    ----------
    instance
        Hash of the formula.
    track
        Track that the run was made for.
    column
        Name of the solver, or one of :data:`RESULTS`.
    value
        Text of the cell.
    limit
        Text of the row's limit in seconds; empty if the table has no such column.
    place
        ``FILE:LINE``.
    """

    instance: str
    track: str
    column: str
    value: str
    limit: str
    place: str


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """The cells of a table, and the lines that are none (``FILE:LINE: what is wrong``)."""

    cells: tuple[PublishedCell, ...]
    broken: tuple[str, ...]


def edition_of(track: str) -> str:
    """Return the edition of the SAT competition that a track belongs to: ``sc`` and the year, or the name itself.

    >>> edition_of("sc2022_main"), edition_of("anni2022"), edition_of("race")
    ('sc2022', 'sc2022', 'race')
    """
    year = _YEAR.search(track)
    return f"sc{year.group(0)}" if year else track


def track_of_file(path: Path) -> str:
    """Return the name of the track that a table without a column ``track`` is of, by its file name.

    >>> track_of_file(Path("anni2022.csv.xz")), track_of_file(Path("mine.csv"))
    ('sc2022_anni', 'mine')
    """
    stem = path.name.split(".")[0]
    match = _WORD_AND_YEAR.fullmatch(stem)
    return f"sc{match.group(2)}_{match.group(1).lower()}" if match and match.group(1).lower() != "sc" else stem


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of a CSV file, packed or not, that hold something, with their 1-based numbers.

    Blanks around values are taken away.

    Raises
    ------
    DatasetError
        If the file can't be read as CSV.
    """
    try:
        odd: list[str] = []
        deadline = time.monotonic() + LONGEST_WAIT_S
        packed = read_text_bytes(path, "a table of run times", max_bytes=_MOST_BYTES, deadline=deadline, warnings=odd)
        text = packed.decode()
    except FormulaTooLargeError as error:
        raise DatasetError(f"{path}: found more than {_MOST_BYTES >> 30} GiB of text; split the table") from error
    except (FormulaError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text: {error}; get the file again") from error
    if odd:
        raise DatasetError(f"{path}: {odd[0]}; get the file again")
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if any(values):
                yield reader.line_num, values
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: cannot be read as CSV: {error}") from error


def read_published(path: Path | str, track: str | None = None) -> PublishedTable:
    """Read a table of run times.

    Parameters
    ----------
    path
        CSV file, perhaps compressed.
    track
        Track of a table that has no column for it; by default told from the file's name.

    Raises
    ------
    DatasetError
        If the file can't be read, a column is missing or comes twice, or it has no rows.
    """
    path = Path(path)
    rows = csv_rows(path)
    _, header = next(rows, (0, []))
    names = [name.lower() if name.lower() in ABOUT | set(RESULTS) | {"solver", "value"} else name for name in header]
    keys = [names.index(name) for name in _KEYS if name in names]
    long = {"solver", "value"} & set(names)
    missing = ([] if keys else ["hash (or gbdhash)"]) + [
        name for name in ("solver", "value") if long and name not in long
    ]
    others = [name for name in names if name not in ABOUT and name not in RESULTS]
    if not long and not others:
        missing.append("one column a solver (or solver and value)")
    if missing:
        raise DatasetError(
            f"{path}: found no column {', '.join(missing)} among {', '.join(header[:8]) or 'nothing'}; expected "
            "hash and one column a solver, or gbdhash, track, solver and value"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        raise DatasetError(
            f"{path}: found column {twice[0] if twice else ''!r} twice or without a name, expected each once"
        )
    given = track or track_of_file(path)
    cells: list[PublishedCell] = []
    broken: list[str] = []
    for number, row in rows:
        place = f"{path}:{number}"
        if len(row) != len(names):
            broken.append(f"{place}: found {len(row)} fields, expected {len(names)}")
            continue
        record = dict(zip(names, row, strict=True))
        instance = row[keys[0]].lower()
        if not instance:
            broken.append(f"{place}: found no hash, expected one")
            continue
        about = (instance, record.get("track") or given)
        limit = record.get("limit", "")
        found: Mapping[str, str]
        found = (
            {record["solver"]: record["value"]}
            if long
            else {name: record[name] for name in others + list(RESULTS) if name in record}
        )
        for column, value in found.items():
            name = column.lower() if column.lower() in ABOUT | set(RESULTS) else column
            if not name:
                broken.append(f"{place}: found no solver, expected its name")
            elif name not in ABOUT:
                cells.append(PublishedCell(*about, name, value, limit, place))
    if not cells:
        raise DatasetError(f"{path}: found no rows with run times, expected some")
    return PublishedTable(tuple(cells), tuple(broken))
