"""From a CNF to an :class:`~.Instance`: read, identify, search, featurise, build the graph.

All of it happens in one sandboxed child, so that neither a malformed file nor a crashing solver nor an exhausted memory
reaches the caller, and so that the formula itself never travels between processes. The child hands over what it has
after each stage; if a stage dies, the instance is what the earlier stages found.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import FormulaError
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.sources import FormulaFile, FormulaSource, for_children
from satcost_gnn.formula.static_feature_list import STATIC_FEATURE_NAMES
from satcost_gnn.runtime.progress import waiting
from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox
from satcost_gnn.runtime.sandbox_pool import SandboxPool
from satcost_gnn.search.plain_run import PlainRun
from satcost_gnn.search.probe_settings import ProbeResult

Key = TypeVar("Key")

# Of the CPU time for all attempts at a file the least that one has: it is to read the file, at least.
_LEAST_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """Outcome of preprocessing one input.

    Parameters
    ----------
    path
        The input's name.
    instance
        What was found, None if the input could not be read.
    error
        What is wrong with the input, empty if nothing is.
    note
        Why a part of the instance is missing (a probe that failed, a graph that was not built), else empty.
    warnings
        What was odd about the input but readable; see :attr:`satcost_gnn.formula.cnf.Formula.warnings`.
    """

    path: str
    instance: Instance | None
    error: str = ""
    note: str = ""
    warnings: tuple[str, ...] = ()


def _unfinished(found: Mapping[str, Any], with_plain: bool) -> str:
    """Return the stage in which a child ended that has left this much."""
    if "gbdhash" in found and "static" not in found and with_plain and "plain" not in found:
        return "plain run"
    if "static" not in found:
        return "features"
    if "probe" not in found:
        return "probe"
    return "probe replicate" if "graph" in found or "graph_error" in found else "graph"


def _why(outcome: Outcome) -> str:
    what = {"TIMEOUT": "ran out of time", "MEMOUT": "ran out of memory", "CRASHED": "crashed", "ERROR": "failed"}
    return f"{what[outcome.status]}: {outcome.detail}" if outcome.detail else what[outcome.status]


def preprocess(
    source: FormulaSource,
    settings: PreprocessSettings,
    sandbox: Sandbox,
    name: str | None = None,
    begun: Mapping[str, Any] | None = None,
) -> Preprocessed:
    """Turn a formula or a file into an instance; never raises for what the input contains or the child does.

    Parameters
    ----------
    source
        A formula, an object of PySAT, clauses, or the path of a DIMACS file (compressed or not, ``-`` for standard
        input).
    settings
        How to do it; take those of the checkpoint that is to predict.
    sandbox
        Where the child is forked.
    name
        Name of the input in the result; by default its path or the formula's source.
    begun
        What the plain run has found (:func:`~.plain_runs.plain_runs_child`), which is not made again.
    """
    path = name or name_of(source)
    try:
        with for_children(source, settings.limits.read, time.monotonic() + settings.limits.wall_s) as handed:
            return _preprocessed(handed, settings, sandbox, name or (path if isinstance(source, str) else None), begun)
    except FormulaError as error:
        return Preprocessed(path, None, error=str(error))


def name_of(source: FormulaSource) -> str:
    """Return what an input is called in results."""
    if isinstance(source, Formula):
        return source.source
    if isinstance(source, FormulaFile):
        return source.name
    # Not str(): a name may be of a class of its own.
    return os.fsdecode(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"


def _preprocessed(
    argument: Formula | FormulaFile,
    settings: PreprocessSettings,
    sandbox: Sandbox,
    name: str | None,
    begun: Mapping[str, Any] | None,
) -> Preprocessed:
    path = name or name_of(argument)
    left_s = settings.limits.cpu_s - (sum(begun["timings"].values()) if begun is not None else 0.0)

    def attempt(with_probe: bool, with_plain: bool) -> Outcome:
        nonlocal left_s
        # All attempts share the limit, but for what it takes to read the file again.
        most = settings.limits
        limits = Limits(max(left_s, _LEAST_SHARE * most.cpu_s), most.wall_s, most.memory_mb)
        outcome = sandbox.run(
            "satcost_gnn.features.stages:preprocess_child",
            {"formula": argument, "settings": settings, "with_probe": with_probe, "with_plain": with_plain},
            limits,
        )
        left_s -= outcome.cpu_s
        return outcome

    with_plain = settings.features.plain is not None and begun is None
    outcome = attempt(True, with_plain)
    found: dict[str, Any] = dict(outcome.value or {})
    notes, ended_in = [], ""
    if outcome.status != "OK" and _unfinished(found, with_plain) == "plain run":
        ended_in = "plain run"
        notes.append(f"{ended_in} {_why(outcome)}")
        with_plain = False
        outcome = attempt(True, with_plain)
        found = dict(outcome.value or {})
    if begun is not None and "read_error" not in found:
        found = _joined(begun, found)
    if "read_error" in found:
        return Preprocessed(path, None, error=found["read_error"])
    if outcome.status != "OK":
        missing = _unfinished(found, with_plain)
        ended_in = ended_in or missing
        notes.append(f"{missing} {_why(outcome)}")
        if "parse" not in found.get("timings", {}):
            return Preprocessed(path, None, error=f"{path}: reading {_why(outcome)}")
        if missing == "probe":
            # The graph can still be had, without the probe's statistics on its nodes.
            second = attempt(False, False)
            found = {**found, **{k: v for k, v in (second.value or {}).items() if k not in found}}
    if ended_in:
        # A stage that was ended has taken its time, too.
        timings = dict(found["timings"])
        spent_s = settings.limits.cpu_s - left_s - sum(timings.values())
        found["timings"] = {**timings, ended_in: timings.get(ended_in, 0.0) + max(spent_s, 0.0)}
    return concluded(path, found, settings, notes)


def _joined(begun: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both have found, and the time of both: the file was read twice."""
    first, second = begun["timings"], found.get("timings", {})
    timings = {name: first.get(name, 0.0) + second.get(name, 0.0) for name in {**first, **second}}
    return {**begun, **found, "timings": timings}


