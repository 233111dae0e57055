"""What a shipped model is on disk: one directory that holds everything a prediction needs, and nothing pickled.

::

    <name>-v<N>/
      config.json        format, solvers, units, members and what they consist of, preprocessing, hashes of all files
      <member>/          an estimator, such as `gnn` (the network) or `conflicts/forest`, each stored once
      <unit>/probe_offset.json   what other solvers cost where the probe has solved the instance, relative to the probe
      calibration.json   calibration maps by unit and estimator
      ood_detector/      what the training data looks like, to tell an instance unlike any of it
      background.npz     features of a few training instances, which explanations compare with
      portfolio.json     what the solvers are worth as a portfolio: see satcost_gnn.decide.training_statistics
      metrics.json       accuracy on instances never trained on
      CARD.md            what it was trained on and where it fails

Every file but the card is compared with its hash when a checkpoint is opened. A damaged estimator is passed over by
whoever tries the chain; anything else that is damaged makes the checkpoint unusable.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from satcost_gnn import __version__
from satcost_gnn.errors import CheckpointError, ConfigError, DamagedFileError
from satcost_gnn.features.spec import FeatureSpec, FeatureVersions, PreprocessLimits, PreprocessSettings
from satcost_gnn.learn.stored_estimator import STRUCTURE
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.runtime.stored_files import checked, parse_json, read_bytes, read_json, read_json_object, sha256
from satcost_gnn.section import Section
from satcost_gnn.serve.members import DETECTOR, Member, with_parts

FORMAT_VERSION = 4
#: Environment variable that names a directory of checkpoints, looked at before the package's own.
CHECKPOINT_DIRECTORY = "SATCOST_CHECKPOINTS"

_CONFIG = "config.json"
_OWN_HASH = "sha256"
_ADVICE = (
    "get the checkpoint again (one that ships with the package: install satcost-gnn again), or, if it was changed on "
    "purpose, write its hashes anew with Checkpoint.seal"
)


class CheckpointConfig(Section):
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
    members
        Name of each estimator, which is its directory -> what it is and consists of.
    chain
        Estimators in the order in which they are tried: each is a member of that name below a unit, or for all units.
    features, limits
        What was computed of instances, and what that may cost: :class:`~satcost_gnn.features.spec.FeatureSpec` and
        :class:`~satcost_gnn.features.spec.PreprocessLimits` as nested dictionaries.
    feature_versions
        :class:`~satcost_gnn.features.spec.FeatureVersions` when the checkpoint was made.
    training
        What it was trained on: data set, hashes of its tables, split, numbers of instances.
    format_version, package_version
        Of this file, and of the package that wrote it.
    files
        sha256 of every other file of the directory but the card.
    sha256
        Of all other values of this file.
    label_bounds
        Largest cost that the training labels tell about, by unit: see :mod:`satcost_gnn.core.observed`.
    solver_correlation
        Unit -> correlation between solvers of how far their costs lie from what is predicted, for instances that
        nothing was fitted to: see :mod:`satcost_gnn.core.common_factor`. A unit without one counts as 0.
    """

    name: str
    version: int
    solvers: tuple[str, ...] = Field(min_length=1, max_length=10_000)
    probe_solver: str
    units: tuple[str, ...] = Field(min_length=1)
    cutoffs: dict[str, float]
    members: dict[str, Member]
    chain: tuple[str, ...] = Field(min_length=1)
    features: dict[str, Any]
    feature_versions: dict[str, Any]
    limits: dict[str, Any]
    training: dict[str, Any]
    format_version: int = FORMAT_VERSION
    package_version: str = __version__
    files: dict[str, str] = Field(default_factory=dict)
    sha256: str = ""
    label_bounds: dict[str, float] = Field(default_factory=dict)
    solver_correlation: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(default_factory=dict)

    @field_validator("files")
    @classmethod
    def _inside(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{name!r} is no file of the directory")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name, values in (("solvers", self.solvers), ("units", self.units), ("chain", self.chain)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} must not name anything twice")
        without = [unit for unit in self.units if unit not in self.cutoffs]
        if without:
            raise ValueError(f"found no cutoff in {without[0]}")
        for name in self.members:
            with_parts(self.members, name)
        for name in self.chain:
            for unit in self.units:
                self.member_for(name, unit)
        return self

    def member_for(self, name: str, unit: str) -> str:
        """Return the member that an estimator is in a unit; ValueError if there is none."""
        found = next((one for one in (f"{unit}/{name}", name) if one in self.members), None)
        if found is None:
            raise ValueError(f"found no member {name!r} for predictions in {unit}")
        return found

    @property
    def estimators(self) -> tuple[str, ...]:
        """Names of all that can be asked for predictions: those of the chain, and further ones such as ``gnn``."""
        asked = (name for name, member in self.members.items() if member.kind != DETECTOR)
        names = {name.removeprefix(f"{self.units[0]}/") for name in asked}
        return (*self.chain, *sorted(one for one in names - {*self.chain} if "." not in one and "/" not in one))

    def chain_from(self, start: str | None, search: bool = True) -> tuple[str, ...]:
        """Return the chain from an estimator on; one that is not in it takes the place of the first.

        Parameters
        ----------
        start
            Its name; None for the first, or without ``search`` for the first of structure alone.
        search
            Whether there is an early search to predict from.

        Raises
        ------
        ConfigError
            If there is no such estimator.
        """
        if start is None and not search:
            start = next((name for name in (STRUCTURE, "forest_static") if name in self.chain), None)
        if start is None or start in self.chain:
            return self.chain[self.chain.index(start) if start else 0 :]
        if start not in self.estimators:
            known = ", ".join(self.estimators)
            raise ConfigError(f"estimator {start!r} is not in {self.label}; expected one of {known}")
        return (start, *self.chain[1:])

    @property
    def preprocessing(self) -> PreprocessSettings:
        """How instances are preprocessed for it; ConfigError if what it says of that is unknown."""
        return PreprocessSettings(FeatureSpec.from_dict(self.features), PreprocessLimits.from_dict(self.limits))

    def stale_features(self) -> list[str]:
        """Return what of the features means something else in this package than when the checkpoint was made."""
        return FeatureVersions.today().differences(FeatureVersions.from_dict(self.feature_versions))

    def bound(self, unit: str) -> float:
        """Return the largest cost in a unit that the labels tell about; infinity where that isn't said."""
        limit = self.cutoffs.get(unit, math.inf) if unit == "cpu_seconds" else math.inf
        return self.label_bounds.get(unit, limit)

    def solver_bounds(self, unit: str, factor: float = 1.0) -> dict[str, float]:
        """Return solver -> the largest cost in a unit that its own labels tell about, where that is nearer.

        A solver whose labels reach at least half as far as those that reach furthest has the bound of all.

        Parameters
        ----------
        unit
            Cost unit.
        factor
            What the bounds are multiplied by: how much slower than the training machine this one is.
        """
        reach = self.training.get("reach", {}).get(unit, {})
        bound = self.bound(unit)
        return {solver: factor * float(own) for solver, own in reach.items() if 2.0 * own < bound}

    @property
    def label(self) -> str:
        """Name and version, as in the output's column ``checkpoint``."""
        return f"{self.name}-v{self.version}"

    @classmethod
    def from_dict(cls, found: Any, source: str) -> Self:
        """Build it from the JSON.

        Raises
        ------
        CheckpointError
            If it is of a newer format, has an unknown key, lacks one, or a value is not what it should be.
        """
        version = found.get("format_version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError(
                f"{source}: found format version {version!r}, expected at most {FORMAT_VERSION}; "
                "install a newer satcost-gnn"
            )
        if isinstance(version, int) and version < FORMAT_VERSION:
            raise CheckpointError(
                f"{source}: found format version {version}, expected {FORMAT_VERSION}; train it again, or "
                "use the version of satcost-gnn that wrote it"
            )
        return checked(cls, found, source)


