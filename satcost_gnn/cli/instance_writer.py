"""A directory of generated instances and its index."""

from __future__ import annotations

import csv
import io
import lzma
import time
from pathlib import Path
from typing import Any, Self

from satcost_gnn.errors import ConfigError, DatasetError, FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.identity import identity
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, read_text_bytes
from satcost_gnn.runtime.output_files import check_directory, write_bytes, write_text
from satcost_gnn.runtime.output_lock import locked

INDEX_FILE = "INDEX.csv"
INDEX_COLUMNS = (
    "file",
    "family",
    "gbdhash",
    "isohash",
    "n_vars",
    "n_clauses",
    "bytes",
    "origin",
    "parent",
    "recipe",
    "licence",
)
# What is written here is under the licence of this project.
LICENCE = "MIT"
COMPRESSIONS = ("none", "xz")


def read_index(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of an ``INDEX.csv`` by file, empty if there is none.

    Raises
    ------
    DatasetError
        If a column is missing or the file is no CSV.
    """
    if not path.exists():
        return {}
    try:
        text = read_text_bytes(path, "an index of formulas", deadline=time.monotonic() + LONGEST_WAIT_S).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""))
        missing = [name for name in INDEX_COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise DatasetError(
                f"{path}: found no column {', '.join(missing)}; expected {', '.join(INDEX_COLUMNS)}; "
                "choose another directory"
            )
        return {row["file"]: {name: row[name] or "" for name in INDEX_COLUMNS} for row in reader}
    except (FormulaError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: found no readable index ({error}); choose another directory") from error


def packed(text: str, compress: bool) -> bytes:
    """Return a DIMACS text as the bytes of a file, compressed or not."""
    return lzma.compress(text.encode("ascii"), preset=6) if compress else text.encode("ascii")


class InstanceWriter:
    """Writes instances into a directory and lists them in its ``INDEX.csv``. Use as a context manager.

    Rows of files that are there already are kept; the index is written when the block ends, by an error too.

    Parameters
    ----------
    directory
        Made if missing.
    compress
        ``none`` or ``xz``.
    overwrite
        Whether files that are there may be replaced.

    Raises
    ------
    ConfigError
        If the compression is unknown.
    DatasetError
        If the index in the directory is not one of ours.
    OutputError
        If the directory can't be written into.
    """

    def __init__(self, directory: Path, compress: str, overwrite: bool) -> None:
        if compress not in COMPRESSIONS:
            raise ConfigError(f"--compress: found {compress!r}, expected one of {', '.join(COMPRESSIONS)}")
        check_directory("-o", directory)
        self.directory = directory
        self.index = directory / INDEX_FILE
        self._compress = compress == "xz"
        self._overwrite = overwrite
        self._rows: dict[str, dict[str, Any]] = {}
        self._by_hash: dict[str, str] = {}
        read_index(self.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._rows:
            return
        # Others may write into the directory: their rows are kept.
        with locked(self.index, wait=True):
            rows: dict[str, dict[str, Any]] = {**read_index(self.index), **self._rows}
            text = io.StringIO()
            writer = csv.DictWriter(text, INDEX_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[name] for name in sorted(rows))
            write_text(self.index, text.getvalue())

    def path(self, stem: str) -> Path:
        """Return the file of an instance."""
        return self.directory / f"{stem}.cnf{'.xz' if self._compress else ''}"

    def check_free(self, stem: str) -> None:
        """Raise a :class:`DatasetError` if the instance's file is there and may not be replaced."""
        if not self._overwrite and self.path(stem).exists():
            raise DatasetError(
                f"{self.path(stem)}: found a file of this name; give --overwrite to replace it, or another directory"
            )

    def add(
        self, formula: Formula, stem: str, family: str, *, origin: str, parent: str = "", licence: str = LICENCE
    ) -> str | None:
        """Write one instance; its ``source`` is listed as its recipe.

        Returns
        -------
        None, or the file written before that holds the same formula; then nothing is written.

        Raises
        ------
        DatasetError
            If the file is there already and may not be replaced, or cannot be written.
        """
        self.check_free(stem)
        path = self.path(stem)
        found = identity(formula)
        if found.gbdhash in self._by_hash:
            return self._by_hash[found.gbdhash]
        text = formula.to_dimacs()
        write_bytes(path, packed(text, self._compress))
        self._by_hash[found.gbdhash] = path.name
        self._rows[path.name] = {
            "file": path.name,
            "family": family,
            "gbdhash": found.gbdhash,
            "isohash": found.isohash,
            "n_vars": formula.n_vars,
            "n_clauses": formula.n_clauses,
            "bytes": len(text),
            "origin": origin,
            "parent": parent,
            "recipe": formula.source,
            "licence": licence,
        }
        return None


def read_index_row(path: Path, instance: str) -> dict[str, str]:
    """Return what the ``INDEX.csv`` beside a file says of it, empty if it says nothing or is about other contents."""
    try:
        row = read_index(path.parent / INDEX_FILE).get(path.name, {})
    except DatasetError:
        return {}
    return row if row.get("gbdhash") == instance else {}
