"""Groups of features that an explanation speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from satcost_gnn.search.probe_replicate import PREFIX


@dataclass(frozen=True)
class FeatureGroup:
    """Features that are explained together.

    Parameters
    ----------
    subject
        What it is about, as the subject of a sentence with its verb.
    low, high
        What completes the sentence where the measure is below or above what is usual.
    measure
        The feature that tells; empty for none.
    """

    name: str
    subject: str
    low: str = ""
    high: str = ""
    measure: str = ""


GROUPS: tuple[FeatureGroup, ...] = (
    FeatureGroup("size", "the formula is", "small", "large", "clauses_log"),
    FeatureGroup("clauses", "clauses are", "short", "long", "length_mean_log"),
    FeatureGroup("degrees", "variables occur in", "few clauses", "many clauses", "degree_mean_log"),
    FeatureGroup("graph", "the clause-variable graph"),
    FeatureGroup("depth", "conflicts are met at", "shallow levels", "deep levels", "level.all.mean"),
    FeatureGroup("backjumps", "backjumps are", "short", "long", "backjump.all.mean"),
    FeatureGroup("learnt clauses", "learnt clauses are", "short", "long", "learnt.all.mean"),
    FeatureGroup("trail", "conflicts come with", "few variables set", "many variables set", "trail_share.all.mean"),
    FeatureGroup("restarts", "restarts are", "rare", "frequent", "rates.restarts_per_conflict"),
    FeatureGroup("tree estimates", "tree-size estimates are", "low", "high", "tree.wbe_longest"),
    FeatureGroup("random dives", "random dives end", "early", "late", "knuth.depth_mean_log"),
    FeatureGroup("probe replicate", "a probe replicate", "", "came to an end", f"{PREFIX}solved"),
    FeatureGroup("speed", "the probe ran", "slowly", "fast", "speed.conflicts_per_second"),
)

# Beginnings of feature names -> group; the longest that fits counts.
_PREFIXES: dict[str, str] = {
    "level": "depth",
    "decisions": "depth",
    "backjump": "backjumps",
    "undone_share": "backjumps",
    "learnt": "learnt clauses",
    "trail_share": "trail",
    "assigned": "trail",
    "rates.": "trail",
    "rates.conflicts_log": "size",
    "rates.active_log": "size",
    "rates.observed_share": "size",
    "rates.decisions_per_conflict_log": "depth",
    "rates.restarts_per_conflict": "restarts",
    "rates.given_up_per_conflict": "restarts",
    "rates.learnt": "learnt clauses",
    "rates.to_root_share": "backjumps",
    "rates.one_level_share": "backjumps",
    "variables.": "trail",
    "variables.learnt": "learnt clauses",
    "variables.decided": "depth",
    "tree.": "tree estimates",
    "tree.trees_log": "restarts",
    "progress.": "tree estimates",
    "knuth.": "random dives",
    "speed.": "speed",
}
_STATIC_GROUPS: dict[str, str] = {
    "size": "size",
    "length": "clauses",
    "sign": "clauses",
    "pattern": "clauses",
    "propagation": "clauses",
    "order": "clauses",
    "degree": "degrees",
    "balance": "degrees",
    "clause_degree": "degrees",
}
_GBDC_SIZES = ("clauses", "variables", "bytes", "ccs")
_GBDC_DEGREES = ("hornvars", "invhornvars", "balancevars", "vcg", "vg", "cg")


def group_of(feature: str) -> str:
    """Return the name of the group that a static, online or speed feature belongs to.

    Raises
    ------
    KeyError
        If there is no such feature.
    """
    from satcost_gnn.formula.static_feature_list import STATIC_FEATURES

    if feature in STATIC_FEATURES:
        group = STATIC_FEATURES[feature].group
        if group != "gbdc":
            return _STATIC_GROUPS[group]
        word = feature.removeprefix("gbdc_").split("_")[0]
        return "size" if word in _GBDC_SIZES else "degrees" if word in _GBDC_DEGREES else "clauses"
    # What the probe replicate tells is explained together with what the first one does.
    feature = feature.removeprefix(PREFIX)
    fitting = [prefix for prefix in _PREFIXES if feature.startswith(prefix)]
    if feature == "solved":
        return "probe replicate"
    if not fitting or "." not in feature:
        raise KeyError(feature)
    return _PREFIXES[max(fitting, key=len)]
