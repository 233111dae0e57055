"""What the tables of a data set hold: one row an instance in the manifest, one row a run in the runs.

The pyarrow schemas carry the unit and the meaning of every column as field metadata; the frozen dataclasses are the
same rows in Python. Tables are written to a temporary file, flushed to the disk and put in place by one rename, so a
reader never sees half a table and a crash leaves the old one.

Version 2 of the table of runs added the column ``source``, and lets a run's wall-clock time, memory and their limits be
unknown, as they are in published tables. Tables of version 1 are read as those of today.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.runtime.tables.parquet_reading import read_parquet

SCHEMA_VERSION = 2

RunKey: TypeAlias = tuple[str, str, int, float]


class RunStatus(StrEnum):
    """How a run ended."""

    SAT = "SAT"
    UNSAT = "UNSAT"
    TIMEOUT = "TIMEOUT"
    MEMOUT = "MEMOUT"
    CRASHED = "CRASHED"
    UNSUPPORTED = "UNSUPPORTED"

    @property
    def solved(self) -> bool:
        """Whether the run gave an answer: its cost is known."""
        return self in (RunStatus.SAT, RunStatus.UNSAT)

    @property
    def censored(self) -> bool:
        """Whether a limit ended the run: its cost is only known to be larger than what it used."""
        return self in (RunStatus.TIMEOUT, RunStatus.MEMOUT)


class Origin(StrEnum):
    """Where an instance comes from."""

    REAL = "real"
    GENERATED = "generated"
    CUBE = "cube"


def _field(name: str, kind: pa.DataType, description: str, *, unit: str = "", nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit, "description": description})


MANIFEST_SCHEMA: pa.Schema = pa.schema(
    [
        _field("instance", pa.string(), "identity: hash of the normalised DIMACS text (gbdhash)"),
        _field("isohash", pa.string(), "hash that isomorphic formulas share: renamed, flipped, reordered"),
        _field("family", pa.string(), "family; approximate for real instances"),
        _field(
            "path",
            pa.string(),
            "file, relative to a root that the user names; null if it is made from its recipe",
            nullable=True,
        ),
        _field("n_vars", pa.int64(), "variables", unit="1"),
        _field("n_clauses", pa.int64(), "clauses", unit="1"),
        _field("bytes", pa.int64(), "size of the formula as DIMACS text, not compressed", unit="B"),
        _field("origin", pa.string(), "real, generated or cube"),
        _field("parent", pa.string(), "instance that this one is a cube or variant of", nullable=True),
        _field("recipe", pa.string(), "how to generate the instance again", nullable=True),
        _field("licence", pa.string(), "licence of the source; null: none stated", nullable=True),
    ],
    metadata={"satcost_table": "manifest", "satcost_schema_version": str(SCHEMA_VERSION)},
)

RUNS_SCHEMA: pa.Schema = pa.schema(
    [
        _field("instance", pa.string(), "identity of the instance in the manifest"),
        _field("solver", pa.string(), "solver or configuration, `name` or `name:configuration`"),
        _field("seed", pa.int64(), "0: the formula as it is; else the seed of its shuffled copy"),
        _field("status", pa.string(), "SAT, UNSAT, TIMEOUT, MEMOUT, CRASHED or UNSUPPORTED"),
        _field("conflicts", pa.int64(), "conflicts; a lower bound of the cost unless solved", unit="1", nullable=True),
        _field("decisions", pa.int64(), "decisions", unit="1", nullable=True),
        _field("propagations", pa.int64(), "propagated literals", unit="1", nullable=True),
        _field("restarts", pa.int64(), "restarts", unit="1", nullable=True),
        _field("cpu_s", pa.float64(), "CPU time of loading the clauses and solving", unit="s"),
        _field("wall_s", pa.float64(), "wall-clock time of the same", unit="s", nullable=True),
        _field("peak_memory_mb", pa.float64(), "largest resident set", unit="MiB", nullable=True),
        _field("cpu_limit_s", pa.float64(), "limit of the CPU time", unit="s"),
        _field("wall_limit_s", pa.float64(), "limit of the wall-clock time", unit="s", nullable=True),
        _field("memory_limit_mb", pa.int64(), "limit of the memory", unit="MiB", nullable=True),
        _field("solver_version", pa.string(), "version of the solver"),
        _field("machine", pa.string(), "processor, cores, memory and system"),
        _field("detail", pa.string(), "what happened, for runs without an answer"),
        _field("source", pa.string(), "event that published the run; empty: measured by a collector"),
    ],
    metadata={"satcost_table": "runs", "satcost_schema_version": str(SCHEMA_VERSION)},
)


def _checked(name: str, value: object, kind: pa.DataType, nullable: bool) -> Any:
    """Return ``value`` as the Python type that fits the column, or raise a DatasetError."""
    if value is None:
        if nullable:
            return None
    elif pa.types.is_string(kind):
        if isinstance(value, str):
            return value
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        pass
    elif pa.types.is_floating(kind):
        return float(value)
    elif isinstance(value, int) or value.is_integer():
        return int(value)
    expected = f"{kind}{' or null' if nullable else ''}"
    raise DatasetError(f"{name}: found {value!r}, expected {expected}")


_STATUSES = {str(status): status for status in RunStatus}
_COUNTERS = ("conflicts", "decisions", "propagations", "restarts")
_USED = ("cpu_s", "wall_s", "peak_memory_mb")
_LIMITS = ("cpu_limit_s", "wall_limit_s", "memory_limit_mb")
_ORIGINS = {str(origin): origin for origin in Origin}


def _require(good: bool, name: str, found: object, expected: str) -> None:
    if not good:
        raise DatasetError(f"{name}: found {found!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One instance of a data set: the columns of :data:`MANIFEST_SCHEMA`, which has their meanings and units.

    Raises
    ------
    DatasetError
        If a value is out of range.
    """

    schema: ClassVar[pa.Schema] = MANIFEST_SCHEMA

    instance: str
    isohash: str
    family: str
    path: str | None
    n_vars: int
    n_clauses: int
    bytes: int
    origin: Origin
    parent: str | None = None
    recipe: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("instance", "isohash", "family"):
            _require(bool(getattr(self, name)), name, getattr(self, name), "a non-empty text")
        for name in ("n_vars", "n_clauses", "bytes"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "a number >= 0")
        _require(self.origin in _ORIGINS, "origin", self.origin, "one of " + ", ".join(_ORIGINS))
        object.__setattr__(self, "origin", _ORIGINS[self.origin])
        _require(
            self.path is None or not (self.path.startswith("/") or ".." in self.path.split("/")),
            "path",
            self.path,
            "a path inside the root, without a leading slash or .. in it",
        )
        _require(self.parent != self.instance, "parent", self.parent, "another instance than the row's own")
        _require(
            self.path is not None or self.recipe is not None or self.origin is Origin.REAL,
            "path, recipe",
            (self.path, self.recipe),
            "a path or a recipe for an instance that is generated or a cube",
        )

    @property
    def key(self) -> str:
        """What identifies the row."""
        return self.instance


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one solver on one instance: the columns of :data:`RUNS_SCHEMA`, which has their meanings and units.

    For all statuses but SAT and UNSAT the counters are lower bounds of the cost, never the cost. Counters are None
    where the solver doesn't tell; wall-clock time, memory and their limits where a published table doesn't. Seconds of
    different sources are those of different machines.

    Raises
    ------
    DatasetError
        If a value is out of range.
    """

    schema: ClassVar[pa.Schema] = RUNS_SCHEMA

    instance: str
    solver: str
    seed: int
    status: RunStatus
    conflicts: int | None
    decisions: int | None
    propagations: int | None
    restarts: int | None
    cpu_s: float
    wall_s: float | None
    peak_memory_mb: float | None
    cpu_limit_s: float
    wall_limit_s: float | None
    memory_limit_mb: int | None
    solver_version: str = ""
    machine: str = ""
    detail: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        """Check the values."""
        _require(bool(self.instance), "instance", self.instance, "a non-empty text")
        _require(bool(self.solver), "solver", self.solver, "a non-empty text")
        _require(self.seed >= 0, "seed", self.seed, "a number >= 0")
        if self.status not in _STATUSES:
            _require(False, "status", self.status, "one of " + ", ".join(_STATUSES))
        object.__setattr__(self, "status", _STATUSES[self.status])
        for name in _COUNTERS:
            count = getattr(self, name)
            _require(count is None or count >= 0, name, count, "a count >= 0, or null where the solver doesn't tell")
        for name in _USED:
            used = getattr(self, name)
            good = name != "cpu_s" if used is None else 0 <= used < math.inf
            _require(good, name, used, "a finite number >= 0")
        for name in _LIMITS:
            limit = getattr(self, name)
            good = name != "cpu_limit_s" if limit is None else 0 < limit < math.inf
            _require(good, name, limit, "a finite number > 0")

    @property
    def key(self) -> RunKey:
        """What identifies the run: instance, solver, seed and CPU limit.

        The same run under a higher CPU limit is another run, since it may have another outcome. The wall and memory
        limits are safety nets and don't make another run.
        """
        return (self.instance, self.solver, self.seed, self.cpu_limit_s)

    @property
    def limits(self) -> str:
        """Limits as ``CPU s / wall s / MiB``, with ``?`` for what a published table doesn't tell."""
        limits = (self.cpu_limit_s, self.wall_limit_s, self.memory_limit_mb)
        return " / ".join("?" if limit is None else f"{limit:.9g}" for limit in limits)

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> Self:
        """Make a run of a mapping by column name, such as a line of a collector's journal.

        Raises
        ------
        DatasetError
            If a column is missing, unknown, of the wrong type or out of range.
        """
        unknown = sorted(set(record) - set(cls.schema.names))
        if unknown:
            expected = ", ".join(cls.schema.names)
            raise DatasetError(f"found unknown columns {', '.join(unknown)}, expected only {expected}")
        # A line that version 1 wrote has no source.
        record = {"source": "", **record}
        missing = [field.name for field in cls.schema if field.name not in record and not field.nullable]
        if missing:
            raise DatasetError(f"found no {', '.join(missing)}, expected {', '.join(cls.schema.names)}")
        return cls(**{f.name: _checked(f.name, record.get(f.name), f.type, f.nullable) for f in cls.schema})


