"""Scenarios in the format of ASlib, the algorithm selection library: read them, and write our data sets as such.

A scenario is a directory with ``description.txt``, ``algorithm_runs.arff``, ``feature_values.arff`` and
``feature_runstatus.arff``; ``feature_costs.arff``, ``cv.arff`` and ``ground_truth.arff`` may be missing (Bischl and
others, "ASlib: a benchmark library for algorithm selection", Artificial Intelligence 237, 2016).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.core.selection_metrics import par
from satcost_gnn.data.arff import NUMERIC, STRING, ArffTable, Column, Kind, read_arff, write_arff
from satcost_gnn.data.aslib_description import Description, format_description, read_description
from satcost_gnn.data.dataset import SHORTEST_S, CostMatrix, CostUnit, Dataset, run_cost
from satcost_gnn.data.run_outcome import outcome_within
from satcost_gnn.data.schema import ManifestRow, Run, RunStatus
from satcost_gnn.data.splits import group_instances
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import write_text

DESCRIPTION_FILE = "description.txt"
RUNS_FILE = "algorithm_runs.arff"
VALUES_FILE = "feature_values.arff"
STATUS_FILE = "feature_runstatus.arff"
COSTS_FILE = "feature_costs.arff"
FOLDS_FILE = "cv.arff"
TRUTH_FILE = "ground_truth.arff"

RUN_STATUSES = ("ok", "timeout", "memout", "not_applicable", "crash", "other")
FEATURE_STATUSES = ("ok", "timeout", "memout", "presolved", "crash", "other", "unknown")

_STATUS_OF: Mapping[RunStatus, str] = {
    RunStatus.SAT: "ok",
    RunStatus.UNSAT: "ok",
    RunStatus.TIMEOUT: "timeout",
    RunStatus.MEMOUT: "memout",
    RunStatus.CRASHED: "crash",
    RunStatus.UNSUPPORTED: "not_applicable",
}


class FeatureStep(NamedTuple):
    """A step of feature extraction: the features that it provides and the steps that have to come before."""

    name: str
    provides: tuple[str, ...]
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AslibScenario:
    """A scenario: n instances, a algorithms, f features in s steps.

    Parameters
    ----------
    name
        ``scenario_id`` of the description.
    instances, algorithms
        In the order of their first run.
    measure
        Name of the performance measure.
    is_runtime
        Whether it is a time or another cost that ends at a cutoff (else a quality of solutions).
    maximise
        Whether more is better.
    cutoff_s
        Time limit of the algorithms in seconds, None if the description states none.
    runtimes
        ``float64[n, a, r]``: the measure as published, r repetitions; NaN where there is no run. Runs without an
        answer hold the cutoff, somewhat more, or a multiple of it, as their publishers chose.
    statuses
        ``str[n, a, r]``: ``ok``, ``timeout``, ``memout``, ``not_applicable``, ``crash`` or ``other``; empty where
        there is no run.
    feature_names
        Names of the f columns.
    features
        ``float64[n, f]``: mean over repetitions, NaN where missing.
    steps
        Feature steps, in the order of the columns of the two arrays below.
    feature_statuses
        ``str[n, s]``: how each step ended (``ok`` if it did in all repetitions); empty where not stated.
    feature_costs
        ``float64[n, s]``: seconds of each step, mean over repetitions; None if the scenario has no costs.
    default_steps
        Steps that the publishers recommend.
    folds
        ``int64[n, q]``: fold of each instance, as published, in q repetitions of cross-validation; None if the
        scenario has none.
    ground_truth
        Column -> n values, such as satisfiability; empty if the scenario has none.
    description
        The whole description.
    warnings
        What doesn't fit together but does no harm.
    """

    name: str
    instances: tuple[str, ...]
    algorithms: tuple[str, ...]
    measure: str
    is_runtime: bool
    maximise: bool
    cutoff_s: float | None
    runtimes: NDArray[np.float64]
    statuses: NDArray[np.str_]
    feature_names: tuple[str, ...]
    features: NDArray[np.float64]
    steps: tuple[FeatureStep, ...]
    feature_statuses: NDArray[np.str_]
    feature_costs: NDArray[np.float64] | None = None
    default_steps: tuple[str, ...] = ()
    folds: NDArray[np.int64] | None = None
    ground_truth: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    description: Mapping[str, Description] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def is_time_feature(self) -> NDArray[np.bool_]:
        """``bool[f]``: features that are times of feature extraction, which depend on the machine."""
        return np.array([_TIME_FEATURE.search(name) is not None for name in self.feature_names], dtype=np.bool_)

    @property
    def solved(self) -> NDArray[np.bool_]:
        """``bool[n, a, r]``: runs that gave an answer within the cutoff."""
        good = self.statuses == "ok"
        if self.cutoff_s is not None and self.is_runtime:
            good &= self.runtimes <= self.cutoff_s
        return np.asarray(good)

    def _require_runtime(self) -> float | None:
        if not self.is_runtime or self.maximise:
            raise DatasetError(
                f"{self.name}: found the measure {self.measure!r} that is no runtime, expected one to be minimised"
            )
        return self.cutoff_s

    def par(self, k: float = 2.0) -> NDArray[np.float64]:
        """Return ``float64[n, a]``: penalised runtimes, ``k`` cutoffs for no answer, mean over repetitions.

        A run that is missing counts as no answer.

        Raises
        ------
        DatasetError
            If the measure is no runtime or there is no cutoff.
        """
        cutoff = self._require_runtime()
        if cutoff is None:
            raise DatasetError(f"{self.name}: found no algorithm_cutoff_time in {DESCRIPTION_FILE}, expected seconds")
        return np.asarray(par(self.runtimes, self.solved, cutoff, k).mean(axis=2))

    def cost_matrix(self, repetition: int = 0) -> CostMatrix:
        """Return the log10 runtimes of one repetition, ``[n, a]``.

        Timeouts and runs out of memory are censored at the cutoff; crashes, unsupported and missing runs are unknown.

        Raises
        ------
        DatasetError
            If the measure is no runtime.
        """
        cutoff = self._require_runtime()
        times, statuses = self.runtimes[:, :, repetition], self.statuses[:, :, repetition]
        solved = self.solved[:, :, repetition] & np.isfinite(times)
        censored = np.isin(statuses, ("timeout", "memout")) | ((statuses == "ok") & ~solved & np.isfinite(times))
        bound = times if cutoff is None else np.full(times.shape, cutoff)
        known = solved | (censored & np.isfinite(bound))
        cost = np.full(times.shape, np.nan)
        cost[solved] = np.log10(np.maximum(times[solved], SHORTEST_S))
        cut = censored & known
        cost[cut] = np.log10(np.maximum(bound[cut], SHORTEST_S))
        return CostMatrix(cost, cut, known)

    def feature_cost(self, steps: Sequence[str] | None = None) -> NDArray[np.float64] | None:
        """Return ``float64[n]``: seconds of these steps (by default all), None if the scenario has no costs.

        Steps without a cost are left out of an instance's sum, which is NaN where none has one.

        Raises
        ------
        DatasetError
            If there is no such step.
        """
        names = [step.name for step in self.steps]
        for step in steps or ():
            if step not in names:
                raise DatasetError(f"{self.name}: found no feature step {step!r}, expected one of {', '.join(names)}")
        if self.feature_costs is None:
            return None
        chosen = [k for k, name in enumerate(names) if steps is None or name in steps]
        costs = self.feature_costs[:, chosen]
        return np.where(np.isnan(costs).all(axis=1), np.nan, np.nansum(costs, axis=1))

    def write(self, directory: Path | str, *, overwrite: bool = False) -> None:
        """Write the scenario; reading it gives the same arrays.

        Features and their costs are written as one repetition.

        Raises
        ------
        DatasetError
            If there is a scenario already and ``overwrite`` is not given, or a file can't be written.
        """
        directory = Path(directory)
        if (directory / DESCRIPTION_FILE).exists() and not overwrite:
            raise DatasetError(
                f"{directory}: found a scenario there, expected none; name another place or overwrite it"
            )
        stem = self.name
        once = np.ones(len(self.instances))
        head: list[tuple[str, Kind]] = [("instance_id", STRING), ("repetition", NUMERIC)]
        names: list[str | None] = list(self.instances)
        runs = [
            (self.instances[i], float(r + 1), self.algorithms[j], self.runtimes[i, j, r], str(self.statuses[i, j, r]))
            for i, j, r in np.ndindex(*self.runtimes.shape)
            if self.statuses[i, j, r]
        ]
        statuses = (*RUN_STATUSES, *sorted({run[4] for run in runs} - set(RUN_STATUSES)))
        run_attributes = [
            *head,
            ("algorithm", STRING),
            (self.measure, NUMERIC),
            ("runstatus", statuses),
        ]
        run_columns: list[Column] = [
            [run[0] for run in runs],
            np.array([run[1] for run in runs]),
            [run[2] for run in runs],
            np.array([run[3] for run in runs]),
            [run[4] for run in runs],
        ]
        write_arff(directory / RUNS_FILE, f"ALGORITHM_RUNS_{stem}", run_attributes, run_columns)
        write_arff(
            directory / VALUES_FILE,
            f"FEATURE_VALUES_{stem}",
            [*head, *((name, NUMERIC) for name in self.feature_names)],
            [names, once, *self.features.T],
        )
        states = (*FEATURE_STATUSES, *sorted(set(self.feature_statuses.flat) - {"", *FEATURE_STATUSES}))
        write_arff(
            directory / STATUS_FILE,
            f"FEATURE_RUNSTATUS_{stem}",
            [*head, *((step.name, tuple(map(str, states))) for step in self.steps)],
            [names, once, *([str(state) or None for state in column] for column in self.feature_statuses.T)],
        )
        if self.feature_costs is not None:
            write_arff(
                directory / COSTS_FILE,
                f"FEATURE_COSTS_{stem}",
                [*head, *((step.name, NUMERIC) for step in self.steps)],
                [names, once, *self.feature_costs.T],
            )
        if self.folds is not None:
            rounds = self.folds.shape[1]
            write_arff(
                directory / FOLDS_FILE,
                f"CV_{stem}",
                [*head, ("fold", NUMERIC)],
                [
                    [name for name in names for _ in range(rounds)],
                    np.tile(np.arange(1.0, rounds + 1), len(names)),
                    self.folds.astype(np.float64).ravel(),
                ],
            )
        if self.ground_truth:
            choices = {k: sorted({v for v in values if v is not None}) for k, values in self.ground_truth.items()}
            write_arff(
                directory / TRUTH_FILE,
                f"GROUND_TRUTH_{stem}",
                [head[0], *((name, choices[name]) for name in self.ground_truth)],
                [names, *(list(values) for values in self.ground_truth.values())],
            )
        # Last, since it is what tells a scenario from an unfinished one.
        write_text(directory / DESCRIPTION_FILE, format_description(self.description))


# Words that publishers use for statuses besides those of ASlib.
_SPELLINGS: Mapping[str, str] = {
    "time_out": "timeout",
    "mem_out": "memout",
    "memory_out": "memout",
    "crashed": "crash",
    "notapplicable": "not_applicable",
}
_TIME_FEATURE = re.compile(r"feature[-_.]?time$|^lptime$", re.IGNORECASE)


def read_scenario(directory: Path | str) -> AslibScenario:
    """Read a scenario.

    Raises
    ------
    DatasetError
        If a file is malformed, or the description, the runs, the feature values or their status are missing (the
        message names what is missing). Feature costs, folds and ground truth may be missing.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DatasetError(f"{directory}: found no such directory, expected an ASlib scenario")
    needed = (DESCRIPTION_FILE, RUNS_FILE, VALUES_FILE, STATUS_FILE)
    missing = [name for name in needed if not (directory / name).is_file()]
    if missing:
        raise DatasetError(
            f"{directory}: found no {', '.join(missing)}, expected a scenario with {', '.join(needed)}; "
            "get the missing files from where the scenario is published, or use another one"
        )
    description = read_description(directory / DESCRIPTION_FILE)
    named = read_description(directory / DESCRIPTION_FILE, names=True)
    place = f"{directory / DESCRIPTION_FILE}"
    measure = _first(named, "performance_measures", place)
    kind = _first(named, "performance_type", place).lower()
    warnings: list[str] = []

    runs = read_arff(directory / RUNS_FILE)
    columns = [
        name for name in runs.names if name.lower() not in ("instance_id", "repetition", "algorithm", "runstatus")
    ]
    if not columns:
        raise DatasetError(f"{runs.source}: found no attribute of performance, expected {measure!r}")
    if measure.lower() not in [name.lower() for name in columns]:
        warnings.append(f"{runs.source}: found no {measure!r} as named in {DESCRIPTION_FILE}; {columns[0]!r} is taken")
        measure = columns[0]
    instances, algorithms, runtimes, statuses = _runs(runs, measure, kind == "runtime", warnings)

    values = read_arff(directory / VALUES_FILE)
    skipped = {"instance_id", "repetition"}
    feature_names = tuple(name for name in values.names if name.lower() not in skipped)
    features = _without_sentinels(_per_instance(values, feature_names, instances, warnings), values.source, warnings)
    state = read_arff(directory / STATUS_FILE)
    step_names = tuple(name for name in state.names if name.lower() not in skipped)
    steps = _steps(named, step_names, feature_names, place, warnings)
    costs = None
    if (directory / COSTS_FILE).is_file():
        cost_table = read_arff(directory / COSTS_FILE)
        present = {name.lower() for name in cost_table.names}
        costs = np.full((len(instances), len(step_names)), np.nan)
        for k, step in enumerate(step_names):
            if step.lower() in present:
                its = _per_instance(cost_table, (step,), instances, warnings)[:, 0]
                # No step takes negative time: a code for a missing value.
                costs[:, k] = np.where(its < 0, np.nan, its)
            else:
                warnings.append(f"{cost_table.source}: found no cost of feature step {step!r}")
    folds = None
    if (directory / FOLDS_FILE).is_file():
        folds = _folds(read_arff(directory / FOLDS_FILE), instances)
    truth: dict[str, tuple[str | None, ...]] = {}
    if (directory / TRUTH_FILE).is_file():
        truth = _ground_truth(read_arff(directory / TRUTH_FILE), instances)
    listed = named.get("metainfo_algorithms")
    if isinstance(listed, dict):
        odd = sorted(set(listed) ^ set(algorithms))
        if odd:
            warnings.append(f"{place}: metainfo_algorithms and {RUNS_FILE} differ in {', '.join(odd)}")
    return AslibScenario(
        name=str(named.get("scenario_id") or directory.name),
        instances=instances,
        algorithms=algorithms,
        measure=measure,
        is_runtime=kind == "runtime",
        maximise=_first(named, "maximize", place, default="False").lower() in ("true", "yes"),
        cutoff_s=_optional_number(named.get("algorithm_cutoff_time"), place, "algorithm_cutoff_time"),
        runtimes=runtimes,
        statuses=statuses,
        feature_names=feature_names,
        features=features,
        steps=steps,
        feature_statuses=_feature_statuses(state, step_names, instances),
        feature_costs=costs,
        default_steps=tuple(map(str, _as_list(named.get("default_steps")))),
        folds=folds,
        ground_truth=truth,
        description=description,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _repetitions(table: ArffTable) -> NDArray[np.int64]:
    """Return the repetition of each row, from 0."""
    if "repetition" not in [name.lower() for name in table.names]:
        return np.zeros(len(table), dtype=np.int64)
    numbers = table.numbers("repetition")
    bad = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 1) & (numbers == np.floor(numbers))))
    if len(bad):
        raise DatasetError(
            f"{table.source}:{table.lines[bad[0]]}: repetition: found {numbers[bad[0]]:g}, expected 1, 2, ..."
        )
    # Numbers as published may have gaps.
    return np.searchsorted(np.unique(numbers), numbers).astype(np.int64)


