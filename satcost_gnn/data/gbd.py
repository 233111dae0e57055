"""Databases of GBD, the benchmark database of the SAT community: instances found, features written.

A GBD database is an SQLite file. The table ``features`` has a row for each instance, by its hash, and a column for each
feature with one value; a feature with several values, such as the paths ``local``, has a table ``(hash, value)`` of its
own, and its column in ``features`` only says whether it has any. A CSV with a column ``hash`` is read as a database,
too, as GBD does. The layout is that of gbd-tools 5; the package itself is not needed.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from satcost_gnn.data.gbd_query import INSTANCE, Feature, to_sql
from satcost_gnn.errors import ConfigError, OutputError

#: Feature that has the paths of an instance on this machine.
LOCAL = "local"
_SQLITE = b"SQLite format 3\x00"
_VALID = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_NONE = "None"


@dataclass(frozen=True)
class GbdInstance:
    """An instance of a database.

    Parameters
    ----------
    gbdhash
        Its hash.
    paths
        Where it is on this machine, as the database says.
    """

    gbdhash: str
    paths: tuple[str, ...] = ()

    @property
    def path(self) -> str | None:
        """The first path at which there is a file; the first one if there is none; None without paths."""
        there = (path for path in self.paths if os.path.lexists(path))
        return next(there, self.paths[0] if self.paths else None)


def database_paths(text: str) -> list[Path]:
    """Return the databases of a list with colons between them, as GBD takes it."""
    return [Path(one) for one in text.split(os.pathsep) if one]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _database_name(path: Path) -> str:
    """Return what GBD calls a database."""
    stem = path.stem if not path.stem[:1].isdigit() else f"cnf_{path.stem}"
    return re.sub("[^a-zA-Z0-9]", "_", stem)


def _kind(path: Path) -> str:
    """Return whether a file is an SQLite database or to be read as CSV."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise ConfigError(f"--gbd: {path}: cannot be read ({error.strerror}); name a GBD database") from None
    return "sqlite" if head == _SQLITE or not head else "csv"


def _attach_csv(connection: sqlite3.Connection, path: Path, alias: str) -> None:
    connection.execute(f"ATTACH ':memory:' AS {alias}")
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        head = file.read(1 << 16)
        file.seek(0)
        delimiter = max(",;\t ", key=head.partition("\n")[0].count)
        rows = csv.reader(file, delimiter=delimiter)
        names = [re.sub("[^0-9a-zA-Z]+", "_", name) for name in next(rows, [])]
        if "hash" not in names:
            raise ConfigError(
                f"--gbd: {path}: found neither an SQLite database nor a CSV with a column hash; name a GBD database"
            )
        columns = ", ".join(_identifier(name) for name in names)
        connection.execute(f"CREATE TABLE {alias}.features ({columns})")
        marks = ", ".join("?" * len(names))
        for row in rows:
            if len(row) != len(names):
                raise ConfigError(f"--gbd: {path}:{rows.line_num}: found {len(row)} fields; expected {len(names)}")
            connection.execute(f"INSERT INTO {alias}.features VALUES ({marks})", row)


def _features_of(connection: sqlite3.Connection, alias: str) -> dict[str, Feature]:
    tables = [
        name for (name,) in connection.execute(f"SELECT tbl_name FROM {alias}.sqlite_master WHERE type = 'table'")
    ]
    found: dict[str, Feature] = {}
    for table in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA {alias}.table_info({_identifier(table)})")]
        if table == "features":
            found |= {name: Feature(f"{alias}.features.{_identifier(name)}") for name in columns if name not in tables}
        elif {"hash", "value"} <= set(columns) and not table.startswith("_"):
            found[table] = Feature("value", f"{alias}.{_identifier(table)}")
    return found


def find_instances(paths: Sequence[Path], query: str = "") -> list[GbdInstance]:
    """Return the instances that a query selects, ordered by hash.

    Parameters
    ----------
    paths
        Databases; of a feature that several have, the first one's counts.
    query
        In GBD's language; empty for all.

    Returns
    -------
    list of GbdInstance
        Of all instances that any of the databases knows.

    Raises
    ------
    ConfigError
        If a file is no database, or the query doesn't fit.
    """
    features: dict[str, dict[str, Feature]] = {}
    with contextlib.closing(sqlite3.connect("file::memory:", uri=True)) as connection:
        try:
            for number, path in enumerate(paths):
                alias = f"db{number}"
                if _kind(path) == "csv":
                    _attach_csv(connection, path, alias)
                else:
                    connection.execute(f"ATTACH ? AS {alias}", (f"file:{quote(str(path.absolute()))}?mode=ro",))
                name = _database_name(path)
                features[name if name not in features else f"{name}_{number}"] = _features_of(connection, alias)
            return _selected(connection, features, query)
        except sqlite3.Error as error:
            raise ConfigError(
                f"--gbd: {', '.join(map(str, paths))}: cannot be read as a GBD database ({error})"
            ) from None


