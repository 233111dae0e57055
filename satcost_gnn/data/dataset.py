"""A data set directory: manifest, runs and splits, and what is made of them.

A cost is only known where a solver has answered. A run that a limit has ended is *censored*: its cost is larger than
what it used. A run that crashed, or of a solver that can't take the formula, says nothing about the cost. Instances
that one solver calls satisfiable and another unsatisfiable are kept in quarantine: one of the answers is wrong, so
none of their costs is used.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.run_outcome import survived_s
from satcost_gnn.data.schema import (
    ManifestRow,
    Run,
    RunStatus,
    read_manifest,
    read_runs,
    write_manifest,
    write_runs,
)
from satcost_gnn.data.splits import Splits
from satcost_gnn.errors import DatasetError, FormulaError
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.runtime.file_names import unescaped

MANIFEST_FILE = "manifest.parquet"
RUNS_FILE = "runs.parquet"
SPLITS_FILE = "splits.json"
INDEX_FILE = "INDEX.csv"

# Below the resolution of a process's CPU clock a time says nothing; its logarithm must not either.
SHORTEST_S = 1e-3


class CostUnit(StrEnum):
    """What a cost is counted in."""

    CONFLICTS = "conflicts"
    DECISIONS = "decisions"
    PROPAGATIONS = "propagations"
    CPU_SECONDS = "cpu_seconds"

    @classmethod
    def of(cls, unit: str) -> CostUnit:
        """Return the unit of this name.

        Raises
        ------
        DatasetError
            If there is none.
        """
        try:
            return cls(unit)
        except ValueError:
            raise DatasetError(f"found unit {unit!r}, expected one of {', '.join(cls)}") from None


class CostMatrix(NamedTuple):
    """Costs of instances (rows) for solvers (columns).

    Parameters
    ----------
    cost
        ``float64[n, s]``: log10 of the cost; of its lower bound where censored, NaN where unknown.
    censored
        ``bool[n, s]``: the cost is larger than the bound.
    known
        ``bool[n, s]``: there is a cost or a bound.
    """

    cost: NDArray[np.float64]
    censored: NDArray[np.bool_]
    known: NDArray[np.bool_]


class Located(NamedTuple):
    """Where the files of instances were found.

    Parameters
    ----------
    paths
        Instance -> file.
    missing
        Instances whose file wasn't found, but for those that are made from their recipe.
    wrong
        Instance -> file at its path in the manifest that holds something else.
    """

    paths: Mapping[str, Path]
    missing: tuple[str, ...]
    wrong: Mapping[str, Path]


def run_cost(run: Run, unit: CostUnit | str) -> tuple[float, bool] | None:
    """Return the cost of a run in ``unit`` (not a logarithm) and whether it is a lower bound; None if unknown.

    Counts are at least 1 and times at least a millisecond, so that they have a logarithm. The bound of a run that ran
    into a limit is the count that it had reached; in CPU seconds it is the CPU limit, or the time used if the
    wall-clock limit struck well before. A run out of memory wouldn't have answered with more time: its bound in CPU
    seconds is the limit too.
    """
    status = run.status
    if not (status.solved or status.censored):
        return None
    unit = CostUnit.of(unit)
    if unit is CostUnit.CPU_SECONDS:
        return max(run.cpu_s if status.solved else survived_s(run), SHORTEST_S), status.censored
    count: int | None = getattr(run, unit)
    return None if count is None else (float(max(1, count)), status.censored)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Parameters
    ----------
    directory
        Where it is kept.
    manifest
        Its instances, sorted by identity.
    runs
        Its runs, sorted by key.
    splits
        Its splits, None before they are made.
    """

    directory: Path
    manifest: tuple[ManifestRow, ...]
    runs: tuple[Run, ...] = ()
    splits: Splits | None = None

    @classmethod
    def open(cls, directory: Path | str) -> Self:
        """Read a data set; the runs and splits may not be there yet.

        Raises
        ------
        DatasetError
            If the directory holds no manifest, or a file in it can't be read.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise DatasetError(f"{directory}: found no such directory, expected a data set")
        if not (directory / MANIFEST_FILE).exists():
            raise DatasetError(f"{directory}: found no {MANIFEST_FILE}, expected a data set; collect or generate one")
        runs, splits = directory / RUNS_FILE, directory / SPLITS_FILE
        return cls(
            directory,
            tuple(read_manifest(directory / MANIFEST_FILE)),
            tuple(read_runs(runs)) if runs.exists() else (),
            Splits.read(splits) if splits.exists() else None,
        )

    def write(self, directory: Path | str | None = None) -> None:
        """Write all tables, each atomically, to ``directory`` or to where the data set was read from.

        Raises
        ------
        DatasetError
            If they can't be written.
        """
        target = self.directory if directory is None else Path(directory)
        write_manifest(target / MANIFEST_FILE, self.manifest)
        write_runs(target / RUNS_FILE, self.runs)
        if self.splits is not None:
            self.splits.write(target / SPLITS_FILE)

    @cached_property
    def by_instance(self) -> Mapping[str, ManifestRow]:
        """Instance -> its row of the manifest."""
        return {row.instance: row for row in self.manifest}

    @cached_property
    def runs_of(self) -> Mapping[str, tuple[Run, ...]]:
        """Instance -> its runs (instances without runs are absent)."""
        collected: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            collected[run.instance].append(run)
        return {instance: tuple(runs) for instance, runs in collected.items()}

    @cached_property
    def contradictions(self) -> Mapping[str, str]:
        """Instance whose runs contradict each other, over all solvers, seeds and limits -> a line that says so."""
        found = {}
        for instance, runs in sorted(self.runs_of.items()):
            answers = {
                status: ", ".join(sorted({run.solver for run in runs if run.status is status}))
                for status in (RunStatus.SAT, RunStatus.UNSAT)
            }
            if all(answers.values()):
                told = ", ".join(f"{status} by {solvers}" for status, solvers in answers.items())
                found[instance] = f"{instance}: {told}; in quarantine until one of them is taken out"
        return found

    @cached_property
    def quarantined(self) -> frozenset[str]:
        """Instances whose costs are not used, because their runs contradict each other."""
        return frozenset(self.contradictions)

    @cached_property
    def instances(self) -> tuple[str, ...]:
        """Identities of the instances in the order of the manifest, without those in quarantine."""
        return tuple(row.instance for row in self.manifest if row.instance not in self.quarantined)

    @cached_property
    def solvers(self) -> tuple[str, ...]:
        """Solvers that have runs, those with most runs first."""
        counts: dict[str, int] = defaultdict(int)
        for run in self.runs:
            counts[run.solver] += 1
        return tuple(sorted(counts, key=lambda name: (-counts[name], name)))

    def families(self, instances: Sequence[str] | None = None) -> list[str]:
        """Return the family of each instance (by default of :attr:`instances`)."""
        return [self._row(instance).family for instance in (self.instances if instances is None else instances)]

    def satisfiable(self, instances: Sequence[str] | None = None) -> NDArray[np.int8]:
        """Return ``int8[n]``: 1 satisfiable, 0 unsatisfiable, -1 not known (or contradicted)."""
        chosen = self.instances if instances is None else instances
        answers = np.full(len(chosen), -1, dtype=np.int8)
        for k, instance in enumerate(chosen):
            statuses = {run.status for run in self.runs_of.get(instance, ())}
            if instance in self.quarantined:
                continue
            if RunStatus.SAT in statuses:
                answers[k] = 1
            elif RunStatus.UNSAT in statuses:
                answers[k] = 0
        return answers

    def _row(self, instance: str) -> ManifestRow:
        try:
            return self.by_instance[instance]
        except KeyError:
            raise DatasetError(
                f"{self.directory}: found no instance {instance!r} in {MANIFEST_FILE}, expected an identity from it"
            ) from None

    def cost_matrix(
        self,
        solvers: Sequence[str] | None = None,
        unit: CostUnit | str = CostUnit.CONFLICTS,
        seed: int = 0,
        instances: Sequence[str] | None = None,
    ) -> CostMatrix:
        """Return the log10 costs of instances for solvers.

        Of several runs that differ by their limit only, one with an answer counts before one that was cut off, and of
        those cut off the one with the highest bound. Instances in quarantine are unknown throughout.

        Parameters
        ----------
        solvers
            Columns; all by default.
        unit
            ``conflicts``, ``decisions``, ``propagations`` or ``cpu_seconds``.
        seed
            Seed of the runs.
        instances
            Rows; :attr:`instances` by default.

        Raises
        ------
        DatasetError
            If a solver has no runs at all, the unit is unknown, or an instance is not in the manifest.
        """
        unit = CostUnit.of(unit)
        columns = {name: k for k, name in enumerate(self.solvers if solvers is None else solvers)}
        for name in columns:
            if name not in self.solvers:
                raise DatasetError(
                    f"{self.directory}: found no runs of solver {name!r}, expected one of {', '.join(self.solvers)}"
                )
        chosen = self.instances if instances is None else instances
        cost = np.full((len(chosen), len(columns)), np.nan)
        censored = np.zeros(cost.shape, dtype=np.bool_)
        known = np.zeros(cost.shape, dtype=np.bool_)
        for i, instance in enumerate(chosen):
            self._row(instance)
            if instance in self.quarantined:
                continue
            for run in self.runs_of.get(instance, ()):
                k = columns.get(run.solver)
                if k is None or run.seed != seed:
                    continue
                found = run_cost(run, unit)
                if found is None:
                    continue
                value, bound = np.log10(found[0]), found[1]
                better = not known[i, k] or (censored[i, k] and (not bound or value > cost[i, k]))
                if better:
                    cost[i, k], censored[i, k], known[i, k] = value, bound, True
        return CostMatrix(cost, censored, known)

    def locate(self, root: Path | str, instances: Sequence[str] | None = None, *, verify: bool = False) -> Located:
        """Find the files of instances under a directory.

        A file is looked for at its path in the manifest; then by identity in an ``INDEX.csv`` (columns ``file`` and
        ``gbdhash``) in the root. Files that are not found are reported, not raised.

        Parameters
        ----------
        root
            Directory that the paths of the manifest are relative to, or that has an ``INDEX.csv``.
        instances
            Which to find; all of the manifest by default.
        verify
            Whether a file must have the identity; else it is taken as it is.

        Raises
        ------
        DatasetError
            If the root is no directory or an instance is not in the manifest.
        """
        root = Path(root)
        if not root.is_dir():
            raise DatasetError(f"{root}: found no such directory, expected the root of the instances' files")
        wanted = [self._row(name) for name in (self.by_instance if instances is None else instances)]
        paths: dict[str, Path] = {}
        wrong: dict[str, Path] = {}

        def fits(path: Path, instance: str) -> bool:
            try:
                return not verify or gbdhash(path) == instance
            except (FormulaError, OSError):
                return False

        for row in wanted:
            if row.path is not None and (path := root / unescaped(row.path)).is_file():
                (paths if fits(path, row.instance) else wrong)[row.instance] = path
        lost = {row.instance: row for row in wanted if row.instance not in paths}
        if lost:
            for instance, path in indexed_files(root):
                if instance in lost and path.is_file() and fits(path, instance):
                    paths[instance] = path
                    del lost[instance]
        missing = (name for name, row in lost.items() if row.path is not None or row.recipe is None)
        return Located(paths, tuple(missing), wrong)


def indexed_files(root: Path) -> Iterable[tuple[str, Path]]:
    """Yield identity and file of the formulas that a directory's ``INDEX.csv`` names, nothing if it has none.

    Raises
    ------
    DatasetError
        If the index can't be read.
    """
    path = root / INDEX_FILE
    if not path.is_file():
        return
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for record in csv.DictReader(stream):
                name, instance = record.get("file"), record.get("gbdhash")
                if name and instance and not (name.startswith("/") or ".." in name.split("/")):
                    yield instance, root / name
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as CSV ({error}); correct it or take it away") from error