Row = TypeVar("Row", ManifestRow, Run)


def table_of(kind: type[Row], rows: Iterable[Row]) -> pa.Table:
    """Return rows of a kind as a pyarrow table with its schema."""
    listed = list(rows)
    columns = [pa.array([getattr(row, field.name) for row in listed], type=field.type) for field in kind.schema]
    return pa.Table.from_arrays(columns, schema=kind.schema)


def rows_of(kind: type[Row], table: pa.Table, source: str = "<table>") -> list[Row]:
    """Return the rows of a table, checked.

    Raises
    ------
    DatasetError
        If the table is of a later version, columns are missing or unknown, a value is out of range, or a key is listed
        twice; the message has the source and the 0-based row.
    """
    columns = [column.to_pylist() for column in _conformed(table, kind.schema, source).columns]
    rows: list[Row] = []
    first: dict[object, int] = {}
    for number, values in enumerate(zip(*columns, strict=True)):
        try:
            row = kind(*values)
        except DatasetError as error:
            raise DatasetError(f"{source}: row {number}: {error}") from None
        before = first.setdefault(row.key, number)
        if before != number:
            raise DatasetError(
                f"{source}: row {number}: found {row.key!r} again (first in row {before}), expected each once"
            )
        rows.append(row)
    return rows


def _conformed(table: pa.Table, schema: pa.Schema, source: str) -> pa.Table:
    """Return the columns of a table in the schema's order and types, with those that an earlier version lacks."""
    version = (table.schema.metadata or {}).get(b"satcost_schema_version", b"1").decode()
    if not version.isdecimal() or int(version) > SCHEMA_VERSION:
        raise DatasetError(
            f"{source}: found a table of schema version {version}, expected at most {SCHEMA_VERSION}; "
            "install a newer satcost-gnn"
        )
    if schema is RUNS_SCHEMA and int(version) < 2 and "source" not in table.column_names:
        table = table.append_column("source", pa.array([""] * len(table)))
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


