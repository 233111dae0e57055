"""The card of a checkpoint: what it was trained on, how accurate it is on what it never saw, and where it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from satcost_gnn.errors import ConfigError
from satcost_gnn.evaluate.accuracy import COLUMNS, markdown
from satcost_gnn.evaluate.methods import ENSEMBLE, NETWORK, headline
from satcost_gnn.serve.checkpoint import CheckpointConfig


def read_new_families(path: Path) -> dict[str, Any]:
    """Return the metrics of an evaluation with whole families left out; ConfigError if the file isn't such metrics."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["split"] != "family" or not {NETWORK, ENSEMBLE} & set(found["estimators"]):
            raise ValueError(f"found a split by {found['split']} of {', '.join(found['estimators'])}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: expected metrics.json of `satcost evaluate --split family` with the network in it: {error}"
        ) from None
    return found


def _on_new_families(found: Mapping[str, Any]) -> list[str]:
    """Return the part of the card on families that were left out whole."""
    rows = found["estimators"]
    head = headline(rows)
    names = [
        name for name in dict.fromkeys(["constant", "linear", "forest", found["best_classical"], head]) if name in rows
    ]
    measures = ("rmse", "rmse_capped", "crps", "spearman_within", "within_2", "within_10", "coverage_80", "width_80")
    lines = [
        "## On families never seen",
        "",
        f"{found['solver']}, {found['unit']}: {found['n']} runs of the same data set, {found['n_solved']} solved; each "
        "family predicted by networks and models of this configuration that were trained without it.",
        "",
        markdown({name: {m: rows[name]["values"][m]["value"] for m in measures} for name in names}, measures),
    ]
    told = found.get("ood_detection", {}).get("static")
    if told is not None:
        lines += [
            f"`in_distribution` is false for {told['flagged_new']:.0%} of them, and for {told['flagged_known']:.0%} of "
            f"new instances of known families (area under the curve {told['auc']:.2f}).",
            "",
        ]
    families = {name: f for name, f in rows[head]["families"].items() if f["n"] >= 15}
    large = sorted(((f["rmse"], name, int(f["n"])) for name, f in families.items()), reverse=True)
    lines += [
        "Families of at least 15 runs with the largest RMSE when unseen: "
        + ", ".join(f"{name} {error:.2f} ({count})" for error, name, count in large[:12])
        + ".",
        "",
    ]
    low = sorted((f["coverage_80"], name, int(f["n"])) for name, f in families.items())
    lines += [
        "Of these, fewest inside their 80 % intervals: "
        + ", ".join(f"{name} {share:.0%} ({count})" for share, name, count in low[:12])
        + ".",
        "",
    ]
    return lines


def card(
    about: CheckpointConfig,
    metrics: Mapping[str, Any],
    solved_by_probe: int,
    new_families: Mapping[str, Any] | None = None,
) -> str:
    """Return the model card: what it was trained on, how accurate it is on what it never saw, where it fails.

    Parameters
    ----------
    metrics
        Content of its ``metrics.json``.
    solved_by_probe
        Instances of the data set that the probe solves.
    new_families
        Metrics of an evaluation with whole families left out (:func:`read_new_families`).
    """
    training, head = about.training, about.chain[0]
    reach = "; ".join(
        f"in {unit} " + ", ".join(f"{solver} {value:g}" for solver, value in by_solver.items())
        for unit, by_solver in training["reach"].items()
    )
    lines = [
        f"# Checkpoint {about.label}",
        "",
        f"Predicts the cost of {', '.join(about.solvers)} in {' and '.join(about.units)} on a CNF, from its",
        f"clause-variable graph, its features and the first {about.features['probe']['conflicts']} conflicts of",
        f"{about.probe_solver}. Estimators, in the order in which they are tried: {', '.join(about.chain)}.",
        "",
        "## Trained on",
        "",
        f"Data set `{'`, `'.join([training['dataset'], *training.get('also', ())])}`, split by {training['split']}: "
        + ", ".join(f"{count} {side}" for side, count in training["instances"].items())
        + " instances that the probe did not solve; "
        + f"{solved_by_probe} more were solved by the probe and are no part of any number below.",
        "CPU seconds are those of the machine in the data set's card; published runs count in them as well.",
        "",
        f"How far one label in a hundred reaches: {reach}. What is said of a solver beyond its own reach leans on what",
        "was seen of the others; beyond the furthest of them nothing is said.",
        "",
        "## Accuracy on the test side",
        "",
    ]
    for unit in about.units:
        found = metrics["units"][unit]
        for solver in about.solvers:
            rows = found["solvers"][solver]
            count = rows[head]
            lines += [
                f"### {solver}, {unit} ({count['n']} runs, {count['n_solved']} solved)",
                "",
                markdown(rows),
            ]
    lines += ["### Before any search, on all test instances, those that the probe solves too", ""]
    for unit in about.units:
        for solver, rows in metrics["units"][unit]["before_search"].items():
            count = next(iter(rows.values()))
            lines += [f"{solver}, {unit} ({count['n']} runs, {count['n_solved']} solved):", "", markdown(rows)]
    lines += ["Columns:", "", *(f"- `{name}`: {text}" for name, text in COLUMNS.items()), ""]
    first = metrics["units"][about.units[0]]
    versus = first["against_forest"][head]
    lines += [
        f"## {head} against forest",
        "",
        f"{about.solvers[0]}, {about.units[0]}, paired bootstrap over test instances; negative: {head} is better.",
        "",
        *(
            f"- {name}: {values['difference']:+.3f} (95 %: {values['low']:+.3f} to {values['high']:+.3f})"
            for name, values in versus.items()
        ),
        "",
        *(() if new_families is None else _on_new_families(new_families)),
        "## Where not to trust it",
        "",
        "- Families that it has never seen: such instances are marked `in_distribution = false` where they look unlike",
        "  the training data, but not all of them do. The numbers above are of families that it has seen.",
        "- Satisfiable instances: their cost varies by orders of magnitude with the seed; read the interval.",
        "- Costs beyond the CPU limit of the labels; intervals are calibrated below it only.",
    ]
    worst = sorted(((v[head], k, v["n"]) for k, v in first["families"].items() if v["n"] >= 5), reverse=True)[:8]
    if worst:
        lines.append(
            "- Families with the largest RMSE (decades, at least 5 test instances): "
            + ", ".join(f"{family} {error:.2f} ({count})" for error, family, count in worst)
            + "."
        )
    return "\n".join(lines) + "\n"
