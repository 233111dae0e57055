"""Runs that are monitored and recorded at once: the monitor's counters and the whole trace of one and the same search.

Estimates along the search that need every conflict (tree size, features of windows) are so measured beside a monitor
that needs the counters alone, at the same points and against the same cost.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from recording import Recording

from satcost_gnn.decide.monitor import CostMonitor
from satcost_gnn.decide.monitored_runs import MonitoredRun
from satcost_gnn.decide.reestimate import SearchState
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeSettings


def listened_child(formula: Formula | str, settings: ProbeSettings, path: str) -> dict[str, Any]:
    """Run, monitor and record the search and write the recording; executed in a sandboxed child."""
    from satcost_gnn.formula.renumbering import renumbered
    from satcost_gnn.formula.sources import load

    formula = renumbered(load(formula))[0]
    monitors: list[CostMonitor] = []

    def search(engine: Any) -> bool | None:
        monitors.append(CostMonitor(engine, reestimator=None))
        return monitors[-1].run(limit_s=settings.cpu_s)

    result = run_probe(formula, settings, search=search)
    states = [astuple(state) for monitor in monitors for state in monitor.history]
    if result.trace is not None:
        Recording.from_probe(result).save(Path(path))
    return {"status": "TIMEOUT" if result.status == "UNKNOWN" else result.status, "states": states}


def run_listened(
    sandbox: Sandbox, formula: Formula | str | Path, path: Path, settings: ProbeSettings, *, instance: str
) -> MonitoredRun:
    """Run a solver to its end or limit, monitored and recorded, in a limited child.

    Parameters
    ----------
    sandbox
        Where the child is forked.
    formula
        Formula or path of its file.
    path
        File of the recording to write; its directory must exist. There is none afterwards if the child died.
    settings
        Solver, limit of CPU seconds and what is listened to; the budget of conflicts is the monitor's own, slice by
        slice.
    instance
        Its identity.

    Returns
    -------
    MonitoredRun
        What the monitor saw; the seconds are those of the watched search.
    """
    sent = formula if isinstance(formula, Formula) else str(formula)
    # Working the trace out and writing it take about as long again as the search.
    limits = replace(settings.limits, cpu_s=3.0 * settings.limits.cpu_s)
    outcome = sandbox.run(
        "listened_runs:listened_child",
        {"formula": sent, "settings": settings, "path": str(path)},
        limits,
    )
    found: dict[str, Any] = outcome.value or {}
    status = found.get("status", outcome.status) if outcome.status == "OK" else outcome.status
    states = tuple(SearchState(*values) for values in found.get("states", ()))
    return MonitoredRun(instance, settings.solver, "CRASHED" if status == "ERROR" else status, states)
