"""Sections of a report on errors: by estimator and family, and what each part of the input is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.evaluate import figures
from satcost_gnn.evaluate.comparison import TESTED, Comparison
from satcost_gnn.evaluate.document import Bullets, Document, Heading, Paragraph, Picture, Table
from satcost_gnn.evaluate.methods import ABLATIONS, headline
from satcost_gnn.evaluate.report_numbers import number_text, shown_families, with_interval
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
