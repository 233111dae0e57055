"""The report on published scenarios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from satcost_gnn.evaluate.aslib_problem import BEST_SOLVERS
from satcost_gnn.evaluate.aslib_protocol import METHODS, MIXTURE, REFERENCE
from satcost_gnn.evaluate.document import Block, Bullets, Document, Heading, Paragraph, Table

_LABELS = {**{c.name: c.label for c in METHODS}, MIXTURE: "**mixture**"}
_COLUMNS: Mapping[str, str] = {
    "rmse_par2": "RMSE, PAR2-coded",
    "rmse_capped": "RMSE, capped",
    "rmse_solved": "RMSE, solved only",
    "spearman_solved": "Spearman, solved",
    "crps": "CRPS",
    "brier": "Brier",
    "auc": "AUC",
    "coverage_80": "coverage of 80 %",
    "coverage_80_solved": "of solved",
    "width_80": "width",
}


def aslib_report(results: Sequence[Mapping[str, Any]], failed: Mapping[str, str], command: str) -> Document:
    """Return the report of what :func:`satcost_gnn.evaluate.aslib_protocol.evaluate_scenario` has returned.

    ``failed`` are scenarios that couldn't be evaluated, with the reason.
    """
    document = Document("Published scenarios")
    document.add(
        Paragraph(f"`{command}`"),
        Paragraph(
            f"Costs are log10 of CPU seconds, errors in decades, means over the {BEST_SOLVERS} solvers of least mean "
            "PAR2 (fewer where there are fewer), in the scenarios' own folds. Columns that hold times of feature "
            "extraction are dropped. Codings of runs without an answer: **PAR2-coded**, such a run counts as twice the "
            "cutoff; **capped**, it and the prediction count as the cutoff; **solved only**, it is left out. Each "
            "coding is predicted by the mean of the predicted distribution in that coding. Coverage and width are of "
            "intervals of the PAR2-coded cost."
        ),
    )
    for result in results:
        document.add(*_scenario(result))
    if failed:
        document.add(Heading("Not evaluated"), Bullets([f"{name}: {reason}" for name, reason in failed.items()]))
    return document


def _scenario(result: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [
        Heading(result["scenario"]),
        Paragraph(
            f"{result['instances']} instances, {len(result['solvers'])} of {result['solvers_of_scenario']} solvers, "
            f"cutoff {result['cutoff_s']:g} s, {result['features']} features ({result['time_features_dropped']} "
            f"columns of times dropped), {result['cpu_seconds']:.0f} CPU seconds."
        ),
        Table(
            ["estimator", *_COLUMNS.values()],
            [
                [_LABELS.get(name, name), *(f"{row[key]:.3f}" for key in _COLUMNS)]
                for name, row in result["methods"].items()
            ],
        ),
    ]
    difference = result.get("versus_reference", {}).get(MIXTURE)
    if difference:
        blocks.append(
            Paragraph(
                f"Mixture less {_LABELS[REFERENCE]}, PAR2-coded RMSE: {difference['difference']:+.3f} (95 %: "
                f"{difference['low']:+.3f} to {difference['high']:+.3f}), {100 * difference['relative']:+.1f} %."
            )
        )
    if "mixture" in result:
        weights = ", ".join(f"{name} {share:.2f}" for name, share in result["mixture"]["weights"].items())
        level = result["mixture"]["level"]
        blocks.append(
            Paragraph(f"Mixture, means over the folds: weights {weights}; level of the 80 % intervals {level:.2f}.")
        )
    if "selection" in result:
        blocks += _selection(result["selection"])
    notes = [*result.get("warnings", ()), *(f"{name}: {reason}" for name, reason in result["errors"].items())]
    return [*blocks, Bullets(notes)] if notes else blocks


def _selection(selection: Mapping[str, Any]) -> list[Block]:
    labels = {
        "par2": "policy, charged, PAR2",
        "par10": "policy, charged, PAR10",
        "par2_single": "single best of the training folds, PAR2",
        "par10_single": "single best of the training folds, PAR10",
        "par2_presolving": "presolving, then the single best, PAR2",
        "par10_presolving": "presolving, then the single best, PAR10",
        "par2_plain": "plain forest for pairs, all features, charged, PAR2",
    }
    rows = []
    for key, label in labels.items():
        row = selection[key]
        seconds = [f"{row[name]:.0f}" for name in ("selector_s", "single_best_s", "virtual_best_s")]
        low, high = row["closed_gap_95"]
        rows.append([label, *seconds, f"{row['unsolved']}", f"{row['closed_gap']:.3f}", f"{low:.3f} to {high:.3f}"])
    alone = {
        label: ", ".join(f"{name} {gap:.3f}" for name, gap in selection[f"closed_gap_{kind}_by_picker"].items())
        for kind, label in (("charged", "charged"), ("free", "for nothing"))
    }
    shares = selection["pick_shares"]
    picks = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    blocks: list[Block] = [
        Table(["selection", "selector s", "single best s", "virtual best s", "unsolved", "closed gap", "95 %"], rows),
        *(
            Paragraph(f"Closed gap by PAR2 of each picker alone, all features {label}: {gaps}.")
            for label, gaps in alone.items()
        ),
        Paragraph(f"Policies of the folds: {_policies(selection['policies'])}."),
        Paragraph(f"Picks: {picks}."),
    ]
    if len(shares) == 1:
        blocks.append(Paragraph("The selector always picks the same solver.", warning=True))
    if selection["par2"]["closed_gap"] < 0:
        blocks.append(Paragraph("The selector is worse than the single best solver.", warning=True))
    if not selection["feature_costs_stated"]:
        blocks.append(Paragraph("The scenario states no feature costs: none are charged."))
    return blocks


def _policies(policies: Sequence[Mapping[str, Any]]) -> str:
    """Return how often each way of selecting was chosen, in words."""
    counts: Counter[str] = Counter()
    for policy in policies:
        picker = policy["picker"]
        way = "single best" if picker is None else f"{picker} on {len(policy['steps'])} feature steps"
        counts[way + (" after presolving" if policy["presolving"] else "")] += 1
    return ", ".join(f"{way} ({count})" for way, count in counts.most_common())
