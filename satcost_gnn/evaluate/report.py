"""The report of an evaluation: what was compared, the tables, the pictures, and what the numbers can and cannot say."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from satcost_gnn.core.selection_metrics import virtual_best
from satcost_gnn.evaluate import figures
from satcost_gnn.evaluate.comparison import BEST_BY, Comparison
from satcost_gnn.evaluate.document import Bullets, Document, Heading, Paragraph, Picture, Table
from satcost_gnn.evaluate.methods import DEFAULT, headline
from satcost_gnn.evaluate.report_errors import (
    ablations_section,
    accuracy_section,
    against_best_section,
    budget_text,
    families_section,
    horizons_section,
    number_text,
    percent_text,
    scatter_section,
    shown_families,
    unit_label,
    untouched_section,
    with_interval,
)
from satcost_gnn.evaluate.scores import LEVELS, MEASURES
from satcost_gnn.evaluate.selection import SelectionProblem
from satcost_gnn.runtime.progress import duration

# A nominal share of 80 % is met within this.
_COVERAGE_SLACK = 0.03


def report(comparison: Comparison, command: str) -> Document:
    """Return the report, with the command that made it above the tables."""
    setup = comparison.results.setup
    document = Document(f"Estimators on {setup.dataset.directory.name}, split by {setup.split}")
    for section in (
        _introduction,
        accuracy_section,
        against_best_section,
        ablations_section,
        untouched_section,
        families_section,
        scatter_section,
        _calibration,
        horizons_section,
        _ood_detection,
        _solvers,
        _selection,
    ):
        section(document, comparison, command)
    _meaning(document, comparison)
    return document


def _introduction(document: Document, comparison: Comparison, command: str) -> None:
    results, runs = comparison.results, comparison.runs
    setup = results.setup
    origins = Counter(
        str(setup.dataset.by_instance[one.gbdhash].origin) for one in results.tables[setup.units[0]].instances
    )
    stopped = int(runs.censored.sum())
    unseen = (
        f"Each of {len(setup.folds)} folds of whole families is left out once: every test instance is of a family that "
        "its estimator has not seen. Predictions for all folds are pooled."
        if setup.split == "family"
        else "The families of the test instances were seen in training; the instances, their isomorphic copies, cubes "
        "and variants were not. Expect worse on new families: see the split by family."
    )
    document.add(
        Paragraph(f"Made by `{command}`"),
        Paragraph(
            f"Cost of {setup.solvers[0]} in {unit_label(comparison)} on {len(runs)} test runs, {len(runs) - stopped} "
            f"of them solved and {stopped} stopped by a limit "
            f"({', '.join(f'{n} {origin}' for origin, n in origins.items())} instances). {len(setup.solved_in_test())} "
            "further test instances are solved by the probe: solved, not predicted, and in none of the numbers below "
            f"but those of selection. {unseen}"
        ),
    )
    best = comparison.reference
    if best is not None:
        document.add(Paragraph(_standing(comparison, best)))
    if results.failed:
        document.add(
            Paragraph("Some estimators have no row, or not all of their seeds:", warning=True),
            Bullets([f"**{name}**: {why}" for name, why in results.failed.items()]),
        )


def _standing(comparison: Comparison, best: str) -> str:
    """Say in a few words where the network stands."""
    value = comparison.rows[best].values[BEST_BY]
    text = (
        f"The best classical model by {MEASURES[BEST_BY].heading} is **{best}** ({with_interval(value)}); everything "
        "is tested against it, which favours it a little, since it was chosen by these numbers."
    )
    name = headline(comparison.rows)
    found = comparison.differences.get(name)
    if found is None:
        return text + " The network is not in this comparison."
    parts = []
    for measure in ("rmse", "crps"):
        one = found[measure]
        verdict = "better" if one.high < 0 else "worse" if one.low > 0 else "not told apart"
        parts.append(f"{MEASURES[measure].heading} {one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}] ({verdict})")
    return f"{text} {name} against it: {'; '.join(parts)}."


def _calibration(document: Document, comparison: Comparison, _: str) -> None:
    rows = comparison.rows
    off = [
        f"{name} ({percent_text(row.calibration[80].held_out_all)} %)"
        for name, row in rows.items()
        if abs(row.calibration[80].held_out_all - 0.8) > _COVERAGE_SLACK
    ]
    fold_size = len(comparison.results.setup.data.side("calibration"))
    document.add(
        Heading("Calibration"),
        Paragraph(
            "Quantiles are conformalised on the calibration side. Columns: share of runs inside the central 80 % "
            "interval before and after; by Kaplan-Meier over all runs; bounds on the share of all runs, whatever the "
            "stopped ones would have cost; and the same of calibration runs, each by a calibration fitted to the "
            "others, where the test side plays no part."
        ),
        Table(
            [
                "estimator",
                "before: solved",
                "after: solved",
                "all, Kaplan-Meier",
                "bounds, all",
                "calibration side: solved",
                "calibration side: all",
                "width, decades",
                *(f"{level} %: solved / all" for level in LEVELS if level != 80),
            ],
            [
                [
                    name,
                    percent_text(found.raw),
                    percent_text(found.solved),
                    percent_text(found.all_runs),
                    f"{percent_text(found.least)} – {percent_text(found.most)}",
                    percent_text(found.held_out),
                    percent_text(found.held_out_all),
                    number_text(found.width, 2),
                    *(
                        " / ".join(map(percent_text, (row.calibration[level].solved, row.calibration[level].all_runs)))
                        for level in LEVELS
                        if level != 80
                    ),
                ]
                for name, row in rows.items()
                for found in [row.calibration[80]]
            ],
        ),
    )
    if off:
        document.add(
            Paragraph(
                f"Not within {100 * _COVERAGE_SLACK:.0f} points of 80 % on the calibration side (all runs): "
                f"{', '.join(off)}. With {fold_size} calibration instances, chance alone moves such a share by "
                f"{100 * math.sqrt(0.16 / max(1, fold_size)):.1f} points (standard error).",
                warning=True,
            )
        )
    document.add(
        Picture(
            "coverage",
            figures.coverage(comparison),
            "Central intervals on the test side. Grey: bounds on the share of all runs; green: within 3 points.",
        ),
        Picture(
            "reliability",
            figures.reliability(comparison),
            "Left: share of runs below predicted quantiles, right on the diagonal. Right: probability integral "
            "transform of solved runs of the first seed; where runs are stopped, high values are rarer than 1.",
        ),
    )
    names = shown_families(comparison)
    if any(found["n_solved"] >= 5 for found in comparison.rows[names[0]].families.values()):
        document.add(
            Picture(
                "family-coverage",
                figures.family_coverage(comparison, names),
                "By family (solved runs in brackets). Green: where nine of ten families of that size would lie if "
                "the coverage were 80 %. Calibration holds over all instances together, not within each family.",
            )
        )


def _ood_detection(document: Document, comparison: Comparison, _: str) -> None:
    detection = comparison.ood_detection
    if detection is None:
        return
    document.add(
        Heading("Whether a family is new"),
        Paragraph(
            "The detector's score is the distance to the nearest training instances in feature space; above 1 an "
            "instance is called outside of the training data. New: the instances of the fold that was left out. Known: "
            "instances of the other folds that nothing was fitted on. AUC is the probability that one of a new family "
            "has a higher score than one of a known family."
        ),
        Table(
            ["told from", "AUC", "new called outside", "known called outside"],
            [
                [
                    f"{features} features",
                    number_text(row.auc),
                    percent_text(row.flagged_new),
                    percent_text(row.flagged_known),
                ]
                for features, row in detection.by_features.items()
            ],
        ),
    )
    measures = ("rmse", "crps", "coverage_80", "width_80")
    lines = []
    for name in shown_families(comparison):
        if name in comparison.first:
            for where, found in zip(("inside", "outside"), detection.apart(comparison.first[name]), strict=True):
                lines.append([name, where, *(number_text(found[measure]) for measure in measures)])
    outside = int(detection.outside[comparison.runs.rows].sum())
    document.add(
        Paragraph(
            f"Errors where a test run, always of a new family, is called inside ({len(comparison.runs) - outside}) and "
            f"outside ({outside}), with the first seed:"
        ),
        Table(["estimator", "called", *(MEASURES[m].heading for m in measures)], lines),
    )


def _solvers(document: Document, comparison: Comparison, _: str) -> None:
    measures = ("rmse", "crps", "spearman", "within_2", "coverage_80", "width_80")
    for solver in comparison.results.setup.solvers[1:]:
        lines = [
            [name, *(number_text(row.other_solvers[solver][m]) for m in measures)]
            for name, row in comparison.rows.items()
            if solver in row.other_solvers
        ]
        if not lines:
            continue
        if solver == comparison.results.setup.solvers[1]:
            document.add(Heading("Other solvers"))
        first = next(row for row in comparison.rows.values() if solver in row.other_solvers).other_solvers[solver]
        document.add(
            Heading(f"{solver}: {first['n']:.0f} runs, {first['n_solved']:.0f} solved", 3),
            Table(["estimator", *(MEASURES[m].heading for m in measures)], lines),
        )


def _selection(document: Document, comparison: Comparison, _: str) -> None:
    document.add(Heading("Selection"))
    problem = comparison.problem
    if not isinstance(problem, SelectionProblem):
        document.add(Paragraph(f"No solver is selected: {problem}.", warning=True))
        return
    by_probe = int(problem.by_probe().sum())
    sbs = problem.portfolio[problem.single]
    par2, par10 = problem.par2.mean(axis=0), problem.par10.mean(axis=0)
    document.add(
        Paragraph(
            f"{len(problem.instances)} test instances have a run of every solver of the portfolio "
            f"({', '.join(problem.portfolio)}); {problem.left_out} others are left out. Cutoff {problem.cutoff_s:g} "
            f"CPU seconds. {by_probe} of them are solved by the probe, at the probe's cost. For the others the solver "
            "is chosen as `satcost select` does: that of least expected PAR2, where the predictions tell it from the "
            "best solver of the training side, and else that one. Classical estimators select by their first seed, the "
            "network by the mean over its seeds. Charged are the early search, the features, the graph and the probe's "
            "replicate where an estimator needs them, and the prediction; reading the file is free, as every solver "
            "has to do it. A run must end within what is left of the cutoff. Charges "
            f"are CPU seconds of the machine that preprocessed. The single best solver ({sbs}) is the best on these "
            "very instances and pays none of that. The last columns are of `satcost solve` on one core with the same "
            "predictions (the first seed): the single best solver begins, parity has its turn where it was run or is "
            "taken to decline, and whether anything is predicted at all is chosen on the calibration side, as in "
            "training."
        ),
        Table(
            [
                "selector",
                "PAR2, s",
                "PAR10, s",
                "solved, %",
                "charged, s",
                "closed gap (PAR2)",
                "closed gap (PAR10)",
                "PAR2 not charged",
                "gap not charged",
                "PAR2 of `solve`, s",
                "gap of `solve`",
                *(f"picks {solver}, %" for solver in problem.portfolio),
            ],
            [
                *(
                    [
                        f"{solver} alone" + (" (single best)" if solver == sbs else ""),
                        number_text(float(par2[k])),
                        number_text(float(par10[k])),
                        percent_text(float(problem.solved[:, k].mean())),
                        *([""] * (7 + len(problem.portfolio))),
                    ]
                    for k, solver in enumerate(problem.portfolio)
                ),
                [
                    "oracle (virtual best)",
                    number_text(problem.bounds.vbs),
                    number_text(float(virtual_best(problem.par10).mean())),
                    percent_text(float(problem.solved.any(axis=1).mean())),
                    "",
                    "1",
                    "1",
                    *([""] * (4 + len(problem.portfolio))),
                ],
                *(
                    [
                        name,
                        number_text(row.par2),
                        number_text(row.par10),
                        percent_text(row.solved),
                        number_text(row.overhead_s),
                        f"{number_text(row.gap, 2)} [{number_text(row.low, 2)}, {number_text(row.high, 2)}]",
                        number_text(row.gap_par10, 2),
                        number_text(row.par2_uncharged),
                        number_text(row.gap_uncharged, 2),
                        *_solve_texts(comparison, problem, name),
                        *(percent_text(row.shares[solver]) for solver in problem.portfolio),
                    ]
                    for name, row in comparison.selection.items()
                ),
            ],
            [
                len(problem.portfolio) + 1 + number
                for number, name in enumerate(comparison.selection)
                if name in (headline(comparison.selection), comparison.reference)
            ],
        ),
    )
    warned = {name: row.warnings for name, row in comparison.selection.items() if row.warnings}
    if warned:
        document.add(
            Paragraph("Selectors that are no use here:", warning=True),
            Bullets([f"**{name}** {'; '.join(texts)}" for name, texts in warned.items()]),
        )
    ranked = sorted(comparison.selection, key=lambda name: comparison.selection[name].par2)
    first = headline(comparison.selection)
    shown = [name for name in dict.fromkeys([first, comparison.reference, *ranked]) if name in comparison.selection]
    document.add(
        Picture(
            "cactus",
            figures.cactus(comparison, [str(name) for name in shown[:3]]),
            "Instances solved within a time, with everything charged (first seed). Selectors solve some by the "
            "probe, which neither the solvers alone nor the oracle run.",
        ),
        Picture("pick-shares", figures.pick_shares(comparison), "What is picked, all seeds."),
    )


def _solve_texts(comparison: Comparison, problem: SelectionProblem, name: str) -> list[str]:
    """Return PAR2 and closed gap of `solve` with a method's predictions; empty where it was not replayed."""
    if name not in comparison.solve:
        return ["", ""]
    par2 = comparison.solve[name]
    return [number_text(float(par2.mean())), number_text(problem.bounds.closed_gap(par2), 2)]