def _selected(connection: sqlite3.Connection, places: dict[str, dict[str, Feature]], query: str) -> list[GbdInstance]:
    known = [f"db{number}" for number, features in enumerate(places.values()) if "hash" in features]
    if not known:
        raise ConfigError("--gbd: found no table features in it; name a GBD database")
    # Every instance that a database knows, with the rows of all of them beside it.
    everything = " UNION ".join(f"SELECT hash FROM {alias}.features" for alias in known)
    joined = " ".join(f"LEFT JOIN {alias}.features ON {alias}.features.hash = every.hash" for alias in known)
    for features in places.values():
        features["hash"] = Feature(INSTANCE)
    condition, values = to_sql(query, places)
    rows = connection.execute(
        f"SELECT DISTINCT every.hash FROM ({everything}) AS every {joined} "
        f"WHERE every.hash != '{_NONE}' AND ({condition}) ORDER BY every.hash",
        values,
    )
    hashes = [one for (one,) in rows]
    paths: dict[str, list[str]] = {}
    for features in places.values():
        local = features.get(LOCAL)
        if local is None:
            continue
        table = local.table or local.column.rpartition(".")[0]
        for one, value in connection.execute(f"SELECT hash, {local.column} FROM {table}"):
            if value not in (None, _NONE):
                paths.setdefault(one, []).append(value)
    return [GbdInstance(one, tuple(paths.get(one, ()))) for one in hashes]


def feature_name(*parts: str) -> str:
    """Return a name that GBD takes for a feature: letters, digits and underscores, a letter first."""
    name = re.sub("[^0-9a-zA-Z]+", "_", "_".join(part for part in parts if part)).strip("_")
    return name if _VALID.fullmatch(name) else f"f_{name}"


def write_features(path: Path, values: Mapping[str, Mapping[str, str]], *, overwrite: bool = False) -> None:
    """Write features with one value for each instance; all of them or, after an error, none.

    Parameters
    ----------
    path
        Database; made if it isn't there.
    values
        Hash -> feature -> value. Instances that lack one have GBD's ``None``.
    overwrite
        Whether values of features that are there already are replaced.

    Raises
    ------
    OutputError
        If the file is no database, is in use, or has one of the features already.
    """
    if path.exists() and _kind(path) != "sqlite":
        raise OutputError(f"--gbd: {path}: found no SQLite database; name a GBD database or a new file")
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            tables = [name for (name,) in connection.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'table'")]
            if "features" not in tables:
                connection.execute("CREATE TABLE features (hash UNIQUE NOT NULL)")
                for table in tables:
                    # As GBD does: instances that a feature of several values names are instances of the database.
                    name = _identifier(table)
                    connection.execute(f"INSERT OR IGNORE INTO features (hash) SELECT DISTINCT hash FROM {name}")
                    connection.execute(
                        f"CREATE TRIGGER IF NOT EXISTS {_identifier(table + '_dval')} AFTER INSERT ON {name} "
                        "BEGIN INSERT OR IGNORE INTO features (hash) VALUES (NEW.hash); END"
                    )
            columns = {row[1] for row in connection.execute("PRAGMA table_info(features)")}
            there = [name for name in names if name in columns or name in tables]
            if there and not overwrite:
                raise OutputError(
                    f"--gbd: {path}: found the features {', '.join(there[:5])} in it; add --overwrite to replace "
                    "their values, or --prefix to give others a name of their own"
                )
            if clash := [name for name in there if name in tables]:
                raise OutputError(
                    f"--gbd: {path}: {clash[0]} has several values for an instance; choose another --prefix"
                )
            for name in names:
                if name not in columns:
                    connection.execute(f"ALTER TABLE features ADD {_identifier(name)} TEXT NOT NULL DEFAULT {_NONE}")
            for one, row in values.items():
                connection.execute("INSERT OR IGNORE INTO features (hash) VALUES (?)", (one,))
                given = ", ".join(f"{_identifier(name)} = ?" for name in row)
                if row:
                    connection.execute(f"UPDATE features SET {given} WHERE hash = ?", (*row.values(), one))
    except sqlite3.Error as error:
        raise OutputError(f"--gbd: {path}: cannot be written ({error}); nothing has been changed") from None
