"""Reading and plain runs of several files in turn; a module of its own, since it needs nothing of the later stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from satcost_gnn.features.stages import begin
from satcost_gnn.formula.sources import FormulaFile
from satcost_gnn.runtime.cpu_clock import cpu_seconds
from satcost_gnn.runtime.sandbox import report, report_stage

if TYPE_CHECKING:
    from satcost_gnn.features.spec import PreprocessSettings


def plain_runs_child(files: Sequence[FormulaFile], settings: PreprocessSettings, most_cpu_s: float) -> None:
    """Read files and make their plain runs, one after another; executed in a sandboxed child.

    For each is reported what :func:`~.stages.preprocess_child` would have found by then. After ``most_cpu_s`` CPU
    seconds no further file is begun.
    """
    start = cpu_seconds()
    report_stage("reading and plain runs")
    for file in files:
        report(begin(file, settings, True, tell=False).found)
        if cpu_seconds() - start > most_cpu_s:
            return
