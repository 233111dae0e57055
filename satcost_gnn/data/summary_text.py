"""A summary as text."""

from __future__ import annotations

import itertools
import textwrap
from dataclasses import astuple
from typing import TYPE_CHECKING

from satcost_gnn.data.dataset import CostUnit
from satcost_gnn.data.portfolio_summary import PortfolioSummary
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.runtime.plain_table import plain_table

if TYPE_CHECKING:
    from satcost_gnn.data.summary import CostHistogram, DatasetSummary


def histogram_lines(histogram: CostHistogram, width: int = 50) -> list[str]:
    """Return a histogram as text: ``#`` for costs, ``>`` for lower bounds, scaled to ``width`` characters."""
    peak = max((s + c for s, c in zip(histogram.solved, histogram.censored, strict=True)), default=0) or 1
    lines = [f"log10 {histogram.unit} of {histogram.solver} (#: solved, >: more than this)"]
    bins = zip(itertools.pairwise(histogram.edges), histogram.solved, histogram.censored, strict=True)
    for (low, high), solved, censored in bins:
        # A bin that holds anything shows at least one mark.
        marks = [max(count > 0, round(width * count / peak)) for count in (solved, censored)]
        bar = "#" * marks[0] + ">" * marks[1]
        lines.append(f"{low:5.1f} .. {high:4.1f}  {solved:5d} {censored:5d}  {bar}".rstrip())
    return lines


def family_table(summary: DatasetSummary, width: int | None = None) -> list[str]:
    """Return the counts by family as lines."""
    header = ("family", "origin", "instances", "SAT", "UNSAT", "unsolved", "no runs", "mid-range")
    rows = [(f.family, "+".join(f.origins), *astuple(f)[2:]) for f in summary.families]
    return plain_table(header, rows, width)


def solver_table(summary: DatasetSummary, width: int | None = None) -> list[str]:
    """Return the counts by solver and status as lines."""
    header = ("solver", "instances", *map(str, RunStatus))
    return plain_table(header, [(s.solver, s.instances, *s.statuses.values()) for s in summary.solvers], width)


def portfolio_lines(portfolio: PortfolioSummary, width: int | None = None) -> list[str]:
    """Return how solvers complement each other as lines."""
    p = portfolio
    rows = [
        (
            solver,
            p.solved[solver],
            f"{p.par2[solver]:.3f}",
            f"{p.marginal[solver]:.3f}",
            p.only[solver],
            f"{100 * p.picks[solver]:.1f}%",
        )
        for solver in sorted(p.par2, key=lambda name: p.par2[name])
    ]
    told = (
        f"{p.scope}, {p.cutoff_s:g} s, {p.instances} instances with runs of all {len(rows)} solvers: "
        f"SBS {p.single_best} {p.sbs:.3f} s, VBS {p.vbs:.3f} s ({100 * p.gain:.1f}% less), "
        f"{p.vbs_solved} solved by some solver"
    )
    return [
        *_filled(told, width),
        *plain_table(("solver", "solved", "PAR2 s", "marginal s", "only it", "picked"), rows, width),
    ]


def noise_table(summary: DatasetSummary, width: int | None = None) -> list[str]:
    """Return the noise of labels as lines."""
    header = ("solver", "unit", "answer", "instances", "sd log10", "median ratio", "within x2", "within x10")
    return plain_table(
        header,
        [
            (
                n.solver,
                n.unit,
                n.answer,
                n.instances,
                f"{n.sd_log10:.3f}",
                f"{n.median_ratio:.2f}",
                f"{100 * n.within_2:.1f}%",
                f"{100 * n.within_10:.1f}%",
            )
            for n in summary.noise
        ],
        width,
    )


def _filled(text: str, width: int | None) -> list[str]:
    """Return a sentence as lines, all but the first indented."""
    if width is None:
        return [text]
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def summary_text(summary: DatasetSummary, width: int | None = None) -> list[str]:
    """Return the lines of a summary for people, of so many characters at most; None for no limit."""
    origins = ", ".join(f"{count} {origin}" for origin, count in summary.origins.items())
    families = "1 family" if len(summary.families) == 1 else f"{len(summary.families)} families"
    told = (
        f"{summary.name}: {summary.instances} instances ({origins or 'none'}) of {families}, "
        f"{summary.runs} runs of {len(summary.solvers)} solvers"
    )
    lines = _filled(told, width)
    if summary.journals:
        told = f"{summary.journals} journals of collectors are not merged yet: start the collector again to finish them"
        lines += _filled(told, width)
    if summary.unlisted_runs:
        lines.append(f"{summary.unlisted_runs} runs are of instances that are not in the manifest")
    lines += ["", *family_table(summary, width)]
    if summary.solvers:
        lines += ["", *solver_table(summary, width)]
    if summary.histogram is not None:
        if summary.histogram.unit == CostUnit.CONFLICTS:
            lines += ["", f"{summary.mid_range} instances take {summary.reference} 10^3 to 10^6 conflicts"]
        lines += ["", *histogram_lines(summary.histogram)]
    for portfolio in summary.portfolios:
        lines += ["", *portfolio_lines(portfolio, width)]
    if summary.noise:
        lines += ["", "Change of the cost with the seed alone", *noise_table(summary, width)]
    copies = sum(len(its) for its in summary.duplicates.values())
    lines += ["", f"{len(summary.duplicates)} isohashes are shared by {copies} instances"]
    lines.append(f"{len(summary.contradictions)} instances are in quarantine for contradicting answers")
    for contradiction in summary.contradictions:
        lines += _filled(f"  {contradiction}", width)
    if summary.splits:
        counts = ", ".join(f"{name} {count}" for name, count in summary.splits.items())
        lines += ["", *_filled(f"splits: {counts}", width)]
    return lines
