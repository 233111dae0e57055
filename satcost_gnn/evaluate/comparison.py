"""All methods measured: the numbers of the report, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.evaluate.horizons import measured, run_limits, sources
from satcost_gnn.evaluate.methods import method, table_order
from satcost_gnn.evaluate.metrics import PairedDifference, paired_difference, percentile_interval
from satcost_gnn.evaluate.new_families import NewFamilies, new_families
from satcost_gnn.evaluate.protocol import SELECTION_UNIT, Progress
from satcost_gnn.evaluate.results import Predicted, Results
from satcost_gnn.evaluate.scores import LEVELS, MEASURES, Resamples, Runs, Scores
from satcost_gnn.evaluate.selection import (
    Selection,
    SelectionProblem,
    SelectionRow,
    fitted,
    select,
    selection_problem,
    selection_row,
)
from satcost_gnn.evaluate.solving import solve_par2, solve_statistics

Floats = NDArray[np.float64]

#: Measures that methods are tested by against the best classical model.
TESTED = ("rmse", "crps", "spearman", "c_index", "within_2")
#: The one that says which classical model is the best: it is proper and counts censored runs.
BEST_BY = "crps"
#: A family needs so many runs for a row of its own.
LEAST_IN_FAMILY = 5
#: Levels of the reliability curve.
RELIABILITY_LEVELS = np.round(np.arange(0.05, 0.96, 0.05), 2)


@dataclass(frozen=True)
class Value:
    """A measure: mean over seeds, its standard deviation over them, and a 95 % bootstrap interval of the mean."""

    value: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(PairedDifference):
    """How a method differs from the reference, with the p-value corrected for the number of methods (Holm)."""

    p_holm: float


@dataclass(frozen=True)
class CalibrationRow:
    """Coverage of central intervals with a nominal share, means over seeds.

    Parameters
    ----------
    solved, raw
        Share of solved test runs inside, after and before calibration.
    all_runs
        Share of all test runs inside, by Kaplan-Meier; NaN where only censored runs are left.
    least, most
        Bounds on the share of all test runs, which hold whatever the stopped ones would have cost.
    held_out, held_out_all
        Like ``solved`` and ``all_runs``, of calibration runs by a calibration fitted to the others.
    width
        Mean width in decades.
    """

    solved: float
    raw: float
    all_runs: float
    least: float
    most: float
    held_out: float
    held_out_all: float
    width: float


@dataclass(frozen=True)
class Row:
    """One method.

    Parameters
    ----------
    name, label
        Who.
    seeds
        Its seeds; empty if it has none.
    values
        Measure -> mean over seeds with its interval.
    by_seed
        Measure -> value for each seed.
    calibration
        Level in per cent -> coverage.
    reliability
        Share of runs below each of :data:`RELIABILITY_LEVELS`, mean over seeds.
    families
        Family -> measures that are means over runs, and the numbers of runs ``n`` and ``n_solved``.
    untouched
        In a split by family, the measures that are means over runs and the numbers of runs, of those instances that
        are on the test side of the split by instance too: whatever was chosen on left-out families was chosen on the
        others. Empty in a split by instance, or without such instances.
    other_solvers
        Solver -> measure -> mean over seeds.
    horizons
        Solver -> source of its runs -> budget or decade -> numbers, means over seeds; of costs in CPU seconds (see
        :mod:`~satcost_gnn.evaluate.horizons`).
    fit_s, predict_s
        Wall seconds of fitting (all folds), and of predicting one instance.
    lacking
        Test instances for which the constant stood in.
    notes
        Where it comes from.
    """

    name: str
    label: str
    seeds: tuple[int, ...]
    values: Mapping[str, Value]
    by_seed: Mapping[str, list[float]]
    calibration: Mapping[int, CalibrationRow]
    reliability: Floats
    families: Mapping[str, dict[str, float]]
    untouched: Mapping[str, float]
    other_solvers: Mapping[str, dict[str, float]]
    horizons: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
    fit_s: float
    predict_s: float
    lacking: int
    notes: tuple[str, ...]

    @property
    def is_network(self) -> bool:
        """Whether it is the network, or a part of it."""
        return method(self.name).is_network


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything measured.

    Parameters
    ----------
    cutoff
        log10 of the budget in the unit of the table.
    runs
        Runs of the solver of the table on test instances.
    rows
        Method -> its row, in the order of the table.
    first
        Method -> scores of its first seed, for pictures.
    reference
        The best classical model; None if there is none.
    differences
        Method -> measure -> difference from the reference.
    problem
        Selection, or why there is none.
    selection
        Method -> its row of selection.
    first_selection
        Method -> what it does with its first seed.
    solve
        Method -> PAR2 of each instance by `satcost solve` with the predictions of its first seed.
    ood_detection
        How well new families are told, in a split by family.
    """

    results: Results
    cutoff: float
    runs: Runs
    rows: Mapping[str, Row]
    first: Mapping[str, Scores]
    reference: str | None
    differences: Mapping[str, Mapping[str, Difference]]
    problem: SelectionProblem | str
    selection: Mapping[str, SelectionRow]
    first_selection: Mapping[str, Selection]
    solve: Mapping[str, Floats]
    ood_detection: NewFamilies | None = None