def _status(text: str) -> str:
    """Return a status as we write it, whatever its case and the sign between its words."""
    name = re.sub(r"[\s_-]+", "_", text.strip().lower())
    return _SPELLINGS.get(name, name)


def _runs(
    table: ArffTable, measure: str, is_runtime: bool, warnings: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64], NDArray[np.str_]]:
    names, solvers = table.texts("instance_id"), table.texts("algorithm")
    status = [_status(text or "") for text in table.values("runstatus")]
    instances, algorithms = tuple(dict.fromkeys(names)), tuple(dict.fromkeys(solvers))
    if not instances:
        raise DatasetError(f"{table.source}: found no runs, expected some")
    repetitions, performance = _repetitions(table), table.numbers(measure)
    row_of = {name: k for k, name in enumerate(instances)}
    column_of = {name: k for k, name in enumerate(algorithms)}
    shape = (len(instances), len(algorithms), int(repetitions.max()) + 1)
    runtimes = np.full(shape, np.nan)
    statuses = np.full(shape, "", dtype=f"<U{max(map(len, (*RUN_STATUSES, *status)))}")
    seen = np.zeros(shape, dtype=np.bool_)
    for k, (name, solver) in enumerate(zip(names, solvers, strict=True)):
        cell = (row_of[name], column_of[solver], int(repetitions[k]))
        if seen[cell]:
            raise DatasetError(
                f"{table.source}:{table.lines[k]}: found {name}, {solver}, repetition {cell[2] + 1} again, "
                "expected each once"
            )
        runtimes[cell], statuses[cell], seen[cell] = performance[k], status[k], True
    negative = runtimes < 0 if is_runtime else np.zeros(shape, dtype=np.bool_)
    runtimes[negative] = np.nan
    lost = (statuses == "ok") & np.isnan(runtimes)
    for count, what in (
        (int((statuses == "").sum()), f"of {statuses.size} runs are missing; they count as no answer"),
        (int(negative.sum()), "negative times are taken as missing"),
        (int(lost.sum()), "runs are ok but have no time; they count as no answer"),
    ):
        if count:
            warnings.append(f"{table.source}: {count} {what}")
    odd = Counter(text for text in statuses.flat if text and text not in RUN_STATUSES)
    if odd:
        listed = ", ".join(f"{text} ({count})" for text, count in odd.most_common(5))
        warnings.append(f"{table.source}: found status {listed}, which counts as no answer")
    return instances, algorithms, runtimes, statuses