def _read(kind: type[Row], path: Path | str) -> list[Row]:
    try:
        table = read_parquet(Path(path))
    except FileNotFoundError:
        raise DatasetError(f"{path}: found no such file, expected a table; name a data set directory") from None
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"{path}: found no readable parquet table, expected one; restore the file: {error}"
        ) from error
    return rows_of(kind, table, str(path))


def _write(kind: type[Row], path: Path | str, rows: Iterable[Row]) -> None:
    ordered = sorted(rows, key=attrgetter("key"))
    for before, after in itertools.pairwise(ordered):
        if before.key == after.key:
            raise DatasetError(f"{path}: found {after.key!r} twice, expected each once; drop one")
    with replacing(Path(path)) as temporary, temporary.open("wb") as stream:
        pq.write_table(table_of(kind, ordered), stream, compression="zstd", compression_level=9)


def read_manifest(path: Path | str) -> list[ManifestRow]:
    """Read ``manifest.parquet``; a DatasetError if it is missing, unreadable, or holds something else."""
    return _read(ManifestRow, path)


def read_runs(path: Path | str) -> list[Run]:
    """Read ``runs.parquet``; a DatasetError if it is missing, unreadable, or holds something else."""
    return _read(Run, path)


def write_manifest(path: Path | str, rows: Iterable[ManifestRow]) -> None:
    """Write ``manifest.parquet``, sorted by instance, atomically.

    Raises
    ------
    DatasetError
        If an instance is listed twice.
    OutputError
        If the file can't be written.
    """
    _write(ManifestRow, path, rows)


def write_runs(path: Path | str, runs: Iterable[Run]) -> None:
    """Write ``runs.parquet``, sorted by key, atomically; see :func:`write_manifest`."""
    _write(Run, path, runs)


assert [f.name for f in fields(ManifestRow)] == MANIFEST_SCHEMA.names
assert [f.name for f in fields(Run)] == RUNS_SCHEMA.names