@dataclass(eq=False)
class _Collected:
    """What is kept of a method while its seeds are read one by one."""

    values: dict[str, list[float]] = field(default_factory=dict)
    resampled: dict[str, list[Floats]] = field(default_factory=dict)
    #: Of each seed: what is averaged over seeds, by the names of the fields of :class:`Row`.
    means: list[dict[str, Any]] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    solve: Floats | None = None
    seeds: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lacking: int = 0
    first: Scores | None = None


def compare_all(
    results: Results,
    cutoff: float,
    resamples: int,
    progress: Progress,
    observe: Callable[[str, Predicted], None] = lambda name, predicted: None,
) -> Comparison:
    """Measure every method that has predictions.

    Parameters
    ----------
    cutoff
        log10 of the budget for the measures that need one, in the unit of the table.
    resamples
        Bootstrap resamples: of instances, and for the split by family of whole families.
    observe
        Called with each method's predictions, one seed at a time.
    """
    setup = results.setup
    unit, solver = setup.units[0], setup.solvers[0]
    table = results.tables[unit]
    runs = Runs.of(table, solver, cutoff)
    by_family = setup.split == "family"
    drawn = Resamples.draw(len(runs), runs.groups if by_family else None, resamples)
    sides = [setup.side_names(fold) for fold in setup.folds]
    by_probe = list(setup.solved_in_test().values())
    problem = selection_problem(setup.dataset, setup.solvers, table.instances, by_probe, sides)
    collected: dict[str, _Collected] = {}
    names = [one.gbdhash for one in table.instances]
    limits, source = run_limits(setup.dataset, setup.solvers, names), sources(setup.dataset, names)
    with progress(len(results.files), "predictions measured") as bar:
        for name, one in results.predictions():
            mine = collected.setdefault(name, _Collected())
            _collect(mine, results, one, runs, drawn, cutoff)
            if SELECTION_UNIT in one.calibrated:
                mine.means[-1]["horizons"] = _horizons(results, one, limits, source)
            if isinstance(problem, SelectionProblem) and SELECTION_UNIT in one.calibrated:
                seen, positions = one.held_out[SELECTION_UNIT]
                training = fitted(problem, seen, [setup.data.instances[k].gbdhash for k in positions])
                seconds = one.predict_seconds[SELECTION_UNIT]
                calibrated = one.calibrated[SELECTION_UNIT]
                mine.selections.append(select(problem, calibrated, one.needs, seconds, training))
                if mine.solve is None:
                    held_out = [setup.data.instances[k] for k in positions]
                    chosen = solve_statistics(problem, seen, held_out, one.needs, seconds)
                    if chosen is not None:
                        mine.solve = solve_par2(problem, calibrated, one.needs, seconds, chosen)
            observe(name, one)
            bar.advance()
    names = table_order(list(collected))
    rows = {name: _row(name, collected[name]) for name in names}
    reference = min(
        (name for name in names if not rows[name].is_network),
        key=lambda name: rows[name].values[BEST_BY].value,
        default=None,
    )
    selection = {}
    if isinstance(problem, SelectionProblem):
        picks = Resamples.draw(len(problem.instances), problem.families if by_family else None, resamples)
        picking = [name for name in names if collected[name].selections]
        selection = {name: selection_row(problem, collected[name].selections, picks) for name in picking}
    return Comparison(
        results,
        cutoff,
        runs,
        rows,
        {name: first for name in names if (first := collected[name].first) is not None},
        reference,
        _differences(collected, names, reference),
        problem,
        selection,
        {name: collected[name].selections[0] for name in selection},
        {name: cost for name in selection if (cost := collected[name].solve) is not None},
        new_families(setup),
    )