def _without_sentinels(features: NDArray[np.float64], source: str, warnings: list[str]) -> NDArray[np.float64]:
    """Return the features with the codes that feature extractors write for missing values as NaN.

    Those are -512 (SATzilla's), and -1 in a column that is never negative otherwise.
    """
    sentinel = features == -512.0
    rest = np.where(sentinel | (features == -1.0), np.nan, features)
    never_negative = ~(rest < 0).any(axis=0)
    sentinel |= (features == -1.0) & never_negative
    if sentinel.any():
        columns = int(sentinel.any(axis=0).sum())
        warnings.append(
            f"{source}: {int(sentinel.sum())} values of {columns} features are codes for missing ones (-512, -1); "
            "they are taken as missing"
        )
    return np.where(sentinel, np.nan, features)


def _rows_of(table: ArffTable, instances: Sequence[str]) -> dict[str, list[int]]:
    wanted = set(instances)
    rows: dict[str, list[int]] = defaultdict(list)
    for k, name in enumerate(table.texts("instance_id")):
        if name in wanted:
            rows[name].append(k)
    return rows


def _per_instance(
    table: ArffTable, names: Sequence[str], instances: Sequence[str], warnings: list[str]
) -> NDArray[np.float64]:
    """Return ``float64[n, len(names)]``: the mean over the repetitions of an instance, NaN where missing."""
    rows = _rows_of(table, instances)
    absent = sum(name not in rows for name in instances)
    if absent:
        warnings.append(f"{table.source}: {absent} of {len(instances)} instances with runs are not in it")
    strangers = len(set(table.texts("instance_id"))) - len(rows)
    if strangers:
        warnings.append(f"{table.source}: {strangers} instances without runs are left out")
    columns = [table.numbers(name) for name in names]
    matrix = np.array(columns, dtype=np.float64).reshape(len(names), len(table)).T
    result = np.full((len(instances), len(names)), np.nan)
    for i, name in enumerate(instances):
        its = matrix[rows.get(name, [])]
        if len(its) == 1:
            result[i] = its[0]
        elif len(its):
            counts = np.isfinite(its).sum(axis=0)
            sums = np.nansum(its, axis=0)
            result[i] = np.divide(sums, counts, out=np.full(len(names), np.nan), where=counts > 0)
    return result


