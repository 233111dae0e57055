"""Parquet files, read the same way everywhere: by their bytes and without threads.

pyarrow takes no names that are not UTF-8, and its threads may outlive what Python gives them to read and abort the
process at its end (apache/arrow, issue 34314).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Rows at a time.
_ROWS = 10_000


def open_parquet(path: Path) -> Any:
    """Return the ``pyarrow.parquet.ParquetFile`` of a file; errors are those of pyarrow and of the system."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(path.read_bytes()))


def read_parquet(path: Path) -> Any:
    """Return the ``pyarrow.Table`` of a file; errors likewise."""
    with open_parquet(path) as file:
        return file.read(use_threads=False)


def parquet_batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a file, some thousands at a time; errors likewise."""
    with open_parquet(path) as file:
        for batch in file.iter_batches(_ROWS, use_threads=False):
            yield batch.to_pylist()
