"""Preprocessing on a Ray cluster: one task a file, made again elsewhere if its node dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from satcost_gnn.errors import FormulaError
from satcost_gnn.features.preprocessing import Key, Preprocessed, as_it_is, name_of, preprocess
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.sources import FormulaFile, FormulaSource, for_children
from satcost_gnn.runtime.ray_cluster import Lost, RayCluster, Task, node_sandbox
from satcost_gnn.runtime.sandbox import Sandbox

# What a node sets aside for a file. Only formulas of tens of millions of literals take more; should a node run out of
# memory over them, Ray ends a task there and starts it again.
MEMORY_MB = 1024


def preprocess_on_node(
    place: Path | None,
    source: Formula | FormulaFile,
    settings: PreprocessSettings,
    name: str,
    then: Callable[[FormulaSource, Preprocessed, Sandbox], Preprocessed] = as_it_is,
) -> Preprocessed:
    """Preprocess one input on a node of a cluster, which can read the file at ``place``; None for a formula.

    The rest as for :func:`~satcost_gnn.features.preprocessing.preprocess` and ``preprocess_many``.
    """
    if place is not None and isinstance(source, FormulaFile):
        source = replace(source, path=str(place))
    return then(source, preprocess(source, settings, node_sandbox(), name), node_sandbox())


def preprocess_on_cluster(
    sources: Iterable[tuple[Key, FormulaSource]],
    settings: PreprocessSettings,
    cluster: RayCluster,
    *,
    idle_s: float = 0.2,
    then: Callable[[FormulaSource, Preprocessed, Sandbox], Preprocessed] = as_it_is,
) -> Iterator[tuple[Key, Preprocessed] | None]:
    """Preprocess many inputs as :func:`~satcost_gnn.features.preprocessing.preprocess_many` does, but on a cluster.

    What the cluster has given up has an error that says so. What is done next must be a function that nodes can import.
    ExecutorError as from :meth:`~satcost_gnn.runtime.ray_cluster.RayCluster.run`.
    """
    unread: list[tuple[Key, Preprocessed]] = []

    def tasks() -> Iterator[Task[tuple[Key, str, ExitStack]] | None]:
        for key, source in sources:
            name, open_ = name_of(source), ExitStack()
            try:
                # What only this process can read is kept in a file of its own as long as the task is under way.
                deadline = time.monotonic() + settings.limits.wall_s
                given = open_.enter_context(for_children(source, settings.limits.read, deadline))
            except FormulaError as error:
                unread.append((key, Preprocessed(name, None, error=str(error))))
                continue
            path = Path(given.path) if isinstance(given, FormulaFile) else None
            yield Task((key, name, open_), path, (given, settings, name, then))

    for item in cluster.run(preprocess_on_node, tasks(), memory_mb=MEMORY_MB, idle_s=idle_s):
        if item is None:
            yield None
        else:
            (key, name, open_), found = item
            open_.close()
            yield key, Preprocessed(name, None, error=f"{name}: {found.reason}") if isinstance(found, Lost) else found
        while unread:
            yield unread.pop()
    yield from unread