def _feature_statuses(table: ArffTable, names: Sequence[str], instances: Sequence[str]) -> NDArray[np.str_]:
    rows = _rows_of(table, instances)
    columns = [table.values(name) for name in names]
    result = np.full((len(instances), len(names)), "", dtype="<U32")
    for i, name in enumerate(instances):
        for k, column in enumerate(columns):
            states = [_status(column[row] or "") for row in rows.get(name, [])]
            result[i, k] = next((state for state in states if state != "ok"), "ok" if states else "")
    return result


def _folds(table: ArffTable, instances: Sequence[str]) -> NDArray[np.int64]:
    row_of = {name: k for k, name in enumerate(instances)}
    repetitions, numbers = _repetitions(table), table.numbers("fold")
    folds = np.full((len(instances), int(repetitions.max(initial=0)) + 1), -1, dtype=np.int64)
    for k, name in enumerate(table.texts("instance_id")):
        if name in row_of:
            if not np.isfinite(numbers[k]):
                raise DatasetError(f"{table.source}:{table.lines[k]}: fold: found '?', expected a number")
            folds[row_of[name], repetitions[k]] = int(numbers[k])
    without = np.flatnonzero((folds < 0).any(axis=1))
    if len(without):
        raise DatasetError(
            f"{table.source}: found no fold of {instances[without[0]]} ({len(without)} such instances), "
            "expected every instance with runs in each repetition"
        )
    return folds


