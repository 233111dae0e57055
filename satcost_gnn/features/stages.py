"""The stages of preprocessing, one after another in a child process; what each of them finds is handed over at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.formula.renumbering import Renumbering, renumbered
from satcost_gnn.formula.sources import FormulaFile, load
from satcost_gnn.runtime.cpu_clock import cpu_seconds
from satcost_gnn.runtime.sandbox import report, report_stage
from satcost_gnn.search.plain_run import PlainRun, run_plain

if TYPE_CHECKING:
    from satcost_gnn.core.feature_vector import FeatureVector
    from satcost_gnn.features.spec import PreprocessSettings
    from satcost_gnn.search.probe_settings import ProbeResult

#: What children import in some cases; see :mod:`satcost_gnn.runtime.sandbox_server`.
CHILDREN_IMPORT = (
    "numpy.ma",
    "numpy.random",
    "satcost_gnn.formula.features",
    "satcost_gnn.formula.graph",
    "satcost_gnn.search.probe_replicate",
    "satcost_gnn.search.random_dives",
)

_Search = TypeVar("_Search", "ProbeResult", PlainRun)


@dataclass(frozen=True)
class Begun:
    """What reading and the plain run have found; no formula where nothing is left to do."""

    found: dict[str, Any]
    given: Formula | None = None
    formula: Formula | None = None
    numbering: Renumbering | None = None
    hashed_s: float = 0.0


def begin(source: Formula | FormulaFile, settings: PreprocessSettings, with_plain: bool, *, tell: bool = True) -> Begun:
    """Read a formula and make its plain run, in a sandboxed child; ``tell``: what is found is reported as it comes."""
    found: dict[str, Any] = {"timings": {}}
    say = report if tell else _nothing
    timings: dict[str, float] = found["timings"]
    start = cpu_seconds()
    if tell:
        report_stage("reading")
    try:
        given = source if isinstance(source, Formula) else load(source)
    except FormulaError as error:
        return Begun({"read_error": str(error), "timings": {"parse": cpu_seconds() - start}})
    found["warnings"] = given.warnings
    found["n_literals"] = given.n_literals
    timings["parse"] = cpu_seconds() - start
    say(found)
    start = cpu_seconds()
    found["gbdhash"] = gbdhash(given)
    formula, numbering = renumbered(given)
    hashed_s = cpu_seconds() - start
    if with_plain and settings.features.plain is not None:
        say(found)
        if tell:
            report_stage("plain run")
        start = cpu_seconds()
        plain = run_plain(formula, settings.features.plain)
        found["plain"] = plain and _with_original_model(plain, given, numbering)
        timings["plain run"] = cpu_seconds() - start
        say(found)
        if plain is not None and plain.solved:
            return Begun(found)
    return Begun(found, given, formula, numbering, hashed_s)


def preprocess_child(
    formula: Formula | FormulaFile, settings: PreprocessSettings, with_probe: bool, with_plain: bool
) -> dict[str, Any]:
    """Do all stages and report after each; executed in a sandboxed child.

    ``with_probe`` and ``with_plain`` are false when a probe or a plain run has already failed and only the rest is
    wanted. What is returned are fields of an :class:`~.Instance`, and ``read_error`` for an unreadable input.
    """
    begun = begin(formula, settings, with_plain)
    found, hashed_s = begun.found, begun.hashed_s
    if begun.formula is None or begun.given is None or begun.numbering is None:
        return found
    formula, given, numbering = begun.formula, begun.given, begun.numbering
    wanted = settings.features
    timings: dict[str, float] = found["timings"]

    def stage(name: str, start: float) -> None:
        timings[name] = cpu_seconds() - start
        report(found)

    start = cpu_seconds() - hashed_s
    # Not for a formula that the plain run has answered.
    from satcost_gnn.formula.features import static_features
    from satcost_gnn.formula.graph import FormulaTooLargeForGraphError, clause_variable_graph
    from satcost_gnn.search.online import online_features
    from satcost_gnn.search.probe import run_probe
    from satcost_gnn.search.probe_replicate import replicate_features, run_probe_replicate
    from satcost_gnn.search.random_dives import random_dives

    def partial(features: FeatureVector) -> None:
        # gbdc is C++: should it die, what was found before is kept.
        found["static"] = features
        report(found)

    report_stage("features")
    found["static"] = static_features(formula, on_partial=partial)
    stage("features", start)
    trace, probe = None, None
    if with_probe and wanted.probe is not None:
        start = cpu_seconds()
        report_stage("probing")
        # Past it the probe hands over what it has seen so far instead of being killed.
        probe = run_probe(formula, wanted.probe, deadline=time.process_time() + wanted.probe.cpu_s)
        trace = probe.trace
        found["probe"] = _with_original_model(probe, given, numbering)
        if trace is not None:
            dives = None
            if wanted.dives is not None and not probe.solved:
                report(found)
                dives = random_dives(formula, wanted.dives)
            found["online"] = online_features(trace, dives)
        stage("probe", start)
    start = cpu_seconds()
    report_stage("graph")
    try:
        found["graph"] = clause_variable_graph(
            formula, trace, max_edges=wanted.max_graph_edges, size_limit=settings.limits.graph_size_limit
        )
    except FormulaTooLargeForGraphError as error:
        found["graph_error"] = str(error)
    stage("graph", start)
    # A search that ran out of time isn't made twice.
    if wanted.probe_replicate and wanted.probe is not None and probe is not None and probe.status == "UNKNOWN":
        start = cpu_seconds()
        report_stage("probing a renamed copy")
        replicate = run_probe_replicate(formula, wanted.probe, deadline=time.process_time() + wanted.probe.cpu_s)
        found["replicate_features"] = replicate_features(replicate)
        found["replicate"] = replace(_with_original_model(replicate, given, numbering), trace=None, numbers=None)
        # The last stage: all of it is handed over at once, by returning.
        timings["probe replicate"] = cpu_seconds() - start
    return found


def _nothing(_: object) -> None:
    """Tell nobody."""


def _with_original_model(result: _Search, given: Formula, numbering: Renumbering) -> _Search:
    if result.model is None:
        return result
    return replace(result, model=given.without_auxiliary(numbering.original(result.model)))
