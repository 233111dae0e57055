"""The card of a data set: what it holds and what it doesn't, written from its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from satcost_gnn.data.dataset import CostUnit, Dataset
from satcost_gnn.data.race import LEAST_CAP_S
from satcost_gnn.data.race_summary import LEAST_BEST_S, race_summary, raced_runs
from satcost_gnn.data.schema import Origin, RunStatus
from satcost_gnn.data.source_speed import read_speeds, speed_rows
from satcost_gnn.data.splits import EXCLUDED
from satcost_gnn.data.summary import DatasetSummary, summarise
from satcost_gnn.data.summary_text import (
    family_table,
    histogram_lines,
    noise_table,
    portfolio_lines,
    solver_table,
)
from satcost_gnn.runtime.output_files import write_text
from satcost_gnn.runtime.plain_table import plain_table


def format_card(dataset: Dataset) -> str:
    """Return the card of a data set as Markdown, made from its tables alone.

    Raises
    ------
    DatasetError
        If the tables don't fit together.
    """
    summary = summarise(dataset)
    lines = [
        f"# Data set {summary.name}",
        "",
        "Written from the tables (`satcost_gnn.data.card.write_card`); changes made by hand are lost.",
        "",
        f"{summary.instances} instances of {len(summary.families)} families and {summary.runs} runs of "
        f"{len(summary.solvers)} solvers or configurations. Instances are identified by the hash of their normalised "
        "text (`gbdhash`); only the tables are kept here. Files are found by hash in a directory that you name, "
        "generated instances and cubes are made again from their recipe.",
        "",
        *_table_block(("origin", "instances"), list(summary.origins.items())),
        "## Files",
        "",
        "- `manifest.parquet`: one row an instance. `runs.parquet`: one row a run. Units and meanings of the columns "
        "are in the files' own metadata.",
        "- `splits.json`: sides and folds by instance.",
        "",
        "## Runs",
        "",
        "A run is identified by instance, solver, seed and CPU limit. `TIMEOUT` and `MEMOUT` are censored: their "
        "counters are lower bounds of the cost, never the cost. `CRASHED` and `UNSUPPORTED` say nothing about it. "
        "Seed 0 is the formula as it is; other seeds rename variables, flip signs and reorder clauses.",
        "",
        *_block(solver_table(summary)),
        *_table_block(("solver", "version"), [(s.solver, ", ".join(s.versions)) for s in summary.solvers]),
        *_table_block(("CPU s / wall s / MiB", "runs"), list(summary.limits.items())),
        *_table_block(("machine", "runs"), list(summary.machines.items())),
    ]
    speeds = read_speeds(dataset.directory)
    if speeds:
        lines += [
            "## Sources",
            "",
            "Seconds of a source are those of its machines. The factor (seconds there for a second on ours) is the "
            "median over instances that took relatives of one of our solvers 1 to 60 s there; starred is the "
            "generation whose ratios vary least, which gives the factor (`satcost dataset source-speed`).",
            "",
            *_table_block(*speed_rows(speeds)),
        ]
    if summary.histogram is not None:
        lines += ["## Costs", ""]
        if summary.histogram.unit == CostUnit.CONFLICTS:
            lines += [f"{summary.mid_range} instances take {summary.reference} between 10^3 and 10^6 conflicts.", ""]
        lines += [
            *_block(histogram_lines(summary.histogram)),
        ]
    if summary.portfolios:
        lines += [
            "## Complementarity",
            "",
            "PAR2: CPU seconds, twice the limit for no answer. SBS: the single best solver; VBS: the best choice for "
            "each instance; marginal: how much worse the VBS is without the solver; picked: share of the solved "
            "instances that it is the fastest on. Mid-range: instances that some solver solves and that take "
            f"{summary.reference} 10^3 to 10^6 conflicts or run into its limit.",
            "",
        ]
        for portfolio in summary.portfolios:
            lines += _block(portfolio_lines(portfolio))
    lines += _race_lines(dataset)
    lines += ["## Noise of a label", ""]
    if summary.noise:
        lines += [
            "How much the cost changes between seeds, on instances solved with at least two. A prediction that doesn't "
            "know the seed can't have a smaller root mean square error on them than `sd log10`.",
            "",
            *_block(noise_table(summary)),
        ]
    else:
        lines += ["Not measured: no solver has solved an instance with two seeds.", ""]
    lines += ["## Families", "", *_block(family_table(summary)), *_split_lines(summary)]
    lines += ["## Licences", "", *_licence_lines(dataset)]
    lines += ["## Known gaps", "", *_gaps(dataset, summary), ""]
    return "\n".join(lines)


def write_card(dataset: Dataset, path: Path | str) -> None:
    """Write the card of a data set (``CARD.md``) atomically.

    Raises
    ------
    DatasetError
        If the tables don't fit together or the file can't be written.
    """
    text = format_card(dataset)
    write_text(Path(path), text)


def _block(lines: list[str]) -> list[str]:
    return ["```", *lines, "```", ""]


def _table_block(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return _block(plain_table(header, rows)) if rows else []


def _split_lines(summary: DatasetSummary) -> list[str]:
    if not summary.splits:
        return []
    return [
        "## Splits",
        "",
        "Isomorphic instances, instances and their cubes, and shuffled copies are never on two sides or in two folds. "
        "Sides share out every family; folds hold whole families, with those whose origins overlap in one fold. "
        "Test sets stay as they are when the data set grows.",
        "",
        *_block(plain_table(("part", "instances"), list(summary.splits.items()))),
    ]


def _race_lines(dataset: Dataset) -> list[str]:
    raced = raced_runs(dataset)
    if not raced:
        return []
    rows = [
        (r.solver, r.instances, r.solved, r.compared, r.best, r.close, f"{r.without_s:.3f}")
        for r in race_summary(dataset)
    ]
    header = ("solver", "instances", "solved", "compared", "best", "within 2 x best", "without it s")
    cut = sum(run.status.censored for run, _ in raced)
    factors = " or ".join(f"{factor:g}" for factor in sorted({factor for _, factor in raced}))
    return [
        "## Races",
        "",
        f"On an instance solvers ran in turn under rising limits. Once one had answered, the others were given "
        f"{factors} times the best time so far (at least {LEAST_CAP_S:g} s): {len(raced)} runs, {cut} of which it "
        "cut off. **When such a run is censored depends on how fast another solver was**: censoring is not independent "
        "of the cost where the costs of solvers on an instance are related. A fit that takes it for independent has "
        "to be checked on runs that were made without racing.",
        "",
        "One run counts for a solver and an instance: the one with an answer, else the longest. Compared: instances "
        f"that several solvers were run on and that take the best at least {LEAST_BEST_S:g} s. Without it: mean "
        "seconds by which the best of the others is slower than the best, a lower bound where they were cut off.",
        "",
        *_table_block(header, rows),
    ]


def _licence_lines(dataset: Dataset) -> list[str]:
    real = [row for row in dataset.manifest if row.origin is not Origin.GENERATED]
    counts = Counter(row.licence or "none stated" for row in real)
    return [
        "The tables hold identities of instances and what was measured on them, no instances. A licence below is that "
        "of the repository where a real instance (or the parent of a cube) was found, which need not be that of its "
        "author. Generated instances come from this project's own generators.",
        "",
        *_table_block(("licence of the source", "instances"), counts.most_common()),
    ]


def _gaps(dataset: Dataset, summary: DatasetSummary) -> list[str]:
    without = sum(family.without_runs for family in summary.families)
    unsolved = sum(family.unsolved for family in summary.families)
    statuses = Counter(run.status for run in dataset.runs)
    lost = sum(run.status.censored and run.conflicts is None for run in dataset.runs)
    thin = [family.family for family in summary.families if family.instances < 5]
    easy = [
        family.family
        for family in summary.families
        if family.instances >= 5
        and not family.mid_range
        and family.without_runs < family.instances
        and (summary.histogram is None or summary.histogram.unit == CostUnit.CONFLICTS)
    ]
    published = [run for run in dataset.runs if run.source]
    renamed = sum("renamed copy" in run.detail for run in published)
    claimed = sum("not verified" in run.detail for run in published)
    copies = sum(len(its) - 1 for its in summary.duplicates.values())
    found = [
        (without, f"{without} instances have no runs."),
        (unsolved, f"{unsolved} instances were run and solved by no solver: only bounds of their costs are known."),
        (
            statuses[RunStatus.CRASHED] + statuses[RunStatus.UNSUPPORTED],
            f"{statuses[RunStatus.CRASHED]} runs crashed and {statuses[RunStatus.UNSUPPORTED]} were of solvers that "
            "can't take the formula.",
        ),
        (lost, f"{lost} runs that were cut off have no counters, because their solver doesn't tell them."),
        (
            len(published),
            f"{len(published)} runs are published ones: seconds and answers only. What their tables code as no answer "
            "stands as TIMEOUT at the limit, though it may have been a crash, too little memory, or an answer whose "
            "proof was not checked in time.",
        ),
        (renamed, f"{renamed} of them are of a renamed copy of the instance."),
        (claimed, f"{claimed} of them have an answer that was claimed, not verified."),
        (len(thin), f"{len(thin)} families have fewer than five instances: {', '.join(thin)}."),
        (
            len(easy),
            f"{len(easy)} families have no instance that takes {summary.reference} 10^3 to 10^6 conflicts: "
            f"{', '.join(easy)}.",
        ),
        (copies, f"{copies} instances have the isohash of another one; they are kept on its side of every split."),
        (
            len(summary.contradictions),
            f"{len(summary.contradictions)} instances are in quarantine: solvers contradict each other on them.",
        ),
        (
            summary.splits.get(EXCLUDED, 0),
            f"{summary.splits.get(EXCLUDED, 0)} instances are on no side: they would leak into a fixed test set.",
        ),
        (
            summary.splits.get("no fold", 0),
            f"{summary.splits.get('no fold', 0)} instances are in no fold: they, their relatives or their names belong "
            "to several families.",
        ),
        (1, "Labels of families of real instances come from file names and are approximate."),
    ]
    return [f"- {text}" for count, text in found if count]
