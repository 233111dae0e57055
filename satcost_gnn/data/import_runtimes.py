"""Published run times as labels: tables of competitions joined to the instances that we know, as rows of our tables.

A run that is published has a time and no counters, and ran on other machines: it keeps the event that published it as
its ``source``. What a table codes as twice its limit had no answer within it, for whatever reason, and is censored at
the limit. Nothing is guessed: a row that doesn't fit is named, counted and left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from satcost_gnn.data.dataset import MANIFEST_FILE, RUNS_FILE, SPLITS_FILE, Dataset
from satcost_gnn.data.instance_index import read_index
from satcost_gnn.data.joining import follow_splits
from satcost_gnn.data.published_tables import (
    RESULTS,
    VERIFIED,
    PublishedCell,
    csv_rows,
    edition_of,
    read_published,
)
from satcost_gnn.data.schema import ManifestRow, Run, RunStatus, write_manifest, write_runs
from satcost_gnn.data.splits import make_splits
from satcost_gnn.errors import DatasetError

#: Seconds that the SAT competitions give a solver.
LIMIT_S = 5000.0
#: A time that this many runs of a solver share to the last digit, all of them the longest, is a limit.
_SHARED_BY = 2
_EXAMPLES = 5
_ENDED: Mapping[str, RunStatus] = {
    "timeout": RunStatus.TIMEOUT,
    "time-out": RunStatus.TIMEOUT,
    "to": RunStatus.TIMEOUT,
    "memout": RunStatus.MEMOUT,
    "mo": RunStatus.MEMOUT,
}
_NOTHING = frozenset({"", "?", "-", "na", "n/a", "nan", "none", "null", "missing"})
_NO_RESULT = frozenset({"unverified", "unknown", "error", "crash", "crashed", "failed", "fail", "incorrect", "wrong"})
_ANSWERS: Mapping[str, RunStatus] = {
    "sat": RunStatus.SAT,
    "satisfiable": RunStatus.SAT,
    "unsat": RunStatus.UNSAT,
    "unsatisfiable": RunStatus.UNSAT,
}
# Reasons that say that a table is wrong or means something else; the others are in the nature of tables.
BAD = (
    "table that can't be read",
    "line that is no row",
    "duplicate",
    "time above the limit",
    "negative time",
    "no time",
    "solver under two limits",
    "contradicting results",
)


@dataclass
class Skipped:
    """What was left out for one reason: how many runs, and the first examples."""

    runs: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str, runs: int = 1) -> None:
        """Count ``runs`` more, with an example of them."""
        self.runs += runs
        if len(self.examples) < _EXAMPLES and example not in self.examples:
            self.examples.append(example)


@dataclass
class ImportReport:
    """What an import has done.

    Parameters
    ----------
    instances, runs
        Rows that are new in the manifest and in the table of runs.
    statuses
        Status -> new runs.
    copies
        Hash in a table -> instance here that it is a renamed copy of.
    skipped
        Reason -> what was left out.
    """

    instances: int = 0
    runs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    copies: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=lambda: defaultdict(Skipped))

    @property
    def bad(self) -> bool:
        """Whether something was left out because a table is wrong."""
        return any(reason in self.skipped for reason in BAD)

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        lines = [f"imported {self.runs} runs ({statuses or 'none'}); {self.instances} instances are new"]
        if self.copies:
            lines.append(f"{len(self.copies)} instances are renamed copies of those that were run")
        for reason, skipped in sorted(self.skipped.items(), key=lambda item: (item[0] not in BAD, item[0])):
            more = "" if len(skipped.examples) < _EXAMPLES else "; ..."
            lines.append(f"left out, {reason}: {skipped.runs} ({'; '.join(skipped.examples)}{more})")
        return lines


def read_copies(path: Path) -> dict[str, str]:
    """Read which hashes of tables stand for renamed copies of our instances: columns ``hash`` and ``copy_gbdhash``.

    Raises
    ------
    DatasetError
        If the file can't be read, a column is missing, or a hash comes twice with two copies.
    """
    rows = csv_rows(path)
    _, header = next(rows, (0, []))
    missing = [name for name in ("hash", "copy_gbdhash") if name not in header]
    if missing:
        raise DatasetError(f"{path}: found no column {', '.join(missing)}; expected hash and copy_gbdhash")
    copies: dict[str, str] = {}
    for number, row in rows:
        record = dict(zip(header, row, strict=False))
        name, copy = record.get("hash", "").lower(), record.get("copy_gbdhash", "").lower()
        if not name or not copy or copies.setdefault(name, copy) != copy:
            raise DatasetError(f"{path}:{number}: found {','.join(row)!r}, expected a hash that is new and its copy")
    return copies


def import_runtimes(
    tables: Sequence[Path],
    directory: Path,
    *,
    index: Path | None = None,
    copies: Path | None = None,
    splits: Path | None = None,
    track: str | None = None,
    limit_s: float = LIMIT_S,
) -> ImportReport:
    """Add the runs of published tables to a data set, which is made if it isn't there.

    All runs of a call are put in place by one rename: after an error or a crash there are all of them or none.

    Parameters
    ----------
    tables
        Tables; see :mod:`satcost_gnn.data.published_tables`. Of runs that several of them have, the first counts.
    directory
        Data set directory.
    index
        Instances: an index (see :func:`satcost_gnn.data.instance_index.read_index`) or a data set. By default those of
        ``directory``.
    copies
        File of renamed copies (see :func:`read_copies`); by default ``isomorphic.csv`` beside the first table.
    splits
        Data set whose sides and folds hold for its instances and their relatives; by default those of ``directory``.
    track
        Track of tables without a column for it.
    limit_s
        CPU seconds that a run was given. Twice as much stands for no answer.

    Raises
    ------
    DatasetError
        If no table can be read, or the index, the splits or the data set can't be read or written.
    """
    if not 0 < limit_s < math.inf:
        raise DatasetError(f"limit: found {limit_s:g} s, expected a finite number > 0")
    if directory.exists() and not directory.is_dir():
        raise DatasetError(f"{directory}: found a file, expected a directory for the data set; name another place")
    with _locked(directory):
        old = Dataset.open(directory) if (directory / MANIFEST_FILE).exists() else Dataset(directory, ())
        known, answers = _known(old, index, splits)
        report = ImportReport()
        cells: list[PublishedCell] = []
        errors: list[DatasetError] = []
        for path in tables:
            try:
                table = read_published(path, track)
            except DatasetError as error:
                errors.append(error)
                report.skipped["table that can't be read"].add(str(error))
                continue
            cells += table.cells
            for text in table.broken:
                report.skipped["line that is no row"].add(text)
        if errors and not cells:
            raise errors[0]
        if copies is None and (tables[0].parent / "isomorphic.csv").is_file():
            copies = tables[0].parent / "isomorphic.csv"
        wanted = _joined(cells, known, read_copies(copies) if copies is not None else {}, report)
        runs = _runs(wanted, answers, {run.key: run for run in old.runs}, limit_s, report)
        rows = {row.instance: row for row in old.manifest}
        fresh = {run.instance: known[run.instance] for run in runs if run.instance not in rows}
        report.instances, report.runs = len(fresh), len(runs)
        report.statuses = Counter(str(run.status) for run in runs)
        if runs:
            manifest = tuple(sorted((rows | fresh).values(), key=lambda row: row.key))
            if splits is None:
                made = make_splits(manifest, previous=old.splits)
            else:
                made = follow_splits(manifest, Dataset.open(splits), old.splits)
            _write(Dataset(directory, manifest, (*old.runs, *runs), made))
    return report


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep collectors that work in the directory from rebuilding its table meanwhile."""
    journals = directory / "journal"
    if not journals.is_dir():
        yield
        return
    with (journals / "merge.lock").open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _known(
    old: Dataset, index: Path | None, splits: Path | None
) -> tuple[dict[str, ManifestRow], dict[str, RunStatus]]:
    """Return the instances that tables are joined to, and the answers that data sets have for them."""
    rows = {row.instance: row for row in old.manifest}
    datasets = [old]
    if index is not None and index.is_dir():
        datasets.append(Dataset.open(index))
        rows = {row.instance: row for row in datasets[-1].manifest} | rows
    elif index is not None:
        rows = {row.instance: row for row in read_index(index)} | rows
    if not rows:
        raise DatasetError(
            f"{old.directory}: found no instances to join the tables to; expected an index of them (--index, "
            "INDEX.csv or a data set)"
        )
    if splits is not None and splits != index:
        # For the answers alone: what a data set has solved needs no verification by a table.
        datasets.append(Dataset.open(splits))
    answers = {
        run.instance: run.status
        for dataset in datasets
        for run in dataset.runs
        if run.status.solved and run.instance not in dataset.quarantined
    }
    return rows, answers


