"""Names of earlier versions that the field has other words for do not come back."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Name of earlier versions -> what is said today. Only what can't be an ordinary word of a sentence.
FORMER = {
    r"by_novelty|ByNovelty": "OOD-gated ensemble (ood_gated)",
    r"(early|constant)_on_new|NewFormulas": "OOD fallback",
    r"early_alone": "online_only_dropout",
    r"branch_dropout|\bbranches=": "modality",
    r"second[ _-]search(es)?": "probe replicate",
    r"search_again": "probe replicate",
    r"node_evidence": "probe_node_features",
    r"graph_epochs": "encoder_epochs",
    r"kept_fit": "cached_fit",
    r"completed_runs": "impute_censored",
    r"\b[Ss]topped runs?\b": "censored run",
    r"LevelMap|level_map": "recalibration map",
    r"\w*spread_log10|\.spread\b|best_spread": "standard deviation",
    r"least_separation|\.separation\b": "effect size",
    r"least_gain": "switching margin",
    r"\b[Hh]ead[ _-]starts?\b|head_start_s": "presolving",
    r"\bdependence\b": "copula correlation",
    r"training_side\b|TrainingPortfolio": "training statistics",
    r"\bstanding\b": "z-score",
    r"[Cc]ontenders?\b|CONTENDERS": "method",
    r"(?<!satcost )\b[Bb]ench\b": "setup",
}
# Where former names are read, or are other words.
ALLOWED = {
    "satcost_gnn/config.py": r"former_keys|early_alone|branch_dropout|node_evidence|on_new|graph_epochs",
    "satcost_gnn/decide/training_statistics.py": r"least_separation|dependence|head_start_s|least_gain",
    "satcost_gnn/data/source_speed.py": r"spread_log10",
    "satcost_gnn/features/cache.py": r"second search",
    "satcost_gnn/learn/stored_estimator.py": r"by_novelty",
    "satcost_gnn/cli/schedule.py": r"dependence",
    # The command of this name.
    "satcost_gnn/cli/__init__.py": r'"bench":',
    "satcost_gnn/cli/bench.py": r'"bench"',
    # The second call of `solve`.
    "docs/phases.md": r"formulas whose second search tells",
}


def files() -> list[Path]:
    """Return the package's modules, the configurations and the documentation of today."""
    return [
        *sorted((ROOT / "satcost_gnn").rglob("*.py")),
        *sorted((ROOT / "configs").glob("*.toml")),
        *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "research-log.md"),
        ROOT / "README.md",
    ]


@pytest.mark.parametrize("former", FORMER)
def test_former_names_do_not_come_back(former: str) -> None:
    pattern = re.compile(former)
    found = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        allowed = re.compile(ALLOWED[name]) if name in ALLOWED else None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if pattern.search(line) and not (allowed and allowed.search(line)):
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found, f"say {FORMER[former]!r}:\n" + "\n".join(found)
