"""The JSON part of a saved estimator: what it says, and that it says nothing else; and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
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

    Unit and solvers are what its predictions are of; the state is what it has learnt, apart from arrays; parts are role
    -> kind of what it consists of.
    """

    unit: str
    solvers: tuple[str, ...] = Field(min_length=1)
    parameters: dict[str, Any]
    state: dict[str, Any]
    parts: dict[str, str] = Field(default_factory=dict)


Header = TypeVar("Header", bound=StoredHeader)


def read_header(path: Path, schema: type[Header], name: str) -> Header:
    """Read the JSON part of a saved estimator of a name, as a schema says.

    CheckpointError if it is missing, damaged, of another estimator or of a newer format.
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


@dataclass(frozen=True, eq=False)
class Stored:
    """A dataclass that is written as plain values for JSON and read back by the types of its fields.

    They are numbers, texts, arrays, others of this kind, and tuples of these.
    """

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`; KeyError, TypeError or ValueError if it is something else."""
        kinds = get_type_hints(cls)
        return cls(**{field.name: _read(kinds[field.name], values[field.name]) for field in fields(cls)})


def _plain(value: Any) -> Any:
    if isinstance(value, Stored):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _read(kind: Any, value: Any) -> Any:
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], one) for one in value)
    if get_origin(kind) is np.ndarray:
        return np.array(value, dtype=get_args(get_args(kind)[1])[0])
    if issubclass(kind, Stored):
        return kind.from_json(value)
    if kind is str and not isinstance(value, str):
        raise ValueError(f"found {value!r}; expected a text")
    return kind(value)
