"""Rows of a finished table, whichever of the three formats it has."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.tables.parquet_reading import parquet_batches
from satcost_gnn.runtime.tables.row_writers import Columns


def read_rows(path: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with the types of its columns; what is missing is None.

    Columns that the table has besides are left out, so that tables of later versions can be read.

    Parameters
    ----------
    path
        ``FILE.csv``, ``.jsonl`` or ``.parquet``.
    columns
        Column -> its type, and something else.

    Raises
    ------
    ConfigError
        If it can't be read, lacks a column, or a line is damaged; file and line are named.
    """
    read = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}.get(path.suffix)
    if read is None:
        raise ConfigError(f"{path}: found suffix {path.suffix!r}; expected .csv, .jsonl or .parquet")
    try:
        for number, row in read(path):
            if lacking := [name for name in columns if name not in row]:
                raise ConfigError(f"{path}:{number}: found no column {lacking[0]}; expected those of `satcost predict`")
            yield {name: _typed(row[name], kind, f"{path}:{number}: {name}") for name, (kind, *_) in columns.items()}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); name another table") from None


def _typed(value: Any, kind: type, place: str) -> Any:
    if value is None or (value == "" and kind is not str):
        return None
    if kind is bool and isinstance(value, str):
        return value.lower() in ("true", "1")
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{place}: found {value!r}; expected a {kind.__name__}") from None


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        try:
            for row in rows:
                if None in row or None in row.values():
                    raise ConfigError(f"{path}:{rows.line_num}: found another number of fields than in the first line")
                yield rows.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}:{rows.line_num}: found no row of a CSV ({error})") from None


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number}: found no JSON ({error})") from None
            if not isinstance(row, dict):
                raise ConfigError(f"{path}:{number}: found no JSON object")
            yield number, row


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa

    number = 0
    try:
        for batch in parquet_batches(path):
            for row in batch:
                number += 1
                yield number, row
    except (pa.ArrowException, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet ({error}); name another table") from None
