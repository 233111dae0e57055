"""Several data sets as one: own runs first, published runs of a solver's relatives where there is no own answer.

A published run was made on another machine by another program. It stands for a solver of ours by declaration
(``relatives``): its seconds are divided by the speed of its source as measured for that generation of solvers
(:mod:`~satcost_gnn.data.source_speed`), its conflicts are unknown, and it keeps the name of its source.

Splits can also follow those of another data set, so that what one is tested on the other is not trained on.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.run_outcome import survived_s
from satcost_gnn.data.schema import ManifestRow, Run
from satcost_gnn.data.source_speed import SourceSpeed, read_speeds
from satcost_gnn.data.split_groups import group_instances
from satcost_gnn.data.splits import EXCLUDED, Splits, make_splits
from satcost_gnn.errors import DatasetError

# A related instance on a later side takes the whole group with it.
_BY_STRICTNESS = ("train", "validation", "calibration", EXCLUDED, "test")


@dataclass(frozen=True, slots=True)
class Relatives:
    """Published solvers that stand for one of ours.

    Parameters
    ----------
    generation
        Generation of solvers whose measured speed converts their seconds.
    solvers
        Shell patterns of their names. All that match count alike: the one in the middle is taken.
    """

    generation: str
    solvers: tuple[str, ...]

    def matches(self, solver: str) -> bool:
        """Whether a published solver is one of them."""
        return any(fnmatchcase(solver, pattern) for pattern in self.solvers)


def declared_relatives(data: Mapping[str, Any]) -> dict[str, Relatives]:
    """Return solver of ours -> :class:`Relatives`, from the settings of a training (its table ``data``)."""
    return {
        solver: Relatives(found["generation"], tuple(found["solvers"]))
        for solver, found in data.get("relatives", {}).items()
    }


def join_datasets(datasets: Sequence[Dataset], relatives: Mapping[str, Relatives] | None = None) -> Dataset:
    """Return one data set with the instances and runs of several.

    Parameters
    ----------
    datasets
        At least one; where several describe an instance, the first one's row of the manifest counts. Identity and
        directory are those of the first.
    relatives
        Solver of ours -> published solvers that stand for it.

    Returns
    -------
    Dataset
        With all runs, and one more for each solver and instance that only relatives tell about (see
        :func:`borrowed_runs`). Related instances, over all data sets, are on one side: a group that any data set tests
        on is tested on, then that of the calibration, then of the validation side. Where data sets put the relatives
        into different folds of families, they are in none.

    Raises
    ------
    DatasetError
        If there is no data set, or only some have splits.
    """
    if not datasets:
        raise DatasetError("found no data set to join, expected at least one")
    first = datasets[0]
    if len(datasets) == 1 and not relatives:
        return first
    rows: dict[str, ManifestRow] = {}
    for part in datasets:
        for row in part.manifest:
            rows.setdefault(row.instance, row)
    manifest = tuple(rows[name] for name in sorted(rows))
    runs: dict[tuple[str, str, int, float], Run] = {}
    speeds: dict[str, SourceSpeed] = {}
    for part in datasets:
        speeds.update(read_speeds(part.directory))
        for run in part.runs:
            runs.setdefault((run.instance, run.solver, run.seed, run.cpu_limit_s), run)
    own = tuple(runs[key] for key in sorted(runs))
    borrowed = borrowed_runs(own, relatives or {}, speeds)
    return Dataset(first.directory, manifest, (*own, *borrowed), _joined_splits(datasets, manifest))


def borrowed_runs(
    runs: Iterable[Run], relatives: Mapping[str, Relatives], speeds: Mapping[str, SourceSpeed]
) -> tuple[Run, ...]:
    """Return what published runs tell about solvers of ours, in seconds of our machine.

    Parameters
    ----------
    runs
        Own runs (without a source) and published ones.
    relatives
        Solver of ours -> published solvers that stand for it.
    speeds
        Speed of each source.

    Returns
    -------
    tuple of Run
        One for each solver and instance that has no answer of its own: the relatives' middle run, censored at its
        limit if it is. An answer within what the solver itself survived contradicts it and is left out; so is a bound
        below its own.

    Raises
    ------
    DatasetError
        If the speed of a source that is needed is not known for the generation.
    """
    answered: set[tuple[str, str]] = set()
    survived: dict[tuple[str, str], float] = {}
    published: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.seed or not (run.status.solved or run.status.censored):
            continue
        if run.source:
            for solver, its in relatives.items():
                if its.matches(run.solver):
                    published[solver, run.instance].append(run)
        elif run.solver in relatives:
            key = (run.solver, run.instance)
            if run.status.solved:
                answered.add(key)
            else:
                survived[key] = max(survived.get(key, 0.0), survived_s(run))
    found = []
    for (solver, instance), candidates in sorted(published.items()):
        if (solver, instance) in answered:
            continue
        here = sorted(
            (_as_ours(run, solver, _factor(run, relatives[solver], speeds)) for run in candidates),
            key=lambda run: (run.status.censored, run.cpu_s if run.status.solved else run.cpu_limit_s),
        )
        # Of an even number the faster or the slower one of two, by the instance's name: neither is favoured.
        middle = here[(len(here) - 1 + zlib.crc32(instance.encode()) % 2) // 2]
        reached = middle.cpu_s if middle.status.solved else middle.cpu_limit_s
        if reached > survived.get((solver, instance), 0.0):
            found.append(middle)
    return tuple(found)


def _factor(run: Run, relatives: Relatives, speeds: Mapping[str, SourceSpeed]) -> float:
    try:
        factor = speeds[run.source].generations[relatives.generation].factor
    except KeyError:
        factor = 0.0
    if not factor > 0:
        raise DatasetError(
            f"found runs of {run.solver} published by {run.source!r}, whose speed is not known for "
            f"{relatives.generation}; run `satcost dataset source-speed`, or name another generation"
        )
    return factor


def _as_ours(run: Run, solver: str, factor: float) -> Run:
    """Return a published run as one of a solver of ours on our machine."""
    return replace(
        run,
        solver=solver,
        conflicts=None,
        decisions=None,
        propagations=None,
        restarts=None,
        cpu_s=run.cpu_s / factor,
        cpu_limit_s=run.cpu_limit_s / factor,
        detail=f"told by {run.solver}, {factor:.3g} seconds there for one here",
    )


def _joined_splits(datasets: Sequence[Dataset], manifest: Sequence[ManifestRow]) -> Splits | None:
    """Return splits over all data sets: the strictest side, and the fold that all agree on."""
    splits = [part.splits for part in datasets if part.splits is not None]
    if not splits:
        return None
    if len(splits) < len(datasets):
        without = next(part for part in datasets if part.splits is None)
        raise DatasetError(f"{without.directory}: found no splits.json; make it with `satcost dataset split --follow`")
    groups = group_instances(manifest)
    side: dict[str, str] = {}
    fold: dict[str, int | None] = {}
    told: dict[str, set[int | None]] = defaultdict(set)
    for one in splits:
        for instance, its in one.side.items():
            group = groups[instance]
            side[group] = max(side.get(group, its), its, key=_BY_STRICTNESS.index)
            told[group].add(one.fold.get(instance))
    for group, folds in told.items():
        fold[group] = next(iter(folds)) if len(folds) == 1 else None
    return replace(
        splits[0],
        side={row.instance: side.get(groups[row.instance], EXCLUDED) for row in manifest},
        fold={row.instance: fold.get(groups[row.instance]) for row in manifest},
    )


def follow_splits(manifest: Sequence[ManifestRow], leader: Dataset, own: Splits | None = None) -> Splits:
    """Return splits in which instances and their relatives are where another data set has them.

    Parameters
    ----------
    manifest
        Rows of the manifest to be split.
    leader
        The data set to follow. Its instances that are not in the manifest count too: a copy or cube of one of them is
        put beside it.
    own
        Splits made before: what is only in the manifest keeps its place, unless it is related to an instance of the
        leader's that is elsewhere.

    Raises
    ------
    DatasetError
        If the leader has no splits.
    """
    previous = leader.splits
    if previous is None:
        raise DatasetError(f"{leader.directory}: found no splits.json, expected one to follow; make the splits first")
    if own is not None:
        # Where both have an instance, the leader's place counts.
        previous = replace(
            previous,
            side={**own.side, **previous.side},
            fold={**own.fold, **previous.fold},
            blocks={**own.blocks, **previous.blocks},
        )
    present = {row.instance for row in manifest}
    rows = [*manifest, *(row for row in leader.manifest if row.instance not in present)]
    made = make_splits(rows, previous=previous)
    return replace(
        made,
        side={name: side for name, side in made.side.items() if name in present},
        fold={name: fold for name, fold in made.fold.items() if name in present},
    )
