"""Published tables of run times with features, such as those of GBD's Anniversary track, as ASlib scenarios.

Such a table comes as two files: ``NAME.csv`` (perhaps ``.xz``) with a column ``hash`` and one column of seconds for
each solver, and ``NAME_features.csv`` with ``hash`` and one column for each feature.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.aslib_scenario import AslibScenario, FeatureStep
from satcost_gnn.data.published_tables import csv_rows
from satcost_gnn.errors import DatasetError

#: Columns that are no solver.
ABOUT = frozenset({"hash", "benchmark", "filename", "family", "track", "verified-result", "claimed-result"})
_FOLDS = 10
_FEATURES = "_features"
_ENDINGS = (".csv", ".csv.xz")


def find_runtime_tables(directory: Path | str) -> list[tuple[Path, Path]]:
    """Return the pairs of a table of run times and one of features in a directory.

    Raises
    ------
    DatasetError
        If there is none.
    """
    directory = Path(directory)
    found = [
        (table, features)
        for features in sorted(directory.glob("*_features.csv*"))
        for ending in _ENDINGS
        for table in [directory / (features.name.split(_FEATURES)[0] + ending)]
        if features.name.endswith(_ENDINGS) and table.is_file()
    ]
    if not found:
        raise DatasetError(f"{directory}: found no NAME.csv[.xz] with a NAME_features.csv[.xz], expected at least one")
    return found


def read_runtime_table(runtimes: Path | str, features: Path | str, seed: int = 0) -> AslibScenario:
    """Read the instances that both files have as a scenario of 10 random folds.

    Parameters
    ----------
    runtimes
        Seconds, twice the cutoff for a run without an answer (PAR2). The cutoff is half of the largest value.
    features
        Features; columns whose name ends in ``runtime`` are times of feature extraction.
    seed
        Seed of the folds, which deal single instances: copies and relatives may come apart.

    Raises
    ------
    DatasetError
        If a file can't be read, has no column ``hash``, a value is no number, a hash comes twice, or no instance is in
        both.
    """
    seconds, solvers = _table(Path(runtimes), ABOUT)
    values, names = _table(Path(features), frozenset({"hash"}))
    names_kept = [k for k, name in enumerate(names) if not name.endswith("runtime")]
    shared = sorted(seconds.keys() & values.keys())
    if len(shared) < _FOLDS or not solvers or not names_kept:
        raise DatasetError(
            f"{runtimes}: found {len(shared)} instances with features, {len(solvers)} solvers and {len(names_kept)} "
            f"features; expected at least {_FOLDS}, 1 and 1"
        )
    times = np.array([seconds[name] for name in shared])
    negative = int((times < 0).sum())
    times = np.where(times < 0, np.nan, times)
    cutoff = float(np.nanmax(times)) / 2
    statuses = np.where(np.isnan(times), "", np.where(times <= cutoff, "ok", "timeout"))
    chosen = [names[k] for k in names_kept]
    return AslibScenario(
        name=Path(runtimes).name.split(".")[0],
        instances=tuple(shared),
        algorithms=solvers,
        cutoff_s=cutoff,
        runtimes=times[:, :, None],
        statuses=statuses[:, :, None],
        feature_names=tuple(chosen),
        features=np.array([values[name] for name in shared])[:, names_kept],
        steps=(FeatureStep("all", tuple(chosen)),),
        default_steps=("all",),
        warnings=(f"{runtimes}: {negative} negative times are taken as missing",) if negative else (),
        folds=(np.random.default_rng(seed).permutation(len(shared)) % _FOLDS + 1)[:, None],
    )


def _table(path: Path, about: frozenset[str]) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """Return hash -> values, and the names of the columns of values."""
    rows = csv_rows(path)
    _, header = next(rows, (0, []))
    if "hash" not in header:
        raise DatasetError(f"{path}: found no column 'hash', expected one in the first line")
    key = header.index("hash")
    columns = [k for k, name in enumerate(header) if name not in about]
    found: dict[str, NDArray[np.float64]] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise DatasetError(f"{path}:{line}: found {len(row)} fields, expected {len(header)}")
        if row[key] in found:
            raise DatasetError(f"{path}:{line}: found {row[key]} again, expected each hash once")
        try:
            found[row[key]] = np.array([float(row[k]) if row[k] not in ("", "?") else np.nan for k in columns])
        except ValueError as error:
            raise DatasetError(f"{path}:{line}: {error}; expected numbers") from None
    return found, tuple(header[k] for k in columns)
