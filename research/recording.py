"""Recordings of long searches: the trace of a probe with a large budget, kept in one compressed file a search.

A recording is made once, in a limited child that also writes the file, and read as often as estimates of the cost are
to be compared along the search. Files are numpy's ``.npz`` with plain arrays and one JSON header; nothing is pickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import DamagedFileError, DatasetError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.output_files import replacing
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.stored_files import parse_json, read_arrays
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeResult, ProbeSettings
from satcost_gnn.search.trace import Trace

RECORDING_CHILD = "recording:record_child"

LONG = ProbeSettings(conflicts=200_000, max_events=40_000_000, cpu_s=60.0, wall_s=600.0)
"""Budget of a long search: 200,000 conflicts, or the end of the search."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What was seen of a long search.

    Parameters
    ----------
    solver
        The solver, a name that :class:`ProbeSettings` takes.
    status
        ``SAT`` or ``UNSAT``: the search ended by itself. Anything else: it was stopped, and its cost is censored.
    conflicts
        The solver's own count of conflicts.
    search_s
        CPU seconds of the watched search (about twice what the solver needs alone).
    trace
        What happened at each conflict that was reported.
    numbers
        ``int32[C]``: the solver's count at each of them (see :attr:`ProbeResult.numbers`).
    """

    solver: str
    status: str
    conflicts: int
    search_s: float
    trace: Trace
    numbers: NDArray[np.int32]

    @property
    def solved(self) -> bool:
        """Whether the search ended by itself."""
        return self.status in ("SAT", "UNSAT")

    @classmethod
    def from_probe(cls, result: ProbeResult) -> Self:
        """Build it from a probe's result.

        Raises
        ------
        DatasetError
            If the probe came back without a trace.
        """
        if result.trace is None or result.numbers is None or result.conflicts is None:
            raise DatasetError(f"found a probe of {result.settings.solver} without a trace: {result.detail}")
        return cls(
            solver=result.settings.solver,
            status=result.status,
            conflicts=result.conflicts,
            search_s=float(result.timings.get("search", 0.0)),
            trace=result.trace,
            numbers=result.numbers,
        )

    def save(self, path: Path) -> None:
        """Write the file, under its name only once it is complete."""
        header = {name: getattr(self, name) for name in ("solver", "status", "conflicts", "search_s")}
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(
                stream,
                allow_pickle=False,
                header=np.array(json.dumps(header)),
                numbers=self.numbers,
                **self.trace.to_arrays(),
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file.

        Raises
        ------
        DatasetError
            If it is missing, damaged, or of another layout.
        """
        try:
            arrays = read_arrays(path)
            header = parse_json(str(arrays.pop("header")), str(path))
            return cls(**header, numbers=arrays.pop("numbers"), trace=Trace.from_arrays(arrays))
        except (DamagedFileError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}: found no recording ({error}); delete the file and record it again") from error


@dataclass(frozen=True)
class Recorded:
    """What became of an attempt to record.

    Parameters
    ----------
    status
        As of :class:`ProbeResult`.
    conflicts
        The solver's count; None if nothing came back.
    cpu_s
        CPU seconds of the child, writing the file included.
    detail
        What happened, in words; empty for the normal ends.
    """

    status: str
    conflicts: int | None
    cpu_s: float
    detail: str = ""


def record_child(formula: Formula, settings: ProbeSettings, path: str) -> dict[str, Any]:
    """Run and watch the search and write the file; executed in a sandboxed child."""
    result = run_probe(formula, settings, deadline=settings.cpu_s)
    if result.trace is not None:
        Recording.from_probe(result).save(Path(path))
    return {"status": result.status, "conflicts": result.conflicts, "detail": result.detail}


def record(formula: Formula, path: Path, settings: ProbeSettings = LONG, sandbox: Sandbox | None = None) -> Recorded:
    """Record a search in a limited child.

    Parameters
    ----------
    formula
        The formula.
    path
        File to write; its directory must exist. There is none afterwards if the child died.
    settings
        What to run and for how long. A search that meets a limit on events or CPU time is recorded up to there.
    sandbox
        Where the child is forked; one is started for this call if None.

    Raises
    ------
    SandboxError
        If no child can be started.
    """
    if sandbox is None:
        with Sandbox() as own:
            return record(formula, path, settings, own)
    # Working the trace out and writing it take about as long again as the search.
    limits = replace(settings.limits, cpu_s=2.0 * settings.limits.cpu_s)
    arguments = {"formula": formula, "settings": settings, "path": str(path)}
    outcome = sandbox.run(RECORDING_CHILD, arguments, limits)
    if outcome.status == "OK":
        return Recorded(cpu_s=outcome.cpu_s, **outcome.value)
    detail = f"{outcome.error_type}: {outcome.detail}" if outcome.error_type else outcome.detail
    return Recorded(outcome.status, None, outcome.cpu_s, detail)