def _ground_truth(table: ArffTable, instances: Sequence[str]) -> dict[str, tuple[str | None, ...]]:
    rows = _rows_of(table, instances)
    truth = {}
    for name in table.names:
        if name.lower() not in ("instance_id", "repetition"):
            column = table.values(name)
            truth[name] = tuple(column[rows[instance][0]] if instance in rows else None for instance in instances)
    return truth


def _as_list(value: Description) -> list[Description]:
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def _first(description: Mapping[str, Description], key: str, place: str, default: str | None = None) -> str:
    values = _as_list(description.get(key))
    if values:
        return str(values[0])
    if default is None:
        raise DatasetError(f"{place}: found no {key}, expected it")
    return default


def _optional_number(value: Description, place: str, key: str) -> float | None:
    if value is None or value in ("?", "", "~", "null"):
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise DatasetError(f"{place}: {key}: found {value!r}, expected a number > 0 or '?'")
    return number


def _steps(
    description: Mapping[str, Description],
    names: Sequence[str],
    feature_names: Sequence[str],
    place: str,
    warnings: list[str],
) -> tuple[FeatureStep, ...]:
    listed = description.get("feature_steps")
    if not isinstance(listed, dict):
        raise DatasetError(f"{place}: found no feature_steps, expected the steps and what each provides")
    by_name = {name.lower(): value for name, value in listed.items()}
    steps = []
    for name in names:
        content = by_name.get(name.lower())
        if not isinstance(content, dict):
            warnings.append(f"{place}: feature step {name!r} of {STATUS_FILE} is not described")
            content = {}
        provides = tuple(map(str, _as_list(content.get("provides"))))
        steps.append(FeatureStep(name, provides, tuple(map(str, _as_list(content.get("requires"))))))
    undescribed = {feature.lower() for feature in feature_names} - {f.lower() for s in steps for f in s.provides}
    if undescribed:
        warnings.append(f"{place}: {len(undescribed)} features of {VALUES_FILE} are provided by no step")
    absent = {f.lower() for s in steps for f in s.provides} - {feature.lower() for feature in feature_names}
    if absent:
        warnings.append(f"{place}: {len(absent)} features that a step provides are not in {VALUES_FILE}")
    return tuple(steps)


