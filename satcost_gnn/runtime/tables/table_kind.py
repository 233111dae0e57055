"""What a table says of itself, so that only what belongs together is put together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.tables.row_writers import Columns

#: Key of the description in the metadata of a Parquet schema, and in the first line of a partial file.
KEY = "satcost_table"
_FORMAT = 1


@dataclass(frozen=True)
class TableKind:
    """What a table is; two tables of one kind may be put together.

    Parameters
    ----------
    command
        Command that writes it.
    columns
        Its columns; ``path`` and ``status`` are among them.
    unit, cutoff
        Of the costs; the cutoff is in the unit.
    checkpoint
        Name, and digest of what is in it.
    solvers
        Those that rows are of.
    settings
        Whatever else changes what is in the rows.
    rows_per_instance
        Rows of an instance whose status isn't ``error``; those have one.
    row_values
        Column -> value of every row that has one there.
    solver_column
        Whether the column ``solver`` says which solver a row is of, one row each.
    """

    command: str
    columns: Columns
    unit: str
    cutoff: float
    checkpoint: str
    solvers: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows_per_instance: int = 1
    row_values: Mapping[str, Any] = field(default_factory=dict)
    solver_column: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        about = {
            "format": _FORMAT,
            "command": self.command,
            "columns": list(self.columns),
            "unit": self.unit,
            "cutoff": float(f"{self.cutoff:.6g}"),
            "checkpoint": self.checkpoint,
            "solvers": list(self.solvers),
            **self.settings,
        }
        plain: dict[str, Any] = json.loads(json.dumps(about))
        return plain

    def check(self, path: Path, found: object) -> None:
        """Refuse a table that says of itself that it is another.

        Raises
        ------
        OutputError
            If it is; the message names the first difference.
        """
        wanted = self.to_json()
        if not isinstance(found, dict):
            raise OutputError(f"{path}: found no table of `satcost {self.command}`; name another output")
        for name, value in wanted.items():
            if found.get(name) != value:
                raise OutputError(
                    f"{path} is a table with {name} {_short(found.get(name))}, this run's is {_short(value)}; continue "
                    "it with what it was started with, or name another output"
                )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "…"
