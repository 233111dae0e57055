"""Writers of rows as they come: JSON lines and CSV, to a stream or to a file that loses nothing when interrupted."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.file_names import escaped, one_line

Row = Mapping[str, Any]

#: Column -> (type, meaning) of whatever table is written.
Columns = Mapping[str, tuple[type, str]]


def plain_row(row: Row, columns: Columns) -> dict[str, Any]:
    """Return the row in the order of the columns, as every format holds it.

    NaN and infinity are missing values, texts are on one line, and the column ``path`` is
    :func:`~satcost_gnn.runtime.file_names.escaped`.
    """
    plain = {}
    for name in columns:
        value = row.get(name)
        if isinstance(value, float):
            value = None if value != value or value in (float("inf"), float("-inf")) else float(f"{value:.6g}")
        elif isinstance(value, str):
            value = escaped(value) if name == "path" else one_line(value)
        plain[name] = value
    return plain


class RowWriter(ABC):
    """Writes rows as they come. Use as a context manager."""

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance and hand them to the system, whole."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output."""


class StreamSink:
    """A stream of the caller's, such as standard output, which is not closed."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write and flush."""
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream as it is: everything has been flushed."""


class FileSink:
    """The end of a file. A text that can't be written whole is taken back.

    Parameters
    ----------
    path
        File, FIFO or device.
    handle
        Its descriptor, open for writing at the end; closed by :meth:`close`.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    def write(self, text: str) -> None:
        """Append a text.

        Raises
        ------
        OutputError
            If there is no room for it; what was written before is kept.
        """
        rest = memoryview(text.encode("utf-8"))
        size = None
        with contextlib.suppress(OSError):
            size = os.fstat(self._handle).st_size
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            if size is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._handle, size)
            raise OutputError(
                f"{self._path}: cannot be written ({error.strerror}); what was written before is kept: make room and "
                "add --resume to continue it"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1


#: Takes texts, each at once.
Sink = StreamSink | FileSink


def file_sink(path: Path, *, append: bool) -> FileSink:
    """Open a regular file, new or to be continued.

    Raises
    ------
    OutputError
        If it can't be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if append else os.O_TRUNC)
    try:
        return FileSink(path, os.open(path, flags, 0o666))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error


class JsonLinesWriter(RowWriter):
    """One JSON object a line."""

    def __init__(self, sink: Sink, columns: Columns) -> None:
        self._sink, self._columns = sink, columns

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance."""
        self._sink.write("".join(json.dumps(plain_row(row, self._columns)) + "\n" for row in rows))

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()


class CsvWriter(RowWriter):
    """Comma-separated values with a header; an empty field is a missing value."""

    def __init__(self, sink: Sink, columns: Columns, header: bool = True) -> None:
        self._sink, self._columns = sink, columns
        if header:
            sink.write(csv_header(columns))

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(plain_row(row, self._columns).values() for row in rows)
        self._sink.write(text.getvalue())

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()


def csv_header(columns: Columns) -> str:
    """Return the first line of a CSV."""
    return ",".join(columns) + "\n"