def _joined(
    cells: Iterable[PublishedCell], known: Mapping[str, ManifestRow], copies: Mapping[str, str], report: ImportReport
) -> list[tuple[str, PublishedCell]]:
    """Return instance and cell of what is about instances that we know, directly or through a renamed copy."""
    found, unknown = [], set()
    for cell in cells:
        instance = cell.instance
        if instance not in known and copies.get(instance) in known:
            instance = copies[instance]
            report.copies[cell.instance] = instance
        if instance in known:
            found.append((instance, cell))
        elif cell.column not in RESULTS:
            unknown.add(cell.instance)
            report.skipped["unknown hash"].add(f"{cell.place}: {cell.instance}")
    if unknown:
        # Named by hash, not by run: one line of a wide table holds many runs.
        report.skipped["unknown hash"].examples = [f"{len(unknown)} hashes", *sorted(unknown)[: _EXAMPLES - 1]]
    return found


def _results(
    cells: Iterable[tuple[str, PublishedCell]], answers: Mapping[str, RunStatus], report: ImportReport
) -> dict[str, tuple[RunStatus | None, bool]]:
    """Return instance -> answer and whether it was verified; None where results contradict each other."""
    verified: dict[str, set[RunStatus]] = defaultdict(set)
    claimed: dict[str, set[RunStatus]] = defaultdict(set)
    place = {}
    for instance, cell in cells:
        answer = _ANSWERS.get(cell.value.lower())
        if answer is not None and cell.column in RESULTS:
            (verified if cell.column in VERIFIED else claimed)[instance].add(answer)
            place[instance] = cell.place
    for instance, answer in answers.items():
        if instance in verified or instance in claimed:
            verified[instance].add(answer)
    results: dict[str, tuple[RunStatus | None, bool]] = {name: (answer, True) for name, answer in answers.items()}
    for found, proved in ((claimed, False), (verified, True)):
        for instance, its in found.items():
            if len(its) > 1:
                report.skipped["contradicting results"].add(f"{place[instance]}: {instance}: SAT and UNSAT", 0)
            results[instance] = (next(iter(its)) if len(its) == 1 else None, proved)
    return results


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _two_limits(cells: Sequence[tuple[str, PublishedCell]], old: Iterable[Run], limit_s: float) -> dict[str, str]:
    """Return solver -> why we think that it ran under more than one limit."""
    reasons: dict[str, str] = {}
    for run in old:
        if run.cpu_limit_s != limit_s:
            reasons.setdefault(run.solver, f"has runs at {run.cpu_limit_s:g} s in the data set")
    limits: dict[str, set[str]] = defaultdict(set)
    times: dict[str, Counter[float]] = defaultdict(Counter)
    for _, cell in cells:
        name = _solver(cell)
        limits[name].add(cell.limit)
        value = _number(cell.value)
        if value is not None and value != 2 * limit_s:
            times[name][value] += 1
    for name, texts in limits.items():
        values = {_number(text) for text in texts if text}
        if values - {limit_s}:
            listed = ", ".join(sorted(text for text in texts if text))
            reasons[name] = f"limits {listed} s in the table, expected {limit_s:g} s throughout"
    for name, counts in times.items():
        longest = max(counts)
        # Times as measured differ in their last digits; equal round ones are what a limit is written as.
        if longest != limit_s and counts[longest] >= _SHARED_BY and longest % 100 == 0 and longest > 0:
            reasons.setdefault(name, f"{counts[longest]} runs of {longest:g} s, besides those coded for {limit_s:g} s")
    return reasons


