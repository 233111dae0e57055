"""Section of a report on budgets from a second to hours: solved by then or not, and intervals by decade."""

from __future__ import annotations

import math
from collections.abc import Mapping

from satcost_gnn.evaluate.comparison import Comparison
from satcost_gnn.evaluate.document import Document, Heading, Paragraph, Table
from satcost_gnn.evaluate.report_numbers import number_text, percent_text, shown_families

_WHOSE = {"own": "runs of our own", "published": "published runs"}


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
