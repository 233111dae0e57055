"""Scenarios in the format of ASlib, the algorithm selection library.

A scenario is a directory with ``description.txt``, ``algorithm_runs.arff``, ``feature_values.arff`` and
``feature_runstatus.arff``; ``feature_costs.arff``, ``cv.arff`` and ``ground_truth.arff`` may be missing (Bischl and
others, "ASlib: a benchmark library for algorithm selection", Artificial Intelligence 237, 2016).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray

from satcost_gnn.data.arff import ArffTable, read_arff
from satcost_gnn.data.aslib_scenario import (
    COSTS_FILE,
    DESCRIPTION_FILE,
    FOLDS_FILE,
    RUN_STATUSES,
    RUNS_FILE,
    STATUS_FILE,
    VALUES_FILE,
    AslibScenario,
    FeatureStep,
)
from satcost_gnn.errors import DatasetError

Description: TypeAlias = "str | int | float | bool | list[Description] | dict[str, Description] | None"

# Publishers write a bare question mark for what they don't know, which is no YAML.
_UNKNOWN = re.compile(r"^(\s*(?:-|[^#'\"\n]*?:)[ \t]+)\?[ \t]*$", re.MULTILINE)

# Words that publishers use for statuses besides those of ASlib.
_SPELLINGS: Mapping[str, str] = {
    "time_out": "timeout",
    "mem_out": "memout",
    "memory_out": "memout",
    "crashed": "crash",
    "notapplicable": "not_applicable",
}


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
    place = f"{directory / DESCRIPTION_FILE}"
    try:
        named = parse_description(Path(place).read_text(encoding="utf-8-sig"), place)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{place}: cannot be read as UTF-8 text: {error}") from error
    name = str(named.get("scenario_id") or directory.name)
    measure = _first(named, "performance_measures", place)
    kind = _first(named, "performance_type", place).lower()
    if kind != "runtime" or _first(named, "maximize", place, default="False").lower() in ("true", "yes"):
        raise DatasetError(f"{name}: found the measure {measure!r} that is no runtime, expected one to be minimised")
    cutoff_s = _cutoff_s(named.get("algorithm_cutoff_time"), place)
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
    instances, algorithms, runtimes, statuses = _runs(runs, measure, warnings)

    values = read_arff(directory / VALUES_FILE)
    skipped = {"instance_id", "repetition"}
    feature_names = tuple(name for name in values.names if name.lower() not in skipped)
    features = _without_sentinels(_per_instance(values, feature_names, instances, warnings), values.source, warnings)
    step_names = tuple(name for name in read_arff(directory / STATUS_FILE).names if name.lower() not in skipped)
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
    listed = named.get("metainfo_algorithms")
    if isinstance(listed, dict):
        odd = sorted(set(listed) ^ set(algorithms))
        if odd:
            warnings.append(f"{place}: metainfo_algorithms and {RUNS_FILE} differ in {', '.join(odd)}")
    return AslibScenario(
        name=name,
        instances=instances,
        algorithms=algorithms,
        cutoff_s=cutoff_s,
        runtimes=runtimes,
        statuses=statuses,
        feature_names=feature_names,
        features=features,
        steps=steps,
        feature_costs=costs,
        default_steps=tuple(map(str, _as_list(named.get("default_steps")))),
        folds=folds,
        warnings=tuple(dict.fromkeys(warnings)),
    )


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once in a mapping, and every scalar is the text that it is written as.

    Names of algorithms, features and steps may look like numbers, dates or truth values: ``007`` is another than ``7``.
    """


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else str(loader.construct_object(key, deep=True))
        if name in found:
            raise yaml.MarkedYAMLError(
                problem=f"found {name!r} twice, expected each key once", problem_mark=key.start_mark
            )
        found[name] = loader.construct_object(value, deep=True)
    return found


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_description(text: str, source: str = "<memory>") -> dict[str, Description]:
    """Parse the text of a description; every scalar is the text that it is written as.

    Raises
    ------
    DatasetError
        If it is no mapping in YAML; the message has source and line.
    """
    # YAML takes no tabs for indentation.
    spaced = "\n".join(
        line[: len(line) - len(line.lstrip())].expandtabs(8) + line.lstrip() for line in text.splitlines()
    )
    try:
        found = yaml.load(_UNKNOWN.sub(r"\1'?'", spaced), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = source if mark is None else f"{source}:{mark.line + 1}"
        raise DatasetError(
            f"{place}: found no YAML ({error.problem}), expected the description of a scenario"
        ) from None
    except yaml.YAMLError as error:
        raise DatasetError(f"{source}: found no YAML ({error}), expected the description of a scenario") from None
    except RecursionError:
        raise DatasetError(f"{source}: found too many levels, expected the description of a scenario") from None
    if not isinstance(found, dict):
        raise DatasetError(
            f"{source}: found {'nothing' if found in (None, '') else type(found).__name__}, expected KEY: VALUE"
        )
    return found


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
    table: ArffTable, measure: str, warnings: list[str]
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
    negative = runtimes < 0
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


def _per_instance(
    table: ArffTable, names: Sequence[str], instances: Sequence[str], warnings: list[str]
) -> NDArray[np.float64]:
    """Return ``float64[n, len(names)]``: the mean over the repetitions of an instance, NaN where missing."""
    row_of = {name: k for k, name in enumerate(instances)}
    its = table.texts("instance_id")
    absent, strangers = len(row_of.keys() - set(its)), len(set(its) - row_of.keys())
    if absent:
        warnings.append(f"{table.source}: {absent} of {len(instances)} instances with runs are not in it")
    if strangers:
        warnings.append(f"{table.source}: {strangers} instances without runs are left out")
    matrix = np.array([table.numbers(name) for name in names], dtype=np.float64).reshape(len(names), len(table)).T
    matrix = matrix[np.array([name in row_of for name in its], dtype=np.bool_)]
    rows = np.array([row_of[name] for name in its if name in row_of], dtype=np.intp)
    sums, counts = np.zeros((len(instances), len(names))), np.zeros((len(instances), len(names)))
    np.add.at(sums, rows, np.where(np.isnan(matrix), 0.0, matrix))
    np.add.at(counts, rows, ~np.isnan(matrix))
    mean: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return mean


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


def _cutoff_s(value: Description, place: str) -> float:
    if value is None or value in ("?", "", "~", "null"):
        raise DatasetError(f"{place}: found no algorithm_cutoff_time, expected seconds")
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise DatasetError(f"{place}: algorithm_cutoff_time: found {value!r}, expected a number > 0")
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