def _solver(cell: PublishedCell) -> str:
    return f"{cell.column}@{edition_of(cell.track)}"


def _runs(
    found: Sequence[tuple[str, PublishedCell]],
    answers: Mapping[str, RunStatus],
    old: Mapping[tuple[str, str, int, float], Run],
    limit_s: float,
    report: ImportReport,
) -> list[Run]:
    """Return the runs that are new, sorted by key."""
    results = _results(found, answers, report)
    # A formula that was run itself counts before a renamed copy of it.
    cells = sorted(
        ((name, cell) for name, cell in found if cell.column not in RESULTS),
        key=lambda item: item[0] != item[1].instance,
    )
    two = _two_limits(cells, (run for run in old.values() if run.source), limit_s)
    # Same solver, track and formula: the same run, or an error in the tables.
    values: dict[tuple[str, str, str, str], dict[str, str]] = defaultdict(dict)
    for instance, cell in cells:
        values[instance, cell.instance, cell.track, _solver(cell)].setdefault(cell.value, cell.place)
    seen: dict[tuple[str, str, str, str], str] = {}
    runs: dict[tuple[str, str, int, float], Run] = {}
    for instance, cell in cells:
        name = _solver(cell)
        what = f"{cell.place}: {name} on {instance}"
        if name in two:
            report.skipped["solver under two limits"].add(f"{name}: {two[name]}")
            continue
        same = (instance, cell.instance, cell.track, name)
        if len(values[same]) > 1:
            listed = ", ".join(f"{value or 'nothing'} ({place})" for value, place in values[same].items())
            report.skipped["duplicate"].add(f"{name} on {instance}: {listed}; none is taken")
            continue
        if same in seen:
            # Tables of several tracks and collections of them hold the same run; one file has no reason to.
            again = seen[same].rpartition(":")[0] == cell.place.rpartition(":")[0]
            report.skipped["duplicate" if again else "in several tables"].add(f"{what}, first in {seen[same]}")
            continue
        seen[same] = cell.place
        run = _run(instance, cell, results.get(instance), limit_s, what, report)
        if run is None:
            continue
        before = runs.get(run.key) or old.get(run.key)
        if before is not None:
            report.skipped["measured before"].add(f"{what}: also in {before.source or 'the data set'}")
        else:
            runs[run.key] = run
    return [runs[key] for key in sorted(runs)]