def _collect(mine: _Collected, results: Results, one: Predicted, runs: Runs, drawn: Resamples, cutoff: float) -> None:
    setup = results.setup
    unit = setup.units[0]
    table, limits = results.tables[unit], results.cutoffs[unit]
    scores = Scores.of(one.calibrated[unit][runs.rows, 0], runs, limits[runs.rows, 0])
    for name, value in scores.values().items():
        mine.values.setdefault(name, []).append(value)
    for name, found in scores.resampled(drawn).items():
        mine.resampled.setdefault(name, []).append(found)
    groups = np.array(runs.groups, dtype=str)
    families = {family: groups == family for family in sorted(set(runs.groups))}
    means: dict[str, Any] = {
        "calibration": _calibration(results, one, runs, scores),
        "reliability": scores.observed(RELIABILITY_LEVELS),
        "families": {
            family: _counted(scores, members)
            for family, members in families.items()
            if members.sum() >= LEAST_IN_FAMILY
        },
        "untouched": {},
        "other_solvers": {},
        "horizons": {},
        "fit_s": one.fit_seconds[unit],
        "predict_s": one.predict_seconds[unit],
    }
    if setup.split == "family":
        sides = setup.side_names(None)
        untouched = np.array([sides.get(table.instances[k].gbdhash) == "test" for k in runs.rows])
        if untouched.any():
            means["untouched"] = _counted(scores, untouched)
    for column, solver in enumerate(setup.solvers[1:], start=1):
        its = Runs.of(table, solver, cutoff)
        if len(its):
            others = Scores.of(one.calibrated[unit][its.rows, column], its, limits[its.rows, column])
            counts = {"n": float(len(its)), "n_solved": float((~its.censored).sum())}
            means["other_solvers"][solver] = counts | others.values()
    mine.means.append(means)
    if one.seed is not None:
        mine.seeds.append(one.seed)
    mine.lacking = max(mine.lacking, one.lacking)
    if one.note and one.note not in mine.notes:
        mine.notes.append(one.note)
    if mine.first is None:
        mine.first = scores


def _horizons(results: Results, one: Predicted, limits: Floats, source: NDArray[np.str_]) -> dict[str, Any]:
    table, predicted = results.tables[SELECTION_UNIT], one.calibrated[SELECTION_UNIT]
    found = {}
    for column, solver in enumerate(results.setup.solvers):
        known = np.flatnonzero(table.known[:, column])
        costs = table.cost[known, column], table.censored[known, column]
        found[solver] = measured(predicted[known, column], *costs, limits[known, column], source[known])
    return found


def _counted(scores: Scores, members: NDArray[np.bool_]) -> dict[str, float]:
    """Return the measures that are means over runs, over some of the runs, and how many these are."""
    counts = {"n": float(members.sum()), "n_solved": float((members & ~scores.runs.censored).sum())}
    return counts | scores.subset(members)


