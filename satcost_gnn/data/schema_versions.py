"""Tables of earlier versions of the schema, read as those of today.

Version 2 of the table of runs added the column ``source``, and lets a run's wall-clock time, memory and their limits be
unknown, as they are in published tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from satcost_gnn.errors import DatasetError

SCHEMA_VERSION = 2

# Table -> column that it has since version 2 -> what holds for rows that were written before.
_ADDED: Mapping[str, Mapping[str, str]] = {"runs": {"source": ""}}


def _added(schema: pa.Schema) -> Mapping[str, str]:
    return _ADDED.get((schema.metadata or {}).get(b"satcost_table", b"").decode(), {})


def with_defaults(schema: pa.Schema, record: Mapping[str, object]) -> Mapping[str, object]:
    """Return a row by column name with the columns that it lacks because it was written by an earlier version."""
    return {**_added(schema), **record}


def conformed(table: pa.Table, schema: pa.Schema, source: str) -> pa.Table:
    """Return the columns of a table in the schema's order and types.

    Raises
    ------
    DatasetError
        If the table is of a later version, or its columns don't fit.
    """
    version = (table.schema.metadata or {}).get(b"satcost_schema_version", b"1").decode()
    if not version.isdecimal() or int(version) > SCHEMA_VERSION:
        raise DatasetError(
            f"{source}: found a table of schema version {version}, expected at most {SCHEMA_VERSION}; "
            "install a newer satcost-gnn"
        )
    for name, value in _added(schema).items():
        if int(version) < 2 and name not in table.column_names:
            table = table.append_column(name, pa.array([value] * len(table), type=schema.field(name).type))
    missing = [name for name in schema.names if name not in table.column_names]
    extra = [name for name in table.column_names if name not in schema.names]
    if missing or extra:
        found = ", ".join(["missing " + name for name in missing] + ["unknown " + name for name in extra])
        raise DatasetError(f"{source}: found columns that don't fit ({found}), expected {', '.join(schema.names)}")
    columns = []
    for field in schema:
        column = table.column(field.name)
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DatasetError(
                f"{source}: column {field.name}: found {column.type}, expected {field.type}: {error}"
            ) from None
        if column.null_count and not field.nullable:
            row = column.is_null().to_pylist().index(True)
            raise DatasetError(f"{source}: row {row}: {field.name}: found null, expected {field.type}")
    return pa.Table.from_arrays(columns, schema=schema)
