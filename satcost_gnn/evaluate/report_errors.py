"""Sections of a report on errors: by estimator, family and budget, and what each part of the input is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.evaluate import figures
from satcost_gnn.evaluate.comparison import TESTED, Comparison, Value
from satcost_gnn.evaluate.document import Bullets, Document, Heading, Paragraph, Picture, Table
from satcost_gnn.evaluate.methods import ABLATIONS, headline
from satcost_gnn.evaluate.scores import MEASURES, RANK_RESAMPLES
from satcost_gnn.evaluate.selection import stage_cpu_seconds

_MAIN = (
    "rmse",
    "crps",
    "spearman",
    "spearman_within",
    "ratio",
    "within_2",
    "within_10",
    "c_index",
    "coverage_80",
    "width_80",
)
_CODED = ("rmse_median", "rmse_capped", "rmse_par2", "crps_cutoff", "brier", "auc")
_WHOSE = {"own": "runs of our own", "published": "published runs"}


def number_text(value: float, digits: int = 3) -> str:
    """Return a number of some digits, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def percent_text(value: float) -> str:
    """Return a share in percent, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def with_interval(value: Value, digits: int = 3) -> str:
    """Return a measure and its interval."""
    if math.isnan(value.value):
        return "–"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def shown_families(comparison: Comparison) -> list[str]:
    """Return the few methods that are shown by family."""
    names = [comparison.reference, headline(comparison.rows), "forest", "linear"]
    found = list(dict.fromkeys(name for name in names if name is not None and name in comparison.rows))
    return (found or list(comparison.rows))[:3]


def unit_label(comparison: Comparison) -> str:
    """Return the unit of costs as people read it."""
    return UNIT_LABELS[comparison.results.setup.units[0]]


def budget_text(comparison: Comparison) -> str:
    """Return the longest budget of the comparison, with its unit."""
    return f"{10**comparison.cutoff:,.6g} {unit_label(comparison)}"


def accuracy_section(document: Document, comparison: Comparison, _: str) -> None:
    """Tell the errors of all estimators."""
    rows = comparison.rows
    strong = [number for number, name in enumerate(rows) if name in (headline(rows), comparison.reference)]
    failed = [name for name in comparison.results.failed if name not in rows]
    resampled = "whole families" if comparison.results.setup.split == "family" else "instances"

    def table(measures: Sequence[str]) -> Table:
        lines = [[name, *(with_interval(row.values[m]) for m in measures)] for name, row in rows.items()]
        lines += [[name, "failed", *([""] * (len(measures) - 1))] for name in failed]
        return Table(["estimator", *(MEASURES[m].heading for m in measures)], lines, strong)

    document.add(
        Heading("Accuracy"),
        Paragraph(
            f"Means over seeds, with 95 % bootstrap intervals over {resampled} (of rank correlations from "
            f"{RANK_RESAMPLES} resamples at most). Errors are in decades. Bold: the best classical model and the "
            "network."
        ),
        table(_MAIN),
        Picture(
            "intervals",
            figures.intervals(comparison),
            "RMSE, CRPS and C-index with 95 % intervals. Orange: network; blue: best classical model.",
        ),
        Paragraph(f"With other codings of censored runs; the cutoff is {budget_text(comparison)}:"),
        table(_CODED),
        Paragraph("Seeds and times (one thread; fitting sums over folds, prediction is without preprocessing):"),
        Table(
            ["estimator", "what it is", "seeds", "sd of RMSE", "sd of CRPS", "fit, s", "predict, ms", "no prediction"],
            [
                [
                    name,
                    "; ".join([row.label, *row.notes]),
                    ", ".join(map(str, row.seeds)) or "none needed",
                    number_text(row.values["rmse"].sd, 4),
                    number_text(row.values["crps"].sd, 4),
                    number_text(row.fit_s, 1),
                    number_text(1000 * row.predict_s, 2),
                    str(row.lacking) if row.lacking else "",
                ]
                for name, row in rows.items()
            ],
        ),
        Bullets([f"{MEASURES[m].heading}: {MEASURES[m].text}" for m in (*_MAIN, *_CODED)]),
    )


def against_best_section(document: Document, comparison: Comparison, _: str) -> None:
    """Compare every estimator with the best one."""
    if comparison.reference is None or not comparison.differences:
        return
    document.add(
        Heading("Against the best classical model"),
        Paragraph(
            f"Difference from **{comparison.reference}** on the same resamples, with 95 % interval, and p-value "
            "corrected for the number of estimators (Holm). Less is better for RMSE and CRPS, more for the others."
        ),
        Table(
            ["estimator", *(text for m in TESTED for text in (MEASURES[m].heading, "p"))],
            [
                [
                    name,
                    *(
                        text
                        for m in TESTED
                        for text in (
                            "–"
                            if math.isnan(found[m].value)
                            else f"{found[m].value:+.3f} [{found[m].low:+.3f}, {found[m].high:+.3f}]",
                            number_text(found[m].p_holm),
                        )
                    ),
                ]
                for name, found in comparison.differences.items()
            ],
            [number for number, name in enumerate(comparison.differences) if name == headline(comparison.rows)],
        ),
    )


def ablations_section(document: Document, comparison: Comparison, _: str) -> None:
    """Tell what each part of the input is worth."""
    measures = ("rmse", "crps", "spearman", "spearman_within", "within_2")
    unit = comparison.results.setup.units[0]
    seconds = [stage_cpu_seconds(one) for one in comparison.results.tables[unit].instances]
    lines = []
    for part in ABLATIONS:
        before = float(np.mean([sum(found.get(stage, 0.0) for stage in part.stages) for found in seconds]))
        for name in part.methods:
            if name in comparison.rows:
                row = comparison.rows[name]
                scores = (with_interval(row.values[m]) for m in measures)
                lines.append([part.seen, name, *scores, f"{before:.3f}", f"{row.predict_s:.3f}"])
    if len(lines) < 2:
        return
    document.add(
        Heading("What each part is worth"),
        Paragraph(
            "Preparing is what an instance takes on average before it is predicted, of what that row needs: reading, "
            "features, searches and the graph, in CPU seconds; instances that the probe solves are not among them."
        ),
        Table(
            ["what is seen", "estimator", *(MEASURES[m].heading for m in measures), "preparing, s", "predicting, s"],
            lines,
        ),
        Picture(
            "ablations", figures.ablations(comparison), "By what an estimator sees. Blue: classical; orange: network."
        ),
    )
    absent = [name for part in ABLATIONS for name in part.methods if name not in comparison.rows]
    if absent:
        document.add(Paragraph(f"Not in this comparison: {', '.join(absent)} (`--estimators`, then `--resume`)."))


def untouched_section(document: Document, comparison: Comparison, _: str) -> None:
    """Tell the errors on what no estimator was fitted to or calibrated on."""
    rows = {name: row.untouched for name, row in comparison.rows.items() if row.untouched}
    if not rows:
        return
    measures = ("rmse", "crps", "ratio", "within_2", "within_10", "coverage_80", "width_80")
    first = next(iter(rows.values()))
    document.add(
        Heading("On instances that nothing was chosen by"),
        Paragraph(
            f"The {first['n']:.0f} test runs ({first['n_solved']:.0f} solved) on instances that are on the test side "
            "of the split by instance as well. Settings that were chosen by how well left-out families are predicted "
            "were chosen on the other instances; a number that is much better above than here was chosen, not earned."
        ),
        Table(
            ["estimator", *(MEASURES[m].heading for m in measures)],
            [[name, *(number_text(found[m]) for m in measures)] for name, found in rows.items()],
        ),
    )


def families_section(document: Document, comparison: Comparison, _: str) -> None:
    """Tell the errors by family."""
    names = shown_families(comparison)
    families = sorted(
        {family for name in names for family in comparison.rows[name].families},
        key=lambda f: -comparison.rows[names[0]].families[f]["n"],
    )
    if not families:
        return
    measures = ("rmse", "crps", "within_2", "coverage_80")
    document.add(
        Heading("By family"),
        Paragraph("Families with at least five test runs. A dozen runs say little: mind the numbers."),
        Table(
            ["family", "runs", "solved", *(f"{MEASURES[m].heading}: {name}" for m in measures for name in names)],
            [
                [
                    family,
                    f"{comparison.rows[names[0]].families[family]['n']:.0f}",
                    f"{comparison.rows[names[0]].families[family]['n_solved']:.0f}",
                    *(number_text(comparison.rows[name].families[family][m], 2) for m in measures for name in names),
                ]
                for family in families
            ],
        ),
    )


def scatter_section(document: Document, comparison: Comparison, _: str) -> None:
    """Draw predicted and true costs."""
    document.add(
        Heading("Predicted and true"),
        Picture(
            "scatter",
            figures.scatter(comparison),
            "First seed. Grey: within a factor of 2 and of 10. Dots: solved runs, with the mean given that the run "
            "is solved; triangles: runs stopped there unsolved, with the median: right if it lies above the diagonal.",
        ),
    )


def horizons_section(document: Document, comparison: Comparison, _: str) -> None:
    """Tell how good predictions are at several budgets, own and published runs apart."""
    names = [name for name in comparison.rows if any(comparison.rows[name].horizons.values())]
    if not names:
        return
    document.add(
        Heading("At every horizon"),
        Paragraph(
            "CPU seconds. At a budget, only runs whose limit reaches it count. Brier: mean squared error of the "
            "probability of being solved by then, over that of saying the observed share of all; below 1 something is "
            "known. A run that was stopped counts up to its own limit in CRPS and RMSE."
        ),
    )
    shown = [name for name in shown_families(comparison) if name in names] or names[:1]
    for solver, sources in comparison.rows[names[0]].horizons.items():
        for source in sources:
            found = {
                name: comparison.rows[name].horizons[solver][source]
                for name in names
                if source in comparison.rows[name].horizons.get(solver, {})
            }
            first = next(iter(found.values()))
            counts = first["overall"]
            document.add(
                Paragraph(
                    f"**{solver}, {_WHOSE[source]}**: {counts['runs']:.0f} on test instances, "
                    f"{counts['solved']:.0f} of them solved."
                ),
                _by_budget(found),
            )
            for name in shown:
                if name in found:
                    _decades(document, name, found[name])


def _by_budget(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    budgets = [row for row in next(iter(found.values())) if row.startswith("by ")]
    lines = []
    for name, rows in found.items():
        whole = rows["overall"]
        unsolved = whole["median_of_unsolved"]
        cells = [number_text(whole[key]) for key in ("c_index", "crps", "rmse_capped")]
        cells.append("–" if math.isnan(unsolved) else f"{10**unsolved:,.3g}")
        for budget in budgets:
            one = rows[budget]
            ratio = one["brier"] / one["brier_constant"] if one["brier_constant"] > 0 else math.nan
            cells += [number_text(ratio, 2), number_text(one["auc"], 2)]
        lines.append([name, *cells])
    headings = [text for budget in budgets for text in (f"Brier {budget}", f"AUC {budget}")]
    return Table(
        ["estimator", "C-index", "CRPS", "RMSE capped", "median of unsolved, s", *headings],
        lines,
    )


def _decades(document: Document, name: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    decades = {row: numbers for row, numbers in rows.items() if "least" in numbers}
    if not decades:
        return
    document.add(
        Paragraph(f"Central 80 % intervals of **{name}** by decade of the predicted median:"),
        Table(
            ["predicted median, s", "runs", "inside, at least", "at most", "width, decades"],
            [
                [
                    row,
                    f"{one['runs']:.0f}",
                    f"{percent_text(one['least'])} %",
                    f"{percent_text(one['most'])} %",
                    number_text(one["width"], 2),
                ]
                for row, one in decades.items()
            ],
        ),
    )
