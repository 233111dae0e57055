"""Tables of rows that are continued after an interruption, and what they must be for that.

A table says what it is: the command that writes it, its columns, the unit, the checkpoint, the cutoff, the solvers. In
Parquet that is metadata of the schema (key ``satcost_table``); beside ``NAME.csv`` and ``NAME.jsonl``, which stay plain
tables for other programs, it is a file ``.NAME.satcost.json``. A table is continued only if it is of the same kind, and
is read through before it is touched: what is not recognised stays byte for byte as it is. Parquet cannot be appended
to, so its rows are collected in ``NAME.parquet.partial.jsonl``, which begins with a line of the same description.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.output_files import is_stream, open_stream, replacing, staging_directory, target_of, write_json
from satcost_gnn.runtime.output_lock import locked
from satcost_gnn.runtime.tables.parquet_reading import parquet_batches
from satcost_gnn.runtime.tables.row_writers import CsvWriter, FileSink, JsonLinesWriter, Row, RowWriter, file_sink
from satcost_gnn.runtime.tables.table_kind import KEY, TableKind
from satcost_gnn.runtime.tables.table_recognition import Found, recognise_parquet, recognise_text

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
_BATCH = 10_000


@dataclass
class OpenedTable:
    """A table that is being written.

    Parameters
    ----------
    writer
        Takes the rows; a context manager.
    statuses
        :func:`Escaped <satcost_gnn.runtime.file_names.escaped>` path -> status of the instances that are there already.
    """

    writer: RowWriter
    statuses: dict[str, str]

    def left(self, names: Iterable[str]) -> list[str]:
        """Return the files whose rows aren't there yet."""
        return [name for name in names if escaped(name) not in self.statuses]

    def failed(self, names: Iterable[str]) -> int:
        """Return how many of the files have a row already that reports an error."""
        return sum(self.statuses.get(escaped(name)) == "error" for name in names)


class _Writer(RowWriter):
    """Another writer, with what is to be done at the end."""

    def __init__(self, inner: RowWriter, resources: contextlib.ExitStack, finish: Callable[[], None] | None) -> None:
        self._inner, self._resources, self._finish = inner, resources, finish

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance."""
        self._inner.write(rows)

    def __exit__(self, *exc: object) -> None:
        with self._resources:
            self._inner.close()
            # After an error or Ctrl-C what there is stays for --resume.
            if exc[0] is None and self._finish is not None:
                self._finish()

    def close(self) -> None:
        """Finish the table."""
        self.__exit__(None, None, None)


def open_table(path: Path, kind: TableKind, *, resume: bool, overwrite: bool) -> OpenedTable:
    """Open an output by its suffix: ``.jsonl`` (or ``.ndjson``), ``.csv`` or ``.parquet``.

    Parameters
    ----------
    path
        File; a FIFO or device is written into.
    kind
        What is written.
    resume
        Continue what an earlier call wrote. Rows of an instance that isn't complete, at the end, are made again.
    overwrite
        Replace an existing file.

    Raises
    ------
    OutputError
        If the suffix is unknown; the file exists and neither ``resume`` nor ``overwrite`` is set; it is not one to
        continue, or damaged (the line is named); another process writes it.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: found suffix {suffix!r}; expected .jsonl, .csv or .parquet")
    with contextlib.ExitStack() as resources:
        if is_stream(path):
            if resume:
                raise OutputError(f"{path} is no regular file; there is nothing to resume")
            opened = _into_stream(path, kind, suffix, resources)
        else:
            target = target_of(path)
            resources.enter_context(locked(target))
            if suffix == ".parquet":
                opened = _open_parquet(target, kind, resume, overwrite, resources)
            else:
                opened = _open_text(target, kind, suffix, resume, overwrite, resources)
    return opened