# ---------------------------------------------------------------------------------------------------------------------
# Our data sets as scenarios.


def _group_folds(rows: Sequence[ManifestRow], n_folds: int) -> NDArray[np.int64]:
    """Return ``int64[n]``: folds ``1 .. n_folds`` of about equal size that related instances never straddle."""
    groups = group_instances(rows)
    sizes = Counter(groups.values())
    load = Counter(dict.fromkeys(range(1, n_folds + 1), 0))
    fold_of: dict[str, int] = {}
    order = sorted(sizes, key=lambda name: (-sizes[name], hashlib.sha256(name.encode()).hexdigest()))
    for group in order:
        fold_of[group] = min(load, key=lambda fold: (load[fold], fold))
        load[fold_of[group]] += sizes[group]
    return np.array([fold_of[groups[row.instance]] for row in rows], dtype=np.int64)


def scenario_from_dataset(
    dataset: Dataset,
    *,
    unit: CostUnit | str = CostUnit.CPU_SECONDS,
    name: str | None = None,
    solvers: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    cutoff_s: float | None = None,
    features: Mapping[str, FeatureVector] | None = None,
    steps: Mapping[str, Sequence[str]] | None = None,
    folds: Literal["instance", "family"] = "instance",
) -> AslibScenario:
    """Return a data set as a scenario.

    Instances are left out that are in quarantine or lack a run of one of the solvers with one of the seeds that tells
    what happens within the cutoff.

    Parameters
    ----------
    dataset
        The data set.
    unit
        Measure: ``cpu_seconds`` (called ``runtime`` in the scenario), ``conflicts``, ``decisions``, ``propagations``.
    name
        ``scenario_id``; by default the name of the data set's directory.
    solvers
        Algorithms; by default all that have runs.
    seeds
        Seeds, which become repetitions 1, 2, ...
    cutoff_s
        CPU seconds after which a run counts as cut off; by default the CPU limit that most runs had.
    features
        Instance -> features, with the seconds of each group; by default the sizes of the manifest.
    steps
        Group of features -> their names; by default all features are one step.
    folds
        ``instance``: ten folds of about equal size that related instances never straddle. ``family``: the data set's
        own folds of whole families; instances that have none are left out.

    Raises
    ------
    DatasetError
        If nothing is left, a solver doesn't report the measure, features of an instance or the splits are missing.
    """
    unit = CostUnit.of(unit)
    if not dataset.runs:
        raise DatasetError(f"{dataset.directory}: found no runs, expected some; collect them first")
    algorithms = tuple(dataset.solvers if solvers is None else solvers)
    limits = Counter(run.cpu_limit_s for run in dataset.runs)
    cutoff = max(limits, key=lambda limit: (limits[limit], limit)) if cutoff_s is None else float(cutoff_s)
    if folds == "family" and dataset.splits is None:
        raise DatasetError(f"{dataset.directory}: found no splits, expected them for folds by family; make them first")

    chosen: list[str] = []
    cells: list[list[list[tuple[Run, RunStatus]]]] = []
    for instance in dataset.instances:
        if folds == "family" and dataset.splits is not None and dataset.splits.fold.get(instance) is None:
            continue
        by_key: dict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in dataset.runs_of.get(instance, ()):
            by_key[run.solver, run.seed].append(run)
        found = [[outcome_within(by_key[solver, seed], cutoff) for seed in seeds] for solver in algorithms]
        whole = [[cell for cell in row if cell is not None] for row in found]
        if all(len(row) == len(seeds) for row in whole):
            chosen.append(instance)
            cells.append(whole)
    if not chosen:
        raise DatasetError(
            f"{dataset.directory}: found no instance with runs of {', '.join(algorithms)} (seeds "
            f"{', '.join(map(str, seeds))}) at {cutoff:g} s, expected some; choose fewer solvers or seeds"
        )
    shape = (len(chosen), len(algorithms), len(seeds))
    runtimes = np.full(shape, np.nan)
    statuses = np.full(shape, "", dtype="<U16")
    for i, j, r in np.ndindex(*shape):
        run, status = cells[i][j][r]
        statuses[i, j, r] = _STATUS_OF[status]
        if unit is CostUnit.CPU_SECONDS:
            runtimes[i, j, r] = run.cpu_s if status.solved else cutoff
            continue
        cost = run_cost(run, unit)
        if cost is not None:
            runtimes[i, j, r] = cost[0]
        elif status.solved:
            raise DatasetError(
                f"{dataset.directory}: found no {unit} of {run.solver} on {run.instance}, expected a count; "
                "leave that solver out or take cpu_seconds"
            )

    vectors = _vectors(dataset, chosen, features)
    feature_names = vectors[0].names
    grouped = {group: tuple(its) for group, its in (steps or {"ALL": feature_names}).items()}
    unknown = sorted({feature for its in grouped.values() for feature in its} - set(feature_names))
    if unknown:
        raise DatasetError(f"steps: found features {', '.join(unknown)}, expected names of the feature vectors")
    matrix = np.array([vector.values for vector in vectors], dtype=np.float64).reshape(len(chosen), len(feature_names))
    position = {feature: k for k, feature in enumerate(feature_names)}
    states = np.full((len(chosen), len(grouped)), "ok", dtype="<U32")
    costs = np.full(states.shape, np.nan)
    for k, (group, its) in enumerate(grouped.items()):
        columns = [position[feature] for feature in its]
        states[np.isnan(matrix[:, columns]).all(axis=1), k] = "other"
        for i, vector in enumerate(vectors):
            costs[i, k] = vector.seconds.get(group, np.nan) if steps else vector.total_seconds
    has_costs = any(vector.seconds for vector in vectors)

    if folds == "instance" or dataset.splits is None:
        fold = _group_folds([dataset.by_instance[instance] for instance in chosen], 10)
    else:
        fold = np.array([1 + (dataset.splits.fold[instance] or 0) for instance in chosen], dtype=np.int64)
    satisfiable = dataset.satisfiable(chosen)
    measure = "runtime" if unit is CostUnit.CPU_SECONDS else str(unit)
    memory = max((run.memory_limit_mb for run in dataset.runs if run.memory_limit_mb is not None), default=None)
    description: dict[str, Description] = {
        "scenario_id": name or dataset.directory.resolve().name,
        "performance_measures": [measure],
        "maximize": [False],
        "performance_type": ["runtime"],
        "algorithm_cutoff_time": cutoff if unit is CostUnit.CPU_SECONDS else "?",
        "algorithm_cutoff_memory": "?" if memory is None else memory,
        "features_cutoff_time": "?",
        "features_cutoff_memory": "?",
        "number_of_feature_steps": len(grouped),
        "feature_steps": {group: {"provides": list(its)} for group, its in grouped.items()},
        "default_steps": list(grouped),
        "features_deterministic": list(feature_names),
        "features_stochastic": None,
        "metainfo_algorithms": {
            solver: {"configuration": "", "deterministic": len(seeds) == 1} for solver in algorithms
        },
    }
    return AslibScenario(
        name=str(description["scenario_id"]),
        instances=tuple(chosen),
        algorithms=algorithms,
        measure=measure,
        is_runtime=True,
        maximise=False,
        cutoff_s=cutoff if unit is CostUnit.CPU_SECONDS else None,
        runtimes=runtimes,
        statuses=statuses,
        feature_names=feature_names,
        features=matrix,
        steps=tuple(FeatureStep(group, its) for group, its in grouped.items()),
        feature_statuses=states,
        feature_costs=costs if has_costs else None,
        default_steps=tuple(grouped),
        folds=fold[:, None],
        ground_truth={"SATUNSAT": tuple({1: "SAT", 0: "UNSAT"}.get(int(answer)) for answer in satisfiable)},
        description=description,
    )


