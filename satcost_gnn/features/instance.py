"""One instance as the estimators see it: identity, features, the start of a search, and its graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from satcost_gnn.core.feature_vector import FeatureVector

if TYPE_CHECKING:
    from satcost_gnn.formula.cnf import Formula
    from satcost_gnn.formula.compact_graph import CompactGraph
    from satcost_gnn.search.plain_run import PlainRun
    from satcost_gnn.search.probe_settings import ProbeResult


@dataclass(frozen=True, eq=False)
class Instance:
    """What is known of an instance before it is solved.

    Parameters
    ----------
    path
        Where it was read from.
    gbdhash
        Its identity: hash of the normalised text.
    static
        Features of the formula.
    online
        Features of the start of a search, and of a second one where there is to be one; None when there was no probe or
        it failed.
    probe
        The probe's result, with its trace.
    replicate
        Result of the probe replicate, without its trace; None when there was none.
    graph
        Clause-variable graph with the probe's statistics on its nodes; None when it was not asked for or is too large.
    formula
        The formula itself; None once it is no longer needed.
    timings
        CPU seconds by stage: ``parse``, ``plain run``, ``features``, ``probe``, ``graph``, ``probe replicate``.
    plain
        The start of the solver's plain run; None when there was none. Where it answers, nothing else is made.
    """

    path: str
    gbdhash: str
    static: FeatureVector
    online: FeatureVector | None = None
    probe: ProbeResult | None = None
    replicate: ProbeResult | None = None
    graph: CompactGraph | None = None
    formula: Formula | None = None
    timings: dict[str, float] = field(default_factory=dict)
    plain: PlainRun | None = None


def missing_need(need: str, instance: Instance) -> str:
    """Return why an instance lacks what an estimator needs, empty if it has it."""
    if need == "graph" and instance.graph is None:
        return "no graph"
    if need == "online" and instance.online is None:
        return "no early search"
    if need == "trace" and (instance.probe is None or instance.probe.trace is None):
        return "no trace"
    if need == "static" and bool(np.isnan(instance.static.values).all()):
        return "no features"
    return ""