def _into_stream(path: Path, kind: TableKind, suffix: str, resources: contextlib.ExitStack) -> OpenedTable:
    if suffix == ".parquet":
        partial = resources.enter_context(staging_directory(path)) / "rows.jsonl"
        return _collecting(path, partial, kind, resources, fresh=True)
    try:
        handle = open_stream(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error
    resources.push(handle)
    return _rows_to(FileSink(path, os.dup(handle.fileno())), kind, suffix, resources, header=True)


def _rows_to(
    sink: FileSink, kind: TableKind, suffix: str, resources: contextlib.ExitStack, *, header: bool
) -> OpenedTable:
    rows = CsvWriter(sink, kind.columns, header) if suffix == ".csv" else JsonLinesWriter(sink, kind.columns)
    return OpenedTable(_Writer(rows, resources.pop_all(), None), {})


def description_of(path: Path) -> Path:
    """Return the file that describes a CSV or JSON-lines table."""
    return path.with_name(f".{path.name}.satcost.json")


def _holds_something(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _refuse_existing(path: Path) -> None:
    if _holds_something(path):
        raise OutputError(f"{path} exists; add --resume to continue it or --overwrite to replace it")


def _open_text(
    path: Path, kind: TableKind, suffix: str, resume: bool, overwrite: bool, resources: contextlib.ExitStack
) -> OpenedTable:
    description = description_of(path)
    found: Found | None = None
    if not (resume or overwrite):
        _refuse_existing(path)
    if resume and _holds_something(path):
        described = description.exists()
        if described:
            kind.check(path, _read_json(description))
        found = recognise_text(path, kind, suffix, described=described)
        _keep(path, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    if overwrite and not resume:
        # Before the description changes: the old rows are not of the new kind.
        path.unlink(missing_ok=True)
    write_json(description, kind.to_json())
    going_on = found is not None and found.kept > 0
    opened = _rows_to(file_sink(path, append=True), kind, suffix, resources, header=not going_on)
    return OpenedTable(opened.writer, found.statuses if found is not None else {})


def _keep(path: Path, found: Found) -> None:
    """Leave what was recognised, without an instance at the end that isn't complete."""
    if found.kept < path.stat().st_size or found.line_end_missing:
        with replacing(path) as temporary, path.open("rb") as old, temporary.open("wb") as new:
            left = found.kept
            while left and (piece := old.read(min(left, 1 << 20))):
                new.write(piece)
                left -= len(piece)
            if found.line_end_missing:
                new.write(b"\n")


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read as JSON ({error}); it says what the table beside it is") from None


def _open_parquet(
    path: Path, kind: TableKind, resume: bool, overwrite: bool, resources: contextlib.ExitStack
) -> OpenedTable:
    partial = path.with_name(path.name + ".partial.jsonl")
    if not (resume or overwrite):
        _refuse_existing(path)
        if _holds_something(partial):
            raise OutputError(
                f"{partial}: found the rows of an interrupted run; add --resume to continue it or --overwrite to start "
                "anew"
            )
    found: Found | None = None
    if resume and _holds_something(partial):
        found = recognise_text(partial, kind, "partial", described=True)
        _keep(partial, found)
    elif resume and _holds_something(path):
        found = recognise_parquet(path, kind)
        # The finished table is continued: its rows become the partial file that it was converted from.
        with replacing(partial) as temporary, contextlib.closing(file_sink(temporary, append=False)) as sink:
            sink.write(json.dumps({KEY: kind.to_json()}) + "\n")
            for batch in parquet_batches(path):
                sink.write("".join(json.dumps(row) + "\n" for row in batch))
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = _collecting(path, partial, kind, resources, fresh=found is None or found.kept == 0)
    return OpenedTable(opened.writer, found.statuses if found is not None else {})


def _collecting(
    path: Path, partial: Path, kind: TableKind, resources: contextlib.ExitStack, *, fresh: bool
) -> OpenedTable:
    sink = file_sink(partial, append=not fresh)
    if fresh:
        sink.write(json.dumps({KEY: kind.to_json()}) + "\n")

    def convert() -> None:
        _to_parquet(partial, path, kind)
        partial.unlink()

    return OpenedTable(_Writer(JsonLinesWriter(sink, kind.columns), resources.pop_all(), convert), {})


def _to_parquet(partial: Path, path: Path, kind: TableKind) -> None:
    """Convert what has been collected, a few thousand rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema(
        [pa.field(name, kinds[one], metadata={"description": text}) for name, (one, text) in kind.columns.items()],
        metadata={KEY: json.dumps(kind.to_json())},
    )
    with (
        replacing(path) as temporary,
        temporary.open("wb") as stream,
        pq.ParquetWriter(stream, schema, compression="zstd") as writer,
        partial.open(encoding="utf-8") as lines,
    ):
        next(lines)
        batch: list[Row] = []
        for line in lines:
            batch.append(json.loads(line))
            if len(batch) >= _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))
