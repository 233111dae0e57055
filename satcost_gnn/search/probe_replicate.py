"""A probe replicate of the same formula under other names: what of the first one was the formula, and what was luck.

The copy is isomorphic (variables renamed, signs flipped, clauses and literals reordered), so that whatever differs
between the two searches says how far one of them can be trusted. The probe's label noise is the same effect.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.shuffle import shuffled, signed_renaming
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.search.online import ONLINE_FEATURES, online_features
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeResult, ProbeSettings

#: Begins the names of features of the probe replicate.
PREFIX = "again."

REPLICATE_FEATURES: dict[str, tuple[str, str]] = {
    **{
        f"{PREFIX}{name}": (group, f"{what}; probe replicate")
        for name, (group, what) in ONLINE_FEATURES.items()
        # Dives are random by themselves; they are made once.
        if group != "knuth"
    },
    f"{PREFIX}solved": ("second", "1 if the probe replicate solved the instance, else 0"),
}
"""Name -> (group, description)."""

REPLICATE_FEATURE_NAMES: tuple[str, ...] = tuple(REPLICATE_FEATURES)


def _draws() -> Draws:
    return Draws(0, "again")


def run_probe_replicate(formula: Formula, settings: ProbeSettings, *, deadline: float | None = None) -> ProbeResult:
    """Probe an isomorphic copy of a formula in this process, as :func:`~satcost_gnn.search.probe.run_probe` does.

    The result is of the copy; but a model is given in the names of the formula.
    """
    result = run_probe(shuffled(formula, _draws()), settings, deadline=deadline)
    if result.model is None:
        return result
    renaming = signed_renaming(formula.n_vars, _draws())
    truth = np.zeros(formula.n_vars + 1, dtype=np.int64)
    truth[np.abs(result.model)] = np.sign(result.model)
    values = truth[np.abs(renaming)] * np.sign(renaming)
    variables = np.arange(1, formula.n_vars + 1)
    return replace(result, model=(variables * values)[values != 0].astype(np.int32))


def replicate_features(result: ProbeResult | None) -> FeatureVector:
    """Compute the features of a probe replicate, in the order of ``REPLICATE_FEATURE_NAMES``.

    None (there was none, or it failed): everything is missing.
    """
    if result is None or result.trace is None:
        return FeatureVector.missing(REPLICATE_FEATURE_NAMES)
    found = online_features(result.trace)
    values = {
        f"{PREFIX}{name}": value for name, value in found.as_dict().items() if f"{PREFIX}{name}" in REPLICATE_FEATURES
    }
    values[f"{PREFIX}solved"] = float(result.solved)
    seconds = {f"{PREFIX}{group}": spent for group, spent in found.seconds.items()}
    return FeatureVector.from_mapping(REPLICATE_FEATURE_NAMES, values, seconds)
