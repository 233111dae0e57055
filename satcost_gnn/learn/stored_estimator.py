"""The JSON part of a saved estimator: what it says, and that it says nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from satcost_gnn.errors import CheckpointError, DamagedFileError
from satcost_gnn.runtime.stored_files import checked, read_json_object
from satcost_gnn.section import Section

#: Format of the files that this version writes.
FORMAT = 1
#: What a checkpoint calls the estimator that predicts from before any search.
STRUCTURE = "structure"


class StoredHeader(Section):
    """What the JSON part of every saved estimator says."""

    estimator: str
    format: int


class EstimatorHeader(StoredHeader):
    """The JSON part of an estimator that consists of plain values and arrays.

    Parameters
    ----------
    estimator, format
        Its name in the registry; the format of the file.
    unit, solvers
        What its predictions are of.
    parameters
        Its settings.
    state
        What it has learnt, apart from arrays.
    parts
        Role -> kind of what it consists of.
    """

    unit: str
    solvers: tuple[str, ...] = Field(min_length=1)
    parameters: dict[str, Any]
    state: dict[str, Any]
    parts: dict[str, str] = Field(default_factory=dict)


Header = TypeVar("Header", bound=StoredHeader)


def read_header(path: Path, schema: type[Header], name: str) -> Header:
    """Read the JSON part of a saved estimator.

    Parameters
    ----------
    path
        The file.
    schema
        What it is to hold.
    name
        Name of the estimator that it is to be of.

    Raises
    ------
    CheckpointError
        If it is missing, damaged, of another estimator or of a newer format.
    """
    try:
        found = read_json_object(path)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; expected a saved estimator") from None
    version = found.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise CheckpointError(f"{path}: found format {version}, expected at most {FORMAT}; install a newer satcost-gnn")
    if found.get("estimator") != name:
        raise DamagedFileError(f"{path}: found estimator {found.get('estimator')!r}; expected {name!r}")
    return checked(schema, found, str(path))


__all__ = ["FORMAT", "EstimatorHeader", "StoredHeader", "read_header"]
