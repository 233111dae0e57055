"""Whether a file is the table that is to be continued: read through, line by line, without touching it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.tables.parquet_reading import open_parquet, parquet_batches
from satcost_gnn.runtime.tables.row_writers import csv_header
from satcost_gnn.runtime.tables.table_kind import KEY, TableKind

_HINT = "mend or remove the line, or name another output"


@dataclass
class Found:
    """What is to be kept of a table.

    Parameters
    ----------
    statuses
        Path, as the table writes it -> status of each complete instance.
    kept
        Bytes of them, from the beginning. What follows is an instance that isn't complete, or half a line.
    line_end_missing
        Whether the last line that is kept lacks its end.
    """

    statuses: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    line_end_missing: bool = False


class _Instances:
    """Counts rows: each instance has all of its own, one after the other."""

    def __init__(self, path: Path, kind: TableKind) -> None:
        self._path, self._kind = path, kind
        self.statuses: dict[str, str] = {}
        self._open: set[str] = set()
        self._name: str | None = None
        self._rows = 0

    @property
    def complete(self) -> bool:
        """Whether the last instance has all its rows."""
        return self._name is None

    def add(self, row: Mapping[str, Any], line: int) -> None:
        """Take a row.

        Raises
        ------
        OutputError
            If it has no place here.
        """
        kind, name, status = self._kind, row["path"], row["status"]
        place = f"{self._path}:{line}"
        if not (isinstance(name, str) and name and isinstance(status, str) and status):
            raise OutputError(f"{place}: found a row without path or status; {_HINT}")
        for column, wanted in kind.row_values.items():
            if not _same(row[column], wanted):
                raise OutputError(
                    f"{place}: found {column} {row[column]}, this run's is {wanted}; continue the table with what it "
                    "was started with, or name another output"
                )
        if self._name is not None and name != self._name:
            raise OutputError(
                f"{place}: found {self._rows} rows of {self._name} before it, expected {kind.rows_per_instance} (one a "
                f"solver: {', '.join(kind.solvers)}); continue the table with the solvers that it was started with"
            )
        if name in self.statuses:
            raise OutputError(f"{place}: found rows of {name} a second time; {_HINT}")
        if status == "error":
            self._finish(name, status)
            return
        if kind.solver_column:
            solver = row["solver"]
            if solver not in kind.solvers:
                raise OutputError(f"{place}: found solver {solver!r}, expected one of {', '.join(kind.solvers)}")
            if solver in self._open:
                raise OutputError(f"{place}: found solver {solver!r} of {name} a second time; {_HINT}")
            self._open.add(solver)
        self._name = name
        self._rows += 1
        if self._rows == kind.rows_per_instance:
            self._finish(name, status)

    def _finish(self, name: str, status: str) -> None:
        self.statuses[name] = status
        self._name, self._rows = None, 0
        self._open.clear()


def _same(found: Any, wanted: Any) -> bool:
    """Whether a value of a row, a text in a CSV, is the one that is wanted; missing ones are."""
    if found is None or found == "":
        return True
    if isinstance(wanted, float):
        try:
            return float(found) == float(f"{wanted:.6g}")
        except (TypeError, ValueError):
            return False
    return bool(found == wanted)


def recognise_text(path: Path, kind: TableKind, form: str, *, described: bool) -> Found:
    """Read a CSV (``.csv``), JSON lines, or the rows collected for Parquet (``partial``).

    Parameters
    ----------
    path
        The file.
    kind
        What it must be.
    form
        Its suffix, or ``partial``.
    described
        Whether it has been said to be of this kind already: only then is a single half line taken for its beginning.

    Raises
    ------
    OutputError
        If it is not of this kind, or a line is damaged; the file and the line are named.
    """
    found, instances = Found(), _Instances(path, kind)
    position = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                whole = line.endswith(b"\n")
                if number == 1 and form in (".csv", "partial"):
                    if not _is_head(path, line, whole, kind, form):
                        return found
                else:
                    try:
                        row = _csv_row(line, kind) if form == ".csv" else _json_row(line, kind)
                    except ValueError as error:
                        if not whole and (number > 1 or described):
                            # Half a line, at the end: what a killed process or a full disk leaves.
                            break
                        raise OutputError(f"{path}:{number}: {error}; {_HINT}") from None
                    if not whole and form == ".csv" and (row["status"] == "error" or list(row.values())[-1]):
                        # The end of the last field may be missing.
                        break
                    instances.add(row, number)
                position += len(line)
                if instances.complete:
                    found.kept, found.line_end_missing = position, not whole
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror}); name another output") from error
    found.statuses = instances.statuses
    return found


def _is_head(path: Path, line: bytes, whole: bool, kind: TableKind, form: str) -> bool:
    """Whether the first line is that of this kind; False for the beginning of it, which holds nothing yet."""
    if form == ".csv":
        head = csv_header(kind.columns).encode()
        if line.rstrip(b"\r\n") == head.rstrip(b"\n"):
            return whole
        if not whole and head.startswith(line):
            return False
        columns = line.decode("utf-8", errors="replace").strip()
        shown = columns if len(columns) <= 120 else columns[:117] + "…"
        raise OutputError(
            f"{path}:1: found the columns {shown!r}, expected those of `satcost {kind.command}`; name another output"
        )
    try:
        found = json.loads(line)
    except ValueError:
        if not whole and json.dumps({KEY: kind.to_json()}).encode().startswith(line):
            return False
        raise OutputError(f"{path}:1: found no description of a table; {_HINT}") from None
    kind.check(path, found.get(KEY) if isinstance(found, dict) else None)
    return whole


def _csv_row(line: bytes, kind: TableKind) -> dict[str, Any]:
    try:
        found = list(csv.reader([line.decode("utf-8").rstrip("\r\n")], strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"found no row of a CSV ({error})") from None
    if len(found) != 1 or len(found[0]) != len(kind.columns):
        count = len(found[0]) if found else 0
        raise ValueError(f"found {count} fields, expected {len(kind.columns)}")
    return dict(zip(kind.columns, found[0], strict=True))


def _json_row(line: bytes, kind: TableKind) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"found no JSON ({error})") from None
    if not isinstance(found, dict) or list(found) != list(kind.columns):
        raise ValueError(f"found no row of `satcost {kind.command}`, whose columns are {', '.join(kind.columns)}")
    return found


def recognise_parquet(path: Path, kind: TableKind) -> Found:
    """Read a finished table and return what it holds.

    Raises
    ------
    OutputError
        If it is not of this kind, or damaged.
    """
    import pyarrow as pa

    instances = _Instances(path, kind)
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
        about = (schema.metadata or {}).get(KEY.encode())
        if schema.names != list(kind.columns) or (about is not None and not about.startswith(b"{")):
            raise OutputError(
                f"{path}: found a table with the columns {', '.join(schema.names[:12])}, expected one of `satcost "
                f"{kind.command}`; name another output"
            )
        if about is not None:
            kind.check(path, json.loads(about))
        number = 0
        for batch in parquet_batches(path):
            for row in batch:
                number += 1
                instances.add(row, number)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise OutputError(f"{path}: cannot be read as Parquet ({error}); name another output") from error
    if not instances.complete:
        raise OutputError(f"{path}: its last instance is not complete; name another output")
    return Found(instances.statuses, path.stat().st_size)