def _own_hash(values: Mapping[str, Any]) -> str:
    """Return the hash of a configuration without the one that it states."""
    others = {key: value for key, value in values.items() if key != _OWN_HASH}
    return hashlib.sha256(json.dumps(others, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name not in ("CARD.md",) and path != directory / _CONFIG:
            yield path


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory and its configuration."""

    directory: Path
    config: CheckpointConfig

    @classmethod
    def open(cls, where: str | Path | None = None) -> Checkpoint:
        """Open a checkpoint by directory or by name; None for the default one.

        An estimator's files are looked at when it is asked for (:meth:`member`): most commands load few of them.

        Raises
        ------
        CheckpointError
            If there is none there, it can't be used by this version of the package, or a file that no estimator can do
            without is missing or damaged.
        """
        directory = find_checkpoint(where)
        path = directory / _CONFIG
        found = parse_json(read_bytes(path), str(path))
        config = CheckpointConfig.from_dict(found, str(path))
        if config.sha256 != _own_hash(found):
            raise DamagedFileError(f"{path}: it differs from when the checkpoint was made; {_ADVICE}")
        opened = cls(directory, config)
        for problem in opened._problems(of=""):
            raise DamagedFileError(f"{problem}; {_ADVICE}")
        return opened

    def _problems(self, of: str | None = None) -> Iterator[str]:
        """Yield what is wrong with the files of one member, or of none (empty); None for all files."""
        for name, expected in self.config.files.items():
            member = PurePosixPath(name).parent.as_posix()
            if of is not None and (member if member in self.config.members else "") != of:
                continue
            path = self.directory / name
            try:
                if sha256(path) != expected:
                    yield f"{path}: it differs from when the checkpoint was made"
            except DamagedFileError as error:
                yield str(error)

    @property
    def identity(self) -> str:
        """Name and version, and a digest of the configuration, which holds the hashes of all other files."""
        return f"{self.config.label} {sha256(self.directory / 'config.json')[:16]}"

    def check_files(self) -> list[str]:
        """Return what is missing or differs from when the checkpoint was made; empty if all is well."""
        return list(self._problems())

    def member(self, name: str) -> Path:
        """Return the directory of a member.

        Raises
        ------
        CheckpointError
            If one of its files is missing or differs from when the checkpoint was made.
        """
        if problems := list(self._problems(of=name)):
            raise DamagedFileError("; ".join(problems))
        return self.directory / name

    def read_json(self, name: str) -> Any:
        """Read one of the directory's JSON files.

        Raises
        ------
        CheckpointError
            If it is missing or not JSON.
        """
        return read_json(self.directory / name)

    @classmethod
    def seal(cls, directory: Path, config: CheckpointConfig | None = None) -> Checkpoint:
        """Write ``config.json`` with the hashes of all files as they are; without ``config`` it says what it did."""
        path = directory / _CONFIG
        if config is None:
            config = CheckpointConfig.from_dict(read_json_object(path), str(path))
        hashes = {path.relative_to(directory).as_posix(): sha256(path) for path in _files(directory)}
        updated = config.model_copy(update={"files": hashes, "format_version": FORMAT_VERSION})
        values = updated.model_dump(mode="json")
        values[_OWN_HASH] = _own_hash(values)
        write_json(path, values, indent=2, sort_keys=True)
        return cls(directory, CheckpointConfig.from_dict(values, str(path)))

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
        sealed = cls.seal(staging, config)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(staging, target)
        return cls(target, sealed.config)


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
