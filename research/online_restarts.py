"""Error of every online estimator along the search, what earlier restarts are worth, and selection by a first window.

    python research/online_restarts.py out/online_observations_500.parquet -o out/online_restarts_500

writes ``.json`` (everything), ``.md`` (tables) and ``.svg`` (errors over the share of the cost that is spent). The
table of observations is made by ``online_observe.py``. With ``--parts DIR`` finished parts are kept, and a stopped run
continues.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from observation import ESTIMATES, feature_names
from online_errors import (
    FOLDS,
    LEAST_TRAINING,
    ObservedRuns,
    compare_predictions,
    errors,
    errors_by_fraction,
    errors_by_point,
    forest,
    held_out_predictions,
    linear,
    linear_by_answer,
    mean,
    scaled,
    start_predictions,
)
from online_selection import WindowSelection, select_after_window

from satcost_gnn.core.selection_metrics import closed_gap
from satcost_gnn.learn.base import group_folds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SETS: Mapping[str, tuple[str, ...]] = {
    "rand": ("rand",),
    "bmc": ("bmc",),
    "fv": ("fv",),
    "structured": ("bmc", "fv"),
}
CONTRASTED = ("rand", "structured")
WATCHED = ("minisatep", "ergo", "cadical195")
SELECTED = (*WATCHED, "cadical300")
LABELS: Mapping[str, str] = {
    "minisatep": "MiniSat 2.2 (Luby restarts)",
    "ergo": "MiniSat 2.0 as emulated by Ergo (geometric restarts)",
    "cadical195": "CaDiCaL 1.9.5",
    "cadical300": "CaDiCaL 3.0.0",
    "twice_so_far": "2 × so far",
    "constant": "mean of those still running",
    "progress_bar": "MiniSat's progress bar",
    "progress_bar_scaled": "MiniSat's progress bar, scaled",
    "wbe": "WBE",
    "wbe_scaled": "WBE, scaled",
    "recursive": "recursive",
    "recursive_scaled": "recursive, scaled",
    "holt": "tree weight, Holt",
    "holt_scaled": "tree weight, Holt, scaled",
    "progress_ensemble": "progress ensemble",
    "linear": "LMP",
    "linear_earlier": "LMP with earlier predictions",
    "forest": "forest on the same features",
}
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 0.75)
PROGRESS = ("tree.", "progress.", "spent.", "window.decisions.", "window.trail_share.")


# The table ------------------------------------------------------------------------------------------------------------


class Observations:
    """The table of observations, by instance, solver and kind of point."""

    def __init__(self, path: Path) -> None:
        table = pq.read_table(path)
        self.about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        self.structure = tuple(
            name
            for name in table.column_names[table.column_names.index("search_s") + 1 :]
            if not name.startswith("estimate.") and name not in feature_names(learnt=True)
        )
        rows = table.to_pylist()
        self.ensemble = {row["instance"]: row["ensemble"] for row in rows}
        self.family = {row["instance"]: row["family"] for row in rows}
        self._rows: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for row in rows:
            self._rows.setdefault((row["solver"], row["kind"], row["instance"]), []).append(row)
        answers = {row["instance"]: row["status"] for row in rows if row["status"] in ("SAT", "UNSAT")}
        self.satisfiable = {name: {"SAT": 1, "UNSAT": 0}.get(answers.get(name, ""), -1) for name in self.ensemble}
        self.key = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()

    def end(self, solver: str, instance: str) -> dict[str, Any] | None:
        """Return the row of kind ``start``, which tells how the search ended; None if it was not recorded."""
        return next(iter(self._rows.get((solver, "start", instance), [])), None)

    def recorded(self, ensembles: Sequence[str], solvers: Sequence[str]) -> list[str]:
        """Return the instances of some ensembles that were searched by all of the solvers."""
        return sorted(
            name
            for name, ensemble in self.ensemble.items()
            if ensemble in ensembles and all(self.end(solver, name) for solver in solvers)
        )

    def runs(self, instances: Sequence[str], solver: str, kind: str) -> ObservedRuns:
        """Return the searches of a solver, observed at the points of a kind."""
        ends = [self.end(solver, name) or {} for name in instances]
        points = [sorted(self._rows.get((solver, kind, name), []), key=lambda row: row["point"]) for name in instances]
        count = max((len(rows) for rows in points), default=0)
        names = feature_names(learnt=True)

        def cube(columns: Sequence[str]) -> Floats:
            found = np.full((len(instances), count, len(columns)), np.nan)
            for i, rows in enumerate(points):
                for k, row in enumerate(rows):
                    found[i, k] = [np.nan if row[name] is None else row[name] for name in columns]
            return found

        features = cube(names)
        # A solver that does not tell its learnt clauses has nothing in their columns.
        told = np.asarray(~np.isnan(features).all(axis=(0, 1))) if count else np.zeros(len(names), dtype=bool)
        solved = np.array([end["status"] in ("SAT", "UNSAT") for end in ends], dtype=bool)
        estimates = cube([f"estimate.{name}" for name in ESTIMATES])
        static = [[math.nan if end[name] is None else end[name] for name in self.structure] for end in ends]
        return ObservedRuns(
            instances=tuple(instances),
            log10_cost=np.log10(np.array([max(end["conflicts"], 1) for end in ends], dtype=np.float64)),
            censored=~solved,
            satisfiable=np.array([self.satisfiable[name] for name in instances], dtype=np.int8),
            spent=cube(["end"])[:, :, 0],
            names=tuple(name for name, there in zip(names, told, strict=True) if there),
            features=features[:, :, told],
            static_names=self.structure,
            static=np.array(static, dtype=np.float64).reshape(len(instances), -1),
            estimates={name: estimates[:, :, k] for k, name in enumerate(ESTIMATES)},
        )


# Parts ----------------------------------------------------------------------------------------------------------------


def by_fraction(table: Observations, name: str, solver: str) -> dict[str, Any]:
    """Errors of all estimators when fractions of the true cost are spent."""
    runs = table.runs(table.recorded(SETS[name], [solver]), solver, "checkpoint")
    folds = group_folds(runs.instances, FOLDS)
    middle = start_predictions(runs, mean, folds)
    structure = start_predictions(runs, linear, folds)
    trained: dict[str, tuple[Floats, Floats]] = {
        "constant": (held_out_predictions(runs, mean, static=False, folds=folds), middle),
        "progress_ensemble": (
            held_out_predictions(runs, forest, columns=PROGRESS, static=False, folds=folds),
            middle,
        ),
        "linear": (held_out_predictions(runs, linear, folds=folds), structure),
        "linear_earlier": (held_out_predictions(runs, linear, earlier=True, folds=folds), structure),
        "forest": (held_out_predictions(runs, forest, folds=folds), structure),
    }
    for estimate in ESTIMATES[1:]:
        made = held_out_predictions(runs, scaled, estimate=estimate, static=False, folds=folds)
        trained[f"{estimate}_scaled"] = (made, middle)
    found = {key: errors_by_fraction(runs, made, start, FRACTIONS) for key, (made, start) in trained.items()}
    solved = runs.subset(~runs.censored)
    for estimate in ESTIMATES:
        found[estimate] = {}
        for fraction in FRACTIONS:
            # Where the estimate says nothing yet, twice of what was spent stands.
            at = fraction * 10.0**solved.log10_cost
            start = np.log10(2.0 * at)
            made = np.full_like(solved.spent, np.nan) if estimate == "twice_so_far" else solved.estimates[estimate]
            found[estimate][fraction] = errors_by_fraction(solved, made, start, (fraction,))[fraction]
    there = ~np.isnan(runs.spent)
    return {
        "n": len(runs),
        "n_solved": int((~runs.censored).sum()),
        "known": {name: float((~np.isnan(values[there])).mean()) for name, values in runs.estimates.items()},
        "errors": {key: {str(f): row for f, row in rows.items()} for key, rows in found.items()},
    }


def _both_ways(runs: ObservedRuns, learner: Callable[..., Any]) -> dict[str, Any] | None:
    """Errors at each restart with and without the predictions at earlier ones, and how they differ."""
    if (~runs.censored).sum() * (1 - 1 / FOLDS) < LEAST_TRAINING or not runs.spent.shape[1]:
        return None
    folds = group_folds(runs.instances, FOLDS)
    # Only restarts at which models were fitted in all folds count: elsewhere few would be left, and not by chance.
    without = held_out_predictions(runs, learner, folds=folds, carry=False)
    partly = (np.isnan(without) & ~np.isnan(runs.spent)).any(axis=0)
    without[:, partly] = np.nan
    earlier = held_out_predictions(runs, learner, earlier=True, folds=folds, carry=False)
    earlier[:, partly] = np.nan
    # A plain alternative that needs no training: the mean of all predictions so far.
    so_far = np.where(np.isnan(without), 0.0, without).cumsum(axis=1) / np.arange(1, without.shape[1] + 1)
    averaged = np.maximum(np.where(np.isnan(without), np.nan, so_far), np.log10(runs.spent))
    later = (~np.isnan(without[:, 1:]) & ~runs.censored[:, None]).any(axis=1)
    return {
        "n": len(runs),
        "n_solved": int((~runs.censored).sum()),
        "n_later": int(np.sum(later)),
        "without": errors_by_point(runs, without),
        "earlier": errors_by_point(runs, earlier),
        "averaged": errors_by_point(runs, averaged),
        "twice_so_far": errors_by_point(runs, runs.estimates["twice_so_far"]),
        "constant": errors_by_point(runs, held_out_predictions(runs, mean, static=False, folds=folds, carry=False)),
        "later": {
            key: errors(made[:, 1:], np.where(runs.censored, np.nan, runs.log10_cost)[:, None] + 0.0 * made[:, 1:])
            for key, made in (("without", without), ("earlier", earlier), ("averaged", averaged))
        },
        "difference": {
            key: {
                measure: asdict(one) for measure, one in compare_predictions(runs, made, without, from_point=1).items()
            }
            for key, made in (("earlier", earlier), ("averaged", averaged))
        },
    }


def by_restart(table: Observations, name: str, solver: str) -> dict[str, Any]:
    """What earlier restarts are worth: answer taken as known, and unknown."""
    runs = table.runs(table.recorded(SETS[name], [solver]), solver, "restart")
    return {
        "common": _both_ways(runs, linear),
        "unknown": _both_ways(runs, linear_by_answer),
        "SAT": _both_ways(runs.subset(runs.satisfiable == 1), linear),
        "UNSAT": _both_ways(runs.subset(runs.satisfiable == 0), linear),
    }


def _total(cost: Floats, solved: Bools) -> dict[str, float]:
    return {"total": float(cost.sum()), "unsolved": int((~solved).sum())}


def selection(table: Observations, unit: str, solvers: Sequence[str], window: int) -> dict[str, Any]:
    """Total cost if the solver is picked by the estimates after a first window, against each alone and the oracle."""
    names = table.recorded(SETS["rand"] + SETS["structured"], solvers)
    folds = group_folds(names, FOLDS)
    cost, windows, predicted, before = (np.full((len(names), len(solvers)), np.nan) for _ in range(4))
    solved = np.zeros(cost.shape, dtype=bool)
    in_window = np.zeros(cost.shape, dtype=bool)
    for column, solver in enumerate(solvers):
        ends = [table.end(solver, name) or {} for name in names]
        conflicts = np.array([end["conflicts"] for end in ends], dtype=np.float64)
        solved[:, column] = [end["status"] in ("SAT", "UNSAT") for end in ends]
        seconds = np.array([max(end["search_s"], 1e-4) for end in ends], dtype=np.float64)
        cost[:, column] = conflicts if unit == "conflicts" else seconds
        share = np.minimum(window / np.maximum(conflicts, 1.0), 1.0)
        windows[:, column] = cost[:, column] * share
        in_window[:, column] = solved[:, column] & (conflicts <= window)
        runs = table.runs(names, solver, "restart")
        runs = replace(
            runs,
            log10_cost=np.log10(cost[:, column]),
            spent=np.where(np.isnan(runs.spent[:, :1]), np.nan, windows[:, column, None]),
            features=runs.features[:, :1],
            estimates={},
        )
        predicted[:, column] = held_out_predictions(runs, linear, folds=folds)[:, 0]
        # What was spent is a floor of predictions in units of its own: none before the search.
        before[:, column] = start_predictions(replace(runs, log10_cost=runs.log10_cost + 6.0), linear, folds) - 6.0
    by_window = select_after_window(cost, solved, windows, in_window, predicted)
    none = np.zeros(cost.shape)
    by_structure = select_after_window(cost, solved, none, none.astype(bool), before)
    by_truth = select_after_window(cost, solved, windows, in_window, np.where(solved, cost, np.inf))
    oracle = np.where(solved, cost, np.inf)
    best = np.argmin(np.where(np.isinf(oracle), 1e18 + cost, oracle), axis=1)
    rows = np.arange(len(names))

    def summary(chosen: Bools) -> dict[str, Any]:
        alone = {solver: _total(cost[chosen, k], solved[chosen, k]) for k, solver in enumerate(solvers)}
        single = min(one["total"] for one in alone.values())
        virtual = float(cost[rows, best][chosen].sum())

        def of(made: WindowSelection) -> dict[str, Any]:
            part = replace(made, **{f: getattr(made, f)[chosen] for f in ("choice", "cost", "solved", "in_window")})
            shares = part.pick_shares(len(solvers))
            return {
                **_total(part.cost, part.solved),
                "closed_gap": closed_gap(float(part.cost.sum()), single, virtual),
                "picks": dict(zip(solvers, shares.tolist(), strict=True)),
                "in_window": int(part.in_window.sum()),
            }

        return {
            "n": int(chosen.sum()),
            "alone": alone,
            "oracle": _total(cost[rows, best][chosen], solved[rows, best][chosen]),
            "by_window": of(by_window),
            "by_window_perfect": of(by_truth),
            "by_structure": of(by_structure),
        }

    sets = {key: np.array([table.ensemble[name] in ensembles for name in names]) for key, ensembles in SETS.items()}
    sets["all"] = np.ones(len(names), dtype=bool)
    return {"solvers": list(solvers), "window": window, "sets": {key: summary(one) for key, one in sets.items()}}


def searches(table: Observations) -> list[dict[str, Any]]:
    """What was recorded, by ensemble and solver."""
    rows = []
    for ensemble in ("rand", "bmc", "fv"):
        for solver in (*WATCHED, "cadical300"):
            ends = [table.end(solver, name) or {} for name in table.recorded((ensemble,), (solver,))]
            conflicts = np.array([end["conflicts"] for end in ends if end["status"] in ("SAT", "UNSAT")], dtype=float)
            at_restart = [len(table._rows.get((solver, "restart", end["instance"]), [])) for end in ends]
            rows.append(
                {
                    "ensemble": ensemble,
                    "solver": solver,
                    "n": len(ends),
                    "SAT": sum(end["status"] == "SAT" for end in ends),
                    "UNSAT": sum(end["status"] == "UNSAT" for end in ends),
                    "stopped": len(ends) - len(conflicts),
                    "quartiles": [float(q) for q in np.quantile(conflicts, (0.25, 0.5, 0.75))]
                    if len(conflicts)
                    else [],
                    "with_window": sum(count > 0 for count in at_restart),
                    "with_two": sum(count > 1 for count in at_restart),
                    "families": len({table.family[end["instance"]] for end in ends}),
                }
            )
    return rows


def _plain(values: Any) -> Any:
    """Return values for JSON, which has no NaN: null in its place."""
    if isinstance(values, Mapping):
        return {str(key): _plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and math.isnan(values) else values


def evaluate(table: Observations, parts: Path | None) -> dict[str, Any]:
    """Return all results, part by part."""

    def part(name: str, compute: Callable[[], Any]) -> Any:
        kept = parts / f"{table.key}-{name}.json" if parts else None
        if kept is not None and kept.exists():
            return json.loads(kept.read_text())
        result = _plain(compute())
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_suffix(".tmp")
            temporary.write_text(json.dumps(result, allow_nan=False))
            temporary.replace(kept)
        return result

    window = int(table.about["waiting"]) + int(table.about["window"])
    result: dict[str, Any] = {"settings": {**table.about, "folds": FOLDS, "least_training": LEAST_TRAINING}}
    result["searches"] = searches(table)
    result["by_restart"] = {
        name: {
            solver: part(f"restart-{name}-{solver}", lambda n=name, s=solver: by_restart(table, n, s))  # type: ignore[misc]
            for solver in WATCHED
        }
        for name in SETS
    }
    complete = len(table.recorded(tuple(SETS), WATCHED))
    available = [solver for solver in SELECTED if len(table.recorded(tuple(SETS), (solver,))) >= complete]
    result["selection"] = {
        unit: part(
            f"selection-{unit}-{len(available)}",
            lambda u=unit: selection(table, u, available, window),  # type: ignore[misc]
        )
        for unit in ("conflicts", "cpu_seconds")
    }
    result["by_fraction"] = {
        name: {
            solver: part(f"fraction-{name}-{solver}", lambda n=name, s=solver: by_fraction(table, n, s))  # type: ignore[misc]
            for solver in WATCHED
        }
        for name in CONTRASTED
    }
    return result


# Reports --------------------------------------------------------------------------------------------------------------


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _header(cells: Sequence[str]) -> list[str]:
    return [_row(cells), "|" + "---|" * len(cells)]


def fraction_tables(result: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, by_solver in result["by_fraction"].items():
        for solver, found in by_solver.items():
            lines += ["", f"### {name}, {LABELS[solver]}: {found['n_solved']} solved searches of {found['n']}", ""]
            lines += _header(["estimator", *(f"{float(f):.0%}" for f in FRACTIONS)])
            for key in LABELS:
                if key in found["errors"]:
                    cells = [
                        f"{_number(row['rmse'])} / {_number(row['ratio'], 1)} / "
                        f"{_number(row['within_2'])} {_number(row['within_4'])} {_number(row['within_10'])}"
                        for row in (found["errors"][key][str(fraction)] for fraction in FRACTIONS)
                    ]
                    lines.append(_row([LABELS[key], *cells]))
            known = found["known"]["holt"]
            lines += ["", f"Holt's forecast exists at {known:.0%} of the checkpoints."]
    return lines


def restart_tables(result: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    kinds = [
        ("common", "without", "LMP"),
        ("common", "earlier", "LMP, earlier"),
        ("unknown", "without", "LMP, P(sat)"),
        ("unknown", "earlier", "LMP, P(sat), earlier"),
        ("SAT", "without", "LMP, SAT only"),
        ("UNSAT", "without", "LMP, UNSAT only"),
        ("common", "constant", "mean"),
        ("common", "twice_so_far", "2 × so far"),
    ]

    def cell(found: Mapping[str, Any], way: str, kind: str, point: int) -> str:
        rows = (found[way] or {}).get(kind, [])
        if point >= len(rows) or not rows[point]["n"]:
            return "–"
        one = rows[point]
        shares = " ".join(_number(one[f"within_{factor}"]) for factor in (2, 4, 10))
        return f"{_number(one['rmse'])} / {shares}" + (f" (n {one['n']})" if way in ("SAT", "UNSAT") else "")

    for name, by_solver in result["by_restart"].items():
        for solver, found in by_solver.items():
            if found["common"] is None:
                continue
            lines += ["", f"### {name}, {LABELS[solver]}", ""]
            lines += _header(["restart used", "conflicts spent", "n", *(label for _, _, label in kinds)])
            for point, row in enumerate(found["common"]["without"]):
                if row["n"]:
                    cells = [cell(found, way, kind, point) for way, kind, _ in kinds]
                    lines.append(_row([str(point + 1), f"{row['median_spent']:,.0f}", str(row["n"]), *cells]))
    return lines


def claim_table(result: Mapping[str, Any]) -> list[str]:
    lines = _header(
        [
            "set",
            "solver",
            "answer",
            "searches",
            "RMSE without",
            "RMSE with",
            "difference (95 %)",
            "within 2 without",
            "within 2 with",
            "difference (95 %)",
            "mean of all so far: RMSE difference (95 %)",
        ]
    )
    words = {"common": "one model", "unknown": "unknown, P(sat)-weighted", "SAT": "SAT only", "UNSAT": "UNSAT only"}
    for name, by_solver in result["by_restart"].items():
        for solver, found in by_solver.items():
            for way, label in words.items():
                one = found[way]
                if one is None or not one["n_later"] or not one["later"]["without"]["n"]:
                    continue
                cells = [name, solver, label, str(one["n_later"])]
                for measure in ("rmse", "within_2"):
                    difference = one["difference"]["earlier"][measure]
                    cells += [_number(one["later"][kind][measure]) for kind in ("without", "earlier")]
                    cells.append(_interval(difference))
                cells.append(_interval(one["difference"]["averaged"]["rmse"]))
                lines.append(_row(cells))
    return lines


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})" if one["value"] is not None else "–"


def selection_tables(result: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for unit, found in result["selection"].items():
        solvers = found["solvers"]
        digits = 0 if unit == "conflicts" else 1
        lines += ["", f"Total cost in {unit.replace('_', ' ')}, with the number of unsolved in brackets:", ""]
        labels = ["oracle", "LMP after a window", "a perfect pick after a window", "structure alone, no window"]
        lines += _header(["set", "n", *solvers, *labels, "closed gap", f"picks ({', '.join(solvers)})"])
        for name, one in found["sets"].items():

            def cell(row: Mapping[str, float]) -> str:
                return f"{row['total']:,.{digits}f} ({row['unsolved']})"  # noqa: B023

            kinds = [one[kind] for kind in ("oracle", "by_window", "by_window_perfect", "by_structure")]
            totals = [cell(row) for row in (*one["alone"].values(), *kinds)]
            picks = ", ".join(_number(share) for share in one["by_window"]["picks"].values())
            lines.append(_row([name, str(one["n"]), *totals, _number(one["by_window"]["closed_gap"]), picks]))
    return lines


def markdown(result: Mapping[str, Any], command: str) -> str:
    settings = result["settings"]
    lines = [
        "# Estimates along the search",
        "",
        "Made by",
        "",
        f"    {command}",
        "",
        f"Waiting period {settings['waiting']} conflicts, window {settings['window']} conflicts, "
        f"{settings['folds']}-fold cross-validation over instances; where fewer than {settings['least_training']} "
        "solved searches are left in training, the estimate before stands. All figures are of held-out instances, "
        "solved searches, log10 of conflicts. No estimate stands below what was spent.",
        "",
        "## Searches",
        "",
        *_header(
            ["ensemble", "solver", "searches", "SAT", "UNSAT", "stopped", "conflicts (quartiles)", "one window", "two"]
        ),
        *(
            _row(
                [
                    row["ensemble"],
                    LABELS[row["solver"]],
                    *(str(row[key]) for key in ("n", "SAT", "UNSAT", "stopped")),
                    ", ".join(f"{q:,.0f}" for q in row["quartiles"]),
                    str(row["with_window"]),
                    str(row["with_two"]),
                ]
            )
            for row in result["searches"]
        ),
        "",
        "## Do predictions at earlier restarts improve later ones?",
        "",
        "Errors at all restarts used but the first, together. Negative differences of RMSE and positive ones of the "
        "share within a factor of 2 are in favour of earlier predictions; intervals by paired bootstrap over "
        "instances.",
        "",
        *claim_table(result),
        "",
        "## Selection after a first window",
        *selection_tables(result),
        "",
        "## Errors by the fraction of the true cost that is spent",
        "",
        "RMSE in decades / geometric mean of the error factor / shares within factors of 2, 4, 10.",
        *fraction_tables(result),
        "",
        "## Errors at each restart used",
        "",
        "RMSE in decades / shares within factors of 2, 4, 10.",
        *restart_tables(result),
    ]
    return "\n".join(lines) + "\n"


CURVES = ("twice_so_far", "constant", "progress_bar_scaled", "wbe_scaled", "progress_ensemble", "linear", "forest")


def figure(result: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "satcost"
    import matplotlib.pyplot as plt

    names = list(result["by_fraction"])
    grid, panels = plt.subplots(
        len(names), len(WATCHED), figsize=(11, 3.1 * len(names)), sharex=True, sharey=True, squeeze=False
    )
    for line, name in zip(panels, names, strict=True):
        for panel, solver in zip(line, WATCHED, strict=True):
            found = result["by_fraction"][name][solver]["errors"]
            for key in CURVES:
                values = [found[key][str(fraction)]["rmse"] or np.nan for fraction in FRACTIONS]
                panel.plot(FRACTIONS, values, marker="o", markersize=3, label=LABELS[key])
            panel.set_title(f"{name}, {solver}", fontsize=9)
            panel.set_ylim(0.0, 1.4)
            panel.grid(alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("share of the true cost that is spent")
    for line in panels:
        line[0].set_ylabel("RMSE (decades)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    grid.legend(handles, labels, loc="lower center", ncols=4, fontsize=8)
    grid.tight_layout(rect=(0, 0.1, 1, 1))
    grid.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("observations", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="path of the results without a suffix")
    parser.add_argument("--parts", type=Path, help="directory in which finished parts are kept")
    options = parser.parse_args()
    result = evaluate(Observations(options.observations), options.parts)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(_plain(result), indent=1, allow_nan=False) + "\n")
    command = f"python research/online_restarts.py {options.observations} -o {options.out}"
    options.out.with_suffix(".md").write_text(markdown(result, command))
    figure(result, options.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