def _vectors(
    dataset: Dataset, instances: Sequence[str], features: Mapping[str, FeatureVector] | None
) -> list[FeatureVector]:
    if features is None:
        names = ("n_vars", "n_clauses", "bytes")
        rows = [dataset.by_instance[instance] for instance in instances]
        return [FeatureVector.from_mapping(names, {name: float(getattr(row, name)) for name in names}) for row in rows]
    vectors = []
    for instance in instances:
        if instance not in features:
            raise DatasetError(f"features: found none of {instance}, expected those of every instance with runs")
        vectors.append(features[instance])
        if vectors[-1].names != vectors[0].names:
            raise DatasetError(f"features: found other names for {instance}, expected those of {instances[0]}")
    return vectors


def write_scenario(
    dataset: Dataset,
    directory: Path | str,
    unit: CostUnit | str = CostUnit.CPU_SECONDS,
    *,
    name: str | None = None,
    solvers: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    cutoff_s: float | None = None,
    features: Mapping[str, FeatureVector] | None = None,
    steps: Mapping[str, Sequence[str]] | None = None,
    folds: Literal["instance", "family"] = "instance",
    overwrite: bool = False,
) -> AslibScenario:
    """Write a data set as a scenario and return it; see :func:`scenario_from_dataset` for what goes into it.

    Raises
    ------
    DatasetError
        If nothing can be made of the data set, or there is a scenario already and ``overwrite`` is not given.
    """
    scenario = scenario_from_dataset(
        dataset,
        unit=unit,
        name=name or Path(directory).resolve().name,
        solvers=solvers,
        seeds=seeds,
        cutoff_s=cutoff_s,
        features=features,
        steps=steps,
        folds=folds,
    )
    scenario.write(directory, overwrite=overwrite)
    return scenario