def _calibration(results: Results, one: Predicted, runs: Runs, scores: Scores) -> dict[int, dict[str, float]]:
    """Return level -> the fields of a :class:`CalibrationRow`, of one seed."""
    unit = results.setup.units[0]
    raw = Scores.of(one.raw[unit][runs.rows, 0], runs, results.cutoffs[unit][runs.rows, 0])
    held_out, where = one.held_out[unit]
    whole = results.setup.data.tables[unit]
    known = whole.known[where, 0]
    chosen = where[known]
    checked = Runs(
        chosen, whole.cost[chosen, 0], whole.censored[chosen, 0], [whole.groups[k] for k in chosen], runs.cutoff
    )
    check = Scores.of(held_out[np.flatnonzero(known), 0], checked, runs.cutoff) if len(chosen) else None
    own, before, after = (
        one.subset(np.ones(len(one.runs), dtype=bool)) if one is not None else {} for one in (scores, raw, check)
    )
    nothing = float("nan")
    return {
        level: {
            "solved": own[f"coverage_{level}"],
            "raw": before[f"coverage_{level}"],
            "all_runs": _inside(scores, level),
            "least": scores.bounds[level][0],
            "most": scores.bounds[level][1],
            "held_out": after.get(f"coverage_{level}", nothing),
            "held_out_all": _inside(check, level) if check is not None else nothing,
            "width": own[f"width_{level}"],
        }
        for level in LEVELS
    }


def _inside(scores: Scores, level: int) -> float:
    """Return the share of all runs inside the central interval, by Kaplan-Meier."""
    low, high = scores.observed([0.5 - level / 200, 0.5 + level / 200])
    return float(high - low)


def _row(name: str, mine: _Collected) -> Row:
    values = {}
    for measure in MEASURES:
        found = np.array(mine.values[measure])
        low, high = percentile_interval(np.mean(mine.resampled[measure], axis=0))
        sd = float(found.std(ddof=1)) if len(found) > 1 else float("nan")
        values[measure] = Value(float(found.mean()), sd, low, high)
    means = _mean(mine.means)
    means["calibration"] = {level: CalibrationRow(**found) for level, found in means["calibration"].items()}
    return Row(
        name=name,
        label=method(name).label,
        seeds=tuple(mine.seeds),
        values=values,
        by_seed=mine.values,
        lacking=mine.lacking,
        notes=tuple(mine.notes),
        **means,
    )


def _mean(found: Sequence[Any]) -> Any:
    """Return means over seeds, of dictionaries part by part: of what some seeds lack, over the others."""
    if isinstance(found[0], Mapping):
        keys = dict.fromkeys(key for one in found for key in one)
        return {key: _mean([one[key] for one in found if key in one]) for key in keys}
    return np.mean(found, axis=0)


def _differences(
    collected: Mapping[str, _Collected], names: Sequence[str], reference: str | None
) -> dict[str, dict[str, Difference]]:
    """Test every method against the reference: same resamples, means over seeds."""
    if reference is None:
        return {}
    base = collected[reference]
    others = [name for name in names if name != reference]
    result: dict[str, dict[str, Difference]] = {name: {} for name in others}
    for measure in TESTED:
        tests = {}
        for name in others:
            mine = collected[name]
            value = float(np.mean(mine.values[measure]) - np.mean(base.values[measure]))
            resampled = np.mean(mine.resampled[measure], axis=0) - np.mean(base.resampled[measure], axis=0)
            tests[name] = paired_difference(value, resampled)
        corrected = holm([tests[name].p_value for name in others])
        for name, p_holm in zip(others, corrected, strict=True):
            result[name][measure] = Difference(**vars(tests[name]), p_holm=p_holm)
    return result


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979: A simple sequentially rejective multiple test procedure).

    NaN stays NaN and doesn't count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    count = int((~np.isnan(p)).sum())
    order = np.argsort(p, kind="stable")[:count]  # NaN comes last
    found = np.full(len(p), np.nan)
    found[order] = np.minimum(np.maximum.accumulate(p[order] * (count - np.arange(count))), 1.0)
    return [float(value) for value in found]
