"""The table that ``satcost predict`` writes: its columns, and writers of tables that lose nothing when interrupted."""

from __future__ import annotations

import csv
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from satcost_gnn.errors import ConfigError

Row = Mapping[str, Any]

#: Column -> (type, meaning). Quantiles are in the row's cost unit, not logarithms.
COLUMNS: dict[str, tuple[type, str]] = {
    "path": (str, "file as it was named or found"),
    "gbdhash": (str, "identity of the normalised formula"),
    "solver": (str, "solver that the cost is of; empty in a row that reports an unreadable file"),
    "cost_unit": (str, "conflicts or cpu_seconds"),
    "q05": (float, "5 % quantile of the cost"),
    "q25": (float, "25 % quantile"),
    "q50": (float, "median"),
    "q75": (float, "75 % quantile"),
    "q95": (float, "95 % quantile"),
    "mean_log10": (float, "mean of log10 of the cost, with what lies beyond the model's range counted at its end"),
    "p_solved": (float, "probability that the cost is at most the cutoff"),
    "cutoff": (float, "the cutoff of p_solved, in the cost unit"),
    "source": (str, "what the prediction comes from: gnn, forest, linear, tree_size, constant or probe"),
    "checkpoint": (str, "name and version of the checkpoint"),
    "in_distribution": (bool, "whether the instance resembles the training data"),
    "parse_s": (float, "wall seconds for reading the file"),
    "probe_s": (float, "wall seconds for the probe and the second search"),
    "features_s": (float, "wall seconds for the features and the graph"),
    "inference_s": (float, "wall seconds for inference, shared out over the instances of a batch"),
    "status": (str, "ok: predicted; solved: the probe solved it; error: see the column error"),
    "result": (str, "SAT or UNSAT if the probe or the second search solved it"),
    "error": (str, "what is wrong with the file, or why a fallback was taken"),
}


#: Column -> (type, meaning), as in :data:`COLUMNS`, of whatever table is written.
Columns = Mapping[str, tuple[type, str]]


def _plain(row: Row, columns: Columns) -> dict[str, Any]:
    """Return the row in the order of the columns, without NaN or infinity, which JSON doesn't have."""
    plain = {}
    for name in columns:
        value = row.get(name)
        if isinstance(value, float):
            value = None if value != value or value in (float("inf"), float("-inf")) else float(f"{value:.6g}")
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


class JsonLinesWriter(RowWriter):
    """One JSON object a line."""

    def __init__(self, stream: IO[str], columns: Columns = COLUMNS) -> None:
        self._stream, self._columns = stream, columns

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance."""
        self._stream.write("".join(json.dumps(_plain(row, self._columns)) + "\n" for row in rows))
        self._stream.flush()

    def close(self) -> None:
        """Flush; the stream is closed unless it is standard output."""
        self._stream.flush()
        if self._stream.fileno() > 2:
            self._stream.close()


class CsvWriter(JsonLinesWriter):
    """Comma-separated values with a header; an empty field is a missing value."""

    def __init__(self, stream: IO[str], header: bool = True, columns: Columns = COLUMNS) -> None:
        super().__init__(stream, columns)
        self._csv = csv.DictWriter(stream, fieldnames=list(columns), lineterminator="\n")
        if header:
            self._csv.writeheader()

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance."""
        self._csv.writerows([_plain(row, self._columns) for row in rows])
        self._stream.flush()


class ParquetWriter(RowWriter):
    """Parquet, which cannot be appended to: rows go to a JSON-lines file beside it that is converted at the end."""

    def __init__(self, path: Path, partial: Path, stream: IO[str], columns: Columns = COLUMNS) -> None:
        self._path, self._partial, self._columns = path, partial, columns
        self._lines = JsonLinesWriter(stream, columns)

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one instance."""
        self._lines.write(rows)

    def __exit__(self, *exc: object) -> None:
        # After an error or Ctrl-C the partial file stays for --resume.
        self._lines.close()
        if exc[0] is None:
            self.close()

    def close(self) -> None:
        """Convert what has been written, a few thousand rows at a time, and drop the partial file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
        schema = pa.schema(
            [
                pa.field(name, kinds[kind], metadata={"description": text})
                for name, (kind, text) in self._columns.items()
            ]
        )
        temporary = self._path.with_name(self._path.name + ".tmp")
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            batch: list[Row] = []
            for row in _read_json_lines(self._partial):
                batch.append(row)
                if len(batch) >= 10_000:
                    writer.write_table(pa.Table.from_pylist(batch, schema))
                    batch = []
            writer.write_table(pa.Table.from_pylist(batch, schema))
        temporary.replace(self._path)
        self._partial.unlink()


