"""Rows that a command prints: all at once as a list, or one by one as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from satcost_gnn.cli.colour import styled
from satcost_gnn.cli.terminal import columns
from satcost_gnn.runtime.plain_table import plain_table
from satcost_gnn.runtime.tables.resumable_table import OpenedTable
from satcost_gnn.runtime.tables.row_writers import Columns, CsvWriter, JsonLinesWriter, RowWriter, StreamSink


def print_rows(rows: Iterable[Mapping[str, Any]], form: str) -> None:
    """Print rows of the same keys in a form, ``text`` or ``json``: the keys are the head of the table.

    Lists among the values are told with commas between them, True as ``yes`` and what is false as nothing.
    """
    found = list(rows)
    if form == "json":
        for row in found:
            print(json.dumps(row))
        return
    cells = [[_cell(value) for value in row.values()] for row in found]
    head, *lines = plain_table(list(found[0]), cells, columns())
    print(styled(head, head, bold=True), *lines, sep="\n")


def printed_table(form: str, columns: Columns, text: RowWriter) -> OpenedTable:
    """Return what writes rows to standard output as they come: as CSV, as JSON lines, or as text by its own writer."""
    if form == "text":
        return OpenedTable(text, {})
    make = CsvWriter if form == "csv" else JsonLinesWriter
    return OpenedTable(make(StreamSink(sys.stdout), columns), {})


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "yes" if value is True else str(value or "")
