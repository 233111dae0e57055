"""The contract of every estimator: fit on a table of instances with labels, predict distributions over cost.

An estimator is trained on instances that the probe did not solve, and predicts for such instances. It says by ``needs``
what an instance must have. It is saved as JSON and arrays, never as a pickle.
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import GRIDS, CostDistribution, CostGrid, grid_for
from satcost_gnn.errors import CheckpointError, DamagedFileError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.stored_estimator import FORMAT, EstimatorHeader, read_header
from satcost_gnn.runtime.stored_files import read_arrays

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]

#: What an estimator can need of an instance.
NEEDS = frozenset({"static", "online", "trace", "graph"})

_HEADER = "estimator.json"
_ARRAYS = "arrays.npz"


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Instances with what each solver's run on them cost.

    Parameters
    ----------
    instances
        ``n`` instances; what learns from the early search learns from those that the probe did not solve.
    solvers
        Names, in the order of the columns.
    unit
        Unit of the cost.
    cost
        ``float64[n, n_solvers]``: log10 of the cost, for a censored run log10 of the bound. Ignored where not known.
    censored
        ``bool[n, n_solvers]``: the run stopped unsolved at that cost.
    known
        ``bool[n, n_solvers]``: whether there is such a run at all.
    groups
        Family of each instance.
    satisfiable
        ``int8[n]``: 1 satisfiable, 0 unsatisfiable, -1 unknown.
    limit_s
        ``float64[n]``: the largest CPU limit, in seconds, of an instance's runs; 0 where that is unknown, the default.

    Raises
    ------
    EstimatorError
        If the shapes don't fit each other, the unit is unknown, or a known cost is not a finite number.
    """

    instances: list[Instance]
    solvers: tuple[str, ...]
    unit: str
    cost: Floats
    censored: Bools
    known: Bools
    groups: list[str]
    satisfiable: NDArray[np.int8]
    limit_s: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n, m = len(self.instances), len(self.solvers)
        if self.unit not in GRIDS:
            raise EstimatorError(f"training table: found cost unit {self.unit!r}; expected one of {', '.join(GRIDS)}")
        if len(set(self.solvers)) != m or not m:
            raise EstimatorError(f"training table: found solvers {self.solvers}; expected at least one, each once")
        cost = np.array(self.cost, dtype=np.float64)
        censored = np.array(self.censored, dtype=bool)
        known = np.array(self.known, dtype=bool)
        for name, array in (("cost", cost), ("censored", censored), ("known", known)):
            if array.shape != (n, m):
                raise EstimatorError(
                    f"training table: found {name} of shape {array.shape}; expected ({n}, {m}), instances by solvers"
                )
        if not np.isfinite(cost[known]).all():
            raise EstimatorError("training table: found a known cost that is no finite number; mark it as not known")
        groups = list(self.groups)
        answer = np.asarray(self.satisfiable)
        if len(groups) != n or answer.shape != (n,):
            raise EstimatorError(
                f"training table: found {len(groups)} groups and answers of shape {answer.shape}; expected {n} of each"
            )
        limit_s = np.asarray(self.limit_s, dtype=np.float64) if len(self.limit_s) else np.zeros(n)
        if limit_s.shape != (n,) or not (limit_s >= 0).all():
            raise EstimatorError(f"training table: found limits of shape {limit_s.shape}; expected {n} numbers >= 0")
        if not np.isin(answer, (-1, 0, 1)).all():
            raise EstimatorError("training table: 'satisfiable' must hold 1, 0 or -1 (unknown)")
        for name, value in (
            ("instances", list(self.instances)),
            ("solvers", tuple(self.solvers)),
            ("cost", cost),
            ("censored", censored),
            ("known", known),
            ("groups", groups),
            ("satisfiable", answer.astype(np.int8)),
            ("limit_s", limit_s),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def grid(self) -> CostGrid:
        """The shared grid of the unit."""
        return grid_for(self.unit)

    def subset(self, indices: ArrayLike) -> TrainingTable:
        """Return the table of some instances, by index (in the order given) or by a boolean mask."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        return replace(
            self,
            instances=[self.instances[i] for i in chosen],
            cost=self.cost[chosen],
            censored=self.censored[chosen],
            known=self.known[chosen],
            groups=[self.groups[i] for i in chosen],
            satisfiable=self.satisfiable[chosen],
            limit_s=self.limit_s[chosen],
        )

    def joined(self, other: TrainingTable) -> TrainingTable:
        """Return the rows of this table and those of another below them; EstimatorError for another unit or solvers."""
        if (other.unit, other.solvers) != (self.unit, self.solvers):
            raise EstimatorError(
                f"training table: found costs of {', '.join(other.solvers)} in {other.unit}; expected those of "
                f"{', '.join(self.solvers)} in {self.unit}"
            )
        return replace(
            self,
            instances=[*self.instances, *other.instances],
            cost=np.concatenate([self.cost, other.cost]),
            censored=np.concatenate([self.censored, other.censored]),
            known=np.concatenate([self.known, other.known]),
            groups=[*self.groups, *other.groups],
            satisfiable=np.concatenate([self.satisfiable, other.satisfiable]),
            limit_s=np.concatenate([self.limit_s, other.limit_s]),
        )


class Estimator(ABC):
    """Predicts distributions over the cost of each of several solvers.

    Subclasses set ``name`` and ``needs``, take all settings as keyword arguments of the constructor and keep them in
    attributes of these names (or override :meth:`parameters`), and implement :meth:`_fit`, :meth:`_predict`,
    :meth:`_state` and :meth:`_restore`. Fitting and predicting are deterministic for given settings.
    """

    #: Name in commands and tables.
    name: ClassVar[str] = ""
    #: What an instance must have, of :data:`NEEDS`. An estimator may narrow it for an object (by its settings).
    needs: frozenset[str] = frozenset()
    #: Whether a censored run counts as a bound; where not, it is left out or taken at its bound.
    censored: ClassVar[bool] = True
    #: Whether one fit predicts in several units (``for_unit``).
    multi_unit: ClassVar[bool] = False
    #: What of its needs it can do without in :meth:`predict_variants`.
    can_miss: frozenset[str] = frozenset()
    #: Whether it may be asked about instances far outside of the training data. An object may differ (by its settings).
    for_new: bool = True

    _solvers: tuple[str, ...] | None = None
    _unit: str = ""

    # What users call --------------------------------------------------------------------------------------------------

    @property
    def is_fitted(self) -> bool:
        """Whether it has been fitted or loaded."""
        return self._solvers is not None

    @property
    def solvers(self) -> tuple[str, ...]:
        """Solvers in the order of the predictions' last axis; EstimatorError before fitting."""
        if self._solvers is None:
            raise EstimatorError(f"estimator {self.name!r} is not fitted; call fit() or load() first")
        return self._solvers

    @property
    def unit(self) -> str:
        """Unit of the cost; EstimatorError before fitting."""
        return self._unit if self.solvers else ""

    @property
    def grid(self) -> CostGrid:
        """Grid of the predictions; EstimatorError before fitting."""
        return grid_for(self.unit)

    def parameters(self) -> dict[str, Any]:
        """Return the settings: keyword arguments that construct an equal, unfitted estimator; plain JSON values."""
        names = inspect.signature(type(self)).parameters
        if missing := [name for name in names if not hasattr(self, name)]:
            raise EstimatorError(
                f"estimator {self.name!r}: found no attribute {missing[0]!r}, expected each setting under its name; or "
                "override parameters()"
            )
        return {name: getattr(self, name) for name in names}

    def fit(self, table: TrainingTable) -> Self:
        """Learn from a table.

        Raises
        ------
        EstimatorError
            If the table is empty, a solver has no run in it, or an instance lacks what the estimator needs.
        """
        if not len(table):
            raise EstimatorError(f"estimator {self.name!r}: the training table is empty")
        for column, solver in enumerate(table.solvers):
            if not table.known[:, column].any():
                raise EstimatorError(f"estimator {self.name!r}: the training table has no run of solver {solver!r}")
        self._solvers, self._unit = table.solvers, table.unit
        try:
            self._fit(table)
        except BaseException:
            self._solvers = None
            raise
        return self

    def predict(self, instances: Sequence[Instance]) -> CostDistribution:
        """Predict the cost of each solver: a distribution of shape ``(n_instances, n_solvers)``.

        The instances are ones that the probe did not solve and that have what the estimator needs.

        Raises
        ------
        EstimatorError
            If it isn't fitted or an instance lacks what it needs.
        """
        shape = (len(instances), len(self.solvers))
        if not instances:
            return CostDistribution(self.grid, np.zeros((*shape, self.grid.bins + 1)))
        found = self._predict(list(instances))
        if found.shape != shape or found.grid != self.grid:
            raise EstimatorError(
                f"estimator {self.name!r} predicted {found.shape} in {found.grid.unit}; expected {shape} in {self.unit}"
            )
        return found

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance, which differ in their features only; see :meth:`predict`.

        An estimator that reads the graph takes that of the first variant that has one for all, and does without where
        a variant's graph is None.
        """
        return self.predict(variants)

    def online_reading(self, instances: Sequence[Instance]) -> CostDistribution | None:
        """Return what it predicts from the early search alone, None if it has not learnt to."""
        del instances
        return None

    def parts(self) -> dict[str, Any]:
        """Return the fitted objects that it consists of, each saved on its own, by their roles: none for most."""
        return {}

    def out_of_fold(self, table: TrainingTable, folds: int | ArrayLike = 5, seed: int = 0) -> CostDistribution:
        """Predict every instance of a table by an estimator that was fitted without its fold; this one is not fitted.

        Parameters
        ----------
        folds
            Number of folds, to which whole groups (families) are assigned; or ``int[n]``, the fold of each instance.
        seed
            Seed of the assignment.
        """
        fold_of = group_folds(table.groups, folds, seed) if isinstance(folds, int) else np.asarray(folds)
        if fold_of.shape != (len(table),):
            raise EstimatorError(f"found folds of shape {fold_of.shape}; expected ({len(table)},), one an instance")
        names = np.unique(fold_of)
        if len(names) < 2:
            raise EstimatorError("found a single fold; expected at least 2, so that something is left to learn from")
        cdf = np.empty((len(table), len(table.solvers), table.grid.bins + 1))
        for fold in names:
            held_out = np.flatnonzero(fold_of == fold)
            fitted = self.clone().fit(table.subset(np.flatnonzero(fold_of != fold)))
            cdf[held_out] = fitted.predict([table.instances[i] for i in held_out]).cdf
        return CostDistribution(table.grid, cdf)

    def clone(self) -> Self:
        """Return an unfitted estimator with the same settings."""
        return type(self)(**self.parameters())

    def save(self, directory: Path, *, with_parts: bool = True) -> None:
        """Write the fitted estimator into a directory, as JSON and arrays, and its parts below it if they are wanted.

        EstimatorError if it isn't fitted.
        """
        solvers = list(self.solvers)
        state, arrays = self._state()
        parts = self.parts()
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        header = {
            "estimator": self.name,
            "format": FORMAT,
            "unit": self.unit,
            "solvers": solvers,
            "parameters": self.parameters(),
            "state": state,
        }
        if parts:
            header["parts"] = {role: part.name for role, part in parts.items()}
        text = json.dumps(header, sort_keys=True, allow_nan=False)
        for role, part in parts.items() if with_parts else ():
            part.save(directory / role)
        if arrays:
            np.savez_compressed(directory / _ARRAYS, allow_pickle=False, **arrays)
        (directory / _HEADER).write_text(text + "\n")

    @classmethod
    def load(cls, directory: Path, *, parts: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Read a fitted estimator from a directory that :meth:`save` wrote.

        Parameters
        ----------
        parts
            What it consists of, by role; None where that lies below the directory.
        options
            Where and how to run it, for estimators that take such options (the network's ``device``).

        Raises
        ------
        CheckpointError
            If the directory is incomplete, damaged, or of another estimator or a newer format.
        """
        if options:
            raise EstimatorError(f"estimator {cls.name!r} takes no options; found {', '.join(sorted(options))}")
        path = Path(directory) / _HEADER
        header = read_header(path, EstimatorHeader, cls.name)
        array_path = Path(directory) / _ARRAYS
        arrays: Arrays = read_arrays(array_path) if array_path.exists() else {}
        try:
            estimator = cls(**header.parameters)
            estimator._solvers, estimator._unit = header.solvers, header.unit
            grid_for(estimator._unit)
            estimator._restore(header.state, arrays)
            if set(header.parts) != set(estimator.parts()):
                raise ValueError(f"found parts {sorted(header.parts)}; expected {sorted(estimator.parts())}")
            if header.parts:
                estimator._take(_read_parts(Path(directory), header.parts) if parts is None else parts)
        except (CheckpointError, ImportError):
            raise
        except Exception as error:
            # What estimators raise for values that they have not written is no closed list.
            raise DamagedFileError(
                f"{directory}: the saved estimator {cls.name!r} is damaged or of another version, and is to be trained "
                f"again: {type(error).__name__}: {error}"
            ) from error
        return estimator

    # What subclasses implement ----------------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, table: TrainingTable) -> None:
        """Learn from a checked table; ``solvers`` and ``unit`` are set."""

    @abstractmethod
    def _predict(self, instances: list[Instance]) -> CostDistribution:
        """Predict for at least one instance; shape ``(n_instances, n_solvers)``."""

    def _take(self, parts: Mapping[str, Any]) -> None:
        """Take the parts that were saved, after :meth:`_restore`; ValueError if they don't fit it."""
        raise NotImplementedError(f"{type(self).__name__} has no parts")

    def _check_part(self, role: str, part: Estimator) -> None:
        """Refuse a part for other solvers, in another order or another unit."""
        if (part.solvers, part.unit) != (self.solvers, self.unit):
            raise ValueError(
                f"found part {role!r} for {', '.join(part.solvers)} in {part.unit}: other solvers, or another unit; "
                f"expected {', '.join(self.solvers)} in {self.unit}"
            )

    def _narrow(self, parts: Iterable[Estimator]) -> None:
        """Need, miss and be asked what all parts do."""
        parts = list(parts)
        self.needs = frozenset[str]().union(*(part.needs for part in parts))
        self.can_miss = frozenset(
            need for need in self.needs if all(need not in part.needs or need in part.can_miss for part in parts)
        )
        self.for_new = all(part.for_new for part in parts)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what was learnt as plain JSON values and arrays; nothing where only the parts learn."""
        if type(self).parts is Estimator.parts:
            raise EstimatorError(f"estimator {self.name!r}: found no _state(), expected it and _restore(), or parts()")
        return {}, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:  # noqa: B027
        """Take back what :meth:`_state` returned."""


def _read_parts(directory: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    # The registry imports this module.
    from satcost_gnn.learn.registry import load_part

    return {role: load_part(kind, directory / PurePosixPath(role).name) for role, kind in kinds.items()}


#: Name -> class, of the estimators whose modules have been imported (all: :mod:`satcost_gnn.learn.registry`).
ESTIMATORS: dict[str, type[Estimator]] = {}

EstimatorType = TypeVar("EstimatorType", bound=type[Estimator])


def register(cls: EstimatorType) -> EstimatorType:
    """Add an estimator class to the registry under its name (a decorator).

    EstimatorError if the class has no name, names an unknown need, or another class has its name.
    """
    if not cls.name:
        raise EstimatorError(f"{cls.__name__} has no name to be registered under")
    unknown = cls.needs - NEEDS
    if unknown:
        raise EstimatorError(f"{cls.__name__} needs {sorted(unknown)}; expected some of {sorted(NEEDS)}")
    other = ESTIMATORS.get(cls.name)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise EstimatorError(f"the name {cls.name!r} of {cls.__name__} is taken by {other.__name__}")
    ESTIMATORS[cls.name] = cls
    return cls


def group_folds(groups: Sequence[str], folds: int, seed: int = 0) -> Integers:
    """Deal whole groups into folds of about equal size and return ``int64[n]``, the fold of each instance.

    With fewer groups than folds (at least 2) there are only as many folds as groups. The seed orders groups of equal
    size.
    """
    if folds < 2:
        raise EstimatorError(f"found {folds} folds; expected at least 2")
    names, member, sizes = np.unique(np.asarray(groups, dtype=object), return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    load = np.zeros(folds, dtype=np.int64)
    fold_of_group = np.zeros(len(names), dtype=np.int64)
    # Largest group first, always into the emptiest fold.
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold = int(np.argmin(load))
        fold_of_group[group] = fold
        load[fold] += sizes[group]
    return fold_of_group[member]


def columns(distributions: Sequence[CostDistribution]) -> CostDistribution:
    """Join the distributions of single solvers, each of shape ``(n,)``, to one of shape ``(n, n_solvers)``."""
    return CostDistribution.stack(distributions, axis=1)
