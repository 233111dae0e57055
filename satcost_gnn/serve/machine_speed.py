"""How this machine's seconds compare with those of the machine that the labels were measured on.

A fixed set of small solver runs (instances of our generators, a fixed number of conflicts, so the same work everywhere)
is timed in CPU seconds, several times each with the least one kept. The factor is the geometric mean over the runs of
the time here over the time there. It is kept in a file of the user's and applied to predictions in seconds.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from satcost_gnn.errors import ConfigError, DamagedFileError, SolverError
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.stored_files import read_json_object
from satcost_gnn.search.probe_settings import ProbeResult
from satcost_gnn.search.solver_run import run_solver

#: Environment variable that names the file instead of the usual one; ``none`` for no factor at all.
VARIABLE = "SATCOST_MACHINE"
FORMAT_VERSION = 1
_REFERENCE = "machine_reference.json"


@dataclass(frozen=True)
class Workload:
    """One timed run: of a solver on a recipe (see :mod:`satcost_gnn.data.generate`), to a number of conflicts."""

    solver: str
    recipe: str
    conflicts: int

    @property
    def name(self) -> str:
        """Name by which its time is kept."""
        return f"{self.solver} {self.recipe} {self.conflicts}"


# Small and large formulas, since what differs between machines most is the memory.
_SMALL = "random-ksat:k=3,n=300,ratio=4.26,seed=1"
_MIDDLE = "bmc-queue:slots=8,width=4,depth=16,bug=0,seed=55"
_LARGE = "bmc-counter:width=32,depth=60,kind=buggy,seed=124"
WORKLOADS: tuple[Workload, ...] = (
    Workload("cadical195", _SMALL, 15_000),
    Workload("glucose42", _SMALL, 10_000),
    Workload("minisat22", _SMALL, 30_000),
    Workload("maplechrono", _SMALL, 6_000),
    Workload("cadical195", _MIDDLE, 10_000),
    Workload("glucose42", _MIDDLE, 10_000),
    Workload("minisat22", _MIDDLE, 15_000),
    Workload("maplechrono", _MIDDLE, 5_000),
    Workload("cadical195", _LARGE, 5_000),
    Workload("glucose42", _LARGE, 5_000),
)


@dataclass(frozen=True)
class MachineSpeed:
    """Speed of one machine against the training machine.

    Parameters
    ----------
    factor
        Seconds here for one second there: above 1 on a slower machine.
    sd
        Standard deviation of log10 of the factors of the single runs: what the one factor leaves unexplained.
    machine, reference
        Descriptions of this machine and of the training machine.
    seconds
        Run -> least CPU seconds here.
    """

    factor: float
    sd: float
    machine: str
    reference: str
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "format_version": FORMAT_VERSION,
            "factor": round(self.factor, 4),
            "sd": round(self.sd, 4),
            "machine": self.machine,
            "reference": self.reference,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }


def time_workloads(sandbox: Sandbox, repeats: int = 4, on_step: Callable[[], None] | None = None) -> dict[str, float]:
    """Return workload -> least CPU seconds of several repeats on this machine.

    They are whole rounds after each other, so that a busy spell doesn't hit all repeats of one; ``on_step`` is called
    after each run.

    Raises
    ------
    SolverError
        If a run doesn't get as far as it should.
    """
    from satcost_gnn.data.generate import from_recipe

    formulas = {recipe: from_recipe(recipe) for recipe in dict.fromkeys(load.recipe for load in WORKLOADS)}
    least: dict[str, float] = {}
    for _ in range(repeats):
        for load in WORKLOADS:
            run = run_solver(
                sandbox, load.solver, formulas[load.recipe], cpu_s=300.0, wall_s=3600.0, conflicts=load.conflicts
            )
            if (run.conflicts or 0) < load.conflicts:
                raise SolverError(
                    f"{load.name}: found {run.status} after {run.conflicts} conflicts ({run.detail}); "
                    f"expected {load.conflicts}"
                )
            # A solver may go over its limit by some conflicts, by how many depends on its release.
            seconds = run.cpu_s * load.conflicts / (run.conflicts or 1)
            least[load.name] = min(least.get(load.name, math.inf), seconds)
            if on_step is not None:
                on_step()
    return least


def reference() -> dict[str, Any]:
    """Return the training machine's ``machine`` and ``seconds``, which come with the package."""
    found: dict[str, Any] = json.loads((resources.files("satcost_gnn.serve") / _REFERENCE).read_text())
    return found


def compare(seconds: dict[str, float], machine: str) -> MachineSpeed:
    """Return the factor from times measured here.

    Raises
    ------
    ConfigError
        If no run was timed on both machines.
    """
    known = reference()
    logs = [math.log10(value / known["seconds"][name]) for name, value in seconds.items() if name in known["seconds"]]
    if not logs:
        raise ConfigError("found no run in common with the training machine's times; install the package anew")
    sd = statistics.stdev(logs) if len(logs) > 1 else 0.0
    return MachineSpeed(10.0 ** statistics.fmean(logs), sd, machine, str(known["machine"]), seconds)


def machine_file() -> Path | None:
    """Return where the factor is kept, None if the user wants none.

    ``$SATCOST_MACHINE``, else ``satcost/machine.json`` under ``$XDG_CONFIG_HOME``, by default ``~/.config``.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return None if named == "none" else Path(named)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".config") / "satcost" / "machine.json"


def read_factor() -> tuple[float, Path] | None:
    """Return the kept factor and the file it comes from (see :func:`machine_file`), None if there is none.

    Raises
    ------
    ConfigError
        If the file is there but can't be read, what it says is no factor, or ``$SATCOST_MACHINE`` names a file that is
        not there.
    """
    place = machine_file()
    if place is None:
        return None
    if not os.path.lexists(place):
        if os.environ.get(VARIABLE):
            raise ConfigError(
                f"{place}: found no such file, which {VARIABLE} names; run `satcost calibrate-machine`, "
                f"which writes it, or unset {VARIABLE} ({VARIABLE}=none for no factor)"
            )
        return None
    try:
        found = read_json_object(place)
        factor = float(found["factor"])
    except (DamagedFileError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{place}: found no factor of this machine's speed ({error}); run `satcost calibrate-machine` again"
        ) from None
    if not 0 < factor < math.inf:
        raise ConfigError(
            f"{place}: found factor {factor}; expected a positive number; run `satcost calibrate-machine`"
        )
    return factor, place


def on_training_machine(probe: ProbeResult, factor: float) -> ProbeResult:
    """Return a probe with its times as the training machine would have taken them.

    What predicts seconds looks at how fast the probe ran. It has learnt that on the training machine: seen with this
    machine's times a slow machine would look like a hard instance, and the factor would count twice.
    """
    if factor == 1.0:
        return probe
    return replace(probe, timings={name: seconds / factor for name, seconds in probe.timings.items()})
