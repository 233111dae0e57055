"""What a shipped model is on disk: one directory that holds everything a prediction needs, and nothing pickled.

::

    <name>-v<N>/
      config.json        format, solvers, units, order of the estimators, preprocessing, sizes and hashes of all files
      gnn/               model.safetensors and config.json of the network
      <unit>/<name>/     the classical estimators for one cost unit
      <unit>/probe_offset.json   what other solvers cost where the probe has solved the instance, relative to the probe
      calibration.json   calibration maps by unit and estimator
      novelty/           what the training data looks like, to tell an instance unlike any of it
      background.npz     features of a few training instances, which explanations compare with
      portfolio.json     what the solvers are worth as a portfolio: see satcost_gnn.portfolio.training_side
      metrics.json       accuracy on instances never trained on
      CARD.md            what it was trained on and where it fails
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Self

from satcost_gnn import __version__
from satcost_gnn.errors import CheckpointError

FORMAT_VERSION = 1
#: Environment variable that names a directory of checkpoints, looked at before the package's own.
CHECKPOINT_DIRECTORY = "SATCOST_CHECKPOINTS"


@dataclass(frozen=True)
class CheckpointConfig:
    """``config.json`` of a checkpoint.

    Parameters
    ----------
    name, version
        Together the directory's name, ``<name>-v<version>``.
    solvers
        Solvers whose cost is predicted, in the order of every array.
    probe_solver
        The one of them that the probe runs.
    units
        Cost units that can be asked for; the first is the default.
    cutoffs
        Default budget of ``p_solved`` by unit, in the unit: the limit that the training labels were measured under.
    chain
        Estimators in the order in which they are tried.
    preprocess
        Settings of :class:`satcost_gnn.preprocess.PreprocessSettings` as nested dictionaries.
    preprocess_key
        Its key when the checkpoint was made; a package that preprocesses differently must not use it.
    training
        What it was trained on: data set, hashes of its tables, split, numbers of instances.
    files
        sha256 of every other file of the directory.
    """

    name: str
    version: int
    solvers: tuple[str, ...]
    probe_solver: str
    units: tuple[str, ...]
    cutoffs: dict[str, float]
    chain: tuple[str, ...]
    preprocess: dict[str, Any]
    preprocess_key: str
    training: dict[str, Any]
    format_version: int = FORMAT_VERSION
    package_version: str = __version__
    files: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and version, as in the output's column ``checkpoint``."""
        return f"{self.name}-v{self.version}"

    @classmethod
    def from_dict(cls, found: dict[str, Any], source: str) -> Self:
        """Build it from the JSON.

        Raises
        ------
        CheckpointError
            If it is of a newer format, or incomplete.
        """
        version = found.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise CheckpointError(
                f"{source}: found format version {version!r}, expected at most {FORMAT_VERSION}; "
                "install a newer satcost-gnn"
            )
        try:
            values: dict[str, Any] = {
                k: tuple(v) if k in ("solvers", "units", "chain") else v for k, v in found.items()
            }
            return cls(**values)
        except TypeError as error:
            raise CheckpointError(f"{source}: {error}; expected the keys of a checkpoint's config.json") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name not in ("CARD.md",) and path != directory / "config.json":
            yield path


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory and its configuration."""

    directory: Path
    config: CheckpointConfig

    @classmethod
    def open(cls, where: str | Path | None = None) -> Checkpoint:
        """Open a checkpoint by directory or by name; None for the default one.

        Raises
        ------
        CheckpointError
            If there is none there, or it can't be used by this version of the package.
        """
        directory = find_checkpoint(where)
        path = directory / "config.json"
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            raise CheckpointError(f"{path}: found no such file; expected a checkpoint's config.json") from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
        return cls(directory, CheckpointConfig.from_dict(found, str(path)))

    def check_files(self) -> list[str]:
        """Return what is missing or differs from when the checkpoint was made; empty if all is well."""
        problems = []
        for name, expected in self.config.files.items():
            path = self.directory / name
            if not path.is_file():
                problems.append(f"{path} is missing")
            elif _sha256(path) != expected:
                problems.append(f"{path} differs from when the checkpoint was made")
        return problems

    def read_json(self, name: str) -> Any:
        """Read one of the directory's JSON files.

        Raises
        ------
        CheckpointError
            If it is missing or not JSON.
        """
        path = self.directory / name
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error

    @classmethod
    def write(cls, staging: Path, target: Path, config: CheckpointConfig) -> Checkpoint:
        """Finish a checkpoint: write ``config.json`` with the hashes of all files, and move it into place.

        Raises
        ------
        CheckpointError
            If ``target`` exists: checkpoints are never overwritten.
        """
        if target.exists():
            raise CheckpointError(f"{target} exists; checkpoints are never overwritten, choose the next version")
        hashes = {str(path.relative_to(staging)): _sha256(path) for path in _files(staging)}
        full = CheckpointConfig(**{**asdict(config), "files": hashes})
        (staging / "config.json").write_text(json.dumps(asdict(full), indent=2, sort_keys=True) + "\n")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(staging, target)
        return cls(target, full)


def checkpoint_directories() -> list[Path]:
    """Return the directories that are searched for checkpoints by name, first the user's."""
    found = []
    if named := os.environ.get(CHECKPOINT_DIRECTORY):
        found.append(Path(named))
    package = Path(str(resources.files("satcost_gnn")))
    found += [package / "_checkpoints", package.parent / "checkpoints"]
    return [path for path in found if path.is_dir()]


def _version(directory: Path) -> tuple[str, int]:
    name, _, number = directory.name.rpartition("-v")
    return name, int(number) if number.isdecimal() else -1


def find_checkpoint(where: str | Path | None = None) -> Path:
    """Return the directory of a checkpoint.

    Parameters
    ----------
    where
        A directory; a name with or without its version (the newest version is taken); None for the newest version of
        whatever ships with the package.

    Raises
    ------
    CheckpointError
        If it isn't found.
    """
    if where is not None and Path(where).is_dir():
        return Path(where)
    known = [path for root in checkpoint_directories() for path in root.iterdir() if (path / "config.json").is_file()]
    if where is None:
        chosen = known
    else:
        chosen = [path for path in known if path.name == str(where) or _version(path)[0] == str(where)]
    if not chosen:
        listed = ", ".join(sorted(path.name for path in known)) or "none"
        wanted = "at all" if where is None else repr(str(where))
        raise CheckpointError(f"found no checkpoint {wanted}; expected a directory or one of: {listed}")
    return max(chosen, key=_version)
