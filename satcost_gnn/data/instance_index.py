"""The CSV file that says which formulas a directory holds: ``INDEX.csv``, or one of the same columns."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

from satcost_gnn.data.schema import ManifestRow, Origin
from satcost_gnn.errors import DatasetError, FormulaError
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, read_text_bytes

NEEDED = ("file", "family", "gbdhash", "isohash", "n_vars", "n_clauses", "bytes")


def read_index(path: Path | str) -> list[ManifestRow]:
    """Read the instances of an index as rows of a manifest; their paths are relative to the index's directory.

    Parameters
    ----------
    path
        CSV file, packed or not, with at least the columns of :data:`NEEDED`; ``origin``, ``parent``, ``recipe`` and
        ``licence`` may be there, others are ignored.

    Raises
    ------
    DatasetError
        If the file can't be read, a column is missing, or a value doesn't fit; the message has file and line.
    """
    path = Path(path)
    found = []
    try:
        text = read_text_bytes(path, "an index of formulas", deadline=time.monotonic() + LONGEST_WAIT_S).decode()
    except (FormulaError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as an index of formulas: {error}") from error
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        missing = [name for name in NEEDED if name not in (reader.fieldnames or [])]
        if missing:
            raise DatasetError(f"{path}: found no column {', '.join(missing)}; expected {', '.join(NEEDED)}")
        for record in reader:
            try:
                row = ManifestRow(
                    instance=record["gbdhash"] or "",
                    isohash=record["isohash"] or "",
                    family=record["family"] or "",
                    path=record["file"],
                    n_vars=int(record["n_vars"]),
                    n_clauses=int(record["n_clauses"]),
                    bytes=int(record["bytes"]),
                    origin=Origin(record.get("origin") or ("generated" if record.get("recipe") else "real")),
                    parent=record.get("parent") or None,
                    recipe=record.get("recipe") or None,
                    licence=record.get("licence") or None,
                )
            except (DatasetError, ValueError, TypeError) as error:
                raise DatasetError(f"{path}:{reader.line_num}: {error}; correct that line of the index") from None
            found.append(row)
    except csv.Error as error:
        raise DatasetError(f"{path}: cannot be read as an index of formulas: {error}") from error
    return found
