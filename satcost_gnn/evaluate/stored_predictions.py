"""Predictions of one fitted estimator on disk, so that an interrupted evaluation goes on and nothing is fitted twice.

One ``.npz`` (arrays and a JSON header, nothing pickled) for each estimator, seed and fold. It holds the predictions as
the estimator made them, for the calibration side and the test side: calibration is fitted again when they are read,
which takes no time. The key in the header is a hash of everything that the predictions depend on but the code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.runtime.stored_files import parse_json, read_arrays

SIDES_STORED = ("calibration", "test")

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class StoredPredictions:
    """What an estimator predicted.

    Parameters
    ----------
    name, seed, fold
        Method; its seed, None if it has none; fold that was left out, None for the split by instance.
    key
        Hash of what the predictions depend on.
    instances
        ``calibration`` and ``test`` -> identities, in the order of the rows.
    cdf
        (unit, side) -> ``float32[n, n_solvers, bins + 1]``.
    fit_seconds, predict_seconds
        Unit -> wall seconds of fitting, and of predicting one test instance on average.
    lacking
        Test instances without what the estimator needs: the training set's constant was predicted for them.
    needs
        What the estimator needs of an instance.
    note
        Where it comes from, if not fitted here.
    """

    name: str
    seed: int | None
    fold: int | None
    key: str
    instances: Mapping[str, Sequence[str]]
    cdf: Mapping[tuple[str, str], NDArray[np.float32]]
    fit_seconds: Mapping[str, float]
    predict_seconds: Mapping[str, float]
    lacking: int = 0
    needs: tuple[str, ...] = ()
    note: str = ""

    def write(self, path: Path) -> None:
        """Write them atomically; DatasetError if they can't be written."""
        header = {
            "format": _FORMAT,
            "name": self.name,
            "seed": self.seed,
            "fold": self.fold,
            "key": self.key,
            "instances": {side: list(names) for side, names in self.instances.items()},
            "fit_seconds": dict(self.fit_seconds),
            "predict_seconds": dict(self.predict_seconds),
            "lacking": self.lacking,
            "needs": list(self.needs),
            "note": self.note,
        }
        arrays = {f"{unit}.{side}": array for (unit, side), array in self.cdf.items()}
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read them; None if there are none, or none of this format."""
        try:
            stored = read_arrays(path)
            header = parse_json(str(stored.pop("header")), str(path))
            if header.pop("format") != _FORMAT:
                return None
            cdf: dict[tuple[str, str], NDArray[np.float32]] = {}
            for name, array in stored.items():
                unit, _, side = name.rpartition(".")
                cdf[unit, side] = array
            header.pop("about", None)  # no longer written
            header["needs"] = tuple(header["needs"])
            return cls(cdf=cdf, **header)
        except (DamagedFileError, ValueError, KeyError, TypeError, AttributeError):
            return None


def file_name(name: str, seed: int | None, fold: int | None) -> str:
    """Return the name of the file of a method's predictions."""
    parts = [name.replace(":", "~")]
    if seed is not None:
        parts.append(f"seed{seed}")
    if fold is not None:
        parts.append(f"fold{fold}")
    return ".".join(parts) + ".npz"


def key_of(**parts: Any) -> str:
    """Return a hash of plain values that changes with any of them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def digest(arrays: Sequence[NDArray[Any]], texts: Sequence[str]) -> str:
    """Return a hash of arrays and texts."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(str((array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    for text in texts:
        found.update(text.encode() + b"\n")
    return found.hexdigest()
