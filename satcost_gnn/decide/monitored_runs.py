"""Runs recorded at the monitor's checkpoints, to fit and to judge what predicts their cost while they go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Self

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.decide.monitor import CostMonitor
from satcost_gnn.decide.reestimate import RecordedRun, SearchState
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.runtime.sandbox import Limits, Sandbox, report
from satcost_gnn.search.loading import open_solver


@dataclass(frozen=True)
class MonitoredRun:
    """One run as its monitor saw it.

    Parameters
    ----------
    status
        ``SAT``, ``UNSAT``, or why there is no answer: ``TIMEOUT``, ``MEMOUT``, ``CRASHED``.
    states
        Counters at the checkpoints; the last is that of the end (of the stop, for a run without an answer).
    weight
        How many runs it stands for in its sample.
    """

    instance: str
    solver: str
    status: str
    states: tuple[SearchState, ...]
    weight: float = 1.0

    @property
    def solved(self) -> bool:
        """Whether the run ended with an answer."""
        return self.status in ("SAT", "UNSAT")

    def run(self, priors: Mapping[str, CostDistribution]) -> RecordedRun:
        """Return it as something to learn from, given the predictions before it (unit -> distribution)."""
        return RecordedRun(
            self.instance, self.states[:-1], self.states[-1], priors, censored=not self.solved, weight=self.weight
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "instance": self.instance,
            "solver": self.solver,
            "status": self.status,
            "weight": self.weight,
            "states": [[*astuple(state)[:4], round(state.cpu_s, 5)] for state in self.states],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        states = tuple(SearchState(*values) for values in found["states"])
        return cls(found["instance"], found["solver"], found["status"], states, float(found["weight"]))


def monitored_child(solver: str, formula: Formula | str, cpu_s: float) -> dict[str, Any]:
    """Run a solver under the monitor; executed in a sandboxed child."""
    from satcost_gnn.formula.renumbering import renumbered
    from satcost_gnn.formula.sources import load

    formula = renumbered(load(formula))[0]
    with open_solver(solver, formula) as engine:
        monitor = CostMonitor(engine, reestimator=None)

        def passed_on(_: object) -> None:
            report({"status": "TIMEOUT", "states": [astuple(state) for state in monitor.history]})

        answer = monitor.run(callback=passed_on, limit_s=cpu_s)
        status = {True: "SAT", False: "UNSAT", None: "TIMEOUT"}[answer]
        if answer and not satisfies(formula, engine.get_model() or []):
            status = "CRASHED"
        return {"status": status, "states": [astuple(state) for state in monitor.history]}


def run_monitored(
    sandbox: Sandbox,
    solver: str,
    formula: Formula | str | Path,
    *,
    instance: str,
    cpu_s: float = 10.0,
) -> MonitoredRun:
    """Run a solver under the monitor in a child with 4 GiB, and return what the monitor saw.

    ``cpu_s`` are the CPU seconds of the run, ``instance`` the name that it is recorded under.
    """
    sent = formula if isinstance(formula, Formula) else str(formula)
    outcome = sandbox.run(
        "satcost_gnn.decide.monitored_runs:monitored_child",
        {"solver": solver, "formula": sent, "cpu_s": cpu_s},
        # The wall limit is for a solver that hangs.
        Limits(cpu_s * 1.2 + 20.0, 30 * cpu_s + 60.0, 4096),
    )
    found: dict[str, Any] = outcome.value or {}
    status = found.get("status", outcome.status) if outcome.status == "OK" else outcome.status
    states = tuple(SearchState(*values) for values in found.get("states", ()))
    return MonitoredRun(instance, solver, "CRASHED" if status == "ERROR" else status, states)


def read_monitored_runs(path: Path) -> Iterator[MonitoredRun]:
    """Yield the runs of a JSON-lines file that have a checkpoint and didn't crash; none if there is no file."""
    if not path.exists():
        return
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                found = MonitoredRun.from_json(json.loads(line))
                if len(found.states) > 1 and found.status in ("SAT", "UNSAT", "TIMEOUT"):
                    yield found