def concluded(
    path: str, found: dict[str, Any], settings: PreprocessSettings, notes: Iterable[str] = ()
) -> Preprocessed:
    """Make of what children have found what it comes to.

    ``found`` is what :func:`~.stages.preprocess_child` returns, or reported before its end; ``notes`` say what happened
    on the way.
    """
    if "read_error" in found:
        return Preprocessed(path, None, error=found["read_error"])
    notes = [*notes]
    probe: ProbeResult | None = found.get("probe")
    if probe is not None and probe.trace is not None and "online" not in found:
        # The child died after the probe.
        from satcost_gnn.search.online import online_features

        found["online"] = online_features(probe.trace)
    if probe is not None and not probe.solved and probe.status != "UNKNOWN":
        notes.append(f"probe ended as {probe.status}" + (f" ({probe.detail})" if probe.detail else ""))
    plain: PlainRun | None = found.get("plain")
    if plain is not None and plain.ended_by_time:
        notes.append(f"the plain run was ended by CPU time after {plain.conflicts} conflicts, which is a bound")
    if "plain" in found and plain is None and settings.features.plain is not None:
        largest = settings.features.plain.literals
        notes.append(
            f"no plain run: the formula has {found['n_literals']:,} literals, more than the {largest:,} it is made for"
        )
    if plain is not None and plain.status == "CRASHED":
        notes.append("the plain run crashed")
    if "graph_error" in found:
        notes.append(found["graph_error"])
    online: FeatureVector | None = found.get("online")
    if settings.features.probe_replicate and online is not None:
        # Not for a formula that the plain run has answered.
        from satcost_gnn.search.probe_replicate import replicate_features

        online = FeatureVector.concatenate(online, found.get("replicate_features", replicate_features(None)))
    instance = Instance(
        path=path,
        gbdhash=found.get("gbdhash", ""),
        static=found.get("static", FeatureVector.missing(STATIC_FEATURE_NAMES)),
        online=online,
        probe=probe,
        replicate=found.get("replicate"),
        graph=found.get("graph"),
        timings=dict(found["timings"]),
        plain=plain,
    )
    return Preprocessed(path, instance, note="; ".join(notes), warnings=tuple(found.get("warnings", ())))


def as_it_is(_: FormulaSource, found: Preprocessed, __: Sandbox) -> Preprocessed:
    """Return what has been found: nothing is done next."""
    return found


def preprocess_many(
    sources: Iterable[tuple[Key, FormulaSource | Preprocessed]],
    settings: PreprocessSettings,
    *,
    jobs: int = 1,
    idle_s: float = 0.05,
    then: Callable[[FormulaSource, Preprocessed, Sandbox], Preprocessed] = as_it_is,
) -> Iterator[tuple[Key, Preprocessed] | None]:
    """Preprocess many inputs at a time, each by a helper process of its own.

    Parameters
    ----------
    sources
        Pairs of a key of the caller's and a formula or file; consumed as they are worked on, a few ahead. What has been
        preprocessed already is yielded as it is.
    jobs
        Inputs at a time.
    idle_s
        Seconds after which None is yielded if nothing has got ready: time for the caller to do something else.
    then
        What is done next with each, in the same helper process.

    Yields
    ------
    (key, Preprocessed) or None
        One pair for each source, in the order in which they get ready.

    Raises
    ------
    SandboxError
        If the helper processes cannot be used.
    """

    def call(key: Key, source: FormulaSource) -> Callable[[Sandbox], tuple[Key, Preprocessed]]:
        return lambda sandbox: (key, then(source, preprocess(source, settings, sandbox), sandbox))

    stream, exhausted = iter(sources), False
    with SandboxPool[tuple[Key, Preprocessed]](jobs) as pool:
        while True:
            while not exhausted and pool.pending < 3 * pool.size:
                job = next(stream, None)
                exhausted = job is None
                if job is None:
                    break
                key, source = job
                if isinstance(source, Preprocessed):
                    yield key, source
                else:
                    pool.submit(call(key, source))
            if not pool.pending:
                return
            try:
                item = pool.next(idle_s)
            except queue.Empty:
                waiting()
                yield None
                continue
            yield item