def _meaning(document: Document, comparison: Comparison) -> None:
    labels = {one.name: one for one in DEFAULT}
    unseeded = [name for name, row in comparison.rows.items() if not row.seeds and name in labels]
    seconds = float(np.sum([row.fit_s * max(1, len(row.seeds)) for row in comparison.rows.values()]))
    document.add(
        Heading("What the numbers mean"),
        Bullets(
            [
                "A run that a limit stopped has no cost but a lower bound. What a measure does with it is in its "
                "name: `solved` leaves such runs out, so it favours a model that never expects a run to be stopped, "
                "and says nothing about instances beyond the limit; `capped` and `PAR2-coded` count every cost "
                f"beyond the cutoff ({budget_text(comparison)}) as one number, and leave out runs that were stopped "
                "before the cutoff.",
                "For solved runs every estimator's prediction is the mean given that the run is solved by the "
                "largest cost seen in training; C-index and coverage use the whole distribution.",
                "The C-index counts pairs whose order is known: the cheaper run was solved.",
                "The CRPS judges a censored run up to its bound only. As bounds differ from run to run (limits are on "
                "CPU time), its mean is not strictly proper; judged up to the cutoff it nearly is.",
                "Coverage over solved runs is not what calibration promises: runs beyond the limit are missing from "
                "it. Kaplan-Meier over all runs is valid if being stopped says nothing about the cost given the "
                "prediction, which holds below the limits and is an assumption above. The bounds hold without it. "
                "Above the largest bound nothing is validated: upper ends of intervals there are extrapolation.",
                "Conformal calibration holds on average over instances like those of the calibration side. With the "
                "split by family the test families are unlike them, so that coverage there is a test, not a promise; "
                "within one family it never was one.",
                "p-values and intervals are of this test set: estimators were not tuned on it, but the reference was "
                "chosen by it. Seeds are averaged before resampling, so that intervals are over instances, not seeds.",
                "Estimators without a random choice are the same for every seed and were fitted once"
                + (f": {', '.join(unseeded)}." if unseeded else "."),
                f"Fitting took {duration(seconds)} in all, not counting what classical estimators were fitted for "
                "selection alone.",
            ]
        ),
    )