def _run(
    instance: str,
    cell: PublishedCell,
    result: tuple[RunStatus | None, bool] | None,
    limit_s: float,
    what: str,
    report: ImportReport,
) -> Run | None:
    """Return the run that a cell tells of, None (and a note in the report) if it tells of none."""
    text = cell.value.lower()
    seconds, status = _number(text), _ENDED.get(text)
    detail = "" if cell.instance == instance else f"run on its renamed copy {cell.instance}"
    answer, verified = result or (None, False)
    reason = None
    if text in _NOTHING:
        reason = "no run"
    elif text in _NO_RESULT:
        reason = "no usable result"
    elif status is not None or seconds in (limit_s, 2 * limit_s):
        status, seconds = status or RunStatus.TIMEOUT, limit_s
        detail = "; ".join(part for part in (f"published as {cell.value}", detail) if part)
    elif seconds is None:
        reason = "no time"
    elif seconds < 0:
        reason = "negative time"
    elif seconds > limit_s:
        reason = "time above the limit"
    elif result is not None and answer is None:
        reason = "contradicting results"
    elif answer is None:
        reason = "answer not known"
    else:
        status = answer
        detail = "; ".join(part for part in (detail, "" if verified else "answer claimed, not verified") if part)
    if reason is not None or status is None or seconds is None:
        report.skipped[reason or "no time"].add(f"{what}: {cell.value or 'nothing'}")
        return None
    return Run(
        instance=instance,
        solver=_solver(cell),
        seed=0,
        status=status,
        conflicts=None,
        decisions=None,
        propagations=None,
        restarts=None,
        cpu_s=seconds,
        wall_s=None,
        peak_memory_mb=None,
        cpu_limit_s=limit_s,
        wall_limit_s=None,
        memory_limit_mb=None,
        solver_version=edition_of(cell.track),
        machine=f"published: {cell.track}",
        detail=detail,
        source=cell.track,
    )


def _write(dataset: Dataset) -> None:
    """Write all tables. A new data set appears whole; in one that is there the runs, which matter, come last."""
    assert dataset.splits is not None
    target = dataset.directory
    if (target / MANIFEST_FILE).exists() or (target.exists() and any(target.iterdir())):
        write_manifest(target / MANIFEST_FILE, dataset.manifest)
        dataset.splits.write(target / SPLITS_FILE)
        write_runs(target / RUNS_FILE, dataset.runs)
        return
    staged = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        dataset.write(staged)
        if target.exists():
            target.rmdir()
        staged.rename(target)
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