def _read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as stream:
        for line in stream:
            yield json.loads(line)


def _drop_torn_line(path: Path) -> None:
    """Cut a last line that an interruption left without its end."""
    with path.open("rb+") as stream:
        size = stream.seek(0, os.SEEK_END)
        position = size
        while position:
            step = min(65536, position)
            stream.seek(position - step)
            found = stream.read(step).rfind(b"\n")
            if found >= 0:
                stream.truncate(position - step + found + 1)
                return
            position -= step
        stream.truncate(0)


def _finished_rows(path: Path, suffix: str) -> Iterator[dict[str, Any]]:
    if suffix == ".csv":
        with path.open(newline="") as stream:
            yield from csv.DictReader(stream)
    else:
        yield from _read_json_lines(path)


def open_output(
    path: Path, *, resume: bool, overwrite: bool, rows_per_instance: int, columns: Columns = COLUMNS
) -> tuple[RowWriter, set[str]]:
    """Open an output file by its suffix.

    Parameters
    ----------
    path
        ``.jsonl`` (or ``.ndjson``), ``.csv`` or ``.parquet``.
    resume
        Continue a file that an earlier, interrupted call wrote.
    overwrite
        Replace an existing file.
    rows_per_instance
        Rows of a complete instance: an instance with fewer is done again.
    columns
        Those of the table; ``path`` and ``status`` must be among them.

    Returns
    -------
    (RowWriter, set of str)
        The writer, and the paths whose rows are there already.

    Raises
    ------
    ConfigError
        If the suffix is unknown, or the file exists and neither ``resume`` nor ``overwrite`` is set.
    """
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".ndjson", ".csv", ".parquet"):
        raise ConfigError(f"{path}: found suffix {suffix!r}; expected .jsonl, .csv or .parquet")
    target = path.with_name(path.name + ".partial.jsonl") if suffix == ".parquet" else path
    if path.exists() and not (resume or overwrite):
        raise ConfigError(f"{path} exists; add --resume to continue it or --overwrite to replace it")
    path.parent.mkdir(parents=True, exist_ok=True)
    done: set[str] = set()
    if resume and suffix == ".parquet" and path.exists() and not target.exists():
        import pyarrow.parquet as pq

        # A finished table is continued: its rows become the partial file that it was converted from.
        with target.open("w") as stream, JsonLinesWriter(stream, columns) as lines:
            for batch in pq.ParquetFile(path).iter_batches(10_000):
                lines.write(batch.to_pylist())
    if resume and target.exists():
        _drop_torn_line(target)
        counts: dict[str, int] = {}
        for row in _finished_rows(target, suffix):
            counts[row["path"]] = counts.get(row["path"], 0) + (rows_per_instance if row["status"] == "error" else 1)
        done = {name for name, count in counts.items() if count >= rows_per_instance}
        torn = set(counts) - done
        if torn:
            _drop_rows(target, suffix, torn, columns)
    fresh = not (resume and target.exists() and target.stat().st_size)
    stream = target.open("w" if fresh else "a", newline="")
    if suffix == ".parquet":
        return ParquetWriter(path, target, stream, columns), done
    if suffix == ".csv":
        return CsvWriter(stream, header=fresh, columns=columns), done
    return JsonLinesWriter(stream, columns), done


def _drop_rows(path: Path, suffix: str, paths: set[str], columns: Columns) -> None:
    """Rewrite an output without the rows of some paths (instances of which only some rows were written)."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="") as stream:
        if suffix == ".csv":
            writer = csv.DictWriter(stream, fieldnames=list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for row in _finished_rows(path, suffix) if row["path"] not in paths)
        else:
            stream.writelines(
                json.dumps(row) + "\n" for row in _finished_rows(path, suffix) if row["path"] not in paths
            )
    temporary.replace(path)
